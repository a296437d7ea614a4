"""Pointwise operators: each row of the table against PyTorch (value, gradient, second derivative, dtypes), then what a
table can't say.
"""

import doctest
import math
import sys

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule.errors import (
    ArgumentError,
    ArgumentValueError,
    ChainruleError,
    DomainError,
    DTypeError,
    GradientError,
    ShapeError,
)
from chainrule.node import topological
from chainrule.primitive import raw, recorded, registry

torch = pytest.importorskip("torch")

WIDE = [-2.3, -0.7, 0.4, 1.6]  # no integers, no bends
UNIT = [-0.8, -0.3, 0.2, 0.6]
POSITIVE = [0.3, 0.9, 1.7, 2.6]
ABOVE_ONE = [1.2, 1.9, 2.4, 4.1]
PROBABILITY = [0.1, 0.35, 0.6, 0.95]

# name (a path under torch), samples per input, and keyword arguments
TABLE = [
    *[
        (n, [WIDE], {})
        for n in (
            "neg",
            "abs",
            "square",
            "exp",
            "exp2",
            "expm1",
            "sin",
            "cos",
            "tan",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "sigmoid",
            "sinc",
            "deg2rad",
            "rad2deg",
            "frac",
            "erf",
            "erfc",
            "relu",
            "i0",
            "reciprocal",
            "special.ndtr",
            "special.log_ndtr",
            "special.erfcx",
            "special.i0e",
            "special.i1",
            "special.i1e",
            "nn.functional.silu",
            "nn.functional.mish",
            "nn.functional.softsign",
            "nn.functional.tanhshrink",
            "nn.functional.hardswish",
            "nn.functional.logsigmoid",
            "nn.functional.relu",
            "nn.functional.selu",
            "nn.functional.hardsigmoid",
            "nn.functional.relu6",
            "nn.functional.gelu",
            "nn.functional.elu",
            "nn.functional.celu",
        )
    ],
    *[(n, [UNIT], {}) for n in ("asin", "acos", "atanh", "erfinv")],
    *[
        (n, [POSITIVE], {})
        for n in (
            "sqrt",
            "rsqrt",
            "log",
            "log2",
            "log10",
            "log1p",
            "lgamma",
            "digamma",
            "special.entr",
        )
    ],
    ("acosh", [ABOVE_ONE], {}),
    ("logit", [PROBABILITY], {}),
    ("logit", [PROBABILITY], {"eps": 0.2}),
    ("special.ndtri", [PROBABILITY], {}),
    ("mvlgamma", [ABOVE_ONE], {"p": 2}),
    ("nn.functional.gelu", [WIDE], {"approximate": "tanh"}),
    ("nn.functional.elu", [WIDE], {"alpha": -0.5}),
    ("nn.functional.celu", [WIDE], {"alpha": 2.0}),
    ("nn.functional.leaky_relu", [WIDE], {"negative_slope": 0.2}),
    ("nn.functional.softplus", [WIDE], {"beta": 2.0, "threshold": 1.0}),
    ("nn.functional.hardshrink", [WIDE], {"lambd": 0.5}),
    ("nn.functional.softshrink", [WIDE], {"lambd": 0.5}),
    ("nn.functional.hardtanh", [WIDE], {"min_val": -0.5, "max_val": 2.0}),
    ("nn.functional.threshold", [WIDE], {"threshold": 0.1, "value": 9.0}),
    ("nn.functional.rrelu", [WIDE], {"lower": 0.1, "upper": 0.3}),
    ("nn.functional.glu", [WIDE], {}),
    ("nn.functional.prelu", [WIDE, [0.25]], {}),
    *[
        (n, [WIDE, POSITIVE], {})
        for n in (
            "add",
            "sub",
            "mul",
            "div",
            "atan2",
            "hypot",
            "logaddexp",
            "logaddexp2",
            "maximum",
            "minimum",
            "fmax",
            "fmin",
            "rsub",
            "copysign",
            "ldexp",
            "remainder",
            "fmod",
        )
    ],
    ("lerp", [WIDE, POSITIVE, PROBABILITY], {}),
    ("addcmul", [WIDE, POSITIVE, UNIT], {"value": 0.5}),
    ("addcdiv", [WIDE, UNIT, POSITIVE], {"value": 0.5}),
    ("pow", [POSITIVE, WIDE], {}),
    ("xlogy", [WIDE, POSITIVE], {}),
    ("special.xlog1py", [WIDE, POSITIVE], {}),
    ("add", [WIDE, POSITIVE], {"alpha": 2.5}),
    ("sub", [WIDE, POSITIVE], {"alpha": 2.5}),
    ("clamp", [WIDE], {"min": -0.5, "max": 1.0}),
    ("clamp", [WIDE], {"min": 0.1}),
    ("clamp", [WIDE], {"max": 0.1}),
    ("clamp", [WIDE, UNIT, POSITIVE], {}),
    ("clamp", [WIDE, POSITIVE, UNIT], {}),
    ("nan_to_num", [WIDE], {"nan": 1.0}),
    ("pow", [POSITIVE], {"exponent": 2}),
    ("pow", [POSITIVE], {"exponent": 0.5}),
    ("pow", [POSITIVE], {"exponent": 3}),
    ("pow", [POSITIVE], {"exponent": -1.5}),
    ("pow", [WIDE], {"exponent": 0}),
    ("pow", [WIDE], {"exponent": 1}),
    ("float_power", [POSITIVE], {"exponent": 1.5}),
    ("round", [WIDE], {"decimals": 1}),
    ("div", [WIDE, POSITIVE], {"rounding_mode": "floor"}),
    ("div", [WIDE, POSITIVE], {"rounding_mode": "trunc"}),
    *[
        (n, [WIDE], {})
        for n in ("sign", "sgn", "floor", "ceil", "round", "trunc", "signbit", "isnan", "isfinite", "isinf", "isposinf")
    ],
    *[(n, [WIDE, [0.4, -0.7, 0.4, 2.0]], {}) for n in ("eq", "ne", "lt", "le", "gt", "ge", "isclose", "nextafter")],
]


