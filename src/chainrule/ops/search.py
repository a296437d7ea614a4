"""Sets and searches: unique, unique_consecutive, searchsorted, bucketize, bincount, histc, isin. None has a
gradient."""

import math

import numpy as np

from ..config import switches
from ..errors import ArgumentError, ArgumentValueError, DTypeError, ShapeError, UnsupportedError
from ..handle import Tensor, wrap
from ..primitive import primitive, public
from ..primitive.arguments import one_dim, tensor_argument
from ..primitive.promote import result_type
from .refusal import needs_values
from .results import make_result
from .shape import sizes_of
from .views import int_argument


def _results(values, inverse, counts, return_inverse, return_counts):
    out = (wrap(np.ascontiguousarray(values)),)
    if return_inverse:
        out += (wrap(inverse.astype(np.int64, copy=False)),)
    if return_counts:
        out += (wrap(counts.astype(np.int64, copy=False)),)
    return out if len(out) > 1 else out[0]


def _first_on_axis(a, dim, operator):
    d = one_dim(dim, a.ndim, operator)
    if a.ndim == 0:
        return a.reshape(1), 0
    if a.size == 0 and a.shape[d]:
        raise ShapeError(f"There are 0 sized dimensions, and they aren't selected, so {operator}_dim cannot be applied")
    return np.moveaxis(a, d, 0), d


SORTED = "Write torch.sort(x), or compare neighbours, so that shapes stay as they are"


