"""What the table of layers does not cover: training modes, states over several calls, errors."""

import copy
import gc

import numpy as np
import pytest

import chainrule
from chainrule import nn

torch = pytest.importorskip("torch")


def close(a, b, what):
    assert (a is None) == (b is None), what
    if a is not None:
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-10, err_msg=what)


@pytest.mark.parametrize("targets", [[1, 5, 19, 7, 2], [0, 1, 3, 2, 1], 9])
def test_adaptive_softmax(targets):
    args = (8, 20, [4, 9])
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(*args, div_value=2.0, head_bias=True).double()
    ours = nn.AdaptiveLogSoftmaxWithLoss(*args, div_value=2.0, head_bias=True).double()
    ours.load_state_dict({k: chainrule.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    assert repr(ours) == repr(theirs)
    x = np.random.default_rng(0).standard_normal((5, 8) if isinstance(targets, list) else 8) * 3
    results = []
    for lib, module in ((chainrule, ours), (torch, theirs)):
        t = lib.tensor(x, requires_grad=True)
        out, loss = module(t, lib.tensor(targets))
        loss.backward()
        rows = t.detach() if t.dim() == 2 else t.detach().unsqueeze(0)
        extra = [module.log_prob(rows), module.predict(rows)]
        results.append([out, loss, t.grad, *[p.grad for p in module.parameters()], *extra])
    for i, (a, b) in enumerate(zip(*results, strict=True)):
        # A cluster without rows has no gradient at all in PyTorch, as here.
        close(a, b, str(i))


def test_every_layer_of_pytorch_is_here_or_known_to_be_missing():
    missing = {n for n in torch.nn.modules.__all__ if not hasattr(nn, n)}
    assert missing == {"Container", "CrossMapLRN2d", "LinearCrossEntropyLoss", "LinearCrossEntropyOptions", "NLLLoss2d"}


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("Dropout", (4,)),
        ("Dropout1d", (2,)),
        ("Dropout2d", (2, 2)),
        ("Dropout3d", (2, 2, 2)),
        ("AlphaDropout", (4,)),
        ("FeatureAlphaDropout", (4,)),
    ],
)
def test_dropout_in_training(name, rest):
    chainrule.manual_seed(0)
    x = chainrule.randn(20, 50, *rest, requires_grad=True)
    layer = getattr(nn, name)(0.4)
    y = layer(x)
    y.sum().backward()
    kept = x.grad.numpy() != 0
    assert 0.5 < kept.mean() < 0.7
    per_channel = kept.reshape(20, 50, -1)
    whole = (per_channel.all(2) | ~per_channel.any(2)).all()
    assert whole == (name not in ("Dropout", "AlphaDropout"))
    if "Alpha" not in name:
        np.testing.assert_allclose(x.grad.numpy()[kept], 1 / 0.6, rtol=1e-6)
    else:
        assert y.detach().numpy().std() == pytest.approx(1.0, abs=0.12)
    assert layer.eval()(x).tolist() == x.tolist()


def test_rrelu_in_training():
    chainrule.manual_seed(0)
    y = nn.RReLU(0.2, 0.4)(chainrule.full((1000,), -1.0))
    assert -0.4 <= float(y.min()) < -0.39
    assert -0.21 < float(y.max()) <= -0.2


def test_batch_norm_over_several_batches():
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((4, 3)) for _ in range(3)]
    for momentum in (None, 0.3):
        results = []
        for lib in (chainrule, torch):
            m = lib.nn.BatchNorm1d(3, momentum=momentum).double()
            for b in batches:
                m(lib.tensor(b))
            m.eval()
            results.append([m.running_mean, m.running_var, m.num_batches_tracked, m(lib.tensor(batches[0]))])
        for a, b in zip(*results, strict=True):
            close(a, b, str(momentum))


def test_embedding_bag_with_offsets_and_weights():
    table = np.random.default_rng(0).standard_normal((6, 3))
    results = []
    for lib in (chainrule, torch):
        bag = lib.nn.EmbeddingBag.from_pretrained(lib.tensor(table), freeze=False, mode="sum", include_last_offset=True)
        w = lib.tensor([0.5, 1.0, 2.0, -1.0], dtype=lib.float64, requires_grad=True)
        y = bag(lib.tensor([1, 1, 5, 2]), lib.tensor([0, 1, 1, 4]), w)
        (y * y).sum().backward()
        results.append([y, bag.weight.grad, w.grad])
    for a, b in zip(*results, strict=True):
        close(a, b, "bag")