def path(module, name):
    for part in name.split("."):
        module = getattr(module, part)
    return module


def label(row):
    name, samples, kwargs = row
    return name + f"/{len(samples)}" + ("" if not kwargs else "-" + "-".join(f"{k}={v}" for k, v in kwargs.items()))


@pytest.mark.parametrize("row", TABLE, ids=label)
def test_value_and_two_derivatives_are_pytorchs(row):
    name, samples, kwargs = row
    mine = [cr.tensor(s, dtype=cr.float64, requires_grad=True) for s in samples]
    theirs = [torch.tensor(s, dtype=torch.float64, requires_grad=True) for s in samples]
    y, z = path(cr, name)(*mine, **kwargs), path(torch, name)(*theirs, **kwargs)
    assert str(y.dtype) == str(z.dtype)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-7, atol=1e-9)
    if name == "nextafter":
        return  # PyTorch has no derivative for it either
    assert y.requires_grad == z.requires_grad
    if not z.requires_grad:
        return
    weights = np.linspace(0.5, 1.5, z.numel()).reshape(tuple(z.shape))
    g = cr.autograd.grad(y, mine, cr.tensor(weights), create_graph=True)
    h = torch.autograd.grad(z, theirs, torch.tensor(weights), create_graph=True)
    for a, b in zip(g, h, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.numpy(force=True), rtol=1e-7, atol=1e-9)
    s, t = sum((a * a).sum() for a in g), sum((b * b).sum() for b in h)
    if not t.requires_grad or name == "nn.functional.hardsigmoid":  # whose second derivative PyTorch lacks
        return
    g2 = cr.autograd.grad(s, mine, allow_unused=True) if s.requires_grad else [None] * len(mine)
    for a, b in zip(g2, torch.autograd.grad(t, theirs, allow_unused=True), strict=True):
        a = 0.0 if a is None else a.numpy()
        np.testing.assert_allclose(a, 0.0 if b is None else b.numpy(force=True), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("row", TABLE, ids=label)
def test_float32_stays_float32_in_value_and_rule(row):
    name, samples, kwargs = row
    if name == "float_power":
        pytest.skip("float64 by definition")
    for shape in ((), (2, 2)):
        inputs = [
            cr.tensor(np.resize(np.float32(s), shape if len(s) > 1 else (1,) * bool(shape)), requires_grad=True)
            for s in samples
        ]
        if name == "nn.functional.glu" and not shape:
            continue
        y = path(cr, name)(*inputs, **kwargs)
        if y.dtype == cr.bool:
            return
        assert y.dtype == cr.float32
        if not y.requires_grad:
            return
        for node in topological([y.grad_fn]):
            g = np.ones(y.shape, np.float32)
            for edge, part in zip(node.edges, node.pull(raw, g, node.edges), strict=True):
                assert edge is None or part is None or part.dtype == np.float32, type(node).__name__
            break


# ---- dtypes

KINDS = ["bool", "uint8", "int16", "int64", "float16", "float32", "float64"]
BINARY = (
    "add mul true_divide floor_divide remainder fmod pow atan2 xlogy eq lt logical_and logical_xor bitwise_and "
    "bitwise_or maximum fmin copysign"
).split()


def operand(kind, other=False):
    values = [3, 1, 2, 4] if not other else [2, 1, 3, 1]
    a = np.array([v > 1 for v in values]) if kind == "bool" else np.array(values).astype(kind)
    return a


@pytest.mark.parametrize("name", BINARY)
def test_promotion_is_pytorchs(name):
    compared = 0
    for a in KINDS:
        for b in [*KINDS, True, 2, 2.5]:
            x, y = operand(a), operand(b, True) if isinstance(b, str) else b
            try:
                with np.errstate(all="ignore"):
                    want = getattr(torch, name)(torch.tensor(x), torch.tensor(y) if isinstance(b, str) else y)
            except (RuntimeError, TypeError, NotImplementedError):
                continue
            got = getattr(cr, name)(cr.tensor(x), cr.tensor(y) if isinstance(b, str) else y)
            assert str(got.dtype) == str(want.dtype), (a, b)
            np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=2e-3, err_msg=f"{a} {b}")
            compared += 1
    assert compared >= 9


