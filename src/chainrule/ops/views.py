"""Views of part of a tensor: select, narrow, split, diagonal, windows and strides.

Basic indexing is one operator, ``slices``, whose parameter is a NumPy index that starts with an Ellipsis and names
every dimension of the tensor;
so it gives arrays (not scalars) and means the same with further leading dimensions.
"""

import numpy as np

from ..errors import ArgumentError, IndexRangeError, ShapeError
from ..handle import Tensor
from ..primitive import linear, public
from ..primitive.arguments import one_dim, tensor_argument
from ..primitive.view import view as view_operator
from ..primitive.view import views as views_operator
from .refusal import needs_values
from .shape import FULL, sizes_of

ndarray = np.ndarray

# ---- slices: ints, slices and None


def last_step(arrays, params):
    """The name of the last step PyTorch would take for a basic index; a slice over all of a dimension is no step."""
    name, dim = params.get("name"), 0
    if name is not None:
        return name
    name, shape = "AliasBackward0", arrays[0].shape
    for part in params["index"][1:]:
        if part is None:
            name = "UnsqueezeBackward0"
        elif part.__class__ is slice:
            n = shape[dim]
            if part != slice(None) and part.indices(n) != (0, n, 1):
                name = "SliceBackward0"
            dim += 1
        else:
            name = "SelectBackward0"
            dim += 1
    return name


def _slices(x, index, name=None):
    return x[index]


def _unslices(g, shape, index):
    lead = g.ndim - len(shape)
    for i in index:
        if i.__class__ is int:
            lead += 1
        elif i is None:
            lead -= 1
    out = np.zeros(g.shape[:lead] + tuple(shape), g.dtype)
    out[index] = g
    return out


slices = view_operator(
    "slices",
    _slices,
    lambda o, g, s, *, index, name=None: o.unslices(g, shape=s[0], index=index),
    front=True,
    selecting=True,
    node_name=last_step,
)
unslices = linear("unslices", _unslices, lambda o, g, s, *, shape, index: o.slices(g, index=index), front=True)


def part(x, dim, start, stop, step=1, name="SliceBackward0"):
    """``x`` from ``start`` to ``stop`` along the negative ``dim``."""
    return slices(x, index=(..., slice(start, stop, step), *FULL[-dim - 1]), name=name)


@public
def select(input, dim, index):
    """The slice at ``index`` along ``dim``, without that dimension (a view).

    >>> import chainrule as torch
    >>> torch.select(torch.tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([1, 3])
    """
    shape = tensor_argument(input, "select")._data.shape
    if not shape:
        raise IndexRangeError("select() cannot be applied to a 0-dim tensor.")
    d = one_dim(dim, len(shape), "select")
    i = int_argument(index, "select", "index")
    n = shape[d]
    if not -n <= i < n:
        raise IndexRangeError(
            f"select(): index {i} out of range for tensor of size {list(shape)} at dimension {d + len(shape)}"
        )
    return slices(input, index=(..., i, *FULL[-d - 1]), name="SelectBackward0")


def int_argument(x, operator, name):
    """An int, or an integer tensor with one element."""
    if type(x) is int:
        return x
    if isinstance(x, Tensor):
        needs_values(x._data, operator, f"{name}, a tensor,", "Pass an int")
    try:
        return x.__index__()
    except AttributeError:
        raise ArgumentError(f"{operator}(): argument '{name}' must be int, not {type(x).__name__}") from None


_GATHERED = "Write torch.index_select(x, dim, start + torch.arange(length)), a copy"


def _narrow_range(input, dim, start, length, operator):
    shape = tensor_argument(input, operator)._data.shape
    if not shape:
        raise ShapeError(f"{operator}() cannot be applied to a 0-dim tensor.")
    d = one_dim(dim, len(shape), operator)
    if isinstance(start, Tensor):
        needs_values(start._data, operator, "the place of a view", _GATHERED)
    start, length, n = int_argument(start, operator, "start"), int_argument(length, operator, "length"), shape[d]
    if length < 0:
        raise ShapeError(f"{operator}(): length must be non-negative.")
    if not -n <= start <= n:
        raise IndexRangeError(f"start out of range (expected to be in range of [{-n}, {n}], but got {start})")
    start += n if start < 0 else 0
    if start + length > n:
        raise ShapeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return d, start, start + length


