"""Comparisons and logic: bool results, no gradient."""

import builtins
import math

import numpy as np

from ..errors import ArgumentError, DTypeError
from ..handle import Tensor
from ..primitive import Pointwise, pointwise, public
from ..primitive.arguments import tensor_argument
from .docs import doc
from .refusal import needs_values


def _compare(name, kernel, text, example, result, *aliases, inputs=2, inplace=True, method=True):
    function = pointwise(name, kernel, None, inputs=inputs, kind="compare", doc=doc(text, example, result))
    return public(function, inplace=inplace, aliases=aliases, method=method)


_AB = "(torch.tensor([1, 2, 3]), 2)"
eq = _compare("eq", np.equal, "``input == other``.", "torch.eq" + _AB, "tensor([False,  True, False])")
ne = _compare("ne", np.not_equal, "``input != other``.", "torch.ne" + _AB, "tensor([ True, False,  True])", "not_equal")
lt = _compare("lt", np.less, "``input < other``.", "torch.lt" + _AB, "tensor([ True, False, False])", "less")
le = _compare(
    "le", np.less_equal, "``input <= other``.", "torch.le" + _AB, "tensor([ True,  True, False])", "less_equal"
)
gt = _compare("gt", np.greater, "``input > other``.", "torch.gt" + _AB, "tensor([False, False,  True])", "greater")
ge = _compare(
    "ge", np.greater_equal, "``input >= other``.", "torch.ge" + _AB, "tensor([False,  True,  True])", "greater_equal"
)

_PQ = "(torch.tensor([True, False]), torch.tensor([True, True]))"
logical_and = _compare(
    "logical_and", np.logical_and, "Both are true (not zero).", "torch.logical_and" + _PQ, "tensor([ True, False])"
)
logical_or = _compare(
    "logical_or", np.logical_or, "One is true (not zero).", "torch.logical_or" + _PQ, "tensor([True, True])"
)
logical_xor = _compare(
    "logical_xor", np.logical_xor, "Exactly one is true.", "torch.logical_xor" + _PQ, "tensor([False,  True])"
)
logical_not = _compare(
    "logical_not",
    np.logical_not,
    "True where ``input`` is zero or False.",
    "torch.logical_not(torch.tensor([True, False]))",
    "tensor([False,  True])",
    inputs=1,
)

_X = "(torch.tensor([1.0, float('inf'), float('-inf'), float('nan')]))"


def _test(name, kernel, text, result):
    return _compare(name, kernel, text, f"torch.{name}" + _X, result, inputs=1, inplace=False)


isfinite = _test("isfinite", np.isfinite, "Neither infinite nor NaN.", "tensor([ True, False, False, False])")
isnan = _test("isnan", np.isnan, "True where the element is NaN.", "tensor([False, False, False,  True])")
isinf = _test("isinf", np.isinf, "True where the element is infinite.", "tensor([False,  True,  True, False])")
isposinf = _test(
    "isposinf", lambda x: x == math.inf, "True where the element is +inf.", "tensor([False,  True, False, False])"
)
isneginf = _test(
    "isneginf", lambda x: x == -math.inf, "True where the element is -inf.", "tensor([False, False,  True, False])"
)
signbit = _test(
    "signbit",
    lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0,
    "The sign bit is set: negative, or -0.",
    "tensor([False, False,  True, False])",
)


isreal = _compare(
    "isreal",
    lambda x: np.ones(x.shape, np.bool_),
    "True everywhere: all dtypes are real.",
    "torch.isreal(torch.tensor([1.0, 2.0]))",
    "tensor([True, True])",
    inputs=1,
    inplace=False,
)


def _isclose(a, b, rtol, atol, equal_nan):
    close = a == b
    if a.dtype.kind != "b":
        close = close | (np.abs(a - b) <= atol + np.abs(rtol * b)) & np.isfinite(b)
    return close | np.isnan(a) & np.isnan(b) if equal_nan else close


isclose_p = Pointwise("isclose", _isclose, None, kind="compare")