def test_integers_become_the_default_float():
    x = cr.tensor([1, 2])
    for name in ("sin", "exp", "sigmoid", "sqrt", "erf", "reciprocal", "true_divide"):
        y = getattr(cr, name)(x, 2) if name == "true_divide" else getattr(cr, name)(x)
        assert y.dtype == cr.float32, name


def test_bfloat16_stays_bfloat16():
    for f in (
        F.gelu,
        F.elu,
        F.leaky_relu,
        F.softplus,
        F.dropout,
        F.silu,
        cr.exp,
        cr.erf,
        cr.sum,
        cr.std,
        cr.norm,
        cr.square,
    ):
        x = cr.tensor([0.25, 0.5], dtype=cr.bfloat16, requires_grad=True)
        y = f(x)
        y.sum().backward()
        assert y.dtype == x.grad.dtype == cr.bfloat16, f.__name__


# ---- powers


def test_power_of_zero_and_to_zero():
    for base, exponent in ((0.0, 0), (0.0, 1), (0.0, 2), (0.0, 0.5), (-1.5, 2), (-1.5, 3), (0.0, -1.0)):
        x, y = cr.tensor([base], requires_grad=True), torch.tensor([base], requires_grad=True)
        (x**exponent).sum().backward()
        (y**exponent).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), y.grad.numpy(), err_msg=f"{base} ** {exponent}")
    for base, exponent in ((0.0, 0.0), (0.0, 2.0), (2.0, 0.0), (0.0, -1.0)):
        mine = [cr.tensor([v], requires_grad=True) for v in (base, exponent)]
        theirs = [torch.tensor([v], requires_grad=True) for v in (base, exponent)]
        for a, b in zip(
            cr.autograd.grad(cr.pow(*mine), mine), torch.autograd.grad(torch.pow(*theirs), theirs), strict=True
        ):
            np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=f"{base} ** {exponent}")


