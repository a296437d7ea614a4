"""Order statistics: medians, modes and quantiles."""

import numpy as np

from ..errors import ArgumentError, ArgumentValueError, DTypeError, ShapeError, UnsupportedError
from ..handle import Tensor, wrap
from ..primitive import primitive, public, reduction
from ..primitive.arguments import one_dim, tensor_argument
from .arithmetic import lerp_p, mul_p, sub_p
from .extremes import along, even_share, pick_p
from .refusal import refuse
from .results import make_result
from .shape import permute_p, reshape_p

# ---- median and mode


def _nan_count(x, axis):
    return np.isnan(x).sum(axis=axis, keepdims=True) if x.dtype.kind == "f" else np.zeros(1, np.int64)


def _median_index(x, dim, keepdim, skip_nan):
    """The index of the lower median; of the first NaN if there is one and they are not skipped."""
    n = x.shape[dim]
    order = np.argsort(x, axis=dim, kind="stable")  # NaN comes last
    nans = _nan_count(x, dim)
    middle = np.maximum(n - nans - 1, 0) // 2 if skip_nan else np.where(nans > 0, n - nans, (n - 1) // 2)
    shape = list(x.shape)
    shape[dim] = 1
    index = np.take_along_axis(order, np.broadcast_to(middle, shape), dim)
    return index if keepdim else index.squeeze(dim)


def _mode_index(x, dim, keepdim):
    """The last index of the most frequent element, the smallest of several."""
    x = x.swapaxes(dim, -1)
    order = np.argsort(x, axis=-1, kind="stable")
    ranked = np.take_along_axis(x, order, -1)
    position = np.arange(x.shape[-1])
    starts = np.concatenate([np.ones_like(ranked[..., :1], dtype=bool), ranked[..., 1:] != ranked[..., :-1]], -1)
    run = position - np.maximum.accumulate(np.where(starts, position, 0), -1)
    index = np.take_along_axis(order, run.argmax(-1, keepdims=True), -1).swapaxes(dim, -1)
    return index if keepdim else index.squeeze(dim)


median_index_p = primitive("median_index", _median_index, front=True)
mode_index_p = primitive("mode_index", _mode_index, front=True)


def _median_of_all(skip_nan):
    def kernel(x, dim, keepdim):
        if not dim:  # one element
            return x.copy()
        flat = x.reshape(x.shape[: x.ndim - len(dim)] + (-1,))
        index = _median_index(flat, -1, True, skip_nan)
        return np.take_along_axis(flat, index, -1)[..., 0]

    return kernel


median_all_p = reduction(
    "median_all", _median_of_all(False), even_share, selecting=True, front=True, node_name="MedianBackward0"
)
nanmedian_all_p = reduction(
    "nanmedian_all", _median_of_all(True), even_share, selecting=True, front=True, node_name="NanmedianBackward0"
)


def _median(operator, prim, result, input, dim, keepdim, skip_nan):
    if dim is None:
        n = tensor_argument(input, operator)._data.ndim
        if input._data.size == 0:
            if input._data.dtype.kind in "fV":
                return wrap(np.asarray(np.nan, input._data.dtype))
            raise ShapeError(
                f"{operator}(): expected at least one element for integers, got shape {list(input._data.shape)}"
            )
        return prim(input, dim=tuple(range(-n, 0)), keepdim=False)
    return along(input, dim, keepdim, operator, median_index_p, result, skip_nan=skip_nan)


_median_result = make_result("median", "values", "indices")
_nanmedian_result = make_result("nanmedian", "values", "indices")


@public
def median(input, dim=None, keepdim=False):
    """The median, the lower one for an even count: of all elements, or along ``dim`` as a named tuple ``(values,
    indices)``. NaN if there is one.

    >>> import chainrule as torch
    >>> torch.median(torch.tensor([3.0, 1.0, 2.0, 4.0]))
    tensor(2.)
    """
    return _median("median", median_all_p, _median_result, input, dim, keepdim, False)


@public
def nanmedian(input, dim=None, keepdim=False):
    """As ``median``, of the elements that are not NaN.

    >>> import chainrule as torch
    >>> torch.nanmedian(torch.tensor([3.0, 1.0, float("nan")]))
    tensor(1.)
    """
    return _median("nanmedian", nanmedian_all_p, _nanmedian_result, input, dim, keepdim, True)


_mode_result = make_result("mode", "values", "indices")


@public
def mode(input, dim=-1, keepdim=False):
    """The most frequent element along ``dim`` (the smallest of several) and its last index: a named tuple ``(values,
    indices)``.

    >>> import chainrule as torch
    >>> torch.mode(torch.tensor([1.0, 2.0, 2.0, 3.0])).values
    tensor(2.)
    """
    return along(input, dim, keepdim, "mode", mode_index_p, _mode_result)


# ---- quantiles


