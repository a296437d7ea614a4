"""nn.utils beside PyTorch's."""

import copy

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.nn.utils import parametrize

torch = pytest.importorskip("torch")
BOTH = (chainrule, torch)


def tensors(lib, *arrays):
    out = []
    for a in arrays:
        p = lib.nn.Parameter(lib.zeros(*np.shape(a), dtype=lib.float64))
        p.grad = lib.tensor(np.array(a, float))
        out.append(p)
    return out


def answers(program):
    a, b = program(chainrule), program(torch)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("norm", [1, 2, 2.5, float("inf")])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clip_grad_norm(norm, limit):
    def program(lib):
        ps = tensors(lib, [3.0, -4.0], [[1.0], [2.0]])
        total = lib.nn.utils.clip_grad_norm_(ps, limit, norm)
        grads = [p.grad.numpy() for p in ps]
        only = tensors(lib, [3.0, -4.0])[0]
        return [float(total), *grads, float(lib.nn.utils.clip_grad_norm_(only, limit, norm)), only.grad.numpy(),
                float(lib.nn.utils.get_total_norm([p.grad for p in ps], norm))]  # fmt: skip

    answers(program)


def test_clip_grad_norm_of_what_is_not_finite():
    def program(lib):
        ps = tensors(lib, [3.0, float("inf")], [1.0])
        return [float(lib.nn.utils.clip_grad_norm_(ps, 1.0)), *[p.grad.numpy() for p in ps]]

    answers(program)
    with pytest.raises(RuntimeError, match="total norm of order 2.0 for gradients from `parameters` is non-finite"):
        nn.utils.clip_grad_norm_(tensors(chainrule, [float("nan")]), 1.0, error_if_nonfinite=True)
    assert float(nn.utils.clip_grad_norm_([], 1.0)) == 0.0


def test_clip_grad_norm_takes_a_generator():
    m = nn.Linear(2, 2)
    m(chainrule.ones(1, 2)).sum().backward()
    nn.utils.clip_grad_norm_(m.parameters(), 0.1)
    assert float(nn.utils.get_total_norm([p.grad for p in m.parameters()])) == pytest.approx(0.1, rel=1e-4)


def test_clip_grad_value():
    def program(lib):
        ps = tensors(lib, [3.0, -4.0, 0.1])
        lib.nn.utils.clip_grad_value_(ps, 0.5)
        return [ps[0].grad.numpy()]

    answers(program)


def test_vectors():
    m = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = nn.utils.parameters_to_vector(m.parameters())
    assert vector.shape == (13,)
    vector.sum().backward()
    assert m[0].weight.grad.tolist() == [[1.0, 1.0]] * 3
    weight = m[0].weight
    nn.utils.vector_to_parameters(chainrule.arange(13.0), m.parameters())
    assert m[0].weight is weight
    assert weight.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    with pytest.raises(TypeError, match=r"expected torch.Tensor, but got: list"):
        nn.utils.vector_to_parameters([1.0], m.parameters())
    with pytest.raises(RuntimeError, match="vec has 3 elements, the parameters have 13"):
        nn.utils.vector_to_parameters(chainrule.ones(3), m.parameters())


def load(lib, module, seed=0):
    rng = np.random.default_rng(seed)
    for p in module.parameters():
        p.data = lib.tensor(rng.uniform(-1, 1, tuple(p.shape)))
    return module


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_weight_norm(dim):
    def program(lib):
        m = load(lib, lib.nn.Linear(3, 2))
        lib.nn.utils.weight_norm(m, dim=dim)
        out = [m(lib.ones(1, 3, dtype=lib.float64))]
        out[0].sum().backward()
        out += [m.weight_g, m.weight_v.grad, m.weight_g.grad]
        names = sorted(n for n, _ in m.named_parameters())
        lib.nn.utils.remove_weight_norm(m)
        assert names == ["bias", "weight_g", "weight_v"]
        assert sorted(n for n, _ in m.named_parameters()) == ["bias", "weight"]
        return [t.detach().numpy() for t in [*out, m.weight]]

    answers(program)


