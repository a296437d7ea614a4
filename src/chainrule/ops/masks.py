"""Masks and places: masked_select, masked_scatter, nonzero; and writing a tensor into part of another (select_scatter
and kin)."""

import numpy as np

from ..dtypes import from_numpy_dtype
from ..errors import ArgumentValueError, DTypeError, ShapeError
from ..handle import Tensor, wrap
from ..primitive import linear, public, recorded
from ..primitive.arguments import one_dim, tensor_argument
from .cast import clone_p, to_dtype
from .index_parts import plain_slice
from .indexing import index_p, put, slices_put
from .mask_writes import WHERE, spread, unknown_mask
from .refusal import needs_values, refuse
from .shape import FULL, common_shape, expand_p, reshape
from .strided import checked_strides, diagonal_dims, place_in_memory, positions
from .views import int_argument


@public
def masked_select(input, mask):
    """The elements of ``input`` where ``mask`` is true, as a vector; the two are broadcast first.

    >>> import chainrule as torch
    >>> x = torch.tensor([[1, 2], [3, 4]])
    >>> torch.masked_select(x, x > 2)
    tensor([3, 4])
    """
    tensor_argument(input, "masked_select")
    if tensor_argument(mask, "masked_select", "mask")._data.dtype != bool:
        raise DTypeError(
            f"masked_select: expected BoolTensor for mask, got {mask.dtype}; compare it first, e.g. mask != 0"
        )
    if type(mask._data) is not np.ndarray:
        needs_values(mask._data, "masked_select", "the shape of its result", WHERE)
    shape = common_shape((input, mask))
    input = input if input._data.shape == shape else expand_p(input, shape=shape)
    mask = mask if mask._data.shape == shape else expand_p(mask, shape=shape)
    if not shape:
        return index_p(reshape(input, 1), reshape(mask, 1), dims=(-1,), by="MaskedSelectBackward0")
    return index_p(input, mask, dims=(-len(shape),), by="MaskedSelectBackward0")


@public(inplace=True)
def masked_scatter(input, mask, source):
    """A copy of ``input`` in which the places where ``mask`` is true hold the elements of ``source``, in order.

    >>> import chainrule as torch
    >>> torch.masked_scatter(torch.zeros(3), torch.tensor([True, False, True]), torch.tensor([1.0, 2.0]))
    tensor([1., 0., 2.])
    """
    tensor_argument(source, "masked_scatter", "source")
    if tensor_argument(mask, "masked_scatter", "mask")._data.dtype != bool:
        raise DTypeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if tensor_argument(input, "masked_scatter")._data.dtype != source._data.dtype:
        raise DTypeError(
            f"masked_scatter: expected self and source to have same dtypes but got {input.dtype} and {source.dtype}"
        )
    shape = common_shape((input, mask))
    input = input if input._data.shape == shape else expand_p(input, shape=shape)
    mask = mask if mask._data.shape == shape else expand_p(mask, shape=shape)
    if unknown_mask(mask._data):
        return _scattered(input, mask, source)
    count = int(np.count_nonzero(mask._data))
    if source._data.size < count:
        raise ShapeError(f"Number of elements of source < number of ones in mask: {source._data.size} < {count}")
    source = reshape(source, -1)
    source = source if source._data.size == count else index_p(source, wrap(np.arange(count)), dims=(-1,))
    if not shape:
        return reshape(put(reshape(input, 1), source, [reshape(mask, 1)], (-1,), False), ())
    return put(input, source, [mask], (-len(shape),), False)


def _scattered(input, mask, source):
    """The same while a function is compiled."""
    n = source._data.size
    text = f"Number of elements of source < number of ones in mask: {n}"
    refuse(np.count_nonzero(mask._data) > n, ShapeError, text)
    return recorded.where(mask, spread(reshape(source, -1), mask, -1), input) if n else clone_p(input)


