"""Vector and matrix norms. Where a norm has no derivative (at 0) its gradient is 0, as in PyTorch."""

import math

import numpy as np

from ..dtypes import as_dtype, from_numpy_dtype
from ..errors import ArgumentError, ArgumentValueError, DTypeError, ShapeError
from ..handle import Tensor
from ..primitive import public, recorded, reduction, single
from ..primitive.arguments import many_dims, one_dim, tensor_argument
from .cast import to_dtype
from .extremes import amax, amin
from .reduce import sum as sum_over
from .rounding import abs as absolute
from .shape import permute_p


def _vector_norm(x, dim, keepdim, ord):
    if x.dtype.itemsize == 2:  # 16-bit sums need a wider accumulator
        return _vector_norm(x.astype(np.float32), dim, keepdim, ord).astype(x.dtype)
    if ord == 2:
        return np.sqrt(np.add.reduce(x * x, axis=dim, keepdims=keepdim))
    if ord == 1:
        return np.add.reduce(np.abs(x), axis=dim, keepdims=keepdim)
    if ord == math.inf:
        return np.maximum.reduce(np.abs(x), axis=dim, keepdims=keepdim)
    if ord == -math.inf:
        return np.minimum.reduce(np.abs(x), axis=dim, keepdims=keepdim)
    if ord == 0:
        return np.add.reduce((x != 0).astype(x.dtype), axis=dim, keepdims=keepdim)
    return np.add.reduce(np.abs(x) ** ord, axis=dim, keepdims=keepdim) ** (1 / ord)


def _vector_norm_partial(o, y, x, *, dim, ord):
    if ord == 2:
        return o.where(y == 0, 0.0, x / y)
    if ord == 1:
        return o.sign(x)
    if ord == 0:
        return o.sign(x) * 0.0
    if abs(ord) == math.inf:
        hit = o.choose(o.abs(x) == y, x, yes=1.0, no=0.0)
        return o.sign(x) * (hit / o.sum(hit, dim=dim, keepdim=True))
    if ord < 1:
        return o.where(x == 0, 0.0, o.sign(x) * o.abs(x) ** (ord - 1) * y ** (1 - ord))
    if ord < 2:
        return o.where(y == 0, 0.0, o.sign(x) * o.abs(x) ** (ord - 1) / y ** (ord - 1))
    return o.where(y == 0, 0.0, x * o.abs(x) ** (ord - 2) / y ** (ord - 1))


vector_norm_p = single(
    reduction("vector_norm", _vector_norm, _vector_norm_partial, front=True, node_name="LinalgVectorNormBackward0")
)


def _checked(input, operator, dtype):
    tensor_argument(input, operator)
    source = from_numpy_dtype(input._data.dtype)
    if dtype is not None:
        dtype = as_dtype(dtype)
        if not dtype.is_floating_point:
            raise DTypeError(f"{operator}: dtype should be floating point. Got {dtype}")
        if source.itemsize > dtype.itemsize and source.is_floating_point:
            raise DTypeError(
                f"{operator}: the dtype of the input ({source}) should be convertible without narrowing to the "
                f"specified dtype ({dtype})"
            )
        input = to_dtype(input, dtype)
    elif not source.is_floating_point:
        raise DTypeError(
            f"{operator}: Expected a floating point or complex tensor as input. Got {source}; convert with .float()"
        )
    return input


def _number(ord, operator):
    if isinstance(ord, Tensor) and ord._data.ndim == 0:
        ord = ord._data.item()
    if isinstance(ord, bool) or not isinstance(ord, (int, float)):
        raise ArgumentError(f"{operator}: argument 'ord' must be a number, not {ord!r}")
    return float(ord)


def _norm_over(input, ord, dims, keepdim, operator):
    if (ord < 0 or ord == math.inf) and any(input._data.shape[d] == 0 for d in dims):
        raise ShapeError(
            f"{operator} cannot compute the {ord} norm on an empty dimension because the operation does not have an "
            "identity; "
            f"got shape {list(input._data.shape)}"
        )
    return vector_norm_p(input, dim=dims, keepdim=keepdim, ord=ord)