def test_weight_norm_errors():
    m = nn.utils.weight_norm(nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="Cannot register two weight_norm hooks"):
        nn.utils.weight_norm(m)
    with pytest.raises(ValueError, match="weight_norm of 'bias' not found"):
        nn.utils.remove_weight_norm(m, "bias")


@pytest.mark.parametrize("dim", [0, 1, None])
def test_parametrized_weight_norm(dim):
    def program(lib):
        m = load(lib, lib.nn.Conv1d(2, 3, 2))
        lib.nn.utils.parametrizations.weight_norm(m, dim=dim)
        y = m(lib.ones(1, 2, 4, dtype=lib.float64))
        y.sum().backward()
        both = m.parametrizations.weight
        before = list(m.state_dict())
        out = [y, both.original0, both.original1.grad, both.original0.grad]
        lib.nn.utils.parametrize.remove_parametrizations(m, "weight")
        assert before == ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]
        assert type(m) is lib.nn.Conv1d
        return [t.detach().numpy() for t in [*out, m.weight]]

    answers(program)


@pytest.mark.parametrize("old", [False, True])
def test_spectral_norm(old):
    chainrule.manual_seed(0)
    m = nn.Linear(5, 4).double()
    w = m.weight.detach().clone()
    where = nn.utils if old else nn.utils.parametrizations
    where.spectral_norm(m, n_power_iterations=30)
    for _ in range(20):
        m(chainrule.ones(1, 5, dtype=chainrule.float64))
    sigma = np.linalg.svd(w.numpy(), compute_uv=False)[0]
    m.eval()
    m(chainrule.ones(1, 5, dtype=chainrule.float64)).sum().backward()
    np.testing.assert_allclose(m.weight.detach().numpy(), w.numpy() / sigma, rtol=1e-6)
    if old:
        assert sorted(m.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
        nn.utils.remove_spectral_norm(m)
    else:
        parametrize.remove_parametrizations(m, "weight")
    assert sorted(m.state_dict()) == ["bias", "weight"]


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).T

    def right_inverse(self, x):
        return x.triu()


class Double(nn.Module):
    def forward(self, x):
        return 2 * x


def test_parametrize():
    m = nn.Linear(3, 3)
    trained = m.weight
    parametrize.register_parametrization(m, "weight", Symmetric())
    assert repr(type(m).__name__) == "'ParametrizedLinear'"
    assert parametrize.is_parametrized(m)
    assert parametrize.is_parametrized(m, "weight")
    assert not parametrize.is_parametrized(m, "bias")
    assert parametrize.type_before_parametrizations(m) is nn.Linear
    assert chainrule.allclose(m.weight, m.weight.T)
    wanted = chainrule.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 5.0], [3.0, 5.0, 6.0]])
    m.weight = wanted
    assert chainrule.allclose(m.weight, wanted)
    m(chainrule.ones(1, 3)).sum().backward()
    assert m.parametrizations.weight.original.grad is not None
    assert trained.shape == (3, 3)
    parametrize.register_parametrization(m, "weight", Double())
    assert chainrule.allclose(m.weight, 2 * wanted)
    with parametrize.cached():
        assert m.weight is m.weight
    twin = copy.deepcopy(m)
    parametrize.remove_parametrizations(m, "weight", leave_parametrized=False)
    assert type(m) is nn.Linear
    assert chainrule.allclose(m.weight, wanted.triu())
    assert chainrule.allclose(twin.weight, 2 * wanted)