def test_embedding_from_pretrained_is_frozen():
    table = chainrule.ones(3, 2)
    e = nn.Embedding.from_pretrained(table)
    assert not e.weight.requires_grad
    assert e.weight.data_ptr() == table.data_ptr()
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unpooling(dims):
    shape = (2, 3, 6, 4, 4)[: dims + 2]
    results = []
    x = np.random.default_rng(0).standard_normal(shape)
    for lib in (chainrule, torch):
        t = lib.tensor(x, requires_grad=True)
        pool = getattr(lib.nn, f"MaxPool{dims}d")(2, return_indices=True)
        unpool = getattr(lib.nn, f"MaxUnpool{dims}d")(2)
        y, indices = pool(t)
        z = unpool(y, indices)
        wider = unpool(y, indices, output_size=[s + 1 for s in shape[2:]])
        ((z * z).sum() + wider.sum()).backward()
        results.append([z, wider, indices, t.grad])
        text = repr(unpool)
    assert text == repr(getattr(nn, f"MaxUnpool{dims}d")(2))
    for a, b in zip(*results, strict=True):
        close(a, b, "unpool")


CTC = [
    ([[1, 1, 2], [3, 2, 0]], [6, 5], [3, 2], {}),
    ([1, 1, 2, 3, 2], [6, 5], [3, 2], {}),
    ([[1, 1, 3], [3, 0, 1]], [6, 3], [3, 0], {"blank": 2}),
    ([[1, 1, 1], [3, 2, 1]], [4, 6], [3, 2], {}),  # too short for the first target
    ([[1, 1, 1], [3, 2, 1]], [4, 6], [3, 2], {"zero_infinity": True}),
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("targets", "inputs", "lengths", "kwargs"), CTC)
def test_ctc_loss(targets, inputs, lengths, kwargs, reduction):
    x = np.random.default_rng(0).standard_normal((6, 2, 4))
    results = []
    for lib in (chainrule, torch):
        t = lib.tensor(x, requires_grad=True)
        loss = lib.nn.CTCLoss(reduction=reduction, **kwargs)(
            t.log_softmax(-1), lib.tensor(targets), lib.tensor(inputs), lib.tensor(lengths)
        )
        loss.sum().backward()
        results.append([loss, t.grad] if bool(loss.isfinite().all()) else [loss])
    for a, b in zip(*results, strict=True):
        close(a, b, reduction)


def test_ctc_loss_without_batch():
    x = np.random.default_rng(0).standard_normal((5, 4))
    results = [
        lib.nn.functional.ctc_loss(
            lib.tensor(x).log_softmax(-1), lib.tensor([1, 2]), lib.tensor([5]), lib.tensor([2]), reduction="none"
        )
        for lib in (chainrule, torch)
    ]
    close(results[0], results[1].squeeze(0), "unbatched")


@pytest.mark.parametrize("dims", [2, 3])
def test_fractional_max_pool(dims):
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 6, 5)[: dims + 2])
    samples = np.random.default_rng(1).uniform(size=(2, 3, dims))
    results = []
    for lib in (chainrule, torch):
        t = lib.tensor(x, requires_grad=True)
        pool = getattr(lib.nn, f"FractionalMaxPool{dims}d")(
            2, output_size=(3, 4, 3)[:dims], return_indices=True, _random_samples=lib.tensor(samples)
        )
        y, where = pool(t)
        y.sum().backward()
        results.append([y, where, t.grad])
    for a, b in zip(*results, strict=True):
        close(a, b, "fractional")