def test_power_node_names():
    x = cr.tensor([2.0], requires_grad=True)
    names = [type(t.grad_fn).__name__ for t in (x**2, x**0.5, x**3, x**-1, x**x, 2**x, x.square())]
    assert names == ["PowBackward0"] * 4 + ["PowBackward1", "PowBackward2", "PowBackward0"]


def test_integer_powers():
    x = cr.tensor([2, 3])
    assert (x**2).tolist() == [4, 9]
    assert cr.pow(cr.tensor([2, 1, -1]), cr.tensor([-1, -1, -3])).tolist() == [0, 1, -1]
    with pytest.raises(DomainError, match="Integers to negative integer powers are not allowed"):
        x**-1


# ---- integer division


def test_integer_division_rounds_and_refuses_zero():
    a, b = cr.tensor([7, -7]), cr.tensor([2, 2])
    assert cr.div(a, b, rounding_mode="floor").tolist() == [3, -4]
    assert cr.div(a, b, rounding_mode="trunc").tolist() == [3, -3]
    assert (a // b).tolist() == [3, -4] and (a % b).tolist() == [1, 1] and cr.fmod(a, b).tolist() == [1, -1]
    for f in (cr.floor_divide, cr.remainder, cr.fmod):
        with pytest.raises(DomainError, match="ZeroDivisionError"):
            f(a, 0)
    with pytest.raises(
        ArgumentValueError, match="rounding_mode must be one of None, 'trunc', or 'floor', but found 'up'"
    ):
        cr.div(a, b, rounding_mode="up")


# ---- a masked path stays masked

ZERO_AT_ZERO = {
    "sqrt": lambda x: cr.where(x > 0, x.sqrt(), 0.0),
    "sinc by hand": lambda x: cr.where(x != 0, x.sin() / x, 1.0),
    "log": lambda x: cr.where(x > 0, x.log(), 0.0),
    "power": lambda x: cr.where(x > 0, x**0.5, 0.0),
    "reciprocal": lambda x: cr.where(x != 0, 1 / x, 0.0),
    "rsqrt": lambda x: x.rsqrt().masked_fill(x == 0, 0.0),
    "maximum": lambda x: cr.maximum(x.sqrt() * 0 - 1, cr.zeros(1)),
    "acos": lambda x: cr.where(x > 0, (x + 1).acos(), 0.0),
    "clamp": lambda x: x.log().clamp(min=-3.0),
    "relu": lambda x: F.relu(x.sqrt() - 1),
    "threshold": lambda x: F.threshold(x.sqrt(), 0.5, 0.0),
    "nan_to_num": lambda x: (x.log() * 0).nan_to_num(),
    "dropout": lambda x: F.dropout(x.sqrt(), 1.0),
    "amax": lambda x: cr.cat([x.log(), cr.ones(1)]).amax(),
    "max along a dimension": lambda x: cr.cat([x.log(), cr.ones(1)]).max(0).values,
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", ZERO_AT_ZERO)
def test_what_was_not_selected_gets_zero(name, create_graph):
    x = cr.tensor([0.0], requires_grad=True)
    (g,) = cr.autograd.grad(ZERO_AT_ZERO[name](x).sum(), x, create_graph=create_graph)
    assert g.tolist() == [0.0]


def test_a_nan_on_the_selected_path_is_kept():
    x = cr.tensor([0.0, -1.0], requires_grad=True)
    cr.where(cr.tensor([True, True]), x.sqrt(), 0.0).sum().backward()
    assert x.grad[0].item() == math.inf and math.isnan(x.grad[1].item())


# ---- selection


def test_ties_share_and_bounds_pass_the_gradient():
    for f in ("maximum", "minimum"):
        a, b = (cr.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
        getattr(cr, f)(a, b).sum().backward()
        assert a.grad.tolist() == b.grad.tolist() == [0.5, 0.5]
    x = cr.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    x.clamp(0.0, 1.0).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0]


def test_where_in_all_its_forms():
    x = cr.tensor([[1.0, -1.0], [-2.0, 2.0]])
    rows, columns = cr.where(x > 0)
    assert rows.tolist() == [0, 1] and columns.tolist() == [0, 1]
    assert cr.where(x > 0, 1, 0).dtype == cr.int64 and cr.where(x > 0, 1.0, 0).dtype == cr.float32
    assert x.where(x > 0, 0.0).tolist() == [[1.0, 0.0], [0.0, 2.0]]
    with pytest.raises(
        DTypeError, match="where\\(\\): expected condition to be a boolean tensor, but got a tensor with dtype float32"
    ):
        cr.where(x, x, 0.0)
    with pytest.raises(ArgumentError, match="expected both 'input' and 'other', or neither"):
        cr.where(x > 0, x)


def test_masked_fill_keeps_the_dtype_and_checks():
    x = cr.tensor([1, 2])
    mask = cr.tensor([True, False])
    assert x.masked_fill(mask, 2.7).tolist() == [2, 2] and x.masked_fill(mask, 2.7).dtype == cr.int64
    value = cr.tensor(5.0, requires_grad=True)
    cr.ones(2).masked_fill(mask, value).sum().backward()
    assert value.grad.item() == 1.0
    with pytest.raises(DTypeError, match="only supports boolean masks, but got mask with dtype int64"):
        x.masked_fill(x, 0)
    with pytest.raises(
        ArgumentError, match="only supports a 0-dimensional value tensor, but got tensor with 1 dimension"
    ):
        x.masked_fill(mask, cr.tensor([1]))
    with pytest.raises(DTypeError, match="cannot be converted to int64"):
        x.masked_fill(mask, math.inf)


# ---- activations


def test_functional_inplace_changes_the_tensor_and_keeps_the_gradient():
    for f in (
        F.relu,
        F.elu,
        F.leaky_relu,
        F.hardtanh,
        F.relu6,
        F.silu,
        F.mish,
        F.selu,
        F.celu,
        F.hardswish,
        F.hardsigmoid,
    ):
        x = cr.tensor([-0.5, 0.7], requires_grad=True)
        y = x * 1
        z = f(y, inplace=True)
        assert z is y
        z.sum().backward()
        w = cr.tensor([-0.5, 0.7], requires_grad=True)
        f(w).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), w.grad.numpy(), rtol=1e-6, err_msg=f.__name__)
        assert z.tolist() == f(w).tolist()
    with pytest.raises(
        GradientError, match="a leaf Variable that requires grad is being used in an in-place operation"
    ):
        F.relu(cr.ones(2, requires_grad=True), inplace=True)