@public(name="vector_norm", namespaces=("linalg",), method=False)
def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """The norm ``sum(|x| ** ord) ** (1 / ord)`` over ``dim`` (an int, a tuple, or None: of the flattened tensor).

    ord: a number; inf and -inf give the largest and smallest magnitude, 0 the number of nonzero elements.
    Raises DTypeError for integers, ShapeError for negative or infinite orders of an empty dimension.

    >>> import chainrule as torch
    >>> torch.linalg.vector_norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    x = _checked(x, "linalg.vector_norm", dtype)
    dims = many_dims(dim, x._data.ndim, "linalg.vector_norm")
    return _norm_over(x, _number(ord, "linalg.vector_norm"), dims, keepdim, "linalg.vector_norm")


def _two_dims(A, dim, operator):
    n = A._data.ndim
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise ArgumentValueError(f"{operator}: dim must be a 2-tuple of dimensions, got {dim}")
    if n < 2:
        raise ShapeError(
            f"{operator}: The input tensor A must have at least 2 dimensions, got shape {list(A._data.shape)}"
        )
    row, column = (one_dim(d, n, operator) for d in dim)
    if row == column:
        raise ArgumentValueError(f"{operator}: dims must be different. Got ({dim[0]}, {dim[1]})")
    return row, column


@public(name="matrix_norm", namespaces=("linalg",), method=False)
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """A norm of the matrices in the dimensions ``dim``.

    ord: "fro" (Frobenius), "nuc" (sum of the singular values), 2 and -2 (largest and smallest singular value), 1 and -1
    (largest and smallest
    column sum of magnitudes), inf and -inf (the same for rows).  Raises ArgumentValueError for another ``ord``,
    DTypeError for integers.

    >>> import chainrule as torch
    >>> torch.linalg.matrix_norm(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))
    tensor(5.)
    """
    operator = "linalg.matrix_norm"
    A = _checked(A, operator, dtype)
    row, column = _two_dims(A, dim, operator)
    if ord == "fro":
        return _norm_over(A, 2.0, (row, column), keepdim, operator)
    if isinstance(ord, str) and ord != "nuc":
        raise ArgumentValueError(
            f"{operator}: Order {ord} not supported; expected 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2"
        )
    if ord != "nuc":
        ord = _number(ord, operator)
        if abs(ord) not in (1, 2, math.inf):
            raise ArgumentValueError(
                f"{operator}: Order {ord} not supported; expected 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2"
            )
        if abs(ord) != 2:
            sums_over, other = (column, row) if abs(ord) == math.inf else (row, column)
            sums = sum_over(absolute(A), sums_over, True)
            extreme = (amax if ord > 0 else amin)(sums, other, True)
            return extreme if keepdim else _without(extreme, (row, column))
    values = _singular_values(A, row, column)
    result = sum_over(values, -1) if ord == "nuc" else (amax if ord > 0 else amin)(values, -1)
    if not keepdim:
        return result
    shape = list(A._data.shape)
    shape[row] = shape[column] = 1
    return recorded.reshape(result, shape=tuple(shape))


def _singular_values(A, row, column):
    """The singular values, along the last dimension, of the matrices in the dimensions ``row`` and ``column``."""
    n = A._data.ndim
    if (row, column) != (-2, -1):
        A = permute_p(A, dims=(*[d for d in range(-n, 0) if d not in (row, column)], row, column))
    return recorded.singular_values(A)


def _without(x, dims):
    n = x._data.ndim
    return recorded.reshape(
        x, shape=tuple([size for d, size in zip(range(-n, 0), x._data.shape, strict=True) if d not in dims])
    )


@public(name="norm", namespaces=("linalg",), method=False)
def linalg_norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """A vector or matrix norm: of the matrices in two dimensions ``dim``, of the vectors along one, or, without
    ``dim``, of the whole 1-d or 2-d tensor (``ord=None``: the 2-norm of all elements, whatever the shape).

    See ``vector_norm`` and ``matrix_norm`` for ``ord`` and the errors.

    >>> import chainrule as torch
    >>> torch.linalg.norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), 2)
    tensor(4.)
    """
    operator = "linalg.norm"
    A = _checked(A, operator, dtype)
    n = A._data.ndim
    dims = None if dim is None else tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    if dims is not None and len(dims) not in (1, 2):
        raise ArgumentValueError(f"{operator}: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if ord is None:
        return _norm_over(A, 2.0, many_dims(dims, n, operator), keepdim, operator)
    if dims is None and n not in (1, 2):
        raise ShapeError(f"{operator}: If dim is not specified but ord is, the input must be 1D or 2D. Got {n}D.")
    if len(dims) == 2 if dims is not None else n == 2:
        return matrix_norm(A, ord, (-2, -1) if dims is None else dims, keepdim)
    if isinstance(ord, str):
        raise ArgumentValueError(f"{operator}: order {ord!r} needs a matrix: give two dims")
    return vector_norm(A, ord, dims, keepdim)


@public
def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The vector norm of order ``p`` over ``dim`` (an int, a tuple, or None for all); "fro" is 2, "nuc" the sum of a
    matrix's singular values.

    Raises DTypeError for integers, ArgumentValueError for another name.

    >>> import chainrule as torch
    >>> torch.norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    input = _checked(input, "norm", dtype)
    if p == "nuc":
        result = matrix_norm(input, "nuc", (-2, -1) if dim is None else dim, keepdim)
    else:
        if isinstance(p, str) and p != "fro":
            raise ArgumentValueError(f"norm(): p must be a number, 'fro' or 'nuc', got {p!r}")
        order = 2.0 if p == "fro" or p is None else _number(p, "norm")
        result = _norm_over(input, order, many_dims(dim, input._data.ndim, "norm"), keepdim, "norm")
    return result if out is None else out.copy_(result)
