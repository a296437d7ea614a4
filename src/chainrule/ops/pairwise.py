"""Distances between all pairs of rows: cdist and pdist."""

import math

import numpy as np

from ..errors import ArgumentValueError, DTypeError, ShapeError
from ..handle import wrap
from ..primitive import primitive, public
from .gathering import index_select
from .loss_common import check_tensors
from .norms import vector_norm
from .shape import expand_p, reshape_p


def _euclidean(a, b, product=False):
    if not product:
        d = a[..., :, None, :] - b[..., None, :, :]
        return np.sqrt(np.einsum("...k,...k->...", d, d))
    squares = np.add.reduce(a * a, -1)[..., :, None] + np.add.reduce(b * b, -1)[..., None, :]
    squares -= 2 * np.matmul(a, b.swapaxes(-1, -2))
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


def _euclidean_rule(o, g, s, y, a, b, *, product=False, needs):
    # Two equal rows are at distance 0, where the gradient is taken as 0.
    r = g / o.where(y == 0, math.inf, y)
    ga = a * o.sum(r, dim=(-1,), keepdim=True) - o.matmul(r, b) if needs[0] else None
    gb = (
        b * o.reshape(o.sum(r, dim=(-2,), keepdim=False), shape=(*s[1][:-1], 1)) - o.matmul(r, a, ta=True)
        if needs[1]
        else None
    )
    return ga, gb


euclidean_p = primitive("euclidean_distance", _euclidean, vjp=_euclidean_rule, front=True, node_name="CdistBackward0")

_MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


@public(method=False)
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The p-norm distances between the rows of x1 (*, P, M) and of x2 (*, R, M): a tensor (*, P, R).

    compute_mode: whether Euclidean distances go through a matrix product (fast for many rows, less exact for close
    ones).
    Raises ShapeError for sizes that do not fit, ArgumentValueError for a negative p.

    >>> import chainrule as torch
    >>> torch.cdist(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    check_tensors("cdist", x1=x1, x2=x2)
    a, b = x1._data.shape, x2._data.shape
    for name, t in (("X1", x1), ("X2", x2)):
        if t._data.dtype.kind != "f":
            raise DTypeError(
                f"cdist only supports floating-point dtypes, {name} got: {t._data.dtype}; convert with .float()"
            )
        if t._data.ndim < 2:
            raise ShapeError(f"cdist only supports at least 2D tensors, {name} got: {t._data.ndim}D")
    if a[-1] != b[-1]:
        raise ShapeError(f"X1 and X2 must have the same number of columns. X1: {a[-1]} X2: {b[-1]}")
    if p < 0:
        raise ShapeError(f"cdist only supports non-negative p values, got {p}")
    if compute_mode not in _MODES:
        raise ArgumentValueError(
            f"{compute_mode} is not a valid value for compute_mode; use one of {', '.join(_MODES)}"
        )
    try:
        batch = np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        raise ShapeError(f"cdist(): batch dimensions of {list(a)} and {list(b)} do not broadcast") from None
    x1 = x1 if a[:-2] == batch else expand_p(x1, shape=batch + a[-2:])
    x2 = x2 if b[:-2] == batch else expand_p(x2, shape=batch + b[-2:])
    if p == 2:
        many = a[-2] > 25 or b[-2] > 25
        return euclidean_p(x1, x2, product=compute_mode == _MODES[1] or (many and compute_mode == _MODES[0]))
    left = reshape_p(x1, shape=(*batch, a[-2], 1, a[-1]))
    right = reshape_p(x2, shape=(*batch, 1, b[-2], b[-1]))
    return vector_norm(left - right, float(p), -1)


@public(namespaces=("torch", "nn.functional"), method=False)
def pdist(input, p=2.0):
    """The p-norm distances between all pairs of rows i < j of an (N, M) tensor: a vector of N (N - 1) / 2.

    >>> import chainrule as torch
    >>> torch.pdist(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    tensor([5.0000, 1.0000, 4.2426])
    """
    check_tensors("pdist", input=input)
    if input._data.ndim != 2:
        raise ShapeError(f"pdist only supports 2D tensors, got: {input._data.ndim}D")
    if input._data.dtype.kind != "f":
        raise DTypeError(f"pdist only supports floating-point dtypes, got {input._data.dtype}; convert with .float()")
    if p < 0:
        raise ShapeError(f"pdist only supports non-negative p values, got {p}")
    first, second = np.triu_indices(input._data.shape[0], 1)
    return vector_norm(index_select(input, 0, wrap(first)) - index_select(input, 0, wrap(second)), float(p), -1)