def test_relu_saves_its_output_only():
    x = cr.randn(4, requires_grad=True)
    y = x.relu()
    assert y.grad_fn.values[0] is y._data and y.grad_fn.values[1] is None


BEND = {
    "relu": 0.0,
    "relu6": 6.0,
    "hardtanh": 1.0,
    "hardswish": 3.0,
    "hardsigmoid": -3.0,
    "leaky_relu": 0.0,
    "elu": 0.0,
    "softshrink": 0.5,
    "hardshrink": -0.5,
    "selu": 0.0,
}


@pytest.mark.parametrize("name", BEND)
def test_derivative_at_a_bend_is_pytorchs(name):
    for at in (BEND[name], -BEND[name], math.nan):
        x, y = cr.tensor([at], requires_grad=True), torch.tensor([at], requires_grad=True)
        getattr(F, name)(x).sum().backward()
        getattr(torch.nn.functional, name)(y).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-6, err_msg=f"{at}")


ERRORS = [
    (lambda: F.glu(cr.ones(3)), ShapeError, "Halving dimension must be even, but dimension 0 is size 3"),
    (lambda: F.prelu(cr.ones(2, 3), cr.ones(2)), ShapeError, "parameter numbers = 2 and channel size = 3"),
    (lambda: F.hardtanh(cr.ones(1), 2, 1), ArgumentValueError, "min_val cannot be greater than max_val"),
    (lambda: F.softshrink(cr.ones(1), -1), DomainError, "lambda must be greater or equal to 0, but found to be -1"),
    (lambda: F.celu(cr.ones(1), 0.0), DomainError, "alpha cannot be 0 for CELU"),
    (lambda: F.gelu(cr.ones(1), approximate="x"), DomainError, "approximate argument must be either none or tanh"),
    (lambda: F.rrelu(cr.ones(1), 0.5, 0.1), DomainError, "Lower bound should be less than or equal to the upper bound"),
    (lambda: F.elu(cr.tensor([1])), DTypeError, "integer tensors are not supported; convert with .float"),
    (lambda: cr.clamp(cr.ones(1)), ArgumentValueError, "At least one of 'min' or 'max' must not be None"),
    (lambda: cr.neg(cr.tensor([True])), DTypeError, "bool tensors are not supported"),
    (
        lambda: cr.add(cr.tensor([1]), cr.tensor([2]), alpha=0.5),
        DTypeError,
        "argument alpha must not be a floating point number",
    ),
    (lambda: cr.bitwise_and(cr.ones(1), 1), DTypeError, "not implemented for floating point"),
    (lambda: cr.maximum(cr.ones(1), 2.0), ArgumentError, "argument 'other' must be Tensor, not float"),
    (lambda: cr.polygamma(-1, cr.ones(1)), ArgumentValueError, "does not support negative n, got -1"),
    (lambda: cr.mvlgamma(cr.ones(1) * 0.1, 3), DomainError, "All elements must be greater than"),
    (lambda: cr.isclose(cr.ones(1), cr.tensor([1])), DTypeError, "float32 did not match int64"),
    (lambda: cr.round(cr.tensor([1]), decimals=2), DTypeError, "decimals is not supported for int64"),
    (
        lambda: F.dropout(cr.ones(1), 1.5),
        ArgumentValueError,
        "dropout probability has to be between 0 and 1, but got 1.5",
    ),
    (lambda: F.dropout(cr.tensor([1])), DTypeError, "expected a floating point tensor, got int64"),
    (lambda: F.dropout1d(cr.ones(1)), ShapeError, "dropout1d: Expected 2D or 3D input, but received a 1D input"),
    (lambda: cr.feature_dropout(cr.ones(1), 0.5, True), ShapeError, "Feature dropout requires at least 2 dimensions"),
    (lambda: cr.ones(2) + cr.ones(3), ShapeError, "The size of tensor a .2. must match the size of tensor b .3."),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_errors_say_what_is_wrong(call, error, text):
    with pytest.raises(error, match=text) as caught:
        call()
    assert isinstance(caught.value, ChainruleError)


# ---- dropout


def test_dropout_scales_what_it_keeps_and_masks_the_gradient():
    cr.manual_seed(3)
    x = cr.ones(4000, requires_grad=True)
    y = F.dropout(x, 0.25)
    kept = y.detach().numpy() != 0
    assert 0.72 < kept.mean() < 0.78
    np.testing.assert_allclose(y.detach().numpy()[kept], 1 / 0.75, rtol=1e-6)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), y.detach().numpy(), rtol=1e-6)
    cr.manual_seed(3)
    assert cr.equal(F.dropout(x, 0.25), y)
    assert F.dropout(x, 0.25, training=False) is x


