"""What the linear-algebra files share: checks, triangles and transposes in rules, and finding the element at which
LAPACK stopped.
"""

import functools

import numpy as np

from ..errors import ArgumentError, DTypeError, LinAlgError, ShapeError
from ..handle import Tensor
from ..primitive import recorded
from .refusal import refuse
from .shape import expand_p, reshape_p

LINALG = {"namespaces": ("linalg",), "method": False}


@functools.cache
def lapack():
    """SciPy's LAPACK wrappers, imported when first needed."""
    import scipy.linalg.lapack

    return scipy.linalg.lapack


@functools.cache
def blas():
    """SciPy's BLAS wrappers, imported when first needed."""
    import scipy.linalg.blas

    return scipy.linalg.blas


# ---- checks


def matrices(operator, A, name="A", square=False):
    """``A`` is a batch of floating-point matrices, square if asked."""
    if not isinstance(A, Tensor):
        raise ArgumentError(
            f"{operator}(): argument '{name}' must be Tensor, not {type(A).__name__}; make one with torch.tensor(...)"
        )
    shape = A._data.shape
    if len(shape) < 2:
        raise ShapeError(
            f"{operator}: The input tensor {name} must have at least 2 dimensions, got shape {list(shape)}."
        )
    d = A._data.dtype
    if d.kind != "f":
        raise DTypeError(f"{operator}: Expected a floating point tensor as input. Got {d}; convert with .float()")
    if d.itemsize < 4:
        raise DTypeError(f"{operator}: Low precision dtypes not supported. Got {d}; convert with .float()")
    if square and shape[-1] != shape[-2]:
        raise ShapeError(
            f"{operator}: {name} must be batches of square matrices, but they are {shape[-2]} by {shape[-1]} matrices"
        )
    return shape


def one_dtype(operator, A, B):
    if A._data.dtype != B._data.dtype:
        raise DTypeError(
            f"{operator}: Expected A and B to have the same dtype, but found A of type {A._data.dtype} and B of type "
            f"{B._data.dtype} instead; convert one with .to(dtype)"
        )


def common_batch(operator, A, B):
    """A and B with equal batch dimensions (expanded)."""
    a, b = A._data.shape, B._data.shape
    if a[:-2] == b[:-2]:
        return A, B
    try:
        batch = np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        raise ShapeError(
            f"{operator}: The batch dimensions of A and B must broadcast, got shapes {list(a)} and {list(b)}"
        ) from None
    A = A if a[:-2] == batch else expand_p(A, shape=batch + a[-2:])
    B = B if b[:-2] == batch else expand_p(B, shape=batch + b[-2:])
    return A, B


def element(i, shape):
    """``(Batch element i): `` when there is a batch."""
    return f"(Batch element {i}): " if len(shape) > 2 else ""


def each(a):
    """A batch of matrices as a list-like (n, rows, columns)."""
    n = 1
    for m in a.shape[:-2]:
        n *= m
    return a.reshape(n, *a.shape[-2:])


def first_zero_pivot(a):
    """``(batch element, 1-based pivot)`` of the first exactly singular matrix, by its LU factors;

    None if there is none.
    """
    getrf = lapack().sgetrf if a.dtype == np.float32 else lapack().dgetrf
    for i, m in enumerate(each(a)):
        info = getrf(m)[2] if m.size else 0
        if info > 0:
            return i, info
    return None


def singular(operator, a, text=None):
    """The error for a singular matrix; ``text`` replaces the usual explanation."""
    found = first_zero_pivot(a)
    i, pivot = found or (0, a.shape[-1])
    if text is None:
        text = (
            f"The diagonal element {pivot} is zero, the inversion could not be completed because the input matrix is "
            "singular."
        )
    return LinAlgError(f"{operator}: {element(i, a.shape)}{text}")


def all_fine(info):
    """Is every one of ``info`` known to be 0? Not while a function is compiled, when there are no values yet."""
    found = info._data
    return type(found) is np.ndarray and not np.count_nonzero(found)


def refuse_singular(operator, A, info, text=None):
    """Raise if one of ``info`` (per matrix: 0, or the place of a zero pivot) is not 0; in a compiled function, when it
    has run. ``text(place)`` replaces the usual explanation."""
    found = info._data
    if hasattr(type(found), "refuse"):
        usual = "A diagonal element is zero: an input matrix is singular."
        refuse(found != 0, LinAlgError, f"{operator}: {usual if text is None else text('i')}")
    elif found.any():
        flat = found.reshape(-1)
        raise singular(operator, A._data, text and text(int(flat[np.argmax(flat > 0)])))


# ---- for rules, on arrays and tensors alike


@functools.lru_cache(maxsize=64)
def triangle(rows, columns, k):
    """The mask of the lower triangle up to diagonal ``k``."""
    return np.tri(rows, columns, k, dtype=bool)


def low(o, x, k=0):
    """The lower triangle of the matrices ``x``."""
    return o.where(triangle(x.shape[-2], x.shape[-1], k), x, 0.0)


def up(o, x, k=0):
    """The upper triangle of the matrices ``x``."""
    return o.where(triangle(x.shape[-2], x.shape[-1], k - 1), 0.0, x)


def diagonals(o, v):
    """Diagonal matrices with the vectors ``v`` on the diagonal."""
    n = v.shape[-1]
    return o.reshape(v, shape=(*v.shape, 1)) * np.eye(n, dtype=bool)


def diagonal_of(o, x):
    """The diagonals of square matrices."""
    return o.sum(o.where(np.eye(x.shape[-1], dtype=bool), x, 0.0), dim=(-1,), keepdim=False)


def mT(o, x):
    """The matrices transposed."""
    n = len(x.shape)
    return o.permute(x, dims=(*range(-n, -2), -1, -2))


def transposed(x):
    """The matrices of a tensor transposed."""
    return mT(recorded, x)


def column(o, v):
    return o.reshape(v, shape=(*v.shape, 1))


def row(o, v):
    return o.reshape(v, shape=(*v.shape[:-1], 1, v.shape[-1]))


def drop_column(x):
    """(..., n, 1) as (..., n)."""
    return reshape_p(x, shape=x._data.shape[:-1])


def identity_like(A):
    """The identity matrix of A's size and dtype, as a batch like A's."""
    n = A._data.shape[-1]
    return expand_p(Tensor._wrap(np.eye(n, dtype=A._data.dtype)), shape=A._data.shape[:-2] + (n, n))
