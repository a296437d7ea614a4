"""RNN, LSTM, GRU, their cells and packed sequences beside PyTorch's."""

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.nn.recurrence import run_layer
from chainrule.nn.utils import rnn

torch = pytest.importorskip("torch")


def pair(name, args, kwargs):
    rng = np.random.default_rng(1)
    theirs = getattr(torch.nn, name)(*args, **kwargs).double()
    ours = getattr(nn, name)(*args, **kwargs).double()
    for p in theirs.parameters():
        p.data = torch.tensor(rng.uniform(-0.7, 0.7, tuple(p.shape)))
    ours.load_state_dict({k: chainrule.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    return ours, theirs, rng


def flat(result):
    """All tensors of nested tuples, in order."""
    if isinstance(result, (tuple, list)):
        return [t for part in result if part is not None for t in flat(part)]
    return [result]


def run(lib, module, arrays, make):
    """Outputs, gradients of the inputs and of the parameters."""
    tensors = [lib.tensor(a, requires_grad=True) for a in arrays]
    out = [t for t in flat(make(lib, module, *tensors)) if t.is_floating_point()]
    loss = sum((t * lib.tensor(np.sin(np.arange(t.numel()).reshape(tuple(t.shape))))).sum() for t in out)
    loss.backward()
    return out + [t.grad for t in tensors] + [p.grad for p in module.parameters()]


def compare(ours, theirs, arrays, make):
    found, expected = run(chainrule, ours, arrays, make), run(torch, theirs, arrays, make)
    assert len(found) == len(expected)
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert a.dtype.itemsize == 8
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-10, err_msg=str(i))


VARIANTS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
    ("RNN", {"bidirectional": True, "batch_first": True, "bias": False}),
    ("LSTM", {"num_layers": 2}),
    ("LSTM", {"bidirectional": True, "bias": False}),
    ("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("GRU", {}),
    ("GRU", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("GRU", {"bias": False}),
]


def state_shapes(name, kwargs, batch):
    rows = kwargs.get("num_layers", 1) * (2 if kwargs.get("bidirectional") else 1)
    shape = (rows, *batch)
    out = [(*shape, kwargs.get("proj_size") or 4)]
    return [*out, (*shape, 4)] if name == "LSTM" else out


def hx_of(name, state):
    return None if not state else (tuple(state) if name == "LSTM" else state[0])


@pytest.mark.parametrize(("name", "kwargs"), VARIANTS)
@pytest.mark.parametrize("kind", ["zeros", "state", "unbatched", "unbatched state"])
def test_layer(name, kwargs, kind):
    ours, theirs, rng = pair(name, (3, 4), kwargs)
    batched = "unbatched" not in kind
    x = rng.standard_normal((5, 2, 3)[: None if batched else 1] + (() if batched else (3,)))
    if batched and kwargs.get("batch_first"):
        x = x.transpose(1, 0, 2).copy()
    state = []
    if "state" in kind:
        state = [rng.standard_normal(s) for s in state_shapes(name, kwargs, (2,) if batched else ())]
    compare(ours, theirs, [x, *state], lambda lib, m, x, *s: m(x, hx_of(name, s)))


@pytest.mark.parametrize(("name", "kwargs"), VARIANTS)
@pytest.mark.parametrize("order", [[4, 3, 3, 1], [1, 4, 3, 3]])
@pytest.mark.parametrize("with_state", [False, True])
def test_packed(name, kwargs, order, with_state):
    kwargs = {k: v for k, v in kwargs.items() if k != "batch_first"}
    ours, theirs, rng = pair(name, (3, 4), kwargs)
    arrays = [rng.standard_normal((4, 4, 3))]
    if with_state:
        arrays += [rng.standard_normal(s) for s in state_shapes(name, kwargs, (4,))]

    def make(lib, module, x, *state):
        utils = rnn if lib is chainrule else torch.nn.utils.rnn
        packed = utils.pack_padded_sequence(x, order, enforce_sorted=order == sorted(order, reverse=True))
        out, last = module(packed, hx_of(name, state))
        padded, lengths = utils.pad_packed_sequence(out, total_length=6, padding_value=0.5)
        assert lengths.tolist() == order
        return padded, last

    compare(ours, theirs, arrays, make)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("RNNCell", {}),
        ("RNNCell", {"nonlinearity": "relu", "bias": False}),
        ("LSTMCell", {}),
        ("GRUCell", {}),
        ("GRUCell", {"bias": False}),
    ],
)
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("with_state", [False, True])
def test_cell(name, kwargs, batch, with_state):
    ours, theirs, rng = pair(name, (3, 4), kwargs)
    states = (2 if name == "LSTMCell" else 1) if with_state else 0
    arrays = [rng.standard_normal((*batch, 3))] + [rng.standard_normal((*batch, 4)) for _ in range(states)]

    def make(lib, module, x, *state):
        return module(x, None if not state else (state if name == "LSTMCell" else state[0]))

    compare(ours, theirs, arrays, make)


def test_dropout_acts_between_layers_in_training_only():
    layer = nn.RNN(3, 4, num_layers=2, dropout=1.0)
    x = chainrule.randn(5, 2, 3)
    dropped = layer(x)[0]
    kept = layer.eval()(x)[0]
    assert float((dropped - kept).abs().sum()) > 0
    # With everything dropped the second layer sees zeros, so its output does not depend on the batch row.
    assert chainrule.allclose(dropped[:, 0], dropped[:, 1])


def test_second_order_through_time():
    layer = nn.GRU(2, 3).double()
    x = chainrule.randn(4, 1, 2, dtype=chainrule.float64, requires_grad=True)
    assert chainrule.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))


