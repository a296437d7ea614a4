"""A masked path stays masked: no gradient where an element was not selected, whatever the derivative there is; real
NaNs stay."""

import math

import numpy as np
import pytest

import chainrule as torch
from chainrule.autograd import engine, masked
from chainrule.func import grad, jvp, vmap
from chainrule.nn import functional as F


def leaf(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def gradient(f, *values):
    x = leaf(*values)
    f(x).sum().backward()
    return x.grad.tolist()


inf, nan = math.inf, math.nan

# (function of x, values of x, gradient)
CASES = {
    "sqrt at 0": (lambda x: torch.where(x > 0, x.sqrt(), 0.0), (0.0, 4.0), (0.0, 0.25)),
    "sqrt below 0": (lambda x: torch.where(x > 0, x.sqrt(), 0.0), (-1.0, 4.0), (0.0, 0.25)),
    "sinc": (lambda x: torch.where(x != 0, x.sin() / x, 1.0), (0.0, math.pi), (0.0, -1 / math.pi)),
    "log": (lambda x: torch.where(x > 0, x.log(), 0.0), (0.0, 2.0), (0.0, 0.5)),
    "log1p": (lambda x: torch.where(x > -1, x.log1p(), 0.0), (-1.0, 1.0), (0.0, 0.5)),
    "log2": (lambda x: torch.where(x > 0, x.log2(), 0.0), (0.0, 1.0), (0.0, 1 / math.log(2))),
    "division": (lambda x: torch.where(x != 0, 1 / x, 0.0), (0.0, 2.0), (0.0, -0.25)),
    "division by a tensor": (lambda x: torch.where(x != 0, x / (x * x), 0.0), (0.0, 2.0), (0.0, -0.25)),
    "reciprocal": (lambda x: torch.where(x != 0, x.reciprocal(), 0.0), (0.0, 2.0), (0.0, -0.25)),
    "rsqrt": (lambda x: torch.where(x > 0, x.rsqrt(), 0.0), (0.0, 4.0), (0.0, -1 / 16)),
    "power": (lambda x: torch.where(x > 0, x**0.5, 0.0), (0.0, 4.0), (0.0, 0.25)),
    "negative power": (lambda x: torch.where(x != 0, x**-2, 0.0), (0.0, 1.0), (0.0, -2.0)),
    "tensor power": (lambda x: torch.where(x > 0, torch.pow(x, torch.full_like(x, 0.5)), 0.0), (0.0, 4.0), (0.0, 0.25)),
    "acos": (lambda x: torch.where(x < 1, x.acos(), 0.0), (1.0, 0.0), (0.0, -1.0)),
    "asin": (lambda x: torch.where(x.abs() < 1, x.asin(), 0.0), (1.0, 0.0), (0.0, 1.0)),
    "acosh": (lambda x: torch.where(x > 1, x.acosh(), 0.0), (1.0, math.sqrt(2)), (0.0, 1.0)),
    "atanh": (lambda x: torch.where(x < 1, x.atanh(), 0.0), (1.0, 0.0), (0.0, 1.0)),
    "exp overflow": (lambda x: torch.where(x < 700, x.exp(), 0.0), (1e4, 0.0), (0.0, 1.0)),
    "xlogy": (lambda x: torch.where(x > 0, torch.xlogy(x, x), 0.0), (0.0, 1.0), (0.0, 1.0)),
    "hypot": (lambda x: torch.where(x > 0, torch.hypot(x, x), 0.0), (0.0, 1.0), (0.0, math.sqrt(2))),
    "atan2": (lambda x: torch.where(x > 0, torch.atan2(x, x), 0.0), (0.0, 1.0), (0.0, 0.0)),
    "maximum": (lambda x: torch.maximum(x.log(), torch.ones_like(x)), (0.0, math.e**2), (0.0, math.e**-2)),
    "minimum": (lambda x: torch.minimum(1 / x, torch.ones_like(x)), (0.0, 2.0), (0.0, -0.25)),
    "clamp": (lambda x: x.log().clamp(min=-5.0), (0.0, 2.0), (0.0, 0.5)),
    "relu": (lambda x: F.relu(x.log()), (0.0, 2.0), (0.0, 0.5)),
    "getitem": (lambda x: x.sqrt()[1:], (0.0, 4.0), (0.0, 0.25)),
    "getitem list": (lambda x: x.sqrt()[[1, 1]], (0.0, 4.0), (0.0, 0.5)),
    "boolean index": (lambda x: x.sqrt()[x > 0], (0.0, 4.0), (0.0, 0.25)),
    "gather": (lambda x: x.sqrt().gather(0, torch.tensor([1])), (0.0, 4.0), (0.0, 0.25)),
    "index_select": (lambda x: x.sqrt().index_select(0, torch.tensor([1])), (0.0, 4.0), (0.0, 0.25)),
    "masked_fill": (lambda x: x.sqrt().masked_fill(x == 0, 0.0), (0.0, 4.0), (0.0, 0.25)),
    "masked_select": (lambda x: x.sqrt().masked_select(x > 0), (0.0, 4.0), (0.0, 0.25)),
    "narrow": (lambda x: x.sqrt().narrow(0, 1, 1), (0.0, 4.0), (0.0, 0.25)),
    "amax": (lambda x: x.sqrt().amax(0), (0.0, 4.0), (0.0, 0.25)),
    "max": (lambda x: x.sqrt().max(), (0.0, 4.0), (0.0, 0.25)),
    "max over a dim": (lambda x: x.sqrt().max(0).values, (0.0, 4.0), (0.0, 0.25)),
    "max_pool1d": (lambda x: F.max_pool1d(x.sqrt()[None, None], 2), (0.0, 4.0), (0.0, 0.25)),
    "topk": (lambda x: x.sqrt().topk(1).values, (0.0, 4.0), (0.0, 0.25)),
    "sort and slice": (lambda x: x.sqrt().sort().values[1:], (0.0, 4.0), (0.0, 0.25)),
    "slice assigned over": (lambda x: overwritten(x), (0.0, 1.0), (0.0, 1.0)),
    "two masks": (
        lambda x: torch.where(x > 0, torch.where(x < 9, 1 / (9 - x).sqrt(), 0.0).sqrt(), 0.0),
        (0.0, 9.0),
        (None, 0.0),
    ),
    "a chain behind the mask": (lambda x: torch.where(x > 0, (x.log() * 3).exp().sqrt(), 0.0), (0.0, 1.0), (0.0, 1.5)),
    "a sum behind the mask": (lambda x: torch.where(x > 0, x.sqrt() + x.log(), 0.0), (0.0, 1.0), (0.0, 1.5)),
    "used twice": (lambda x: torch.where(x > 0, x.sqrt(), 0.0) + x, (0.0, 4.0), (1.0, 1.25)),
    "the other branch is finite": (lambda x: torch.where(x > 0, x.sqrt(), x * x), (0.0, 4.0), (0.0, 0.25)),
    "scalar broadcast": (lambda x: torch.where(x > 0, x[1].sqrt() * x.sqrt(), 0.0), (0.0, 4.0), (0.0, 1.0)),
    "cumsum in between": (lambda x: torch.where(x > 0, x.sqrt(), 0.0).cumsum(0), (4.0, 0.0), (0.5, 0.0)),
}


def overwritten(x):
    y = x.log() * x  # (sqrt would have saved the result that is changed here)
    y[0] = 1.0
    return y


@pytest.mark.parametrize("name", CASES)
def test_unselected_elements_have_no_gradient(name):
    f, values, expected = CASES[name]
    got = gradient(f, *values)
    for g, e in zip(got, expected):
        if e is not None:
            assert g == pytest.approx(e, abs=1e-12), got


@pytest.mark.parametrize(
    "name", [n for n in CASES if n not in ("boolean index", "masked_select", "slice assigned over", "two masks")]
)
def test_the_same_from_func_grad_and_in_a_batch(name):
    f, values, expected = CASES[name]
    x = torch.tensor(values, dtype=torch.float64)
    batch = torch.stack([x, x])
    assert grad(lambda x: f(x).sum())(x).tolist() == pytest.approx(expected, abs=1e-12)
    for row in vmap(grad(lambda x: f(x).sum()))(batch).tolist():
        assert row == pytest.approx(expected, abs=1e-12)


def test_a_product_whose_unselected_rows_meet_infinity():
    t = torch.tensor([[1.0, 0.5], [0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    w = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    rows = torch.tensor([[True], [False]])
    torch.where(rows, (1 / t) @ w, 0.0).sum().backward()
    assert w.grad.tolist() == [[1.0] * 3, [2.0] * 3]
    assert t.grad.tolist() == [[-3.0, -12.0], [0.0, 0.0]]


def test_a_product_whose_selected_rows_meet_infinity_says_so():
    x = torch.tensor([[1.0, 2.0], [inf, 0.0]], dtype=torch.float64)
    w = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    (torch.where(torch.tensor([[True], [True]]), x @ w, 0.0).sum() + (w / w).sum()).backward()
    assert w.grad[0].tolist() == [inf] * 3


def test_reductions_between_mask_and_singular_operator():
    x = leaf(0.0, 4.0)
    rows = torch.stack([x, x + 1])
    torch.where(torch.tensor([False, True]), rows.sqrt().sum(1), 0.0).sum().backward()
    assert x.grad.tolist() == pytest.approx([0.5, 0.5 / math.sqrt(5)])


def test_norm_at_zero():
    x = torch.zeros(2, 2, dtype=torch.float64)
    x[1] = 3.0
    x.requires_grad_()
    norms = (x * x).sum(1).sqrt()
    torch.where(norms > 0, norms, 0.0).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0], pytest.approx([math.sqrt(0.5)] * 2)]


def test_dropout_drops_the_gradient_too():
    torch.manual_seed(0)
    x = torch.zeros(64, dtype=torch.float64, requires_grad=True)
    y = F.dropout(x.sqrt() + 1, 0.5)
    y.sum().backward()
    dropped = y.detach() == 0
    assert dropped.any() and not dropped.all()
    assert x.grad[dropped].tolist() == [0.0] * int(dropped.sum())
    assert x.grad[~dropped].isinf().all()


def test_second_derivative():
    x = leaf(0.0, 4.0)
    (g,) = torch.autograd.grad(torch.where(x > 0, x.sqrt(), 0.0).sum(), x, create_graph=True)
    assert g.tolist() == [0.0, 0.25]
    (h,) = torch.autograd.grad(g.sum(), x)
    assert h.tolist() == pytest.approx([0.0, -1 / 32])
    second = grad(lambda x: grad(lambda x: torch.where(x > 0, x.sqrt(), 0.0))(x))
    assert second(torch.tensor(0.0)).item() == 0
    assert second(torch.tensor(4.0)).item() == pytest.approx(-1 / 32)


def test_forward_mode():
    def f(x):
        return torch.where(x > 0, x.sqrt(), 0.0)

    x = torch.tensor([0.0, 4.0], dtype=torch.float64)
    _, t = jvp(f, (x,), (torch.ones(2, dtype=torch.float64),))
    assert t.tolist() == [0.0, 0.25]
    _, t = jvp(lambda x: x.log().clamp(min=-5.0), (x,), (torch.ones(2, dtype=torch.float64),))
    assert t.tolist() == [0.0, 0.25]
    _, t = jvp(lambda x: x.sqrt()[1:], (x,), (torch.ones(2, dtype=torch.float64),))
    assert t.tolist() == [0.25]


REAL = {
    "selected sqrt at 0": (lambda x: torch.where(x >= 0, x.sqrt(), 0.0), (0.0,), inf),
    "0 times infinity on the chosen path": (lambda x: torch.where(x >= 0, (x * x).sqrt(), 0.0), (0.0,), nan),
    "a sum with an unmasked use": (lambda x: torch.where(x > 0, x.sqrt(), 0.0) + x.sqrt(), (0.0,), inf),
    "clamp that selects": (lambda x: (0 * x.sqrt()).clamp(-1, 1), (0.0,), nan),
    "relu that selects": (lambda x: F.relu(0 * x.sqrt() + 1), (0.0,), nan),
    "index that selects": (lambda x: (0 * x.sqrt())[:1], (0.0,), nan),
    "max that selects": (lambda x: (0 * x.sqrt()).amax(0), (0.0,), nan),
    "no mask at all": (lambda x: (x * x).sqrt(), (0.0,), nan),
}


@pytest.mark.parametrize("name", REAL)
def test_a_nan_of_the_selected_path_appears(name):
    f, values, expected = REAL[name]
    (got,) = gradient(f, *values)
    assert got == expected or (math.isnan(expected) and math.isnan(got)), got


def test_the_same_without_a_mask_as_numpy():
    """Where everything is selected the mask changes nothing."""
    x = np.random.default_rng(0).uniform(0.5, 2, 20)
    a, b = leaf(*x), leaf(*x)
    torch.where(a > 0, (a.log() * a.sqrt()) / a, 0.0).sum().backward()
    ((b.log() * b.sqrt()) / b).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-14)


def test_a_graph_without_a_mask_pays_nothing(monkeypatch):
    made = []
    original = masked.Masks.__init__

    def counted(self):
        made.append(self)
        original(self)

    monkeypatch.setattr(masked.Masks, "__init__", counted)
    assert engine.Masks is masked.Masks
    gradient(lambda x: (x.log() * x.sqrt()) / x, 1.0, 2.0)
    gradient(lambda x: torch.where(x > 0, x * 2, 0.0), 1.0, 2.0)
    assert made == []
    gradient(lambda x: torch.where(x > 0, x.sqrt(), 0.0), 1.0, 2.0)
    assert len(made) == 1


@pytest.mark.parametrize("cut", ["split", "unbind", "chunk"])
def test_through_operators_with_several_outputs(cut):
    x = torch.tensor([0.0, 4.0, 9.0, 0.0], requires_grad=True)
    y = x.sqrt()
    parts = {"split": lambda: y.split(2), "unbind": lambda: y.unbind(), "chunk": lambda: y.chunk(2)}[cut]()
    total = torch.zeros(())
    for p in parts:
        total = total + torch.where(p > 0, p, 0.0).sum()
    total.backward()
    assert x.grad.tolist() == pytest.approx([0.0, 0.25, 1 / 6, 0.0])


def test_an_output_that_is_not_used_is_not_reached():
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    a, b = x.sqrt().unbind()
    torch.where(torch.tensor(True), b, 0.0).backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_through_a_linear_layer():
    x = torch.tensor([[0.0, 1.0], [4.0, 9.0]], requires_grad=True)
    w = torch.ones(2, 2, requires_grad=True)
    y = torch.nn.functional.linear(torch.log(x), w, torch.zeros(2, requires_grad=True))
    torch.where(torch.isfinite(y), y, 0.0).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0], [0.5, pytest.approx(2 / 9)]]
    assert torch.isfinite(w.grad).all()
    expected = torch.log(torch.tensor([4.0, 9.0]))
    assert torch.allclose(w.grad, expected.expand(2, 2))
