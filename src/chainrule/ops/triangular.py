"""Triangles and diagonals of matrices: tril, triu, their indices, diag, diag_embed, diagflat, trace."""

import numpy as np

from ..dtypes import as_dtype, int32, int64
from ..errors import DTypeError, ShapeError
from ..handle import wrap
from ..primitive import linear, public
from ..primitive.arguments import one_dim, tensor_argument
from ..primitive.view import move
from .shape import reshape
from .views import int_argument

# ---- triangles


def _tril(x, diagonal):
    return x * np.tri(x.shape[-2], x.shape[-1], diagonal, bool) if x.dtype.kind == "b" else np.tril(x, diagonal)


tril_p = move("tril", _tril, lambda o, g, s, *, diagonal: o.tril(g, diagonal=diagonal), front=True, selecting=True)
triu_p = move(
    "triu",
    lambda x, diagonal: np.triu(x, diagonal),
    lambda o, g, s, *, diagonal: o.triu(g, diagonal=diagonal),
    front=True,
    selecting=True,
)


def _check_matrix(input, operator):
    if tensor_argument(input, operator)._data.ndim < 2:
        raise ShapeError(f"{operator}: input tensor must have at least 2 dimensions, got {input._data.ndim}")


@public(inplace=True)
def tril(input, diagonal=0):
    """The lower triangle of each matrix: zero above the given diagonal.

    >>> import chainrule as torch
    >>> torch.tril(torch.tensor([[1, 2], [3, 4]]))
    tensor([[1, 0],
            [3, 4]])
    """
    _check_matrix(input, "tril")
    return tril_p(input, diagonal=int_argument(diagonal, "tril", "diagonal"))


@public(inplace=True)
def triu(input, diagonal=0):
    """The upper triangle of each matrix: zero below the given diagonal.

    >>> import chainrule as torch
    >>> torch.triu(torch.tensor([[1, 2], [3, 4]]))
    tensor([[1, 2],
            [0, 4]])
    """
    _check_matrix(input, "triu")
    return triu_p(input, diagonal=int_argument(diagonal, "triu", "diagonal"))


def _indices(operator, places, row, col, offset, dtype):
    dtype = int64 if dtype is None else as_dtype(dtype)
    if row < 0 or col < 0:
        name, n = ("row", row) if row < 0 else ("col", col)
        raise ShapeError(f"{name} must be non-negative, got{n}")
    if dtype not in (int64, int32):
        raise DTypeError(f'"{operator}" not implemented for {dtype}; use torch.int64 or torch.int32')
    return wrap(np.array(places(row, offset, col), dtype.np).reshape(2, -1))


@public(method=False)
def tril_indices(row, col, offset=0, *, dtype=None, device="cpu", layout=None):
    """Row and column numbers of the lower triangle of a ``row`` by ``col`` matrix, row by row.

    >>> import chainrule as torch
    >>> torch.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _indices("tril_indices", np.tril_indices, row, col, offset, dtype)


@public(method=False)
def triu_indices(row, col, offset=0, *, dtype=None, device="cpu", layout=None):
    """Row and column numbers of the upper triangle of a ``row`` by ``col`` matrix, row by row.

    >>> import chainrule as torch
    >>> torch.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return _indices("triu_indices", np.triu_indices, row, col, offset, dtype)


# ---- diagonals


def _diag_embed(x, offset, dim1, dim2):
    n = x.shape[-1] + abs(offset)
    out = np.zeros((*x.shape[:-1], n, n), x.dtype)
    view = out.diagonal(offset, -2, -1)
    view.flags.writeable = True
    view[...] = x
    if (dim1, dim2) == (-2, -1):
        return out
    return np.ascontiguousarray(np.moveaxis(out, (-2, -1), (dim1, dim2)))


diag_embed_p = move(
    "diag_embed",
    _diag_embed,
    lambda o, g, s, *, offset, dim1, dim2: o.diagonal(g, offset=offset, dim1=dim1, dim2=dim2),
    front=True,
)
diagonal_copy_p = linear(
    "diagonal_copy",
    lambda x, offset, dim1, dim2: x.diagonal(offset, dim1, dim2).copy(),
    lambda o, g, s, *, offset, dim1, dim2: o.undiagonal(g, shape=s[0], offset=offset, dim1=dim1, dim2=dim2),
    front=True,
    selecting=True,
    node_name="DiagonalBackward0_copy",
)


@public(namespaces=("torch",))
def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Matrices (in new dimensions ``dim1`` and ``dim2``) with the last dimension of ``input`` on the given diagonal.

    >>> import chainrule as torch
    >>> torch.diag_embed(torch.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    n = tensor_argument(input, "diag_embed")._data.ndim + 1
    d1, d2 = one_dim(dim1, n, "diag_embed"), one_dim(dim2, n, "diag_embed")
    if n == 1:
        input, n = reshape(input, 1), 2
        d1, d2 = one_dim(dim1, n, "diag_embed"), one_dim(dim2, n, "diag_embed")
    if d1 == d2:
        raise ShapeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return diag_embed_p(input, offset=int_argument(offset, "diag_embed", "offset"), dim1=d1, dim2=d2)


@public
def diag(input, diagonal=0):
    """A vector's square matrix with it on the given diagonal; or a matrix's diagonal, as a copy.

    >>> import chainrule as torch
    >>> torch.diag(torch.tensor([[1, 2], [3, 4]]), 1)
    tensor([2])
    """
    n = tensor_argument(input, "diag")._data.ndim
    offset = int_argument(diagonal, "diag", "diagonal")
    if n == 1:
        return diag_embed_p(input, offset=offset, dim1=-2, dim2=-1)
    if n != 2:
        raise ShapeError(f"diag(): Supports 1D or 2D tensors. Got {n}D")
    return diagonal_copy_p(input, offset=offset, dim1=-2, dim2=-1)


@public
def diagflat(input, offset=0):
    """The square matrix with all elements of ``input``, in order, on the given diagonal.

    >>> import chainrule as torch
    >>> torch.diagflat(torch.tensor([[1], [2]]))
    tensor([[1, 0],
            [0, 2]])
    """
    flat = reshape(tensor_argument(input, "diagflat"), -1)
    return diag_embed_p(flat, offset=int_argument(offset, "diagflat", "offset"), dim1=-2, dim2=-1)


trace_p = linear(
    "trace", lambda x: np.trace(x, axis1=-2, axis2=-1), lambda o, g, s: o.untrace(g, shape=s[0]), front=True
)


def _untrace(g, shape):
    out = np.zeros(np.shape(g) + tuple(shape[-2:]), g.dtype)
    view = out.diagonal(0, -2, -1)
    view.flags.writeable = True
    view[...] = g[..., None] if np.ndim(g) else g
    return out


linear("untrace", _untrace, lambda o, g, s, *, shape: o.trace(g), front=True)


@public
def trace(input):
    """The sum of a matrix's diagonal.

    >>> import chainrule as torch
    >>> torch.trace(torch.tensor([[1, 2], [3, 4]]))
    tensor(5)
    """
    n = tensor_argument(input, "trace")._data.ndim
    if n != 2:
        raise ShapeError(f"trace: expected a matrix, but got tensor with dim {n}")
    if input._data.dtype.kind in "iub":
        return wrap(np.asarray(np.trace(input._data, dtype=np.int64)))
    return trace_p(input)