def test_parametrize_two_tensors_and_a_buffer():
    m = nn.BatchNorm1d(3)
    parametrize.register_parametrization(m, "weight", Double())
    parametrize.register_parametrization(m, "running_mean", Double())
    parametrize.remove_parametrizations(m, "weight")
    assert m.weight.tolist() == [2.0, 2.0, 2.0]
    assert isinstance(m.weight, nn.Parameter)
    assert parametrize.is_parametrized(m, "running_mean")
    parametrize.remove_parametrizations(m, "running_mean")
    assert "running_mean" in dict(m.named_buffers())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: parametrize.register_parametrization(nn.Linear(2, 2), "w", Double()), "does not have a parameter"),
        (lambda: parametrize.register_parametrization(nn.Linear(2, 2), "weight", nn.Flatten(0)), "change the shape"),
        (lambda: parametrize.remove_parametrizations(nn.Linear(2, 2), "weight"), "parametrization on weight"),
        (lambda: nn.utils.parametrizations.orthogonal(nn.Linear(2, 2), "bias"), "Got a tensor of 1 dimensions"),
        (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2), "w"), "no parameter or buffer with name 'w'"),
        (lambda: nn.utils.spectral_norm(nn.Linear(2, 2), n_power_iterations=0), "n_power_iterations to be positive"),
    ],
)
def test_parametrize_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
def test_orthogonal(kind, shape):
    m = nn.Linear(*shape).double()
    nn.utils.parametrizations.orthogonal(m, orthogonal_map=kind)
    w = m.weight
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product.detach().numpy(), np.eye(min(shape)), atol=1e-10)
    w[0, 0].backward()
    assert m.parametrizations.weight.original.grad is not None


def test_fusion():
    conv, bn = nn.Conv2d(2, 3, 2).double().eval(), nn.BatchNorm2d(3).double()
    bn(chainrule.randn(4, 3, 2, 2, dtype=chainrule.float64))
    bn.eval()
    x = chainrule.randn(2, 2, 4, 4, dtype=chainrule.float64)
    assert chainrule.allclose(nn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)))
    linear, bn = nn.Linear(2, 3).double().eval(), nn.BatchNorm1d(3).double().eval()
    x = chainrule.randn(2, 2, dtype=chainrule.float64)
    assert chainrule.allclose(nn.utils.fuse_linear_bn_eval(linear, bn)(x), bn(linear(x)))
    with pytest.raises(AssertionError, match="Fusion only for eval!"):
        nn.utils.fuse_conv_bn_eval(conv, nn.BatchNorm2d(3))


def test_skip_init():
    m = nn.utils.skip_init(nn.LSTM, 2, 3)
    assert type(m) is nn.LSTM
    assert m(chainrule.ones(2, 1, 2))[0].shape == (2, 1, 3)
    with pytest.raises(TypeError, match="Expected a Module; got 3"):
        nn.utils.skip_init(3)


def test_functional_call():
    layer = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    layer[1].weight = layer[0].weight
    before = layer[0].weight
    w = chainrule.eye(2, requires_grad=True)
    zero = {"0.bias": chainrule.zeros(2), "1.bias": chainrule.zeros(2)}
    x = chainrule.tensor([[3.0, 4.0]])
    call = nn.utils.stateless.functional_call
    y = call(layer, [{"0.weight": w}, zero], x)
    assert y.tolist() == [[3.0, 4.0]]
    y.sum().backward()
    assert w.grad is not None
    assert before.grad is None
    assert layer[0].weight is before
    assert not chainrule.allclose(call(layer, {"0.weight": w, **zero}, (x,), tie_weights=False), x)
    with pytest.raises(RuntimeError, match=r"unexpected names \['w'\]"):
        call(layer, {"w": w}, x)
    with pytest.raises(RuntimeError, match=r"missing names \['0.bias', '1.bias'\]"):
        call(layer, {"0.weight": w}, x, strict=True)
    with pytest.raises(ValueError, match="0.bias appears in multiple dictionaries"):
        call(layer, [zero, zero], x)
    with pytest.raises(TypeError, match="expected a dictionary or a sequence of dictionaries, got int"):
        call(layer, 3, x)
    params, buffers = nn.utils.stateless.stack_module_state([nn.BatchNorm1d(2), nn.BatchNorm1d(2)])
    assert params["weight"].shape == (2, 2)
    assert buffers["num_batches_tracked"].tolist() == [0, 0]
    with pytest.raises(RuntimeError, match="Expected at least one model, got 0"):
        nn.utils.stateless.stack_module_state([])
