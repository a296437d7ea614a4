"""Arithmetic, comparison and selection: the operators behind Python's own."""

import numpy as np

from ..errors import ArgumentError
from ..primitive import pointwise, public

add_p = pointwise("add", np.add, (1, 1), doc="input + other")
sub_p = pointwise("sub", np.subtract, (1, -1), take_bool=False, doc="input - other")
mul_p = pointwise(
    "mul", np.multiply, (lambda o, y, a, b: b, lambda o, y, a, b: a), doc="input * other"
)
div_p = pointwise(
    "div", np.true_divide, (lambda o, y, a, b: 1 / b, lambda o, y, a, b: -y / b), kind="float", singular=True,
    doc="input / other",
)
neg = public(pointwise("neg", np.negative, (-1,), take_bool=False, doc="-input"), inplace=True, aliases=("negative",))


def _scaled(operator, other, alpha):
    if alpha == 1:
        return other
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)):
        raise ArgumentError(f"{operator}(): argument 'alpha' must be a number, not {type(alpha).__name__}")
    return mul_p(other, alpha) if hasattr(other, "_data") else other * alpha


@public(inplace=True)
def add(input, other, *, alpha=1, out=None):
    """``input + alpha * other``, broadcast and promoted.

    >>> import chainrule as torch
    >>> torch.add(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), alpha=10)
    tensor([31., 42.])
    """
    return add_p(input, other if alpha == 1 else _scaled("add", other, alpha), out=out)


@public(inplace=True, aliases=("subtract",))
def sub(input, other, *, alpha=1, out=None):
    """``input - alpha * other``, broadcast and promoted.

    >>> import chainrule as torch
    >>> torch.sub(torch.tensor([1.0, 2.0]), 1)
    tensor([0., 1.])
    """
    return sub_p(input, other if alpha == 1 else _scaled("sub", other, alpha), out=out)


mul = public(mul_p, inplace=True, aliases=("multiply",))

# ---- comparison: bool results, no gradient

eq = public(pointwise("eq", np.equal, None, inputs=2, kind="compare", doc="input == other"), inplace=True)
ne = public(pointwise("ne", np.not_equal, None, inputs=2, kind="compare", doc="input != other"), inplace=True, aliases=("not_equal",))
lt = public(pointwise("lt", np.less, None, inputs=2, kind="compare", doc="input < other"), inplace=True, aliases=("less",))
le = public(pointwise("le", np.less_equal, None, inputs=2, kind="compare", doc="input <= other"), inplace=True, aliases=("less_equal",))
gt = public(pointwise("gt", np.greater, None, inputs=2, kind="compare", doc="input > other"), inplace=True, aliases=("greater",))
ge = public(pointwise("ge", np.greater_equal, None, inputs=2, kind="compare", doc="input >= other"), inplace=True, aliases=("greater_equal",))
logical_and = public(pointwise("logical_and", np.logical_and, None, inputs=2, kind="compare", doc="input and other"), inplace=True)
logical_or = public(pointwise("logical_or", np.logical_or, None, inputs=2, kind="compare", doc="input or other"), inplace=True)
isfinite = public(pointwise("isfinite", np.isfinite, None, inputs=1, kind="compare", doc="neither infinite nor NaN"))

# ---- selection

where_p = pointwise(
    "where", np.where, (None, 1, 1), kind="first", selecting=True,
    selects=(None, lambda o, y, c, a, b: c, lambda o, y, c, a, b: o.logical_not(c)),
    doc="a where the condition holds, else b",
)
logical_not = public(pointwise("logical_not", np.logical_not, None, inputs=1, kind="compare", doc="not input"), inplace=True)
