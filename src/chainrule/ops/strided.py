"""Views by stride: diagonals, sliding windows, and ``as_strided`` itself."""

import numpy as np

from ..config import tracing
from ..errors import ShapeError
from ..primitive import linear, public
from ..primitive.arguments import one_dim, tensor_argument
from ..primitive.view import view as view_operator
from .axes import changing_shape
from .shape import FULL, sizes_of, view_p
from .views import int_argument, part

as_strided_array = np.lib.stride_tricks.as_strided

# ---- diagonal


def _diagonal(x, offset, dim1, dim2):
    r = x.diagonal(offset, dim1, dim2)
    if x.flags.writeable:
        r.flags.writeable = True  # NumPy's diagonals are read-only by default, PyTorch's are not
    return r


def _undiagonal(g, shape, offset, dim1, dim2):
    lead = g.ndim - len(shape) + 1
    out = np.zeros(g.shape[:lead] + tuple(shape), g.dtype)
    _diagonal(out, offset, dim1, dim2)[...] = g
    return out


diagonal_p = view_operator(
    "diagonal",
    _diagonal,
    lambda o, g, s, *, offset, dim1, dim2: o.undiagonal(g, shape=s[0], offset=offset, dim1=dim1, dim2=dim2),
    front=True,
    selecting=True,
)
undiagonal = linear(
    "undiagonal",
    _undiagonal,
    lambda o, g, s, *, shape, offset, dim1, dim2: o.diagonal(g, offset=offset, dim1=dim1, dim2=dim2),
    front=True,
)


def diagonal_dims(input, dim1, dim2, operator):
    """Two different dimensions as negative ints."""
    n = tensor_argument(input, operator)._data.ndim
    d1, d2 = one_dim(dim1, n, operator), one_dim(dim2, n, operator)
    if d1 == d2:
        raise ShapeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return d1, d2


