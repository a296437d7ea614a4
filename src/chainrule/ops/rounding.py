"""Rounding, signs and the parts of a floating point number."""

import math

import numpy as np

from ..errors import ArgumentError, DTypeError
from ..primitive import pointwise, primitive, public
from ..primitive.arguments import tensor_argument
from .docs import doc
from .results import make_result

_X = "(torch.tensor([-1.5, 0.5, 2.5]))"


def _step(name, kernel, text, result, *aliases, partial=0, inplace=True, namespaces=("torch",), **kw):
    """A function that is constant between jumps (``partial`` 0), and the identity on integers."""
    exact = lambda x: kernel(x) if x.dtype.kind in "fV" else x.copy()  # noqa: E731
    prim = pointwise(name, exact, (partial,), doc=doc(text, f"torch.{name}" + _X, result), **kw)
    return public(prim, inplace=inplace, aliases=aliases, namespaces=namespaces)


floor = _step("floor", np.floor, "Rounded down.", "tensor([-2.,  0.,  2.])", take_bool=False)
ceil = _step("ceil", np.ceil, "Rounded up.", "tensor([-1.,  1.,  3.])", take_bool=False)
trunc = _step("trunc", np.trunc, "Rounded towards zero.", "tensor([-1.,  0.,  2.])", "fix", take_bool=False)
frac = _step(
    "frac",
    lambda x: x - np.trunc(x),
    "``input - trunc(input)``.",
    "tensor([-0.5000,  0.5000,  0.5000])",
    partial=1,
    take_int=False,
)
round_p = pointwise("round", lambda x: np.rint(x) if x.dtype.kind in "fV" else x.copy(), (0,), take_bool=False)


def _round_decimals(x, decimals):
    if decimals >= 0:
        scale = 10.0**decimals
        return np.rint(x * scale) / scale
    scale = 10.0**-decimals
    return np.rint(x / scale) * scale


round_decimals_p = pointwise(
    "round_decimals", _round_decimals, (lambda o, y, x, *, decimals: 0.0,), node_name="RoundBackward1"
)


@public(inplace=True, namespaces=("torch", "special"))
def round(input, *, decimals=0, out=None):
    """Rounded to the nearest integer, halves to even; with ``decimals``, to that many digits after the point (negative:
    before it).

    Raises DTypeError for ``decimals`` with an integer tensor.

    >>> import chainrule as torch
    >>> torch.round(torch.tensor([0.5, 1.5, 2.4]))
    tensor([0., 2., 2.])
    """
    if decimals == 0:
        return round_p(input, out=out)
    if not isinstance(decimals, int):
        raise ArgumentError(f"round(): argument 'decimals' must be int, not {type(decimals).__name__}")
    if tensor_argument(input, "round")._data.dtype.kind not in "fV":
        raise DTypeError(f"round(): decimals is not supported for {input._data.dtype}; convert with .float() first")
    return round_decimals_p(input, decimals=decimals, out=out)


def _sign(x):
    return (
        x.copy()
        if x.dtype.kind == "b"
        else np.sign(x)
        if x.dtype.kind != "f"
        else np.where(np.isnan(x), 0, np.sign(x)).astype(x.dtype)
    )


_SIGN = "tensor([-1.,  1.,  1.])"
sign = public(pointwise("sign", _sign, (0,), doc=doc("-1, 0 or 1; 0 for NaN.", "torch.sign" + _X, _SIGN)), inplace=True)
sgn = public(pointwise("sgn", _sign, (0,), doc=doc("-1, 0 or 1, as ``sign``.", "torch.sgn" + _X, _SIGN)), inplace=True)
abs = public(
    pointwise(
        "abs",
        np.abs,
        (lambda o, y, x: o.sign(x),),
        take_bool=False,
        doc=doc("The absolute value; its derivative at 0 is 0.", "torch.abs" + _X, "tensor([1.5000, 0.5000, 2.5000])"),
    ),
    inplace=True,
    aliases=("absolute",),
)

angle = public(
    pointwise(
        "angle",
        lambda x: np.where(x < 0, x.dtype.type(math.pi), x * 0),
        (0,),
        kind="float",
        doc=doc(
            "The angle in the complex plane: π for negative numbers, else 0.",
            "torch.angle" + _X,
            "tensor([3.1416, 0.0000, 0.0000])",
        ),
    )
)


def _frexp(x):
    mantissa, exponent = np.frexp(x)
    return np.asarray(mantissa), np.asarray(exponent, np.int32)


frexp_p = primitive(
    "frexp",
    _frexp,
    outputs=2,
    outputs_read=(1,),
    vjp=lambda o, g, s, y, x, *, needs: (g[0] / o.exp2(y[1]),),
    node_name="FrexpBackward0",
)
_frexp_result = make_result("frexp", "mantissa", "exponent")


@public
def frexp(input):
    """``input = mantissa * 2 ** exponent`` with ``0.5 <= |mantissa| < 1``; the exponent is int32.

    Raises DTypeError for integers.

    >>> import chainrule as torch
    >>> mantissa, exponent = torch.frexp(torch.tensor([8.0, 3.0]))
    >>> mantissa, exponent
    (tensor([0.5000, 0.7500]), tensor([4, 2], dtype=torch.int32))
    """
    if tensor_argument(input, "frexp")._data.dtype.kind not in "fV":
        raise DTypeError(f"frexp() input must be floating point, but got {input._data.dtype}; convert with .float()")
    return _frexp_result(*frexp_p(input))
