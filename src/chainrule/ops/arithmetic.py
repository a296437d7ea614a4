"""Arithmetic: the operators behind Python's own ``+ - * / // %``, and their fused forms."""

import numpy as np

from ..errors import ArgumentError, ArgumentValueError, DomainError, DTypeError
from ..handle import Tensor
from ..primitive import pointwise, public
from .docs import doc

_SCALE_BY = (bool, int, float)

add_p = pointwise("add", np.add, (1, 1), doc="input + other")
sub_p = pointwise("sub", np.subtract, (1, -1), take_bool=None, doc="input - other")
mul_p = pointwise(
    "mul",
    np.multiply,
    (lambda o, y, a, b: b, lambda o, y, a, b: a),
    doc=doc("``input * other``, broadcast and promoted.", "torch.mul(torch.tensor([1.0, 2.0]), 3)", "tensor([3., 6.])"),
)
div_p = pointwise(
    "div",
    np.true_divide,
    (lambda o, y, a, b: 1 / b, lambda o, y, a, b: -a / b / b),
    kind="float",
    singular=True,
    doc=doc(
        "``input / other`` in floating point, broadcast and promoted.",
        "torch.true_divide(torch.tensor([1, 2]), 2)",
        "tensor([0.5000, 1.0000])",
    ),
)


def _no_zero(b):
    """Integer division by zero is an error in PyTorch; NumPy gives 0."""
    if not np.all(b):
        raise DomainError(
            "ZeroDivisionError: integer division or remainder by zero; mask the zeros, or convert to float first"
        )


def _div_floor(a, b):
    if a.dtype.kind in "iu":
        _no_zero(b)
    return np.floor_divide(a, b)


def _div_trunc(a, b):
    if a.dtype.kind in "iu":
        _no_zero(b)
        q = np.floor_divide(a, b)
        return q + ((q < 0) & (q * b != a)).astype(q.dtype)
    return np.trunc(np.true_divide(a, b))


def _remainder(a, b):
    if a.dtype.kind in "iu":
        _no_zero(b)
    return np.remainder(a, b)


def _fmod(a, b):
    if a.dtype.kind in "iu":
        _no_zero(b)
    return np.fmod(a, b)


div_floor_p = pointwise("div_floor", _div_floor, (0, 0), take_bool=False, node_name="DivBackward2")
div_trunc_p = pointwise("div_trunc", _div_trunc, (0, 0), take_bool=False, node_name="DivBackward2")

neg = public(
    pointwise(
        "neg",
        np.negative,
        (-1,),
        take_bool=False,
        doc=doc(
            "``-input``. Raises DTypeError for bool.", "torch.neg(torch.tensor([1.0, -2.0]))", "tensor([-1.,  2.])"
        ),
    ),
    inplace=True,
    aliases=("negative",),
)
reciprocal = public(
    pointwise(
        "reciprocal",
        np.reciprocal,
        (lambda o, y, x: -y * y,),
        kind="float",
        singular=True,
        doc=doc(
            "``1 / input`` in floating point.",
            "torch.reciprocal(torch.tensor([2.0, 4.0]))",
            "tensor([0.5000, 0.2500])",
        ),
    ),
    inplace=True,
)


def _scaled(operator, input, other, alpha):
    """``alpha * other``, with PyTorch's rule that integers are not scaled by a float."""
    if isinstance(alpha, Tensor) and alpha._data.ndim == 0:
        alpha = alpha._data.item()
    if not isinstance(alpha, _SCALE_BY):
        raise ArgumentError(f"{operator}(): argument 'alpha' must be a number, not {type(alpha).__name__}")
    if isinstance(alpha, float) and not any(_is_float(x) for x in (input, other)):
        raise DTypeError(
            f"{operator}(): For integral input tensors, argument alpha must not be a floating point number, got "
            f"{alpha}; "
            "convert the input with .float()"
        )
    return mul_p(other, alpha) if isinstance(other, Tensor) else other * alpha


def _is_float(x):
    return x._data.dtype.kind in "fV" if isinstance(x, Tensor) else isinstance(x, float)


@public(inplace=True)
def add(input, other, *, alpha=1, out=None):
    """``input + alpha * other``, broadcast and promoted.

    Raises ShapeError if the shapes do not broadcast, DTypeError for integers with a float ``alpha``.

    >>> import chainrule as torch
    >>> torch.add(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), alpha=10)
    tensor([31., 42.])
    """
    return add_p(input, other if alpha == 1 else _scaled("add", input, other, alpha), out=out)


@public(inplace=True, aliases=("subtract",))
def sub(input, other, *, alpha=1, out=None):
    """``input - alpha * other``, broadcast and promoted.

    Raises ShapeError if the shapes do not broadcast, DTypeError for bools (use ``logical_xor`` or ``^``).

    >>> import chainrule as torch
    >>> torch.sub(torch.tensor([1.0, 2.0]), 1)
    tensor([0., 1.])
    """
    return sub_p(input, other if alpha == 1 else _scaled("sub", input, other, alpha), out=out)


@public
def rsub(input, other, *, alpha=1):
    """``other - alpha * input``: subtraction with the operands exchanged.

    >>> import chainrule as torch
    >>> torch.rsub(torch.tensor([1.0, 2.0]), 10)
    tensor([9., 8.])
    """
    return sub_p(other, input if alpha == 1 else _scaled("rsub", other, input, alpha))


mul = public(mul_p, inplace=True, aliases=("multiply",))
true_divide = public(div_p, name="true_divide", inplace=True)


