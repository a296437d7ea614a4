"""Picking elements along a dimension: gather, index_select, take; and the sums they turn into backward."""

import numpy as np

from ..errors import DTypeError, IndexRangeError, ShapeError
from ..handle import Tensor
from ..primitive import linear, public
from ..primitive.arguments import one_dim, tensor_argument
from ..primitive.view import move
from .accumulate import add_at, add_rows
from .axes import squeeze_p
from .indexing import index_p
from .shape import common_shape, expand, reshape, view_p

ALL = slice(None)


OUT = "index {i} is out of bounds for dimension {dim} with size {n}"


_UNSIGNED = {4: np.uint32, 8: np.uint64}


def _largest(index):
    """The largest element, where negative ones count as very large: one pass shows both kinds of bad index."""
    return np.maximum.reduce(index.view(_UNSIGNED[index.itemsize]), axis=None)


def check_bounds(index, n, text=OUT, dim=0, error=IndexRangeError):
    """Raise unless all of ``index`` lies in [0, n)."""
    if hasattr(type(index), "within"):  # while a function is compiled: when it runs
        message = text.format(i="(one of them)", dim=dim, n=n)
        index.within(0, n, message, error, lambda a: check_bounds(a, n, text, dim, error))
    if index.size and type(index) is np.ndarray:
        if _largest(index) < n:
            return
        low, high = index.min(), index.max()
        if low < 0 or high >= n:
            raise error(text.format(i=int(low if low < 0 else high), dim=dim, n=n))


# ---- gather: places in flat memory, one per element of the index


def flat_places(shape, index, dim):
    """For ``x`` of ``shape``: where in ``x.ravel()`` the elements ``x[.., index[.., j, ..], ..]`` are; index may be
    smaller than x."""
    n = index.ndim
    place, stride = None, 1
    for d in range(-1, -n - 1, -1):
        if d == dim:
            part = index * stride if stride != 1 else index
        elif index.shape[d] == 1:
            stride *= shape[d]
            continue
        else:
            part = (np.arange(index.shape[d]) * stride).reshape((-1,) + (1,) * (-d - 1))
        place = part if place is None else place + part
        stride *= shape[d]
    return place


def _gather(x, index, dim, by=None):
    return x.reshape(-1).take(flat_places(x.shape, index, dim))


def _ungather(g, index, shape, dim):
    shape = g.shape[: g.ndim - len(shape)] + tuple(shape)
    n = 1
    for k in shape:
        n *= k
    return add_rows(n, flat_places(shape, index, dim).reshape(-1), g.reshape(-1)).reshape(shape)


gather_p = move(
    "gather",
    _gather,
    lambda o, g, s, index, *, dim, by=None: o.ungather(g, index, shape=s[0], dim=dim),
    selecting=True,
    front=True,
    node_name=lambda arrays, params: params.get("by") or "GatherBackward0",
)
linear(
    "ungather",
    _ungather,
    lambda o, g, s, index, *, shape, dim: o.gather(g, index, dim=dim),
    front=True,
    node_name="ScatterAddBackward0",
)


def index_argument(index, operator, kinds=(np.int64,)):
    """An index tensor's array, if it has an index dtype."""
    a = tensor_argument(index, operator, "index")._data
    if a.dtype not in kinds and a.size:
        names = "int32/int64" if len(kinds) == 2 else "int64"
        raise DTypeError(f"{operator}(): Expected dtype {names} for index, got {index.dtype}; convert it with .long()")
    return a


BOTH = (np.dtype(np.int64), np.dtype(np.int32))


def check_gather(x, index, dim, operator, target="self"):
    """PyTorch's checks of an index against the tensor it picks from."""
    if index.size and index.ndim != x.ndim and max(index.ndim, 1) != max(x.ndim, 1):
        raise ShapeError(
            f"Index tensor must have the same number of dimensions as {'input' if operator == 'gather' else target} "
            "tensor: "
            f"{operator}() got index of shape {list(index.shape)} and tensor of shape {list(x.shape)}"
        )
    if index.size == 0:
        return
    for d in range(-x.ndim, 0):
        if d != dim and index.shape[d] > x.shape[d]:
            raise ShapeError(
                f"Size does not match at dimension {d + x.ndim} expected index {list(index.shape)} to be no larger "
                f"than {target} "
                f"{list(x.shape)} apart from dimension {dim + x.ndim}"
            )
    check_bounds(index, x.shape[dim] if x.ndim else 1, dim=dim + max(x.ndim, 1), error=ShapeError)