@pytest.mark.parametrize(
    ("f", "shape"), [(F.dropout1d, (8, 50, 3)), (F.dropout2d, (8, 50, 3, 3)), (F.dropout3d, (8, 50, 2, 2, 2))]
)
def test_feature_dropout_drops_whole_channels(f, shape):
    cr.manual_seed(0)
    y = f(cr.ones(shape), 0.5).numpy().reshape(8, 50, -1)
    assert ((y == 0).all(-1) | (y == 2).all(-1)).all() and 0.4 < (y == 0).mean() < 0.6
    z = f(cr.ones(shape[1:]), 0.5) if f is not F.dropout2d else None
    assert z is None or set(z.numpy().reshape(50, -1).mean(1).tolist()) == {0.0, 2.0}


def test_alpha_dropout_keeps_mean_and_variance():
    cr.manual_seed(0)
    y = F.alpha_dropout(cr.randn(200000), 0.3, training=True).numpy()
    assert abs(y.mean()) < 0.02 and abs(y.var() - 1) < 0.02


def test_rrelu_draws_slopes_in_training_and_gumbel_softmax_is_one_hot():
    cr.manual_seed(0)
    slopes = -F.rrelu(-cr.ones(1000), 0.1, 0.3, training=True).numpy()
    assert 0.1 <= slopes.min() < 0.12 and 0.28 < slopes.max() <= 0.3001
    logits = cr.randn(5, 4, requires_grad=True)
    hard = F.gumbel_softmax(logits, hard=True)
    assert sorted(hard.detach().numpy().ravel().round(6).tolist()) == [0.0] * 15 + [1.0] * 5
    (hard * cr.randn(5, 4)).sum().backward()
    assert logits.grad.abs().sum().item() > 0