@public(inplace=True, aliases=("divide",))
def div(input, other, *, rounding_mode=None, out=None):
    """``input / other``, broadcast and promoted.

    rounding_mode: None divides in floating point; "trunc" rounds the quotient towards zero, "floor" down (both keep
    integers).
    Raises DomainError for an integer division by zero, ArgumentValueError for another rounding mode.

    >>> import chainrule as torch
    >>> torch.div(torch.tensor([-7.0, 7.0]), 2, rounding_mode="floor")
    tensor([-4.,  3.])
    """
    if rounding_mode is None:
        return div_p(input, other, out=out)
    if rounding_mode == "floor":
        return div_floor_p(input, other, out=out)
    if rounding_mode == "trunc":
        return div_trunc_p(input, other, out=out)
    raise ArgumentValueError(
        f"div(): rounding_mode must be one of None, 'trunc', or 'floor', but found {rounding_mode!r}"
    )


@public(inplace=True)
def floor_divide(input, other, *, out=None):
    """The quotient rounded down: ``floor(input / other)``. Keeps integers; raises DomainError for an integer division
    by zero.

    >>> import chainrule as torch
    >>> torch.floor_divide(torch.tensor([-7, 7]), 2)
    tensor([-4,  3])
    """
    return div_floor_p(input, other, out=out)


remainder = public(
    pointwise(
        "remainder",
        _remainder,
        (1, lambda o, y, a, b: -o.div_floor(a, b)),
        take_bool=False,
        node_name="RemainderBackward1",
        doc=doc(
            "Python's modulus ``input - other * floor(input / other)``: the sign is that of ``other``.\n\n"
            "Raises DomainError for an integer remainder by zero.",
            "torch.remainder(torch.tensor([-3.0, 3.0]), 2)",
            "tensor([1., 1.])",
        ),
    ),
    inplace=True,
)
fmod = public(
    pointwise(
        "fmod",
        _fmod,
        (1, lambda o, y, a, b: -o.div_trunc(a, b)),
        take_bool=False,
        node_name="FmodBackward1",
        doc=doc(
            "C's modulus ``input - other * trunc(input / other)``: the sign is that of ``input``.\n\n"
            "Raises DomainError for an integer remainder by zero.",
            "torch.fmod(torch.tensor([-3.0, 3.0]), 2)",
            "tensor([-1.,  1.])",
        ),
    ),
    inplace=True,
)


@public
def positive(input):
    """``+input``: the tensor itself. Raises DTypeError for bool.

    >>> import chainrule as torch
    >>> torch.positive(torch.tensor([1.0, -2.0]))
    tensor([ 1., -2.])
    """
    if input._data.dtype.kind == "b":
        raise DTypeError(
            "positive(): The `+` operator, on a bool tensor is not supported; convert with .to(torch.int64)"
        )
    return input


# ---- fused forms


def _lerp(a, b, w):
    # Two formulas, so that both ends are exact.
    if w.ndim == 0:
        return a + w * (b - a) if abs(w) < 0.5 else b - (b - a) * (1 - w)
    return np.where(np.abs(w) < 0.5, a + w * (b - a), b - (b - a) * (1 - w))


lerp_p = pointwise(
    "lerp",
    _lerp,
    (lambda o, y, a, b, w: 1 - w, lambda o, y, a, b, w: w, lambda o, y, a, b, w: b - a),
    kind="float",
)


@public(inplace=True)
def lerp(input, end, weight):
    """Linear interpolation ``input + weight * (end - input)``; ``weight`` is a tensor or a number.

    >>> import chainrule as torch
    >>> torch.lerp(torch.tensor([0.0, 10.0]), torch.tensor([10.0, 20.0]), 0.5)
    tensor([ 5., 15.])
    """
    return lerp_p(input, end, weight)


addcmul_p = pointwise(
    "addcmul",
    lambda x, a, b, value: x + a * b if value == 1 else x + value * a * b,
    (1, lambda o, y, x, a, b, *, value: b * value, lambda o, y, x, a, b, *, value: a * value),
    take_bool=False,
)
addcdiv_p = pointwise(
    "addcdiv",
    lambda x, a, b, value: x + value * a / b,
    (1, lambda o, y, x, a, b, *, value: value / b, lambda o, y, x, a, b, *, value: -value * a / (b * b)),
    kind="float",
    singular=True,
)


def _value(operator, value, tensors):
    if not isinstance(value, _SCALE_BY):
        raise ArgumentError(f"{operator}(): argument 'value' must be a number, not {type(value).__name__}")
    if isinstance(value, float) and not any(_is_float(x) for x in tensors):
        raise DTypeError(
            f"{operator}(): value cannot be converted to an integer without loss: {value}; convert the input with "
            ".float()"
        )
    return value


@public(inplace=True)
def addcmul(input, tensor1, tensor2, *, value=1):
    """``input + value * tensor1 * tensor2``, broadcast and promoted.

    >>> import chainrule as torch
    >>> torch.addcmul(torch.ones(2), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), value=0.5)
    tensor([2.5000, 5.0000])
    """
    return addcmul_p(input, tensor1, tensor2, value=_value("addcmul", value, (input, tensor1, tensor2)))


@public(inplace=True)
def addcdiv(input, tensor1, tensor2, *, value=1):
    """``input + value * tensor1 / tensor2``, broadcast and promoted. Raises DTypeError if all three are integers.

    >>> import chainrule as torch
    >>> torch.addcdiv(torch.ones(2), torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]))
    tensor([1.5000, 1.5000])
    """
    if not any(_is_float(x) for x in (input, tensor1, tensor2)):
        raise DTypeError("addcdiv(): Integer division with addcdiv is not supported; convert the input with .float()")
    return addcdiv_p(input, tensor1, tensor2, value=_value("addcdiv", value, (input, tensor1, tensor2)))