@public
def nonzero(input, *, as_tuple=False):
    """The places of the elements that are not zero, one per row; with ``as_tuple`` a tuple of index vectors, one per
    dimension.

    >>> import chainrule as torch
    >>> torch.nonzero(torch.tensor([[0, 5], [6, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    a = tensor_argument(input, "nonzero")._data
    if type(a) is not np.ndarray:
        needs_values(a, "nonzero", "the shape of its result", WHERE)
    if as_tuple:
        return tuple([wrap(i) for i in np.atleast_1d(a).nonzero()])
    return argwhere(input)


@public
def argwhere(input):
    """The places of the elements that are not zero, one per row.

    >>> import chainrule as torch
    >>> torch.argwhere(torch.tensor([0, 5, 6]))
    tensor([[1],
            [2]])
    """
    a = tensor_argument(input, "argwhere")._data
    if type(a) is not np.ndarray:
        needs_values(a, "argwhere", "the shape of its result", WHERE)
    if a.ndim == 0:
        return wrap(np.zeros((int(bool(a)), 0), np.int64))
    return wrap(np.ascontiguousarray(np.stack(a.nonzero(), 1)))


# ---- src written into a view of input, out of place


def _same_size(src, shape):
    if src._data.shape != shape:
        raise ShapeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src._data.shape)}, slice size "
            f"= {list(shape)}"
        )


def _source(input, src, operator):
    return to_dtype(
        tensor_argument(src, operator, "src"), from_numpy_dtype(tensor_argument(input, operator)._data.dtype)
    )


@public
def select_scatter(input, src, dim, index):
    """A copy of ``input`` with ``src`` in place of ``input.select(dim, index)``.

    >>> import chainrule as torch
    >>> torch.select_scatter(torch.zeros(2, 2), torch.ones(2), 0, 1)
    tensor([[0., 0.],
            [1., 1.]])
    """
    src = _source(input, src, "select_scatter")
    d = one_dim(dim, input._data.ndim, "select_scatter", wrap_scalar=False)
    i, n = int_argument(index, "select_scatter", "index"), input._data.shape[d]
    if not -n <= i < n:
        raise ShapeError(
            f"select_scatter(): index {i} out of range for tensor of size {list(input._data.shape)} at dimension {dim}"
        )
    shape = list(input._data.shape)
    del shape[d]
    _same_size(src, tuple(shape))
    return slices_put(input, src, index=(..., i, *FULL[-d - 1]), name="SelectScatterBackward0")


def shape_only(x):
    """An array of the shape of ``x`` without its values: what indexing gives can be asked of it, also for a batch."""
    return np.broadcast_to(np.zeros((), bool), x._data.shape)


@public
def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    """A copy of ``input`` with ``src`` in place of ``input[start:end:step]`` along ``dim``.

    >>> import chainrule as torch
    >>> torch.slice_scatter(torch.zeros(3), torch.ones(2), 0, 1)
    tensor([0., 1., 1.])
    """
    src = _source(input, src, "slice_scatter")
    d = one_dim(dim, input._data.ndim, "slice_scatter", wrap_scalar=False)
    if step <= 0:
        raise ArgumentValueError("slice step must be positive")
    key = (..., plain_slice(slice(start, end, step)), *FULL[-d - 1])
    _same_size(src, shape_only(input)[key].shape)
    return slices_put(input, src, index=key, name="SliceScatterBackward0")


def _diagonal_scatter(x, src, offset, dim1, dim2):
    out = x.copy()
    view = out.diagonal(offset, dim1, dim2)
    view.flags.writeable = True
    view[...] = src
    return out


def _diagonal_scatter_transpose(o, g, s, *, offset, dim1, dim2):
    part = o.diagonal(g, offset=offset, dim1=dim1, dim2=dim2)
    return o.diagonal_scatter(g, part * 0.0, offset=offset, dim1=dim1, dim2=dim2), part


diagonal_scatter_p = linear(
    "diagonal_scatter", _diagonal_scatter, _diagonal_scatter_transpose, linear_in=None, selecting=True, front=True
)


@public
def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """A copy of ``input`` with ``src`` in place of ``input.diagonal(offset, dim1, dim2)``.

    >>> import chainrule as torch
    >>> torch.diagonal_scatter(torch.zeros(2, 2), torch.ones(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    src = _source(input, src, "diagonal_scatter")
    d1, d2 = diagonal_dims(input, dim1, dim2, "diagonal_scatter")
    _same_size(src, shape_only(input).diagonal(offset, d1, d2).shape)
    return diagonal_scatter_p(input, src, offset=offset, dim1=d1, dim2=d2)


@public
def as_strided_scatter(input, src, size, stride, storage_offset=None):
    """A copy of ``input`` with ``src`` in place of ``input.as_strided(size, stride, storage_offset)``.

    >>> import chainrule as torch
    >>> torch.as_strided_scatter(torch.zeros(4), torch.ones(2), (2,), (2,))
    tensor([1., 0., 1., 0.])
    """
    src = _source(input, src, "as_strided_scatter")
    size, stride = checked_strides(input, size, stride, "as_strided_scatter")
    _same_size(src, size)
    owner, (strides, first) = place_in_memory(input, "as_strided_scatter")
    places = positions(size, stride, first if storage_offset is None else storage_offset)
    if owner is not input or not input._data.flags.c_contiguous:
        own = positions(input._data.shape, strides, first).reshape(-1)
        order = np.argsort(own, kind="stable")
        places = order[np.searchsorted(own, places, sorter=order)]
    else:
        places = places - first
    flat = put(reshape(input, -1), src, [Tensor._wrap(np.ascontiguousarray(places))], (-1,), False)
    return reshape(flat, tuple(input._data.shape))
