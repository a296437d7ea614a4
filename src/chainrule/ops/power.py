"""Powers and roots. ``x ** 2``, ``x ** 0.5`` and powers of at least 1 are operators of their own: cheaper, and finite
at 0.
"""

import math

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, DomainError
from ..handle import Tensor
from ..primitive import pointwise, public
from .cast import to_dtype
from .docs import doc

square_p = pointwise(
    "square",
    np.square,
    (lambda o, y, x: 2 * x,),
    take_bool=False,
    node_name="PowBackward0",
    doc=doc("``input * input``.", "torch.square(torch.tensor([-2.0, 3.0]))", "tensor([4., 9.])"),
)
sqrt = public(
    pointwise(
        "sqrt",
        np.sqrt,
        (lambda o, y, x: 0.5 / y,),
        kind="float",
        singular=True,
        doc=doc(
            "The square root; NaN for negative numbers.", "torch.sqrt(torch.tensor([4.0, 9.0]))", "tensor([2., 3.])"
        ),
    ),
    inplace=True,
)
rsqrt = public(
    pointwise(
        "rsqrt",
        lambda x: np.reciprocal(np.sqrt(x)),
        (lambda o, y, x: -0.5 * y * y * y,),
        kind="float",
        singular=True,
        doc=doc("``1 / sqrt(input)``.", "torch.rsqrt(torch.tensor([4.0, 16.0]))", "tensor([0.5000, 0.2500])"),
    ),
    inplace=True,
)
pow_half_p = pointwise(
    "pow_half", np.sqrt, (lambda o, y, x: 0.5 / y,), kind="float", singular=True, node_name="PowBackward0"
)


def _power(x, e):
    if x.dtype.kind == "b":
        return x | ~e
    if x.dtype.kind in "iu" and isinstance(e, np.ndarray) and e.dtype.kind == "i" and (e < 0).any():
        # As in C: 1 / x**-e rounded towards zero.
        y = np.power(x, np.abs(e))
        return np.where(e < 0, np.where(np.abs(y) == 1, y, 0), y)
    return x**e


def _by_base(o, y, x, e):
    """∂(x^e)/∂x for a number e."""
    e = float(e)
    return 0.0 if e == 0 else e * x ** (e - 1.0)


# Exponents of at least 1 have a finite derivative wherever the power is finite; the others may not.
pow_smooth_p = pointwise("pow_smooth", _power, (_by_base, None), node_name="PowBackward0")
pow_number_p = pointwise("pow_number", _power, (_by_base, None), node_name="PowBackward0", singular=True)
pow_base_p = pointwise(
    "pow_base", _power, (None, lambda o, y, x, e: y * _log(float(x))), node_name="PowBackward2", singular=True
)
pow_p = pointwise(
    "pow",
    _power,
    (
        lambda o, y, x, e: o.where(e == 0, 0.0, e * x ** (e - 1)),
        lambda o, y, x, e: o.where(o.logical_and(x == 0, e >= 0), 0.0, y * o.log(x)),
    ),
    node_name="PowBackward1",
    singular=True,
)


def _log(x):
    return math.log(x) if x > 0 else 0.0 if x == 0 else math.nan


@public(inplace=True)
def square(input, *, out=None):
    """``input * input``.

    >>> import chainrule as torch
    >>> torch.square(torch.tensor([-2.0, 3.0]))
    tensor([4., 9.])
    """
    return pow(input, 2, out=out)


@public(inplace=True)
def pow(input, exponent, *, out=None):
    """``input ** exponent``; either may be a number. The derivative in ``input`` for the exponent 0 is 0, also at 0.

    Raises DomainError for integers to a negative integer number.

    >>> import chainrule as torch
    >>> torch.pow(torch.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    if isinstance(exponent, Tensor):
        return (
            pow_p(input, exponent, out=out)
            if isinstance(input, Tensor)
            else pow_base_p(_number(input), exponent, out=out)
        )
    if not isinstance(input, Tensor):
        raise ArgumentError(
            f"pow(): argument 'input' must be Tensor when the exponent is a number, not {type(input).__name__}"
        )
    exponent = _number(exponent)
    kind = input._data.dtype.kind
    if kind in "fV":
        if exponent == 2:
            return square_p(input, out=out)
        if exponent == 0.5:
            return pow_half_p(input, out=out)
        if exponent >= 1:
            return pow_smooth_p(input, exponent, out=out)
    elif exponent == 2 and kind != "b" and type(exponent) is int:
        return square_p(input, out=out)
    elif exponent < 0 and isinstance(exponent, int):
        raise DomainError("pow(): Integers to negative integer powers are not allowed; convert the input with .float()")
    elif kind == "b" and type(exponent) is int:
        input = to_dtype(input, dtypes.int64)
    return pow_number_p(input, exponent, out=out)


def _number(x):
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, (bool, int, float)):
        return x
    raise ArgumentError(f"pow(): arguments must be Tensor or number, not {type(x).__name__}")


@public(inplace=True)
def float_power(input, exponent, *, out=None):
    """``input ** exponent`` computed in float64.

    >>> import chainrule as torch
    >>> torch.float_power(torch.tensor([1, 2, 3]), 0.5)
    tensor([1.0000, 1.4142, 1.7321], dtype=torch.float64)
    """
    wide = [to_dtype(x, dtypes.float64) if isinstance(x, Tensor) else float(x) for x in (input, exponent)]
    return pow(*wide, out=out)