@public
def narrow(input, dim, start, length):
    """``length`` elements along ``dim`` from ``start`` on (a view).

    >>> import chainrule as torch
    >>> torch.narrow(torch.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    return part(input, *_narrow_range(input, dim, start, length, "narrow"))


@public
def narrow_copy(input, dim, start, length):
    """Like ``narrow``, but a copy.

    >>> import chainrule as torch
    >>> torch.narrow_copy(torch.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    d, start, stop = _narrow_range(input, dim, start, length, "narrow_copy")
    return narrow_copy_p(input, index=(..., slice(start, stop), *FULL[-d - 1]))


narrow_copy_p = linear(
    "narrow_copy",
    lambda x, index: x[index].copy(),
    lambda o, g, s, *, index: o.unslices(g, shape=s[0], index=index),
    front=True,
    selecting=True,
)

# ---- several views at once

split_p = views_operator(
    "split",
    lambda x, bounds, dim, name=None: [x[(..., slice(a, b), *FULL[-dim - 1])] for a, b in bounds],
    lambda o, g, s, *, bounds, dim, name=None: o.cat(*g, dim=dim),
    front=True,
    node_name=lambda arrays, params: params.get("name", "SplitBackward0"),
)
unbind_p = views_operator(
    "unbind",
    lambda x, dim: [x[(..., i, *FULL[-dim - 1])] for i in range(x.shape[dim])],
    lambda o, g, s, *, dim: o.stack(*g, dim=dim),
    front=True,
)


@public
def unbind(input, dim=0):
    """All slices along ``dim``, a tuple of views.

    >>> import chainrule as torch
    >>> torch.unbind(torch.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    n = tensor_argument(input, "unbind")._data.ndim
    if n == 0:
        raise IndexRangeError(f"Dimension specified as {dim} but tensor has no dimensions")
    return unbind_p(input, dim=one_dim(dim, n, "unbind"))


def _split_equal(input, size, d, name="SplitBackward0"):
    n = input._data.shape[d]
    bounds = tuple([(a, min(a + size, n)) for a in range(0, n, size)]) if n else ((0, 0),)
    return split_p(input, bounds=bounds, dim=d, name=name)


def _split(input, split_size_or_sections, dim, operator, name):
    n_dims = tensor_argument(input, operator)._data.ndim
    if n_dims == 0:
        raise ShapeError(f"{operator} expects at least a 1-dimensional tensor")
    d = one_dim(dim, n_dims, operator)
    n = input._data.shape[d]
    if isinstance(split_size_or_sections, (tuple, list)):
        sizes = sizes_of((split_size_or_sections,), operator)
        if any(k < 0 for k in sizes):
            raise ShapeError(
                "split_with_sizes expects split_sizes have only non-negative entries, but got "
                f"split_sizes={list(sizes)}"
            )
        if sum(sizes) != n:
            raise ShapeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension "
                f"{dim if dim < 0 else d + n_dims}), but got split_sizes={list(sizes)}"
            )
        bounds, start = [], 0
        for k in sizes:
            bounds.append((start, start + k))
            start += k
        return split_p(input, bounds=tuple(bounds), dim=d, name=name.replace("Split", "SplitWithSizes"))
    size = int_argument(split_size_or_sections, operator, "split_size_or_sections")
    if size < 0:
        raise ShapeError(f"split expects split_size be non-negative, but got split_size={size}")
    if size == 0 and n:
        raise ShapeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}")
    return _split_equal(input, size or 1, d, name)


@public
def split(tensor, split_size_or_sections=None, dim=0, *, split_size=None):
    """Views of ``split_size`` elements along ``dim`` (the last may be smaller), or of the sizes listed.

    >>> import chainrule as torch
    >>> torch.split(torch.arange(5), [2, 3])
    (tensor([0, 1]), tensor([2, 3, 4]))
    """
    sizes = split_size if split_size_or_sections is None else split_size_or_sections
    return _split(tensor, sizes, dim, "split", "SplitBackward0")


@public
def split_with_sizes(input, split_sizes, dim=0):
    """Views of the sizes listed along ``dim``.

    >>> import chainrule as torch
    >>> torch.split_with_sizes(torch.arange(5), [4, 1])
    (tensor([0, 1, 2, 3]), tensor([4]))
    """
    return _split(input, list(sizes_of((split_sizes,), "split_with_sizes")), dim, "split_with_sizes", "SplitBackward0")


@public
def unsafe_split(input, split_size, dim=0):
    """``split``; PyTorch's version skips checks of in-place changes.

    >>> import chainrule as torch
    >>> torch.unsafe_split(torch.arange(3), 2)
    (tensor([0, 1]), tensor([2]))
    """
    return _split(input, split_size, dim, "split", "UnsafeSplitBackward0")


@public
def unsafe_split_with_sizes(input, split_sizes, dim=0):
    """``split_with_sizes``; PyTorch's version skips checks of in-place changes.

    >>> import chainrule as torch
    >>> torch.unsafe_split_with_sizes(torch.arange(3), [1, 2])
    (tensor([0]), tensor([1, 2]))
    """
    sizes = list(sizes_of((split_sizes,), "unsafe_split_with_sizes"))
    return _split(input, sizes, dim, "split_with_sizes", "UnsafeSplitBackward0")


def _chunk(input, chunks, dim, name):
    n_dims = tensor_argument(input, "chunk")._data.ndim
    if n_dims == 0:
        raise ShapeError("chunk expects at least a 1-dimensional tensor")
    chunks = int_argument(chunks, "chunk", "chunks")
    if chunks <= 0:
        raise ShapeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = one_dim(dim, n_dims, "chunk")
    n = input._data.shape[d]
    if n == 0:
        return split_p(input, bounds=((0, 0),) * chunks, dim=d, name=name.replace("Split", "SplitWithSizes"))
    return _split_equal(input, -(-n // chunks), d, name)


@public
def chunk(input, chunks, dim=0):
    """At most ``chunks`` views of equal size along ``dim`` (the last may be smaller).

    >>> import chainrule as torch
    >>> torch.chunk(torch.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    return _chunk(input, chunks, dim, "SplitBackward0")


@public
def unsafe_chunk(input, chunks, dim=0):
    """``chunk``; PyTorch's version skips checks of in-place changes.

    >>> import chainrule as torch
    >>> torch.unsafe_chunk(torch.arange(3), 2)
    (tensor([0, 1]), tensor([2]))
    """
    return _chunk(input, chunks, dim, "UnsafeSplitBackward0")


@public
def tensor_split(input, indices_or_sections, dim=0):
    """Views along ``dim``: that many of nearly equal size, or cut at the indices listed.

    >>> import chainrule as torch
    >>> torch.tensor_split(torch.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    >>> torch.tensor_split(torch.arange(5), (1, 4))
    (tensor([0]), tensor([1, 2, 3]), tensor([4]))
    """
    n_dims = tensor_argument(input, "tensor_split")._data.ndim
    if n_dims == 0:
        raise ShapeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = one_dim(dim, n_dims, "tensor_split")
    n = input._data.shape[d]
    if isinstance(indices_or_sections, Tensor):
        a = indices_or_sections._data
        if a.dtype != np.int64:
            raise ShapeError(
                f"tensor_split expected tensor_indices_or_sections to have dtype of long, but got {a.dtype}"
            )
        if a.ndim > 1:
            raise ShapeError(
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional "
                "tensor, but got a "
                f"tensor with {a.ndim} dims"
            )
        needs_values(a, "tensor_split", "the number of elements in each part", "Pass ints")
        indices_or_sections = a.tolist()
    if isinstance(indices_or_sections, (tuple, list)):
        cuts = list(sizes_of((indices_or_sections,), "tensor_split"))
        return tuple([part(input, d, a, b) for a, b in zip([0, *cuts], [*cuts, n], strict=True)])
    k = int_argument(indices_or_sections, "tensor_split", "indices_or_sections")
    if k <= 0:
        raise ShapeError(f"number of sections must be larger than 0, got {k}")
    small, extra = divmod(n, k)
    out, start = [], 0
    for i in range(k):
        stop = start + small + (i < extra)
        out.append(part(input, d, start, stop))
        start = stop
    return tuple(out)


def _axis_split(input, indices_or_sections, operator, least, dim):
    n_dims = tensor_argument(input, operator)._data.ndim
    if n_dims < least:
        raise ShapeError(
            f"torch.{operator} requires a tensor with at least {least} dimension, but got a tensor with {n_dims} "
            "dimensions!"
        )
    if isinstance(indices_or_sections, int):
        n = input._data.shape[dim]
        if indices_or_sections <= 0 or n % indices_or_sections:
            raise ShapeError(
                f"torch.{operator} attempted to split along dimension {dim}, but the size of the dimension {n} is not "
                "divisible by "
                f"the split_size {indices_or_sections}!"
            )
    return tensor_split(input, indices_or_sections, dim)


@public
def hsplit(input, indices_or_sections):
    """``tensor_split`` along dimension 1 (0 for a vector), into equal parts if a number is given.

    >>> import chainrule as torch
    >>> torch.hsplit(torch.arange(4), 2)
    (tensor([0, 1]), tensor([2, 3]))
    """
    return _axis_split(input, indices_or_sections, "hsplit", 1, 0 if input._data.ndim == 1 else 1)


@public
def vsplit(input, indices_or_sections):
    """``tensor_split`` along dimension 0, into equal parts if a number is given.

    >>> import chainrule as torch
    >>> torch.vsplit(torch.tensor([[1, 2], [3, 4]]), 2)
    (tensor([[1, 2]]), tensor([[3, 4]]))
    """
    return _axis_split(input, indices_or_sections, "vsplit", 2, 0)


@public
def dsplit(input, indices_or_sections):
    """``tensor_split`` along dimension 2, into equal parts if a number is given.

    >>> import chainrule as torch
    >>> [p.shape for p in torch.dsplit(torch.zeros(1, 2, 4), 2)]
    [torch.Size([1, 2, 2]), torch.Size([1, 2, 2])]
    """
    return _axis_split(input, indices_or_sections, "dsplit", 3, 2)
