"""Operators that choose between values: where, clamp, maximum and their relatives. What was not chosen gets no
gradient, whatever its derivative.
"""

import math

import numpy as np

from ..dtypes import from_numpy_dtype
from ..errors import ArgumentError, ArgumentValueError, DTypeError
from ..handle import Tensor, wrap
from ..primitive import Pointwise, pointwise, public
from ..primitive.arguments import tensor_argument
from ..primitive.promote import NUMBERS
from ..primitive.select import select
from .cast import to_dtype
from .docs import doc

where_p = pointwise(
    "where",
    select,
    (None, 1, 1),
    kind="first",
    selecting=True,
    selects=(None, lambda o, y, c, a, b: c, lambda o, y, c, a, b: o.logical_not(c)),
    doc="a where the condition holds, else b",
)

# A constant per side, in the dtype of ``like``: rules use it where `where` with two numbers would be float64.
choose_p = Pointwise(
    "choose", lambda c, like, yes, no: np.where(c, like.dtype.type(yes), like.dtype.type(no)), None, kind="first"
)


@public(method=False)
def where(condition, input=None, other=None, *, out=None):
    """``input`` where ``condition`` is true, else ``other``; each a tensor or a number. With the condition alone: the
    indices of its nonzero elements, one tensor per dimension.

    condition: bool (or uint8).  The element that was not chosen gets a zero gradient even where its derivative is
    infinite.
    Raises DTypeError for another condition, ArgumentError if only one of ``input`` and ``other`` is given.

    >>> import chainrule as torch
    >>> x = torch.tensor([-1.0, 2.0])
    >>> torch.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    tensor_argument(condition, "where", "condition")
    if input is None and other is None:
        a = condition._data
        return tuple([wrap(i) for i in (np.nonzero(a) if a.ndim else np.nonzero(a.reshape(1)))])
    if input is None or other is None:
        raise ArgumentError("where(): expected both 'input' and 'other', or neither; got only one of them")
    if condition._data.dtype.kind != "b":
        if condition._data.dtype != np.uint8:
            raise DTypeError(
                "where(): expected condition to be a boolean tensor, but got a tensor with dtype "
                f"{condition._data.dtype}; compare it first"
            )
        condition = wrap(condition._data != 0)
    return where_p(condition, input, other, out=out)


def _where_method(self, condition, other):
    return where(condition, self, other)


_where_method.__doc__ = "``self`` where ``condition`` is true, else ``other``: see :func:`where`."
public(_where_method, name="where", namespaces=())


masked_fill_p = pointwise(
    "masked_fill",
    lambda m, x, v: np.where(m, v, x),
    (None, 1, 1),
    kind="first",
    selecting=True,
    selects=(None, lambda o, y, m, x, v: o.logical_not(m), lambda o, y, m, x, v: m),
)


@public(inplace=True)
def masked_fill(input, mask, value):
    """``value`` (a number or a 0-d tensor) where ``mask`` is true, else ``input``; the result has the dtype of
    ``input``.

    Raises DTypeError if the mask is not bool or the value does not fit the dtype, ArgumentError if ``value`` has
    dimensions.

    >>> import chainrule as torch
    >>> torch.masked_fill(torch.tensor([1.0, 2.0]), torch.tensor([True, False]), 0)
    tensor([0., 2.])
    """
    tensor_argument(input, "masked_fill")
    tensor_argument(mask, "masked_fill", "mask")
    if mask._data.dtype.kind != "b":
        raise DTypeError(
            f"masked_fill() only supports boolean masks, but got mask with dtype {mask._data.dtype}; compare it first"
        )
    if isinstance(value, Tensor):
        if value._data.ndim:
            raise ArgumentError(
                f"masked_fill() only supports a 0-dimensional value tensor, but got tensor with {value._data.ndim} "
                "dimension(s); use where()"
            )
    elif not isinstance(value, NUMBERS):
        raise ArgumentError(f"masked_fill(): argument 'value' must be a number or a Tensor, not {type(value).__name__}")
    kind = input._data.dtype.kind
    if isinstance(value, Tensor):
        value = to_dtype(value, from_numpy_dtype(input._data.dtype))
    elif kind == "b":
        value = bool(value)
    elif kind in "iu":
        if not math.isfinite(value):
            raise DTypeError(
                f"masked_fill(): value cannot be converted to {input._data.dtype}: {value}; convert the input with "
                ".float()"
            )
        value = int(value)
    return masked_fill_p(mask, input, value)


# ---- bounds

clamp_p = pointwise(
    "clamp",
    lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi),
    (1, 1, 1),
    selecting=True,
    node_name="ClampBackward1",
    selects=(
        lambda o, y, x, lo, hi: o.logical_and(x >= lo, x <= hi),
        lambda o, y, x, lo, hi: o.logical_and(lo < hi, x < lo),
        lambda o, y, x, lo, hi: o.logical_or(x > hi, lo > hi),
    ),
)
clamp_min_p = pointwise(
    "clamp_min", np.maximum, (1, 1), selecting=True, selects=(lambda o, y, x, lo: x >= lo, lambda o, y, x, lo: x < lo)
)
clamp_max_p = pointwise(
    "clamp_max", np.minimum, (1, 1), selecting=True, selects=(lambda o, y, x, hi: x <= hi, lambda o, y, x, hi: x > hi)
)


@public(inplace=True, aliases=("clip",))
def clamp(input, min=None, max=None, *, out=None):
    """``input`` limited to ``[min, max]``; each bound is a number, a tensor or None. If ``min > max`` the result is
    ``max``.

    Raises ArgumentValueError if both bounds are None.

    >>> import chainrule as torch
    >>> torch.clamp(torch.tensor([-2.0, 0.5, 3.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None:
        if max is None:
            raise ArgumentValueError("clamp(): At least one of 'min' or 'max' must not be None")
        return clamp_max_p(input, max, out=out)
    return clamp_min_p(input, min, out=out) if max is None else clamp_p(input, min, max, out=out)


@public(inplace=True)
def clamp_min(input, min, *, out=None):
    """``input``, but at least ``min`` (a number or a tensor).

    >>> import chainrule as torch
    >>> torch.clamp_min(torch.tensor([-2.0, 0.5]), 0)
    tensor([0.0000, 0.5000])
    """
    return clamp_min_p(input, min, out=out)


@public(inplace=True)
def clamp_max(input, max, *, out=None):
    """``input``, but at most ``max`` (a number or a tensor).

    >>> import chainrule as torch
    >>> torch.clamp_max(torch.tensor([-2.0, 0.5]), 0)
    tensor([-2.,  0.])
    """
    return clamp_max_p(input, max, out=out)


# A tie shares the gradient evenly; NaN passes it to both, as in PyTorch.
maximum_p = pointwise(
    "maximum",
    np.maximum,
    (lambda o, y, a, b: o.choose(a == b, y, yes=0.5, no=1.0), lambda o, y, a, b: o.choose(a == b, y, yes=0.5, no=1.0)),
    selecting=True,
    output_free=True,
    selects=(lambda o, y, a, b: o.logical_not(a < b), lambda o, y, a, b: o.logical_not(a > b)),
)
minimum_p = pointwise(
    "minimum",
    np.minimum,
    (lambda o, y, a, b: o.choose(a == b, y, yes=0.5, no=1.0), lambda o, y, a, b: o.choose(a == b, y, yes=0.5, no=1.0)),
    selecting=True,
    output_free=True,
    selects=(lambda o, y, a, b: o.logical_not(a > b), lambda o, y, a, b: o.logical_not(a < b)),
)
fmax_p = pointwise(
    "fmax",
    np.fmax,
    (1, 1),
    selecting=True,
    selects=(
        lambda o, y, a, b: o.logical_or(a >= b, o.isnan(b)),
        lambda o, y, a, b: o.logical_not(o.logical_or(a >= b, o.isnan(b))),
    ),
)
fmin_p = pointwise(
    "fmin",
    np.fmin,
    (1, 1),
    selecting=True,
    selects=(
        lambda o, y, a, b: o.logical_or(a <= b, o.isnan(b)),
        lambda o, y, a, b: o.logical_not(o.logical_or(a <= b, o.isnan(b))),
    ),
)


def _of_two_tensors(prim, name, text, example, result):
    def call(input, other, *, out=None):
        tensor_argument(input, name)
        tensor_argument(other, name, "other")
        return prim(input, other, out=out)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc(text + " Both must be tensors (for a number use ``clamp``).", example, result)
    call.primitive = prim.primitive
    return public(call)


_AB = "(torch.tensor([1.0, 4.0]), torch.tensor([2.0, float('nan')]))"
maximum = _of_two_tensors(
    maximum_p,
    "maximum",
    "The larger of two, element by element; NaN if one is NaN.",
    "torch.maximum" + _AB,
    "tensor([2., nan])",
)
minimum = _of_two_tensors(
    minimum_p,
    "minimum",
    "The smaller of two, element by element; NaN if one is NaN.",
    "torch.minimum" + _AB,
    "tensor([1., nan])",
)
fmax = _of_two_tensors(
    fmax_p, "fmax", "The larger of two; if one is NaN, the other.", "torch.fmax" + _AB, "tensor([2., 4.])"
)
fmin = _of_two_tensors(
    fmin_p, "fmin", "The smaller of two; if one is NaN, the other.", "torch.fmin" + _AB, "tensor([1., 4.])"
)

# ---- replacing and composing values

nan_to_num_p = pointwise(
    "nan_to_num",
    lambda x, nan, posinf, neginf: np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf),
    (lambda o, y, x, *, nan, posinf, neginf: 1,),
    selecting=True,
    selects=(lambda o, y, x, *, nan, posinf, neginf: o.isfinite(x),),
    node_name="NanToNumBackward0",
)


@public(inplace=True)
def nan_to_num(input, nan=0.0, posinf=None, neginf=None, *, out=None):
    """NaN replaced by ``nan``, infinities by ``posinf`` and ``neginf`` (None: the largest and the lowest finite
    number).

    >>> import chainrule as torch
    >>> torch.nan_to_num(torch.tensor([float("nan"), float("inf"), 1.0]), posinf=9.0)
    tensor([0., 9., 1.])
    """
    return nan_to_num_p(input, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf, out=out)


heaviside_p = Pointwise("heaviside", lambda x, v: np.where(x == 0, v, (x > 0).astype(x.dtype)), None)


@public(inplace=True)
def heaviside(input, values, *, out=None):
    """0 for negative ``input``, ``values`` at 0, 1 for positive. Not differentiable.

    Raises DTypeError if the dtypes differ.

    >>> import chainrule as torch
    >>> torch.heaviside(torch.tensor([-1.0, 0.0, 2.0]), torch.tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """
    tensor_argument(input, "heaviside")
    tensor_argument(values, "heaviside", "values")
    if input._data.dtype != values._data.dtype:
        raise DTypeError(
            f"heaviside is not yet implemented for tensors with different dtypes: got {input._data.dtype} and "
            f"{values._data.dtype}; "
            "convert one of them with .to(dtype)"
        )
    return heaviside_p(input, values, out=out)


copysign = public(
    pointwise(
        "copysign",
        np.copysign,
        (lambda o, y, a, b: o.where(a == 0, 0.0, y / a), 0),
        kind="float",
        doc=doc(
            "The size of ``input`` with the sign of ``other``.",
            "torch.copysign(torch.tensor([1.0, -2.0]), -1)",
            "tensor([-1., -2.])",
        ),
    ),
    inplace=True,
)
nextafter = public(
    pointwise(
        "nextafter",
        np.nextafter,
        None,
        inputs=2,
        doc=doc(
            "The next floating point number after ``input`` towards ``other``.",
            "torch.nextafter(torch.tensor([1.0]), torch.tensor([2.0])) > 1",
            "tensor([True])",
        ),
    ),
    inplace=True,
)


def _ldexp(x, e):
    return x * np.exp2(e)


@public(inplace=True)
def ldexp(input, other):
    """``input * 2 ** other``.

    >>> import chainrule as torch
    >>> torch.ldexp(torch.tensor([1.0, 3.0]), torch.tensor([3, 1]))
    tensor([8., 6.])
    """
    return ldexp_p(input, other)


ldexp_p = pointwise(
    "ldexp", _ldexp, (lambda o, y, x, e: o.exp2(e), lambda o, y, x, e: y * math.log(2.0)), kind="float", singular=True
)
