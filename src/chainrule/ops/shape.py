"""Shape operators: the same elements under other dimensions. All are views where memory allows."""

import math

import numpy as np

from ..devices import Size
from ..dtypes import as_dtype
from ..dtypes import dtype as dtype_class
from ..errors import IndexRangeError, ShapeError
from ..primitive import linear, primitive, public
from ..primitive.arguments import one_dim, size_tuple, tensor_argument
from ..primitive.view import move
from ..primitive.view import view as view_operator
from .cast import clone_p

ndarray = np.ndarray
FULL = tuple((slice(None),) * n for n in range(65))  # FULL[n]: n full slices

# ---- primitives


def _sum_to(x, shape):
    """Sum ``x`` down to ``shape``, which broadcasts to x's."""
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple([lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1])
    if axes:
        if x.dtype.itemsize == 2:  # 16-bit sums need a wider accumulator
            return np.add.reduce(x, axis=axes, dtype=np.float32, keepdims=True).astype(x.dtype).reshape(shape)
        x = np.add.reduce(x, axis=axes, keepdims=True)
    return x.reshape(shape)


sum_to = linear("sum_to", _sum_to, lambda o, g, s, *, shape: o.expand(g, shape=s[0]))


def _expand(x, shape):
    """np.broadcast_to at a fifth of its price. Without repetition the view stays writable."""
    if x.size == math.prod(shape):
        return x.reshape(shape)
    if type(x) is not ndarray or not x.flags.c_contiguous or not x.size:
        return np.broadcast_to(x, shape)
    lead = len(shape) - x.ndim
    strides = (0,) * lead + tuple(
        [k if n == m else 0 for k, n, m in zip(x.strides, x.shape, shape[lead:], strict=True)]
    )
    out = ndarray(shape, x.dtype, x, 0, strides)
    out.flags.writeable = False
    return out


expand_p = view_operator("expand", _expand, lambda o, g, s, *, shape: o.sum_to(g, shape=s[0]))


def _reshape(x, shape):
    return x.reshape(shape)


def _view(x, shape):
    r = x.reshape(shape)
    if not x.flags.c_contiguous and not np.may_share_memory(r, x):
        raise ShapeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous "
            "subspaces). Use .reshape(...) instead."
        )
    return r


reshape_p = move(
    "reshape", _reshape, lambda o, g, s, *, shape: o.reshape(g, shape=s[0]), node_name="UnsafeViewBackward0"
)
view_p = view_operator("view", _view, lambda o, g, s, *, shape: o.reshape(g, shape=s[0]))
# What reshape makes of a tensor with gaps in its memory, where a view is possible.
alias_shape_p = view_operator(
    "reshape_alias", _view, lambda o, g, s, *, shape: o.reshape(g, shape=s[0]), node_name="ReshapeAliasBackward0"
)
view_dtype_p = primitive("view_dtype", lambda x, dtype: x.view(dtype), view=True)


def _permute(x, dims):
    lead = x.ndim - len(dims)
    return x.transpose((*range(lead), *dims) if lead else dims)


permute_p = view_operator(
    "permute", _permute, lambda o, g, s, *, dims: o.permute(g, dims=inverse_permutation(dims)), front=True
)


def inverse_permutation(dims):
    n = len(dims)
    back = [0] * n
    for i, d in enumerate(dims):
        back[d] = i - n
    return tuple(back)


# ---- new shapes


def sizes_of(args, operator):
    """Sizes given one by one or as one sequence, as ints."""
    if len(args) == 1 and not isinstance(args[0], int):
        args = args[0] if isinstance(args[0], (tuple, list)) else args
    for n in args:
        if type(n) is not int:
            return size_tuple(args, operator)
    return tuple(args)