@public
def diagonal(input, offset=0, dim1=0, dim2=1):
    """The diagonal of the matrices in dimensions ``dim1`` and ``dim2``, as a new last dimension (a view).

    >>> import chainrule as torch
    >>> torch.diagonal(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    d1, d2 = diagonal_dims(input, dim1, dim2, "diagonal")
    return diagonal_p(input, offset=int_argument(offset, "diagonal", "offset"), dim1=d1, dim2=d2)


@public(name="diagonal", namespaces=("linalg",), method=False)
def matrix_diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """The diagonal of the matrices in the last two dimensions (a view).

    >>> import chainrule as torch
    >>> torch.linalg.diagonal(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    return diagonal(A, offset, dim1, dim2)


# ---- sliding windows


def _windows(x, dim, size, step):
    lead = x.ndim + dim
    n, stride = x.shape[dim], x.strides[dim]
    shape = (*x.shape[:lead], (n - size) // step + 1, *x.shape[lead + 1 :], size)
    strides = (*x.strides[:lead], stride * step, *x.strides[lead + 1 :], stride)
    return as_strided_array(x, shape, strides, writeable=x.flags.writeable)


def _unwindows(g, shape, dim, size, step):
    lead = g.ndim - 1 - len(shape)
    out = np.zeros(g.shape[:lead] + tuple(shape), g.dtype)
    count = (shape[dim] - size) // step + 1
    for i in range(size):  # one window position at a time: no two of its elements overlap
        out[(..., slice(i, i + count * step, step), *FULL[-dim - 1])] += g[..., i]
    return out


windows = view_operator(
    "unfold",
    _windows,
    lambda o, g, s, *, dim, size, step: o.unwindows(g, shape=s[0], dim=dim, size=size, step=step),
    front=True,
    selecting=True,
)
unwindows = linear(
    "unwindows",
    _unwindows,
    lambda o, g, s, *, shape, dim, size, step: o.unfold(g, dim=dim, size=size, step=step),
    front=True,
)


@public(namespaces=())
def unfold(input, dimension, size, step):
    """Windows of ``size`` elements along ``dimension``, every ``step``, as a new last dimension (a view).

    >>> import chainrule as torch
    >>> torch.arange(5).unfold(0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    a = tensor_argument(input, "unfold")._data
    d = one_dim(dimension, a.ndim, "unfold")
    n = a.shape[d] if a.ndim else 1
    if size < 0:
        raise ShapeError(f"size is {size} but must be >= 0")
    if size > n:
        raise ShapeError(f"maximum size for tensor at dimension {d + max(a.ndim, 1)} is {n} but size is {size}")
    if step <= 0:
        raise ShapeError(f"step is {step} but must be > 0")
    if a.ndim == 0:
        return slice_scalar(input, size)
    return windows(input, dim=d, size=size, step=step)


def slice_scalar(input, size):
    """The window of a 0-d tensor: all of it, or nothing."""
    return part(view_p(input, shape=(1,)), -1, 0, size)


# ---- as_strided: PyTorch counts sizes, strides and the offset on the memory that owns the tensor


def storage(x):
    """``(flat array over all the memory that x lives in, offset of x in elements)``."""
    root = below = x
    while below is not None:
        if isinstance(below, np.ndarray):
            if below.dtype != x.dtype:
                break
            root = below
        below = getattr(below, "base", None)  # below a strided view lies an object that is no array
    if root.flags.c_contiguous:
        flat = root.reshape(-1)
    elif root.flags.f_contiguous:
        flat = root.reshape(-1, order="F")
    else:
        raise ShapeError("as_strided(): this tensor's memory is not one dense block; call .contiguous() first")
    start = x.__array_interface__["data"][0] - flat.__array_interface__["data"][0]
    return flat, start // x.itemsize


def check_span(size, stride, start, length, itemsize):
    """Raise unless the places that sizes, strides and offset name lie in a memory of ``length`` elements."""
    last = start + sum([(n - 1) * k for n, k in zip(size, stride, strict=True)]) if 0 not in size else start - 1
    if last >= length:
        raise ShapeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {start}, and itemsize "
            f"{itemsize} requiring a "
            f"storage size of {(last + 1) * itemsize} are out of bounds for storage of size {length * itemsize}"
        )


def _as_strided(x, size, stride, storage_offset=None, source=None):
    flat, start = storage(x)
    start = start if storage_offset is None else storage_offset
    check_span(size, stride, start, flat.size, x.itemsize)
    return as_strided_array(flat[start:], size, tuple([k * x.itemsize for k in stride]), writeable=x.flags.writeable)


def positions(size, stride, offset):
    """The place in memory, in elements, of every element."""
    p = np.full((1,) * len(size), offset)
    for d, (n, k) in enumerate(zip(size, stride, strict=True)):
        p = p + (np.arange(n) * k).reshape((n,) + (1,) * (len(size) - d - 1))
    return np.broadcast_to(p, size)


def _geometry(shape, size, stride, storage_offset, source):
    """Places of the view's elements and of the tensor's own, in memory."""
    source_stride, source_offset = source
    return (
        positions(size, stride, source_offset if storage_offset is None else storage_offset).ravel(),
        positions(shape, source_stride, source_offset).ravel(),
    )


def _as_strided_back(g, shape, size, stride, storage_offset, source):
    there, here = _geometry(shape, size, stride, storage_offset, source)
    length = 1 + max(there.max(initial=-1), here.max(initial=-1))
    memory = np.bincount(there, g.ravel(), length) if there.size else np.zeros(length)
    if np.unique(here).size != here.size:  # an expanded input: PyTorch shares the gradient among the copies
        memory = memory / np.maximum(np.bincount(here, minlength=length), 1)
    return memory[here].reshape(shape).astype(g.dtype)


def _as_strided_forth(x, shape, size, stride, storage_offset, source):
    """What the view reads from ``x`` if nothing else is in memory: the transpose of ``_as_strided_back``."""
    there, here = _geometry(shape, size, stride, storage_offset, source)
    length = 1 + max(there.max(initial=-1), here.max(initial=-1))
    memory = np.bincount(here, x.ravel(), length) if here.size else np.zeros(length)
    if np.unique(here).size != here.size:
        memory = memory / np.maximum(np.bincount(here, minlength=length), 1)
    return memory[there].reshape(size).astype(x.dtype)


as_strided_p = view_operator(
    "as_strided",
    _as_strided,
    lambda o, g, s, *, size, stride, storage_offset=None, source=None: o.as_strided_back(
        g, shape=s[0], size=size, stride=stride, storage_offset=storage_offset, source=source
    ),
    selecting=True,
)
linear(
    "as_strided_back",
    _as_strided_back,
    lambda o, g, s, *, shape, size, stride, storage_offset, source: o.as_strided_forth(
        g, shape=shape, size=size, stride=stride, storage_offset=storage_offset, source=source
    ),
)
linear(
    "as_strided_forth",
    _as_strided_forth,
    lambda o, g, s, *, shape, size, stride, storage_offset, source: o.as_strided_back(
        g, shape=shape, size=size, stride=stride, storage_offset=storage_offset, source=source
    ),
)


def _strides(a):
    return tuple([k // a.itemsize for k in a.strides])


def place_in_memory(input, operator):
    """``(tensor, (strides, offset))``: where ``input`` lies in the memory of the tensor, which is ``input`` itself, but
    while a function is compiled the one that owns the memory and lies there in C order."""
    a = input._data
    if not hasattr(type(a), "values_needed"):
        return input, (_strides(a), storage(a)[1])
    tracer = tracing()
    tracer.lift((input,))
    owner = input if input._base is None else input._base
    tracer.owns(owner, operator)
    memory = like = np.empty(owner._data.shape, np.int8)
    for step, params in input._view or ():
        like = step.kernel(like, **params) if hasattr(step, "kernel") else step.prim.kernel(like, **params)[step.nr]
    start = like.__array_interface__["data"][0] - memory.__array_interface__["data"][0] if like.size else 0
    return owner, (like.strides, start)


def checked_strides(input, size, stride, operator):
    """``(size, stride)`` as tuples that fit together."""
    tensor_argument(input, operator)
    size, stride = sizes_of((size,), operator), sizes_of((stride,), operator)
    if len(size) != len(stride):
        raise ShapeError(
            f"mismatch in length of strides and shape: {operator}() got size {list(size)} and stride {list(stride)}"
        )
    if any(k < 0 for k in stride):
        raise ShapeError(f"{operator}: Negative strides are not supported at the moment, got strides: {list(stride)}")
    return size, stride


@public
def as_strided(input, size, stride, storage_offset=None):
    """A view with the given sizes, strides and offset (in elements) on the memory of ``input``.

    >>> import chainrule as torch
    >>> torch.as_strided(torch.arange(6), (2, 2), (1, 2), 1)
    tensor([[1, 3],
            [2, 4]])
    """
    size, stride = checked_strides(input, size, stride, "as_strided")
    owner, source = place_in_memory(input, "as_strided")
    if owner is not input:
        storage_offset = source[1] if storage_offset is None else storage_offset
        source = (_strides(np.empty(owner._data.shape, np.int8)), 0)
    return as_strided_p(owner, size=size, stride=stride, storage_offset=storage_offset, source=source)


changing_shape(as_strided)