@pytest.mark.parametrize("sequences", [[[1, 2, 3], [4, 5], [6]], [[6], [1, 2, 3], [4, 5]]])
def test_sequences(sequences):
    is_sorted = len(sequences[0]) == 3

    def program(lib):
        u = rnn if lib is chainrule else torch.nn.utils.rnn
        tensors = [lib.tensor(s) for s in sequences]
        packed = u.pack_sequence(tensors, enforce_sorted=is_sorted)
        padded, lengths = u.pad_packed_sequence(packed, batch_first=True, padding_value=-1)
        left = u.pad_sequence(tensors, batch_first=True, padding_value=9, padding_side="left")
        return (
            [None if part is None else part.tolist() for part in packed],
            padded.tolist(),
            lengths.tolist(),
            left.tolist(),
            u.pad_sequence(tensors).tolist(),
            [t.tolist() for t in u.unpack_sequence(packed)],
            [t.tolist() for t in u.unpad_sequence(padded, lengths, batch_first=True)],
            str(packed.double().data.dtype),
            repr(packed),
        )

    assert program(chainrule) == program(torch)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), ValueError, "Unknown nonlinearity 'sin'"),
        (lambda: nn.GRU(3, 4, proj_size=2), ValueError, "only supported for LSTM"),
        (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "smaller than hidden_size"),
        (lambda: nn.LSTM(0, 4), ValueError, "input_size must be greater than zero"),
        (lambda: nn.LSTM(3.0, 4), TypeError, "input_size should be of type int, got: float"),
        (lambda: nn.LSTM(3, 4, dropout=2), ValueError, "dropout should be a number in range"),
        (lambda: nn.RNN(3, 4)(chainrule.ones(3)), ValueError, "Expected input to be 2D or 3D, got 1D"),
        (lambda: nn.RNN(3, 4)(chainrule.ones(2, 2, 5)), RuntimeError, "Expected 3, got 5"),
        (lambda: nn.RNN(3, 4)(chainrule.ones(2, 3).double()), ValueError, r"Convert input: input.to\(torch.float32\)"),
        (lambda: nn.RNN(3, 4)(chainrule.ones(2, 2, 3), chainrule.ones(1, 4)), RuntimeError, "hx should also be 3-D"),
        (lambda: nn.LSTM(3, 4)(chainrule.ones(2, 2, 3), (chainrule.ones(1, 2, 5),) * 2), RuntimeError,
         r"Expected hidden\[0\] size \(1, 2, 4\), got \[1, 2, 5\]"),
        (lambda: nn.GRUCell(3, 4)(chainrule.ones(2, 2, 3)), ValueError, "1D or 2D, got 3D"),
        (lambda: nn.GRUCell(3, 4)(chainrule.ones(2, 5)), RuntimeError, "got 5 expected 3"),
        (lambda: rnn.pack_padded_sequence(chainrule.ones(4, 2, 1), [1, 4]), RuntimeError, "enforce_sorted=False"),
        (lambda: rnn.pack_padded_sequence(chainrule.ones(4, 2, 1), [4, 0]), RuntimeError, "greater than 0"),
        (lambda: rnn.pack_padded_sequence(chainrule.ones(4, 2, 1), [4]), RuntimeError, "batch_size=2"),
        (lambda: rnn.pad_sequence([chainrule.ones(1)], padding_side="up"), ValueError, "left or right, but got up"),
    ],
)  # fmt: skip
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_dropout_with_one_layer_warns():
    with pytest.warns(UserWarning, match="non-zero dropout expects num_layers greater than 1"):
        nn.LSTM(3, 4, dropout=0.5)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_forward_mode_batching_and_hessian(name):
    layer = getattr(nn, name)(2, 3).double()
    x = chainrule.randn(3, 1, 2, dtype=chainrule.float64)

    def f(x):
        return layer(x)[0]

    _, tangent = chainrule.func.jvp(f, (x,), (chainrule.ones_like(x),))
    by_differences = (f(x + 1e-6) - f(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(tangent.detach().numpy(), by_differences.detach().numpy(), atol=1e-8)
    many = chainrule.stack([x, 2 * x])
    expected = chainrule.stack([f(x), f(2 * x)]).detach().numpy()
    np.testing.assert_allclose(chainrule.func.vmap(f)(many).detach().numpy(), expected, atol=1e-12)
    h = chainrule.func.hessian(lambda x: f(x).sum())(x).reshape(6, 6).detach().numpy()
    np.testing.assert_allclose(h, h.T, atol=1e-12)
    assert abs(h).max() > 1e-3


@pytest.mark.parametrize("mode", ["RNN_TANH", "RNN_RELU", "LSTM", "GRU"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_the_primitive_agrees_with_its_definition(mode, reverse, bias):
    """The packed path runs step by step in operators; equal lengths make it the same computation."""
    rng = np.random.default_rng(0)
    gates = {"LSTM": 4, "GRU": 3}.get(mode, 1) * 3
    shapes = [(5, 2, 2), (2, 3), (2, 3), (gates, 2), (gates, 3), (gates,), (gates,)]
    arrays = [rng.standard_normal(s) for s in shapes]
    results = []
    for sizes in (None, [2] * 5):
        x, h, c, *weights = (chainrule.tensor(a, requires_grad=True) for a in arrays)
        if not bias:
            weights[2:] = [None, None]
        rows = x if sizes is None else x.flatten(0, 1)
        out, state = run_layer(mode, rows, (h, c) if mode == "LSTM" else (h,), [*weights, None], sizes, reverse)
        (out.reshape(5, 2, 3).sin().sum() + sum(s.cos().sum() for s in state)).backward()
        tensors = [x, h, *weights] + ([c] if mode == "LSTM" else [])
        results.append([out.reshape(5, 2, 3), *state, *[t.grad for t in tensors if t is not None]])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-10, atol=1e-12)