def resolve(shape, n):
    """``shape`` with -1 replaced, for ``n`` elements."""
    if -1 in shape:
        known = 1
        for i, k in enumerate(shape):
            if k >= 0:
                known *= k
            elif k < -1:
                raise ShapeError(f"invalid shape dimension {k} at index {i} of shape {list(shape)}")
        at = shape.index(-1)
        if -1 in shape[at + 1 :]:
            raise ShapeError("only one dimension can be inferred")
        if known == 0 and n == 0:
            raise ShapeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension size "
                "-1 can be any "
                "value and is ambiguous"
            )
        if known == 0 or n % known:
            raise ShapeError(f"shape '{list(shape)}' is invalid for input of size {n}")
        return (*shape[:at], n // known, *shape[at + 1 :])
    if math.prod(shape) != n or (shape and min(shape) < 0):
        for i, k in enumerate(shape):
            if k < 0:
                raise ShapeError(f"invalid shape dimension {k} at index {i} of shape {list(shape)}")
        raise ShapeError(f"shape '{list(shape)}' is invalid for input of size {n}")
    return shape


@public(namespaces=())
def view(input, *shape, dtype=None, size=None):
    """The same memory under another shape (one size may be -1), or, given a dtype, its bytes read as that dtype.

    Raises RuntimeError where the strides do not allow it; ``reshape`` copies there.

    >>> import chainrule as torch
    >>> torch.arange(6).view(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    if size is not None:
        shape = (size,)
    if dtype is None and len(shape) == 1 and type(shape[0]) is dtype_class:
        dtype = shape[0]
    if dtype is not None:
        return _view_dtype(input, as_dtype(dtype))
    return view_p(input, shape=resolve(sizes_of(shape, "view"), input._data.size))


def _view_dtype(input, dtype):
    a = input._data
    if dtype.itemsize != a.dtype.itemsize:
        if a.ndim == 0:
            raise ShapeError(f"self.dim() cannot be 0 to view {input.dtype} as {dtype} (different element sizes)")
        if a.strides[-1] != a.dtype.itemsize:
            raise ShapeError(f"self.stride(-1) must be 1 to view {input.dtype} as {dtype} (different element sizes)")
        if (a.shape[-1] * a.dtype.itemsize) % dtype.itemsize:
            raise ShapeError(
                f"self.size(-1) must be divisible by {dtype.itemsize // a.dtype.itemsize} to view {input.dtype} as "
                f"{dtype}"
            )
    return view_dtype_p(input, dtype=dtype.np)


@public
def reshape(input, *args, shape=None):
    """``input`` under another shape (one size may be -1): a view if its strides allow one, else a copy.

    >>> import chainrule as torch
    >>> torch.reshape(torch.arange(6), (3, 2))
    tensor([[0, 1],
            [2, 3],
            [4, 5]])
    """
    a = tensor_argument(input, "reshape")._data
    return _reshaped(input, a, resolve(sizes_of(args if shape is None else (shape,), "reshape"), a.size))


def _reshaped(input, a, shape):
    if type(a) is not ndarray:
        return reshape_p(input, shape=shape)
    if a.flags.c_contiguous:
        return view_p(input, shape=shape)
    if np.may_share_memory(a.reshape(shape), a):
        return alias_shape_p(input, shape=shape)
    return reshape_p(input, shape=shape)


@public(namespaces=())
def view_as(input, other):
    """``input.view(other.shape)``.

    >>> import chainrule as torch
    >>> torch.arange(4).view_as(torch.zeros(2, 2))
    tensor([[0, 1],
            [2, 3]])
    """
    return view_p(input, shape=resolve(tuple(tensor_argument(other, "view_as", "other")._data.shape), input._data.size))


@public(namespaces=())
def reshape_as(input, other):
    """``input.reshape(other.shape)``.

    >>> import chainrule as torch
    >>> torch.arange(4).reshape_as(torch.zeros(2, 2))
    tensor([[0, 1],
            [2, 3]])
    """
    return reshape(input, tuple(tensor_argument(other, "reshape_as", "other")._data.shape))


@public
def flatten(input, start_dim=0, end_dim=-1):
    """Dimensions ``start_dim`` to ``end_dim`` made one; a 0-d tensor becomes 1-d.

    >>> import chainrule as torch
    >>> torch.flatten(torch.zeros(2, 3, 4), 1).shape
    torch.Size([2, 12])
    """
    a = tensor_argument(input, "flatten")._data
    n = a.ndim
    start, end = one_dim(start_dim, n, "flatten"), one_dim(end_dim, n, "flatten")
    if start > end:
        raise ShapeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if n == 0:
        return _reshaped(input, a, (1,))
    if start == end:
        return input
    s = a.shape
    return _reshaped(input, a, (*s[: n + start], math.prod(s[n + start : n + end + 1]), *s[n + end + 1 :]))


@public
def ravel(input):
    """``input`` as one dimension: a view if its memory is contiguous, else a copy.

    >>> import chainrule as torch
    >>> torch.ravel(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 2, 3, 4])
    """
    a = tensor_argument(input, "ravel")._data
    if type(a) is ndarray and not a.flags.c_contiguous:
        input = clone_p(input)
    return view_p(input, shape=(a.size,)) if type(a) is ndarray else reshape_p(input, shape=(a.size,))


@public
def unflatten(input, dim, sizes):
    """Dimension ``dim`` split into ``sizes`` (one may be -1).

    >>> import chainrule as torch
    >>> torch.unflatten(torch.zeros(3, 4), 1, (2, -1)).shape
    torch.Size([3, 2, 2])
    """
    a = tensor_argument(input, "unflatten")._data
    if a.ndim == 0:
        raise IndexRangeError("Dimension specified as 0 but tensor has no dimensions")
    d = one_dim(dim, a.ndim, "unflatten") + a.ndim
    sizes = sizes_of((sizes,), "unflatten")
    if not sizes:
        raise ShapeError("unflatten: sizes must be non-empty")
    n = a.shape[d]
    if sizes.count(-1) > 1:
        raise ShapeError("only one dimension can be inferred")
    known = math.prod([k for k in sizes if k != -1])
    if (known != n) if -1 not in sizes else (known == 0 or n % known):
        raise ShapeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} ({n}) in the input "
            "tensor"
        )
    return _reshaped(input, a, (*a.shape[:d], *resolve(sizes, n), *a.shape[d + 1 :]))


# ---- broadcasting


@public(namespaces=())
def expand(input, *args, size=None, implicit=False):
    """Dimensions of size 1 repeated, and new ones put in front, without a copy; -1 keeps a size.

    >>> import chainrule as torch
    >>> torch.tensor([[1], [2]]).expand(-1, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    target = sizes_of(args if size is None else (size,), "expand")
    shape = tuple(input._data.shape)
    return expand_p(input, shape=target if target == shape else _expanded(input, shape, target))


def _expanded(input, shape, target):
    lead = len(target) - len(shape)
    if lead < 0:
        raise ShapeError(
            f"expand({input.dtype}{{{list(shape)}}}, size={list(target)}): the number of sizes provided "
            f"({len(target)}) must be greater "
            f"or equal to the number of dimensions in the tensor ({len(shape)})"
        )
    out = list(target)
    for i, n in enumerate(target):
        if n < 0:
            if n < -1:
                raise ShapeError(f"expand(): invalid shape dimension {n} at index {i} of size={list(target)}")
            if i < lead:
                raise ShapeError(
                    f"The expanded size of the tensor ({n}) isn't allowed in a leading, non-existing dimension {i}"
                )
            out[i] = shape[i - lead]
        elif i >= lead and shape[i - lead] != n and shape[i - lead] != 1:
            raise ShapeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({shape[i - lead]}) at "
                f"non-singleton dimension {i}."
                f"  Target sizes: {list(target)}.  Tensor sizes: {list(shape)}"
            )
    return tuple(out)