# ---- the rest


def test_frexp_and_its_print():
    mantissa, exponent = cr.frexp(cr.tensor([8.0, 3.0]))
    assert mantissa.tolist() == [0.5, 0.75] and exponent.tolist() == [4, 2] and exponent.dtype == cr.int32
    assert (
        repr(cr.frexp(cr.tensor(8.0)))
        == "torch.return_types.frexp(\nmantissa=tensor(0.5000),\nexponent=tensor(4, dtype=torch.int32))"
    )


def test_allclose_and_equal_are_bools():
    x = cr.tensor([1.0, math.nan, math.inf])
    assert cr.allclose(x, x, equal_nan=True) is True and cr.allclose(x, x) is False
    assert cr.equal(x[:1], x[:1]) is True and cr.equal(x[:1], x[:2]) is False
    assert cr.isclose(x, cr.tensor([1.0, math.nan, -math.inf]), equal_nan=True).tolist() == [True, True, False]
    assert cr.isclose(cr.tensor([True]), cr.tensor([True])).tolist() == [True]


def test_orthogonality_of_namespaces():
    for name in ("relu", "sigmoid", "tanh", "softmax", "log_softmax"):
        assert hasattr(F, name) and hasattr(cr, name) and hasattr(cr.Tensor, name)
    assert hasattr(F, "relu_") and hasattr(cr.Tensor, "relu_") and hasattr(cr.Tensor, "clamp_") and hasattr(cr, "sin_")
    assert recorded.relu.primitive.name == "relu"


FILES = (
    "activation arithmetic comparison distance dropout exponential extremes norms order piecewise polynomials power "
    "reduce rounding scan selection softmax special_functions statistics trigonometric"
).split()


def examples():
    seen = {}
    for entry in registry.functions:
        module = getattr(entry.function, "__module__", "")
        home = module.rsplit(".", 1)[-1]
        if home in FILES or module.startswith("chainrule.primitive"):
            seen.setdefault(entry.function.__doc__, entry.name)
    return [(name, text) for text, name in seen.items()]


def test_every_function_has_a_docstring_with_an_example_that_runs():
    assert len(examples()) > 200
    for name, text in examples():
        assert text, name
        if name == "where" and ">>>" not in text:
            continue  # the method points to the function
        assert ">>>" in text, name
        test = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
        report = []
        doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=report.append)
        assert not report, "".join(report)


def test_scipy_is_not_imported_by_the_package():
    import subprocess

    code = "import sys, chainrule; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