def _quantile_places(x, levels, interpolation, skip_nan):
    """Along the last dimension: the indexes of the elements below and above each level, the rank of the one below,
    the last rank, and the weight of the one above."""
    n = x.shape[-1]
    nans = np.isnan(x).sum(-1, keepdims=True)
    last = (np.maximum(n - nans - 1, 0) if skip_nan else np.full_like(nans, n - 1)).astype(x.dtype)
    rank = levels * last
    if not skip_nan:
        rank = np.where(nans > 0, last, rank)  # the last in order, a NaN
    if interpolation in _ROUNDED:
        rank = _ROUNDED[interpolation](rank)
    low = np.floor(rank)
    order = np.argsort(x, axis=-1, kind="stable")
    below, above = (np.take_along_axis(order, r.astype(np.int64), -1) for r in (low, np.ceil(rank)))
    return below, above, low, last, np.full_like(rank, 0.5) if interpolation == "midpoint" else rank - low


_ROUNDED = {"nearest": np.rint, "lower": np.floor, "higher": np.ceil}
quantile_places_p = primitive("quantile_places", _quantile_places, outputs=5, front=True)

_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(operator, input, q, dim, keepdim, interpolation, skip_nan):
    if tensor_argument(input, operator)._data.dtype.kind != "f":
        raise DTypeError(f"{operator}(): input tensor must be either float or double dtype, got {input._data.dtype}")
    if interpolation not in _INTERPOLATIONS:
        raise ArgumentValueError(
            f"{operator}(): interpolation must be one of {', '.join(_INTERPOLATIONS)}, but got {interpolation}"
        )
    if isinstance(q, Tensor):
        if q._data.ndim > 1:
            raise ArgumentError(f"{operator}(): q must be a scalar or 1D tensor, got {q._data.ndim} dimensions")
        if q._data.dtype != input._data.dtype:
            raise DTypeError(
                f"{operator}(): q tensor must be same dtype as the input tensor, got {q._data.dtype} and "
                f"{input._data.dtype}"
            )
        levels = q._data
        if not isinstance(levels, np.ndarray) and not hasattr(type(levels), "refuse"):
            raise UnsupportedError(
                f"{operator}(): vmap over q is not supported; pass all of q as a 1-d tensor (in_dims=None)"
            )
    else:
        levels = np.asarray(q, input._data.dtype)
    refuse(~((levels >= 0) & (levels <= 1)), ArgumentValueError, f"{operator}(): q values must be in the range [0, 1]")
    if 0 in input._data.shape:
        raise ShapeError(f"{operator}(): input tensor must be non-empty")
    n = input._data.ndim
    if dim is None:
        x, d = reshape_p(input, shape=(-1,)), -1
    elif n == 0:
        x, d = reshape_p(input, shape=(1,)), one_dim(dim, 0, operator)
    else:
        x, d = input, one_dim(dim, n, operator)
        if d != -1:
            x = permute_p(x, dims=(*[i for i in range(-n, 0) if i != d], d))
    rows = _levels_of(x, q, levels.reshape(-1), interpolation, skip_nan)  # (..., number of levels)
    m = rows._data.ndim
    rows = permute_p(rows, dims=(-1, *range(-m, -1))) if m > 1 else rows
    shape = list(rows._data.shape)
    if keepdim:
        shape = shape[:1] + ([1] * n if dim is None else _with_one(shape[1:], d if n else None))
    if levels.ndim == 0:
        shape = shape[1:]
    return reshape_p(rows, shape=tuple(shape))


def _with_one(shape, d):
    if d is None:
        return shape
    at = len(shape) + 1 + d
    return [*shape[:at], 1, *shape[at:]]


def _levels_of(x, q, levels, interpolation, skip_nan):
    """The quantiles ``levels`` (the values of ``q``) along the last dimension."""
    how = {"interpolation": interpolation, "skip_nan": skip_nan}
    if type(levels) is np.ndarray:
        places = quantile_places_p(x, levels=levels, **how)
    else:
        places = quantile_places_p(x, wrap(levels), **how)
    below, above, low, last, weight = places
    start = pick_p(x, below, dim=-1, keepdim=True, operator="gather")
    if interpolation in _ROUNDED:
        return start
    if interpolation == "linear" and isinstance(q, Tensor) and q._requires_grad:
        weight = sub_p(mul_p(reshape_p(q, shape=(-1,)), last), low)
    return lerp_p(start, pick_p(x, above, dim=-1, keepdim=True, operator="gather"), weight)


@public
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """The quantiles ``q`` (a number or a 1-d tensor, each in [0, 1]) along ``dim`` (None: of all elements); NaN where
    there is a NaN.

    interpolation: "linear", "lower", "higher", "midpoint" or "nearest".  With a 1-d ``q`` the result has a first
    dimension for it.
    Raises ArgumentValueError for ``q`` outside [0, 1], DTypeError for integers.

    >>> import chainrule as torch
    >>> torch.quantile(torch.tensor([1.0, 2.0, 3.0, 4.0]), 0.5)
    tensor(2.5000)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@public
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """As ``quantile``, of the elements that are not NaN.

    >>> import chainrule as torch
    >>> torch.nanquantile(torch.tensor([1.0, 3.0, float("nan")]), 0.5)
    tensor(2.)
    """
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)