@public(namespaces=())
def expand_as(input, other):
    """``input.expand(other.shape)``.

    >>> import chainrule as torch
    >>> torch.tensor([1, 2]).expand_as(torch.zeros(2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return expand(input, tuple(tensor_argument(other, "expand_as", "other")._data.shape))


@public
def broadcast_to(input, size):
    """``input`` expanded to ``size``.

    >>> import chainrule as torch
    >>> torch.broadcast_to(torch.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return expand(tensor_argument(input, "broadcast_to"), size)


@public(method=False)
def broadcast_shapes(*shapes):
    """The shape that ``shapes`` broadcast to.

    >>> import chainrule as torch
    >>> torch.broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    out = ()
    for i, s in enumerate(shapes):
        s = (s,) if isinstance(s, int) else size_tuple(s, "broadcast_shapes") if len(s) else ()
        n = max(len(out), len(s))
        a, b = (1,) * (n - len(out)) + out, (1,) * (n - len(s)) + s
        for d in range(n - 1, -1, -1):
            if b[d] < 0:
                raise ShapeError(f"Trying to create tensor with negative dimension ({b[d]}): ({b[d]})")
            if a[d] != b[d] and a[d] != 1 and b[d] != 1:
                raise ShapeError(
                    f"Attempting to broadcast a dimension of length {b[d]} at {d - n}! Mismatching argument at index "
                    f"{i} had {tuple(s)}; "
                    f"but expected shape should be broadcastable to {list(out)}"
                )
        out = tuple([y if x == 1 else x for x, y in zip(a, b, strict=True)])
    return Size(out)


def common_shape(tensors):
    """The shape that tensors broadcast to."""
    out = tensors[0]._data.shape if tensors else ()
    for t in tensors[1:]:
        s = t._data.shape
        if s == out:
            continue
        n = max(len(out), len(s))
        a, b = (1,) * (n - len(out)) + tuple(out), (1,) * (n - len(s)) + tuple(s)
        for d in range(n - 1, -1, -1):
            if a[d] != b[d] and a[d] != 1 and b[d] != 1:
                raise ShapeError(
                    f"The size of tensor a ({a[d]}) must match the size of tensor b ({b[d]}) at non-singleton "
                    f"dimension {d}"
                )
        out = tuple([y if x == 1 else x for x, y in zip(a, b, strict=True)])
    return tuple(out)


@public(method=False)
def broadcast_tensors(*tensors):
    """The tensors, expanded to their common shape.

    >>> import chainrule as torch
    >>> a, b = torch.broadcast_tensors(torch.zeros(2, 1), torch.zeros(3))
    >>> a.shape, b.shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    """
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    for t in tensors:
        tensor_argument(t, "broadcast_tensors", "tensors")
    shape = common_shape(tensors)
    return tuple([t if t._data.shape == shape else expand_p(t, shape=shape) for t in tensors])
