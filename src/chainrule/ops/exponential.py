"""Exponentials, logarithms and the logistic function."""

import math

import numpy as np

from ..primitive import pointwise, public, raw, recorded
from .docs import doc

_LN2 = math.log(2.0)
_LN10 = math.log(10.0)


def _unary(name, kernel, partial, text, example, result, *aliases, inplace=True, namespaces=("torch",), **kw):
    prim = pointwise(name, kernel, (partial,), kind="float", doc=doc(text, example, result), **kw)
    return public(prim, inplace=inplace, aliases=aliases, namespaces=namespaces)


exp = _unary(
    "exp",
    np.exp,
    lambda o, y, x: y,
    "e to the power ``input``.",
    "torch.exp(torch.tensor([0.0, 1.0]))",
    "tensor([1.0000, 2.7183])",
    singular=True,
)
exp2 = _unary(
    "exp2",
    np.exp2,
    lambda o, y, x: y * _LN2,
    "2 to the power ``input``.",
    "torch.exp2(torch.tensor([0.0, 3.0]))",
    "tensor([1., 8.])",
    namespaces=("torch", "special"),
    singular=True,
)
expm1 = _unary(
    "expm1",
    np.expm1,
    lambda o, y, x: y + 1,
    "``exp(input) - 1``, exact near 0.",
    "torch.expm1(torch.tensor([0.0, 1.0]))",
    "tensor([0.0000, 1.7183])",
    namespaces=("torch", "special"),
    singular=True,
)
log = _unary(
    "log",
    np.log,
    lambda o, y, x: 1 / x,
    "The natural logarithm; -inf at 0, NaN below.",
    "torch.log(torch.tensor([1.0, 10.0]))",
    "tensor([0.0000, 2.3026])",
    singular=True,
)
log2 = _unary(
    "log2",
    np.log2,
    lambda o, y, x: 1 / (x * _LN2),
    "The logarithm to base 2.",
    "torch.log2(torch.tensor([1.0, 8.0]))",
    "tensor([0., 3.])",
    singular=True,
)
log10 = _unary(
    "log10",
    np.log10,
    lambda o, y, x: 1 / (x * _LN10),
    "The logarithm to base 10.",
    "torch.log10(torch.tensor([1.0, 100.0]))",
    "tensor([0.0000, 2.0000])",
    singular=True,
)
log1p = _unary(
    "log1p",
    np.log1p,
    lambda o, y, x: 1 / (x + 1),
    "``log(1 + input)``, exact near 0.",
    "torch.log1p(torch.tensor([0.0, 1.0]))",
    "tensor([0.0000, 0.6931])",
    namespaces=("torch", "special"),
    singular=True,
)


_ONE = {np.dtype(t): np.ones((), t) for t in (np.float32, np.float64)}  # quicker for a ufunc than a Python number


def sigmoid_kernel(x):
    e = np.exp(np.negative(x))
    one = _ONE.get(e.dtype, 1)
    if e.ndim:
        np.add(e, one, e)
        return np.reciprocal(e, e)
    return np.reciprocal(e + one)


_SIGMOID_DOC = doc(
    "The logistic function ``1 / (1 + exp(-input))``.",
    "torch.sigmoid(torch.tensor([0.0, 2.0]))",
    "tensor([0.5000, 0.8808])",
)
sigmoid = public(
    pointwise("sigmoid", sigmoid_kernel, (lambda o, y, x: y * (1 - y),), kind="float", doc=_SIGMOID_DOC),
    inplace=True,
    namespaces=("torch", "nn.functional"),
)
expit = public(sigmoid, name="expit", namespaces=("special",), method=False)

logaddexp = public(
    pointwise(
        "logaddexp",
        np.logaddexp,
        (lambda o, y, a, b: o.sigmoid(a - b), lambda o, y, a, b: o.sigmoid(b - a)),
        kind="float",
        singular=True,
        doc=doc(
            "``log(exp(input) + exp(other))`` without overflow.",
            "torch.logaddexp(torch.tensor([0.0]), torch.tensor([0.0]))",
            "tensor([0.6931])",
        ),
    )
)
logaddexp2 = public(
    pointwise(
        "logaddexp2",
        np.logaddexp2,
        (lambda o, y, a, b: o.sigmoid((a - b) * _LN2), lambda o, y, a, b: o.sigmoid((b - a) * _LN2)),
        kind="float",
        singular=True,
        doc=doc(
            "``log2(2 ** input + 2 ** other)`` without overflow.",
            "torch.logaddexp2(torch.tensor([1.0]), torch.tensor([1.0]))",
            "tensor([2.])",
        ),
    )
)


def _logit(x, eps):
    if eps is not None:
        x = np.minimum(np.maximum(x, eps), 1 - eps)
    return np.log(x / (1 - x))


logit_p = pointwise(
    "logit",
    _logit,
    (lambda o, y, x, *, eps: 1 / (x * (1 - x)),),
    kind="float",
    singular=True,
    selecting=True,
    selects=(
        lambda o, y, x, *, eps: o.logical_and(
            x >= (0.0 if eps is None else eps), x <= (1.0 if eps is None else 1.0 - eps)
        ),
    ),
)


@public(inplace=True, namespaces=("torch", "special"))
def logit(input, eps=None, *, out=None):
    """``log(p / (1 - p))`` of ``input``, which is first limited to ``[eps, 1 - eps]`` if ``eps`` is given.

    >>> import chainrule as torch
    >>> torch.logit(torch.tensor([0.5, 0.75]))
    tensor([0.0000, 1.0986])
    """
    return logit_p(input, eps=None if eps is None or eps < 0 else float(eps), out=out)


def _xlogy(x, y):
    return np.where((x == 0) & ~np.isnan(y), 0.0, x * np.log(y)).astype(x.dtype, copy=False)


def _xlog1py(x, y):
    return np.where((x == 0) & ~np.isnan(y), 0.0, x * np.log1p(y)).astype(x.dtype, copy=False)


xlogy_p = pointwise(
    "xlogy",
    _xlogy,
    (lambda o, z, x, y: o.where(o.logical_and(x == 0, y <= 0), 0.0, o.log(y)), lambda o, z, x, y: x / y),
    kind="float",
    singular=True,
)
xlog1py_p = pointwise(
    "xlog1py",
    _xlog1py,
    (lambda o, z, x, y: o.where(o.logical_and(x == 0, y <= -1), 0.0, o.log1p(y)), lambda o, z, x, y: x / (y + 1)),
    kind="float",
    singular=True,
    node_name="SpecialXlog1PyBackward0",
)


@public(inplace=True, namespaces=("torch", "special"))
def xlogy(input, other, *, out=None):
    """``input * log(other)``, and 0 where ``input`` is 0 (unless ``other`` is NaN).

    >>> import chainrule as torch
    >>> torch.xlogy(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    return xlogy_p(input, other, out=out)


@public(namespaces=("special",), method=False)
def xlog1py(input, other, *, out=None):
    """``input * log1p(other)``, and 0 where ``input`` is 0 (unless ``other`` is NaN).

    >>> import chainrule as torch
    >>> torch.special.xlog1py(torch.tensor([0.0, 1.0]), torch.tensor([-1.0, 0.0]))
    tensor([0., 0.])
    """
    return xlog1py_p(input, other, out=out)


# The rules above call these by their public names.
raw.expit, recorded.expit = sigmoid_kernel, sigmoid