@public
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """``|input - other| <= atol + rtol * |other|``, element by element.

    Raises DTypeError if the dtypes differ (as PyTorch does).

    >>> import chainrule as torch
    >>> torch.isclose(torch.tensor([1.0, 2.0]), torch.tensor([1.0 + 1e-7, 2.1]))
    tensor([ True, False])
    """
    tensor_argument(input, "isclose")
    tensor_argument(other, "isclose", "other")
    if input._data.dtype != other._data.dtype:
        raise DTypeError(f"isclose(): {_name(input)} did not match {_name(other)}; convert one of them with .to(dtype)")
    if rtol < 0 or atol < 0:
        raise DTypeError(f"isclose(): rtol and atol must be greater than or equal to zero, but got {rtol} and {atol}")
    return isclose_p(input, other, rtol=float(rtol), atol=float(atol), equal_nan=builtins.bool(equal_nan))


def _name(t):
    return t._data.dtype.name


@public
def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether all elements are close, see ``isclose``; a Python bool.

    >>> import chainrule as torch
    >>> torch.allclose(torch.tensor([1.0]), torch.tensor([1.0 + 1e-7]))
    True
    """
    close = isclose(input, other, rtol, atol, equal_nan)._data
    if type(close) is not np.ndarray:
        needs_values(close, "allclose", "its result, a Python bool,", "Write torch.isclose(a, b).all(), a tensor")
    return builtins.bool(close.all())


@public
def equal(input, other):
    """Whether two tensors have the same size and elements; a Python bool.

    >>> import chainrule as torch
    >>> torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
    True
    """
    tensor_argument(input, "equal")
    tensor_argument(other, "equal", "other")
    if input._data.shape != other._data.shape:
        return False
    same = input._data == other._data
    if type(same) is not np.ndarray:
        needs_values(same, "equal", "its result, a Python bool,", "Write (a == b).all(), a tensor")
    return builtins.bool(same.all())


# ---- bits


def _bits(name, kernel, text, example, result, *, bools=True):
    prim = Pointwise(name, kernel, None, take_bool=bools)

    def call(input, other, *, out=None):
        for x in (input, other):
            if isinstance(x, float) or isinstance(x, Tensor) and x._data.dtype.kind in "fV":
                raise DTypeError(
                    f"{name}(): not implemented for floating point; expected integers or bools, convert with .long()"
                )
        return prim(input, other, out=out)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc(text + " Raises DTypeError for floating point.", example, result)
    call.primitive = prim
    return public(call, inplace=True)


_IJ = "(torch.tensor([12, 10]), 6)"
bitwise_and = _bits("bitwise_and", np.bitwise_and, "``input & other``.", "torch.bitwise_and" + _IJ, "tensor([4, 2])")
bitwise_or = _bits("bitwise_or", np.bitwise_or, "``input | other``.", "torch.bitwise_or" + _IJ, "tensor([14, 14])")
bitwise_xor = _bits("bitwise_xor", np.bitwise_xor, "``input ^ other``.", "torch.bitwise_xor" + _IJ, "tensor([10, 12])")
bitwise_left_shift = _bits(
    "bitwise_left_shift",
    np.left_shift,
    "``input << other``.",
    "torch.bitwise_left_shift(torch.tensor([1, 2]), 3)",
    "tensor([ 8, 16])",
    bools=False,
)
bitwise_right_shift = _bits(
    "bitwise_right_shift",
    np.right_shift,
    "``input >> other``.",
    "torch.bitwise_right_shift(torch.tensor([8, 16]), 3)",
    "tensor([1, 2])",
    bools=False,
)
gcd = _bits(
    "gcd",
    np.gcd,
    "The greatest common divisor.",
    "torch.gcd(torch.tensor([12, 10]), 8)",
    "tensor([4, 2])",
    bools=False,
)
lcm = _bits(
    "lcm",
    np.lcm,
    "The least common multiple.",
    "torch.lcm(torch.tensor([12, 10]), 8)",
    "tensor([24, 40])",
    bools=False,
)

bitwise_not_p = Pointwise("bitwise_not", np.invert, None)


@public(inplace=True)
def bitwise_not(input, *, out=None):
    """``~input``; for bools the logical not. Raises DTypeError for floating point.

    >>> import chainrule as torch
    >>> torch.bitwise_not(torch.tensor([0, 1, -2]))
    tensor([-1, -2,  1])
    """
    if not isinstance(input, Tensor):
        raise ArgumentError(f"bitwise_not(): argument 'input' must be Tensor, not {type(input).__name__}")
    if input._data.dtype.kind in "fV":
        raise DTypeError(
            "bitwise_not(): not implemented for floating point; expected integers or bools, convert with .long()"
        )
    return bitwise_not_p(input, out=out)
