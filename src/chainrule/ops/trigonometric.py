"""Trigonometric and hyperbolic functions and their inverses."""

import math

import numpy as np

from ..primitive import pointwise, public
from .docs import doc


def _unary(name, kernel, partial, text, example, result, *aliases, inplace=True, namespaces=("torch",), **kw):
    prim = pointwise(name, kernel, (partial,), kind="float", doc=doc(text, example, result), **kw)
    return public(prim, inplace=inplace, aliases=aliases, namespaces=namespaces)


sin = _unary(
    "sin",
    np.sin,
    lambda o, y, x: o.cos(x),
    "The sine.",
    "torch.sin(torch.tensor([0.0, 1.0]))",
    "tensor([0.0000, 0.8415])",
)
cos = _unary(
    "cos",
    np.cos,
    lambda o, y, x: -o.sin(x),
    "The cosine.",
    "torch.cos(torch.tensor([0.0, 1.0]))",
    "tensor([1.0000, 0.5403])",
)
tan = _unary(
    "tan",
    np.tan,
    lambda o, y, x: 1 + y * y,
    "The tangent.",
    "torch.tan(torch.tensor([0.0, 1.0]))",
    "tensor([0.0000, 1.5574])",
)
asin = _unary(
    "asin",
    np.arcsin,
    lambda o, y, x: o.rsqrt(1 - x * x),
    "The arc sine; NaN outside [-1, 1].",
    "torch.asin(torch.tensor([0.0, 1.0]))",
    "tensor([0.0000, 1.5708])",
    "arcsin",
    singular=True,
)
acos = _unary(
    "acos",
    np.arccos,
    lambda o, y, x: -o.rsqrt(1 - x * x),
    "The arc cosine; NaN outside [-1, 1].",
    "torch.acos(torch.tensor([0.0, 1.0]))",
    "tensor([1.5708, 0.0000])",
    "arccos",
    singular=True,
)
atan = _unary(
    "atan",
    np.arctan,
    lambda o, y, x: 1 / (x * x + 1),
    "The arc tangent.",
    "torch.atan(torch.tensor([0.0, 1.0]))",
    "tensor([0.0000, 0.7854])",
    "arctan",
)
sinh = _unary(
    "sinh",
    np.sinh,
    lambda o, y, x: o.cosh(x),
    "The hyperbolic sine.",
    "torch.sinh(torch.tensor([0.0, 1.0]))",
    "tensor([0.0000, 1.1752])",
    singular=True,
)
cosh = _unary(
    "cosh",
    np.cosh,
    lambda o, y, x: o.sinh(x),
    "The hyperbolic cosine.",
    "torch.cosh(torch.tensor([0.0, 1.0]))",
    "tensor([1.0000, 1.5431])",
    singular=True,
)


def _tanh_pull(g, y, x):
    if y.ndim == 0:
        return g * (1 - y * y)
    slope = y * y
    np.subtract(1, slope, slope)
    return np.multiply(g, slope, slope)


tanh = _unary(
    "tanh",
    np.tanh,
    lambda o, y, x: 1 - y * y,
    "The hyperbolic tangent.",
    "torch.tanh(torch.tensor([0.0, 1.0]))",
    "tensor([0.0000, 0.7616])",
    namespaces=("torch", "nn.functional"),
    tuned=_tanh_pull,
)
asinh = _unary(
    "asinh",
    np.arcsinh,
    lambda o, y, x: o.rsqrt(x * x + 1),
    "The inverse hyperbolic sine.",
    "torch.asinh(torch.tensor([0.0, 1.0]))",
    "tensor([0.0000, 0.8814])",
    "arcsinh",
)
acosh = _unary(
    "acosh",
    np.arccosh,
    lambda o, y, x: o.rsqrt(x - 1) * o.rsqrt(x + 1),
    "The inverse hyperbolic cosine; NaN below 1.",
    "torch.acosh(torch.tensor([1.0, 2.0]))",
    "tensor([0.0000, 1.3170])",
    "arccosh",
    singular=True,
)
atanh = _unary(
    "atanh",
    np.arctanh,
    lambda o, y, x: 1 / (1 - x * x),
    "The inverse hyperbolic tangent; NaN outside [-1, 1].",
    "torch.atanh(torch.tensor([0.0, 0.5]))",
    "tensor([0.0000, 0.5493])",
    "arctanh",
    singular=True,
)


def _sinc_partial(o, y, x):
    slope = (o.cos(x * math.pi) - y) / x
    return o.where(x == 0, 0.0, slope)


sinc = _unary(
    "sinc",
    np.sinc,
    _sinc_partial,
    "``sin(π·input) / (π·input)``, and 1 at 0.",
    "torch.sinc(torch.tensor([0.0, 0.5]))",
    "tensor([1.0000, 0.6366])",
    namespaces=("torch", "special"),
    singular=True,
)
deg2rad = _unary(
    "deg2rad",
    lambda x: x * (math.pi / 180),
    lambda o, y, x: math.pi / 180,
    "Degrees to radians.",
    "torch.deg2rad(torch.tensor([180.0, 90.0]))",
    "tensor([3.1416, 1.5708])",
)
rad2deg = _unary(
    "rad2deg",
    lambda x: x * (180 / math.pi),
    lambda o, y, x: 180 / math.pi,
    "Radians to degrees.",
    "torch.rad2deg(torch.tensor([0.0, 1.0]))",
    "tensor([ 0.0000, 57.2958])",
)
atan2 = public(
    pointwise(
        "atan2",
        np.arctan2,
        (lambda o, y, a, b: b / (a * a + b * b), lambda o, y, a, b: -a / (a * a + b * b)),
        kind="float",
        singular=True,
        doc=doc(
            "The angle of the point (other, input): the arc tangent of ``input / other`` in the right quadrant.",
            "torch.atan2(torch.tensor([1.0, -1.0]), torch.tensor([1.0, -1.0]))",
            "tensor([ 0.7854, -2.3562])",
        ),
    ),
    inplace=True,
    aliases=("arctan2",),
)
hypot = public(
    pointwise(
        "hypot",
        np.hypot,
        (lambda o, y, a, b: a / y, lambda o, y, a, b: b / y),
        kind="float",
        singular=True,
        doc=doc("``sqrt(input² + other²)``.", "torch.hypot(torch.tensor([3.0]), torch.tensor([4.0]))", "tensor([5.])"),
    ),
    inplace=True,
)
