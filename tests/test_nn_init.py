"""Initialisation: gains and fans as in PyTorch; the draws have the stated distribution."""

import math

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.nn import init

torch = pytest.importorskip("torch")
SQUARE = (400, 300)


@pytest.mark.parametrize(
    ("name", "param"),
    [("linear", None), ("conv2d", None), ("conv_transpose3d", None), ("sigmoid", None), ("tanh", None),
     ("relu", None), ("leaky_relu", None), ("leaky_relu", 0.3), ("selu", None)],
)  # fmt: skip
def test_gain(name, param):
    assert init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)


def test_gain_errors():
    with pytest.raises(ValueError, match="Unsupported nonlinearity sine"):
        init.calculate_gain("sine")
    with pytest.raises(ValueError, match="negative_slope big not a valid number"):
        init.calculate_gain("leaky_relu", "big")


@pytest.mark.parametrize(
    ("name", "kwargs", "low", "high", "std"),
    [
        ("uniform_", {"a": -1.0, "b": 3.0}, -1, 3, 4 / math.sqrt(12)),
        ("normal_", {"mean": 1.0, "std": 2.0}, -20, 20, 2.0),
        ("trunc_normal_", {"mean": 0.5, "std": 1.0, "a": -0.5, "b": 1.5}, -0.5, 1.5, 0.5396),
        ("xavier_uniform_", {"gain": 2.0}, -2 * math.sqrt(6 / 700), 2 * math.sqrt(6 / 700), 2 * math.sqrt(2 / 700)),
        ("xavier_normal_", {}, -1, 1, math.sqrt(2 / 700)),
        ("kaiming_uniform_", {"a": 1.0}, -math.sqrt(3 / 300), math.sqrt(3 / 300), math.sqrt(1 / 300)),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}, -1, 1, math.sqrt(2 / 400)),
    ],
)
def test_distribution(name, kwargs, low, high, std):
    g = chainrule.Generator().manual_seed(0)
    w = chainrule.empty(*SQUARE)
    w.requires_grad_()
    assert getattr(init, name)(w, generator=g, **kwargs) is w
    values = w.detach().numpy()
    assert values.min() >= np.float32(low)
    assert values.max() <= np.float32(high)
    assert values.std() == pytest.approx(std, rel=0.02)
    again = getattr(init, name)(chainrule.empty(*SQUARE), generator=g.manual_seed(0), **kwargs)
    np.testing.assert_array_equal(again.numpy(), values)


def test_constants():
    w = chainrule.empty(2, 3)
    assert init.constant_(w, 0.5).tolist() == [[0.5] * 3] * 2
    assert init.ones_(w).tolist() == [[1.0] * 3] * 2
    assert init.zeros_(w).tolist() == [[0.0] * 3] * 2
    assert init.eye_(w).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize(("shape", "groups"), [((4, 2, 3), 1), ((4, 2, 3, 3), 2), ((2, 3, 2, 3, 4), 1)])
def test_dirac(shape, groups):
    ours = init.dirac_(chainrule.empty(*shape), groups)
    np.testing.assert_array_equal(ours.numpy(), torch.nn.init.dirac_(torch.empty(*shape), groups).numpy())


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 2, 3)])
def test_orthogonal(shape):
    w = init.orthogonal_(chainrule.empty(*shape, dtype=chainrule.float64), gain=2.0).reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product.numpy(), 4 * np.eye(min(w.shape)), atol=1e-12)


def test_sparse():
    w = init.sparse_(chainrule.empty(10, 7), 0.25, std=1.0)
    assert (w.numpy() == 0).sum(0).tolist() == [3] * 7


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: init.eye_(chainrule.empty(2)), "Only tensors with 2 dimensions are supported"),
        (lambda: init.dirac_(chainrule.empty(2, 2)), "Only tensors with 3, 4, or 5 dimensions are supported"),
        (lambda: init.dirac_(chainrule.empty(3, 2, 2), 2), "dim 0 must be divisible by groups"),
        (lambda: init.xavier_normal_(chainrule.empty(2)), "fewer than 2 dimensions"),
        (lambda: init.kaiming_normal_(chainrule.empty(2, 2), mode="fan"), "Mode fan not supported"),
        (lambda: init.orthogonal_(chainrule.empty(2)), "2 or more dimensions"),
        (lambda: init.sparse_(chainrule.empty(2), 0.1), "Only tensors with 2 dimensions are supported"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_warnings():
    with pytest.warns(UserWarning, match="mean is more than 2 std"):
        init.trunc_normal_(chainrule.empty(3), mean=9.0)
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        init.kaiming_uniform_(chainrule.empty(0, 3))
    with pytest.warns(FutureWarning, match=r"`nn.init.xavier_normal` is now deprecated in favor of"):
        init.xavier_normal(chainrule.empty(2, 3))


@pytest.mark.parametrize(
    ("name", "args"),
    [("Linear", (50, 40)), ("Bilinear", (10, 9, 20)), ("Conv2d", (8, 9, 3)), ("ConvTranspose1d", (8, 20, 5)),
     ("LSTM", (20, 30)), ("GRUCell", (20, 30)), ("Embedding", (50, 20)), ("MultiheadAttention", (32, 4)),
     ("LayerNorm", (5,)), ("BatchNorm2d", (5,)), ("PReLU", (3,))],
)  # fmt: skip
def test_default_initialisation_has_pytorchs_spread(name, args):
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    for (key, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        a, b = a.detach().numpy(), b.detach().numpy()
        if b.size > 300:
            assert a.std() == pytest.approx(b.std(), rel=0.15), key
            assert abs(a).max() == pytest.approx(abs(b).max(), rel=0.15 if "Embedding" not in name else 0.5), key
        elif b.std() == 0:
            np.testing.assert_array_equal(a, b)
        else:
            assert abs(a).max() <= abs(b).max() * 3, key