@public
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements (or slices along ``dim``) in ascending order; with flags also each element's place among
    them, and their counts.

    >>> import chainrule as torch
    >>> torch.unique(torch.tensor([2, 1, 2]), return_counts=True)
    (tensor([1, 2]), tensor([1, 2]))
    """
    a = tensor_argument(input, "unique")._data
    if type(a) is not np.ndarray:
        needs_values(a, "unique", "the shape of its result", SORTED)
    if dim is None:
        values, inverse, counts = np.unique(a, return_inverse=True, return_counts=True, equal_nan=False)
        return _results(values, inverse.reshape(a.shape), counts, return_inverse, return_counts)
    rows, d = _first_on_axis(a, dim, "unique")
    values, inverse, counts = np.unique(
        rows.reshape(rows.shape[0], math.prod(rows.shape[1:])),
        axis=0,
        return_inverse=True,
        return_counts=True,
        equal_nan=False,
    )
    values = np.moveaxis(values.reshape(values.shape[0], *rows.shape[1:]), 0, d)
    return _results(values, inverse.reshape(-1), counts, return_inverse, return_counts)


@public
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """Like ``unique``, but only neighbours that are equal become one, and the order stays.

    >>> import chainrule as torch
    >>> torch.unique_consecutive(torch.tensor([1, 1, 2, 2, 1]))
    tensor([1, 2, 1])
    """
    a = tensor_argument(input, "unique_consecutive")._data
    if type(a) is not np.ndarray:
        needs_values(a, "unique_consecutive", "the shape of its result", SORTED)
    if dim is None:
        rows, d, shape = a.reshape(-1), 0, a.shape
    else:
        rows, d = _first_on_axis(a, dim, "unique_consecutive")
        shape = (rows.shape[0],)
    n = rows.shape[0]
    new = np.ones(n, bool)
    if n > 1:
        differs = rows[1:] != rows[:-1]
        new[1:] = differs.reshape(n - 1, -1).any(1) if differs.ndim > 1 else differs
    values = np.moveaxis(rows[new], 0, d)
    counts = np.diff(np.append(np.flatnonzero(new), n))
    return _results(values, (np.cumsum(new) - 1).reshape(shape), counts, return_inverse, return_counts)


def _side(operator, right, side):
    if side not in (None, "left", "right"):
        raise ShapeError(f"torch.{operator}(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise ShapeError(
            f"torch.{operator}(): side and right can't be set to opposites, got side of left while right was True"
        )
    return "right" if right or side == "right" else "left"


def _searchsorted(a, v, sorter=None, *, side, out_int32):
    if sorter is not None:
        a = np.take_along_axis(a, sorter, -1)
    kind = np.int32 if out_int32 else np.int64
    if a.ndim == 1:
        return np.asarray(np.searchsorted(a, v, side), kind)
    out = np.empty(v.shape, kind)
    for at in np.ndindex(*a.shape[:-1]):
        out[at] = np.searchsorted(a[at], v[at], side)
    return out


searchsorted_p = primitive("searchsorted", _searchsorted)


def _search(sequence, input, v, sorter, side, out_int32):
    if type(sequence._data) is type(v) is np.ndarray and switches.tracer is None:
        return wrap(
            _searchsorted(sequence._data, v, None if sorter is None else sorter._data, side=side, out_int32=out_int32)
        )
    input = input if isinstance(input, Tensor) else wrap(v)
    return searchsorted_p(sequence, input, sorter, side=side, out_int32=bool(out_int32))


@public
def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """Where each value would go into the sorted last dimension: before equal elements, or after them if ``right``.

    >>> import chainrule as torch
    >>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3, 6]))
    tensor([1, 3])
    """
    a = tensor_argument(sorted_sequence, "searchsorted", "sorted_sequence")._data
    side = _side("searchsorted", right, side)
    v = input._data if isinstance(input, Tensor) else np.asarray(input)
    if a.ndim == 0:
        raise ShapeError("torch.searchsorted(): sorted_sequence must have at least 1 dimension")
    if a.ndim != 1 and (v.ndim == 0 or a.shape[:-1] != v.shape[:-1]):
        raise ShapeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
            "tensor and input "
            f"value tensor must match, but we got boundaries tensor {list(a.shape)} and input value tensor "
            f"{list(v.shape)}"
        )
    if sorter is not None:
        s = tensor_argument(sorter, "searchsorted", "sorter")._data
        if s.shape != a.shape:
            raise ShapeError(
                "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor "
                f"{list(a.shape)} and got "
                f"sorter tensor {list(s.shape)}"
            )
        if s.dtype != np.int64:
            raise DTypeError(
                f"torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {sorter.dtype}"
            )
    return _search(sorted_sequence, input, v, sorter, side, out_int32)


@public
def bucketize(input, boundaries, *, out_int32=False, right=False):
    """The number of the bucket between ``boundaries`` (ascending) that each value falls in.

    >>> import chainrule as torch
    >>> torch.bucketize(torch.tensor([1, 4, 9]), torch.tensor([3, 6]))
    tensor([0, 1, 2])
    """
    b = tensor_argument(boundaries, "bucketize", "boundaries")._data
    if b.ndim != 1:
        raise ShapeError(f"torch.bucketize(): boundaries tensor must be 1 dimension, but got dim({b.ndim})")
    v = input._data if isinstance(input, Tensor) else np.asarray(input)
    return _search(boundaries, input, v, None, "right" if right else "left", out_int32)


@public
def bincount(input, weights=None, minlength=0):
    """How often each number from 0 up occurs in a vector of non-negative integers; with weights, the sum of theirs.

    >>> import chainrule as torch
    >>> torch.bincount(torch.tensor([0, 1, 1, 3]))
    tensor([1, 2, 0, 1])
    """
    a = tensor_argument(input, "bincount")._data
    if type(a) is not np.ndarray:
        needs_values(a, "bincount", "the length of its result", "Write torch.zeros(n).index_add(0, input, weights)")
    minlength = int_argument(minlength, "bincount", "minlength")
    if minlength < 0:
        raise ShapeError("minlength should be >= 0")
    if a.dtype.kind not in "iu":
        raise DTypeError(f"bincount(): expected integers, got {input.dtype}; convert with .long()")
    if a.ndim != 1 or (a.size and a.min() < 0):
        raise ShapeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is None:
        return wrap(np.bincount(a.astype(np.int64, copy=False), minlength=minlength))
    w = tensor_argument(weights, "bincount", "weights")._data
    if w.shape != a.shape:
        raise ShapeError("weights should be 1-d and have the same length as input")
    out = np.bincount(a.astype(np.int64, copy=False), w, minlength)
    return wrap(out.astype(np.float32 if w.dtype == np.float32 else np.float64, copy=False))


def _histc(a, bins, low, high):
    if low == high and a.size:
        low, high = float(a.min()), float(a.max())
    if low == high:
        low, high = low - 1, high + 1
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ShapeError(f"torch.histc: range of [{low}, {high}] is not finite")
    x = a.reshape(-1)
    x = x[(x >= low) & (x <= high)]
    place = np.minimum(((x - low) * (bins / (high - low))).astype(np.int64), bins - 1)
    return np.bincount(place, minlength=bins).astype(a.dtype)


histc_p = primitive("histc", _histc)


@public
def histc(input, bins=100, min=0, max=0):
    """Counts in ``bins`` buckets of equal width from ``min`` to ``max`` (both 0: the data's own range); values outside
    are not counted.

    >>> import chainrule as torch
    >>> torch.histc(torch.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    a = tensor_argument(input, "histc")._data
    if a.dtype.kind not in "fV":
        raise DTypeError(f"histc(): expected floating point numbers, got {input.dtype}; convert with .float()")
    bins = int_argument(bins, "histc", "bins")
    if bins <= 0:
        raise ShapeError(f"torch.histc(): bins must be > 0, but got {bins}")
    if max < min:
        raise ShapeError("torch.histc: max must be larger than min")
    return histc_p(input, bins=bins, low=float(min), high=float(max))


def _isin(a, b, dtype, **how):
    return np.asarray(np.isin(a.astype(dtype, copy=False), b.astype(dtype, copy=False), **how))


isin_p = primitive("isin", _isin)


@public(method=False)
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Which of ``elements`` occur among ``test_elements`` (one of the two may be a number).

    >>> import chainrule as torch
    >>> torch.isin(torch.tensor([1, 2, 3]), torch.tensor([2, 5]))
    tensor([False,  True, False])
    """
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise ArgumentError("isin(): at least one of 'elements' and 'test_elements' must be a Tensor")
    d = result_type(elements, test_elements).np
    a, b = (x if isinstance(x, Tensor) else wrap(np.asarray(x)) for x in (elements, test_elements))
    return isin_p(a, b, dtype=d, assume_unique=assume_unique, invert=invert)


@public(method=False)
def unravel_index(indices, shape):
    """Places in flattened memory as one index per dimension of ``shape``.

    >>> import chainrule as torch
    >>> torch.unravel_index(torch.tensor([4, 1]), (3, 2))
    (tensor([2, 0]), tensor([0, 1]))
    """
    a = tensor_argument(indices, "unravel_index", "indices")._data
    if a.dtype.kind not in "iu":
        raise ArgumentError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    shape = sizes_of((shape,), "unravel_index")
    if any(n < 0 for n in shape):
        raise ArgumentValueError(f"'shape' cannot have negative values, but got {tuple(shape)}")
    out = []
    for n in reversed(shape):
        out.append(wrap(np.asarray(a % n)))
        a = a // n
    return tuple(reversed(out))


def _nonzero_static(a, size, fill_value):
    found = np.argwhere(a)[:size]
    out = np.full((size, a.ndim), fill_value, np.int64)
    out[: len(found)] = found
    return out


nonzero_static_p = primitive("nonzero_static", _nonzero_static)


@public
def nonzero_static(input, *, size, fill_value=-1):
    """The first ``size`` places of elements that are not zero, one per row; rows that are missing hold ``fill_value``.

    >>> import chainrule as torch
    >>> torch.nonzero_static(torch.tensor([1, 0, 2]), size=3)
    tensor([[ 0],
            [ 2],
            [-1]])
    """
    tensor_argument(input, "nonzero_static")
    if size < 0:
        raise ShapeError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    return nonzero_static_p(input, size=size, fill_value=fill_value)


def _histogram(a, weight, edges=None, *, count=None, range=None, density):
    # A density of nothing is NaN.
    weight = None if weight is None else weight.reshape(-1)
    counts, edges = np.histogram(a.reshape(-1), count if edges is None else edges, range, density, weight)
    return counts.astype(a.dtype), edges.astype(a.dtype)


histogram_p = primitive("histogram", _histogram, outputs=2)
Histogram = make_result("histogram", "hist", "bin_edges")


@public
def histogram(input, bins, *, range=None, weight=None, density=False):
    """Counts (or sums of ``weight``) per bin and the bins' edges; ``bins`` is their number or the edges themselves.

    range: from where to where a number of bins goes (default: the data's own).  density: divide by total and width.

    >>> import chainrule as torch
    >>> torch.histogram(torch.tensor([1.0, 2.0, 1.0]), 2).hist
    tensor([2., 1.])
    """
    a = tensor_argument(input, "histogram")._data
    if a.dtype.kind != "f":
        raise UnsupportedError(f"histogram(): expected floating point numbers, got {input.dtype}; use .float()")
    if isinstance(bins, Tensor):
        if range is not None:
            raise ArgumentError("histogram(): range can't be given together with the bins' edges")
    elif bins <= 0:
        raise ShapeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    if weight is not None:
        tensor_argument(weight, "histogram", "weight")
    if isinstance(bins, Tensor):
        return Histogram(*histogram_p(input, weight, bins, density=density))
    return Histogram(*histogram_p(input, weight, count=bins, range=range, density=density))