ONE = chainrule.ones(1)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels must be divisible by groups"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "out_channels must be divisible by groups"),
        (lambda: nn.Conv2d(4, 4, 3, groups=0), ValueError, "groups must be a positive integer"),
        (lambda: nn.Conv1d(4, 4, 3, padding="half"), ValueError, "Invalid padding string 'half'"),
        (lambda: nn.Conv1d(4, 4, 3, padding="same", stride=2), ValueError, "not supported for strided"),
        (lambda: nn.Conv1d(4, 4, 3, padding_mode="mirror"), ValueError, "padding_mode must be one of"),
        (lambda: nn.ConvTranspose2d(4, 4, 3, padding_mode="reflect"), ValueError, 'Only "zeros" padding mode'),
        (lambda: nn.ConvTranspose1d(1, 1, 3, 2)(chainrule.ones(1, 1, 3), [99]), ValueError, "valid sizes range from"),
        (lambda: nn.ConvTranspose1d(1, 1, 3, 2)(chainrule.ones(1, 1, 3), [1, 2, 3, 4]), ValueError, "must have 1 or"),
        (lambda: nn.BatchNorm2d(3)(chainrule.ones(2, 3)), ValueError, r"expected 4D input \(got 2D input\)"),
        (lambda: nn.BatchNorm1d(3)(chainrule.ones(2)), ValueError, "expected 2D or 3D input"),
        (lambda: nn.InstanceNorm2d(3, affine=True)(chainrule.ones(2, 4, 5, 5)), ValueError, "to match num_features"),
        (lambda: nn.GroupNorm(3, 4), ValueError, r"num_channels \(4\) must be divisible by num_groups \(3\)"),
        (lambda: nn.Bilinear(0, 1, 1), ValueError, "in1_features must be > 0"),
        (lambda: nn.Dropout(1.5), ValueError, "dropout probability has to be between 0 and 1, but got 1.5"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), AssertionError, "Padding_idx must be within num_embeddings"),
        (lambda: nn.Embedding(3, 2, sparse=True), NotImplementedError, "sparse gradients are not supported"),
        (lambda: nn.Embedding(3, 2, _weight=ONE), AssertionError, "Shape of weight does not match"),
        (lambda: nn.Embedding.from_pretrained(ONE), AssertionError, "expected to be 2-dimensional"),
        (lambda: nn.Hardtanh(1.0, 0.0), AssertionError, "must be greater than min_val"),
        (lambda: nn.Softmax2d()(ONE), ValueError, "expected input to be 3D or 4D, got 1D"),
        (lambda: nn.Unflatten(0, (1.5,)), TypeError, "found element of type float at pos 0"),
        (lambda: nn.Unflatten(0, 3), TypeError, "must be a tuple of ints, but found type int"),
        (lambda: nn.CircularPad2d(1)(ONE), ValueError, r"expected 3D or 4D input \(got 1D input\)"),
        (lambda: nn.MultiMarginLoss(p=3), ValueError, "only p == 1 and p == 2 supported"),
        (lambda: nn.MultiMarginLoss(weight=chainrule.ones(1, 1)), ValueError, "None or 1D tensor, got 2D"),
        (lambda: nn.TripletMarginLoss(margin=0), ValueError, "expected margin to be greater than 0, got 0"),
        (lambda: nn.HuberLoss(delta="x"), TypeError, "delta must be a float or int"),
        (lambda: nn.FractionalMaxPool2d(2), ValueError, "either an output size, or a pooling ratio"),
        (lambda: nn.FractionalMaxPool2d(2, 3, 0.5), ValueError, "only one of output_size and output_ratio"),
        (lambda: nn.FractionalMaxPool3d(2, output_ratio=1.5), ValueError, "must be between 0 and 1"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 9, []), ValueError, "length larger than 0"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 9, [5, 2]), ValueError, "unique, positive integers sorted"),
        (lambda: nn.Linear(2, 3, device="cuda"), (NotImplementedError, RuntimeError), "cuda"),
        (lambda: nn.LazyLinear(3)(input=ONE), TypeError, "first call needs the input as a positional argument"),
        (lambda: nn.LazyConv1d(3, 2)(ONE), RuntimeError, r"Expected 2D \(unbatched\) or 3D \(batched\) input"),
        (lambda: nn.LazyLinear(3).weight.shape, RuntimeError, "Can't access the shape of an uninitialized"),
    ],
)
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_legacy_reduction_flags():
    for size_average, reduce in [(True, None), (False, None), (None, False), (False, True), (True, False)]:
        with pytest.warns(UserWarning, match="will be deprecated"):
            expected = torch.nn.MSELoss(size_average, reduce).reduction
        assert nn.MSELoss(size_average, reduce).reduction == expected


def leak_steps():
    lstm, x = nn.LSTM(3, 4, 2, bidirectional=True), chainrule.randn(5, 2, 3)

    def twice():
        t = x.clone().requires_grad_()
        (g,) = chainrule.autograd.grad(lstm(t)[0].sum(), t, create_graph=True)
        (g * g).sum().backward()
        lstm.zero_grad()

    def packed():
        sequences = nn.utils.rnn.pack_sequence([chainrule.randn(4, 3), chainrule.randn(2, 3)])
        lstm(sequences)[0].data.sum().backward()
        lstm.zero_grad()

    layer = nn.TransformerEncoderLayer(4, 2, 8)
    hooked = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    hooked.register_full_backward_hook(lambda *_: None)
    hooked.register_full_backward_pre_hook(lambda *_: None)
    hooked.register_forward_hook(lambda *_: None)
    return {
        "recurrent, create_graph": twice,
        "packed": packed,
        "transformer": lambda: layer(chainrule.randn(3, 2, 4)).sum().backward(),
        "hooks and parametrization": lambda: hooked(chainrule.randn(2, 3, requires_grad=True)).sum().backward(),
        "construction": lambda: nn.BatchNorm1d(3)(nn.Linear(2, 3)(chainrule.randn(4, 2))).sum().backward(),
        "deepcopy": lambda: copy.deepcopy(layer),
    }


@pytest.mark.parametrize("name", leak_steps())
def test_no_garbage_is_left_for_the_cycle_collector(name):
    step = leak_steps()[name]
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            step()
        before = len(gc.get_objects())
        for _ in range(20):
            step()
        assert len(gc.get_objects()) - before < 20
    finally:
        gc.enable()