@public
def gather(input, dim, index, *, sparse_grad=False):
    """``out[i][j] = input[i][index[i][j]]`` for dim 1, and likewise for other dimensions. index: int64, as many
    dimensions as input.

    >>> import chainrule as torch
    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    x = tensor_argument(input, "gather")._data
    i = index_argument(index, "gather", BOTH)
    d = one_dim(dim, x.ndim, "gather")
    check_gather(x, i, d, "gather")
    if i.dtype not in BOTH:
        index = Tensor._wrap(i.astype(np.int64))
    if x.ndim == 0 or i.ndim == 0 or i.ndim != x.ndim:
        flat = index_p(reshape(input, -1), index if i.ndim else reshape(index, 1), dims=(-1,))
        return reshape(flat, tuple(i.shape))
    return gather_p(input, index, dim=d)


@public
def take_along_dim(input, indices, dim=None):
    """``gather`` with ``input`` and ``indices`` broadcast against each other in the other dimensions; without dim, on
    the flattened input.

    >>> import chainrule as torch
    >>> x = torch.tensor([[3, 1], [2, 5]])
    >>> torch.take_along_dim(x, torch.tensor([[1], [0]]), dim=1)
    tensor([[1],
            [2]])
    """
    tensor_argument(input, "take_along_dim")
    i = tensor_argument(indices, "take_along_dim", "indices")._data
    if i.dtype != np.int64:
        raise DTypeError(f"torch.take_along_dim(): dtype of indices should be Long but got {indices.dtype}")
    if dim is None:
        return gather(reshape(input, -1), 0, reshape(indices, -1))
    x = input._data
    if x.ndim != i.ndim:
        raise ShapeError(
            f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got {x.ndim} "
            "dimensions for "
            f"input, and {i.ndim} dimensions for indices"
        )
    d = one_dim(dim, x.ndim, "take_along_dim")
    if i.size and (hasattr(i, "builder") or (type(i) is np.ndarray and i.min() < 0)):
        indices = Tensor._wrap(np.where(i < 0, i + (x.shape[d] if x.ndim else 1), i))
    a, b = list(x.shape), list(i.shape)
    if x.ndim:
        a[d] = b[d] = 1
        probe = [Tensor._wrap(np.broadcast_to(np.zeros((), bool), s)) for s in (a, b)]
        shape = list(common_shape(probe))
        sx, si = list(shape), list(shape)
        sx[d], si[d] = x.shape[d], i.shape[d]
        input, indices = expand(input, sx), expand(indices, si)
    return gather(input, d, indices)


# ---- index_select: whole slices along one dimension

_SELF = "index out of range in self: index {i}, but the size of the dimension is {n}"


def _index_select(x, index, dim):
    return np.take(x, index, axis=dim)


def _unselect(g, index, shape, dim):
    key = [ALL] * len(shape)
    key[dim] = index
    return add_at(shape, key, g)


index_select_p = move(
    "index_select",
    _index_select,
    lambda o, g, s, index, *, dim: o.unselect(g, index, shape=s[0], dim=dim),
    selecting=True,
)
linear(
    "unselect",
    _unselect,
    lambda o, g, s, index, *, shape, dim: o.index_select(g, index, dim=dim),
    node_name="IndexAddBackward0",
)


def vector_index(index, operator):
    """The index of index_select and its kin: ints, one dimension (or none)."""
    a = tensor_argument(index, operator, "index")._data
    if a.ndim > 1:
        raise IndexRangeError(f"{operator}(): Index is supposed to be a vector, but got dim: {a.ndim}")
    if a.dtype not in BOTH:
        raise DTypeError(f"{operator}(): Expected dtype int32 or int64 for index, got {index.dtype}")
    return index if a.ndim else view_p(index, shape=(1,))


@public
def index_select(input, dim, index):
    """The slices of ``input`` along ``dim`` at the places in the vector ``index``; a copy.

    >>> import chainrule as torch
    >>> torch.index_select(torch.tensor([[1, 2], [3, 4]]), 0, torch.tensor([1, 1]))
    tensor([[3, 4],
            [3, 4]])
    """
    x = tensor_argument(input, "index_select")._data
    index = vector_index(index, "index_select")
    d = one_dim(dim, x.ndim, "index_select")
    check_bounds(index._data, x.shape[d] if x.ndim else 1, _SELF)
    if x.ndim == 0:
        if index._data.size != 1:
            raise IndexRangeError(
                f"index_select(): Index to scalar can have only 1 value, got {index._data.size} value(s)"
            )
        return squeeze_p(index_select_p(view_p(input, shape=(1,)), index, dim=-1), dim=(-1,))
    return index_select_p(input, index, dim=d)


@public
def take(input, index):
    """The elements of the flattened input at ``index``, in its shape; negative places count from the end.

    >>> import chainrule as torch
    >>> torch.take(torch.tensor([[4, 3], [2, 1]]), torch.tensor([0, -1]))
    tensor([4, 1])
    """
    n = tensor_argument(input, "take")._data.size
    i = tensor_argument(index, "take", "index")._data
    if i.dtype != np.int64:
        raise DTypeError(f"take(): Expected a long tensor for index, but got {index.dtype}")
    check_flat(i, n, "take")
    return index_p(reshape(input, -1), index, dims=(-1,))


def check_flat(index, n, operator):
    """Bounds of an index into flattened memory, where negative places count from the end."""
    if index.size == 0:
        return
    if n == 0:
        raise IndexRangeError(f"{operator}(): tried to take from an empty tensor")
    if hasattr(type(index), "within"):
        message = f"out of range: tried to access an index outside a tensor of {n} elements."
        index.within(-n, n, message, again=lambda a: check_flat(a, n, operator))
        return
    low, high = int(index.min()), int(index.max())
    if low < -n or high >= n:
        raise IndexRangeError(
            f"out of range: tried to access index {high if high >= n else low} on a tensor of {n} elements."
        )
