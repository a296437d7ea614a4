"""LU and QR factorisations, as differentiable functions."""

import math

import numpy as np

from ..config import modes
from ..errors import ArgumentError, GradientError, ShapeError
from ..handle import wrap
from ..primitive import primitive, public, recorded
from .linalg_common import (
    LINALG,
    common_batch,
    each,
    lapack,
    low,
    matrices,
    mT,
    one_dtype,
    refuse_singular,
    transposed,
    up,
)
from .linalg_triangular import solve_triangular_p
from .matmul import matmul
from .results import make_result

# ---- LU: the pivots are found first, then rows in that order are factored without pivoting, which is differentiable


def _getrf(a):
    """Packed factors and 1-based pivots of every matrix."""
    f = lapack().sgetrf if a.dtype == np.float32 else lapack().dgetrf
    k = min(a.shape[-2:])
    packed, pivots = np.empty(a.shape, a.dtype), np.empty((*a.shape[:-2], k), np.int32)
    if a.size:
        for m, p, q in zip(each(a), each(packed), pivots.reshape(-1, k), strict=True):
            p[...], q[...], _ = f(m)
    pivots += 1
    return packed, pivots


FEW = 32  # matrices whose rows are exchanged one by one


def _order(pivots, rows):
    """1-based row swaps as a permutation: row i of the permuted matrix is row order[i]."""
    k = pivots.shape[-1]
    flat = pivots.reshape(math.prod(pivots.shape[:-1]), k) - 1
    if len(flat) < FEW:
        order = np.array([_swapped(list(range(rows)), row) for row in flat.tolist()], np.int64)
    else:
        order = np.tile(np.arange(rows), (flat.shape[0], 1))
        batch = np.arange(flat.shape[0])
        for i in range(k):
            j = flat[:, i]
            order[batch, i], order[batch, j] = order[batch, j], order[batch, i].copy()
    return order.reshape(*pivots.shape[:-1], rows)


def _swapped(order, pivots):
    for i, j in enumerate(pivots):
        order[i], order[j] = order[j], order[i]
    return order


def _permutation(pivots, rows, dtype):
    """P with ``A = P L U``: P[order[i], i] = 1."""
    order = _order(pivots, rows)
    return (order[..., None, :] == np.arange(rows)[:, None]).astype(dtype)


getrf_p = primitive("linalg_getrf", _getrf, outputs=2, front=True)
permutation_p = primitive("linalg_permutation", _permutation, front=True)


def _lu_square(a):
    """Packed LU factors without pivoting."""
    out = a.copy()
    n = a.shape[-1]
    for i in range(n - 1):
        out[..., i + 1 :, i] /= out[..., i : i + 1, i]
        out[..., i + 1 :, i + 1 :] -= out[..., i + 1 :, i, None] * out[..., i, None, i + 1 :]
    return out


def _lu_square_rule(o, g, s, y, x):
    # gA = L^-T [lower(L^T gL) + upper(gU U^T)] U^-T
    eye = np.eye(s[0][-1], dtype=bool)
    lower, upper = low(o, y, -1) + eye, up(o, y)
    inner = low(o, o.matmul(lower, low(o, g, -1), ta=True), -1) + up(o, o.matmul(up(o, g), upper, tb=True))
    left = o.linalg_solve_triangular(y, inner, upper=False, ta=True, unit=True)
    return mT(o, o.linalg_solve_triangular(y, mT(o, left), upper=True))


lu_square_p = primitive(
    "linalg_lu_square", _lu_square, (_lu_square_rule,), front=True, node_name="LinalgLuFactorExBackward0"
)


def _packed(A, pivot=True):
    """Packed factors of A (*, m, n) as a differentiable tensor, the 1-based pivots, and the matrix of the row exchanges
    if it was needed."""
    m, n = A._data.shape[-2:]
    k = min(m, n)
    P = None
    if pivot:
        packed, pivots = getrf_p(A)
        if not (A.requires_grad and modes.grad):
            return packed, pivots, None
        P = permutation_p(pivots, rows=m, dtype=A._data.dtype.char)
        A = matmul(transposed(P), A)
    else:
        pivots = wrap(np.broadcast_to(np.arange(1, k + 1, dtype=np.int32), (*A._data.shape[:-2], k)))
    if not A._data.size:
        return A.clone(), pivots, P
    y = lu_square_p(A[..., :k, :k])
    if n > k:
        right = solve_triangular_p(y, A[..., :k, k:], upper=False, unit=True)
        y = recorded.cat(y, right, dim=-1)
    elif m > k:
        below = transposed(solve_triangular_p(y, transposed(A[..., k:, :]), upper=True, ta=True))
        y = recorded.cat(y, below, dim=-2)
    return y, pivots, P


def _unpacked(y):
    """L and U from packed factors."""
    m, n = y._data.shape[-2:]
    k = min(m, n)
    unit = wrap(np.eye(m, k, dtype=y._data.dtype))
    return low(recorded, y[..., :, :k], -1) + unit, up(recorded, y[..., :k, :])


lu_result = make_result("linalg_lu", "P", "L", "U")


@public(**LINALG)
def lu(A, *, pivot=True):
    """P, L, U with ``A = P L U``: P a permutation (*, m, m), L (*, m, k) unit lower triangular, U (*, k, n) upper
    triangular.

    pivot=False: without row exchanges, P is the empty tensor as in PyTorch.

    >>> import chainrule as torch
    >>> torch.linalg.lu(torch.tensor([[1.0, 2.0], [4.0, 4.0]])).U
    tensor([[4., 4.],
            [0., 1.]])
    """
    matrices("linalg.lu", A)
    y, pivots, P = _packed(A, pivot)
    L, U = _unpacked(y)
    if not pivot:
        P = _empty(A)
    elif P is None:
        P = permutation_p(pivots, rows=A._data.shape[-2], dtype=A._data.dtype.char)
    return lu_result(P, L, U)


def _empty(A):
    return wrap(np.empty(0, A._data.dtype.char))


lu_factor_result = make_result("linalg_lu_factor", "LU", "pivots")
lu_factor_ex_result = make_result("linalg_lu_factor_ex", "LU", "pivots", "info")


def _info(u):
    k = min(u.shape[-2:])
    if not k:
        return np.zeros(u.shape[:-2], np.int32)
    zero = np.diagonal(u, axis1=-2, axis2=-1) == 0
    return np.asarray(np.where(zero.any(-1), zero.argmax(-1) + 1, 0)).astype(np.int32)


info_p = primitive("linalg_lu_info", _info, front=True)


@public(**LINALG)
def lu_factor_ex(A, *, pivot=True, check_errors=False):
    """Packed LU factors, 1-based pivots, and per matrix 0 or the position of a zero pivot.

    >>> import chainrule as torch
    >>> torch.linalg.lu_factor_ex(torch.zeros(2, 2)).info
    tensor(1, dtype=torch.int32)
    """
    matrices("linalg.lu_factor_ex", A)
    y, pivots, _ = _packed(A, pivot)
    info = info_p(y)
    if check_errors:
        refuse_singular("linalg.lu_factor_ex", A, info)
    return lu_factor_ex_result(y, pivots, info)


@public(**LINALG)
def lu_factor(A, *, pivot=True):
    """Packed LU factors of A and 1-based pivots, for ``linalg.lu_solve``.

    Raises LinAlgError if a pivot is zero.

    >>> import chainrule as torch
    >>> torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [4.0, 4.0]])).pivots
    tensor([2, 2], dtype=torch.int32)
    """
    y, pivots, info = lu_factor_ex(A, pivot=pivot)
    refuse_singular(
        "torch.linalg.lu_factor",
        A,
        info,
        lambda i: (
            f"U[{i},{i}] is zero and using it on lu_solve would result in a division by zero. If you still want to "
            "perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        ),
    )
    return lu_factor_result(y, pivots)


@public(name="lu")
def _torch_lu(A, pivot=True, get_infos=False):
    """Packed LU factors and 1-based pivots (and infos), under the older name.

    >>> import chainrule as torch
    >>> packed, pivots = torch.lu(torch.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> packed
    tensor([[4.0000, 4.0000],
            [0.2500, 1.0000]])
    """
    y, pivots, info = lu_factor_ex(A, pivot=pivot)
    return (y, pivots, info) if get_infos else (y, pivots)


lu_unpack_result = make_result("lu_unpack", "P", "L", "U")


@public(method=False)
def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):
    """P, L, U from packed factors and pivots; what is not asked for is empty.

    >>> import chainrule as torch
    >>> torch.lu_unpack(*torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [4.0, 4.0]]))).L
    tensor([[1.0000, 0.0000],
            [0.2500, 1.0000]])
    """
    empty = _empty(LU_data)
    L, U = _unpacked(LU_data) if unpack_data else (empty, empty)
    P = empty
    if unpack_pivots:
        if LU_pivots._data.dtype.kind != "i":
            raise ArgumentError(
                "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype."
            )
        P = permutation_p(LU_pivots, rows=LU_data._data.shape[-2], dtype=LU_data._data.dtype.char)
    return lu_unpack_result(P, L, U)


@public(**LINALG)
def lu_solve(LU, pivots, B, *, left=True, adjoint=False):
    """X with ``A X = B`` (``X A = B`` if not left, ``A^T X = B`` if adjoint), given the factors of A from
    ``lu_factor``.

    >>> import chainrule as torch
    >>> packed, pivots = torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> torch.linalg.lu_solve(packed, pivots, torch.tensor([[3.0], [8.0]]))
    tensor([[1.],
            [1.]])
    """
    operator = "linalg.lu_solve"
    matrices(operator, LU, "LU", square=True)
    matrices(operator, B, "B")
    one_dtype(operator, LU, B)
    if B._data.shape[-2 if left else -1] != LU._data.shape[-1]:
        raise ShapeError(
            f"{operator}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({LU._data.shape[-1]}x{LU._data.shape[-1]} and {B._data.shape[-2]}x{B._data.shape[-1]})"
        )
    P = permutation_p(pivots, rows=LU._data.shape[-1], dtype=LU._data.dtype.char)
    if not left:  # X A = B is A^T X^T = B^T
        B, adjoint = transposed(B), not adjoint
    if adjoint:
        LU, B = common_batch(operator, LU, B)
        X = solve_triangular_p(LU, B, upper=True, ta=True)
        X = matmul(P, solve_triangular_p(LU, X, upper=False, ta=True, unit=True))
    else:
        B = matmul(transposed(P), B)
        LU, B = common_batch(operator, LU, B)
        X = solve_triangular_p(LU, solve_triangular_p(LU, B, upper=False, unit=True), upper=True)
    return X if left else transposed(X)


@public(name="lu_solve")
def _torch_lu_solve(b, LU_data, LU_pivots):
    """``linalg.lu_solve`` under its older name.

    >>> import chainrule as torch
    >>> packed, pivots = torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> torch.lu_solve(torch.tensor([[3.0], [8.0]]), packed, pivots)
    tensor([[1.],
            [1.]])
    """
    return lu_solve(LU_data, LU_pivots, b)


# ---- QR


def _qr(a, complete=False):
    q, r = np.linalg.qr(a, "complete" if complete else "reduced")
    return q, r


def _qr_rule(o, g, s, y, x, *, complete=False):
    # Walter and Lehmann, "Algorithmic differentiation of linear algebra functions" (2010), for at least as many rows
    # as columns.
    (gq, gr), (q, r) = g, y
    if complete and s[0][-2] > s[0][-1]:
        raise GradientError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols; use mode='reduced'"
        )
    m = o.matmul(r, up(o, gr), tb=True) - o.matmul(gq, q, ta=True)
    m = low(o, m) + mT(o, low(o, m, -1))
    left = gq + o.matmul(q, m)
    return mT(o, o.linalg_solve_triangular(r, mT(o, left), upper=True))


qr_p = primitive("linalg_qr", _qr, (_qr_rule,), outputs=2, front=True)
linalg_qr_result = make_result("linalg_qr", "Q", "R")
qr_result = make_result("qr", "Q", "R")


@public(**LINALG)
def qr(A, mode="reduced"):
    """Q, R with ``A = Q R``, Q orthonormal columns, R upper triangular.

    mode: "reduced" (Q (*, m, k)), "complete" (Q (*, m, m)), or "r" (Q empty).
    Raises GradientError on the way back through "complete" when there are more rows than columns.

    >>> import chainrule as torch
    >>> torch.linalg.qr(torch.tensor([[3.0, 0.0], [4.0, 5.0]])).R
    tensor([[-5., -4.],
            [ 0.,  3.]])
    """
    matrices("linalg.qr", A)
    return linalg_qr_result(*_qr_parts(A, mode))


def _qr_parts(A, mode):
    if mode not in ("reduced", "complete", "r"):
        raise ShapeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    m, n = A._data.shape[-2:]
    if m >= n or not A.requires_grad:
        Q, R = qr_p(A, complete=mode == "complete")
    else:  # the first m columns give Q, the others follow from it
        Q, R = qr_p(A[..., :m])
        R = recorded.cat(R, matmul(transposed(Q), A[..., m:]), dim=-1)
    return (_empty(A) if mode == "r" else Q), R


@public(name="qr")
def _torch_qr(input, some=True):
    """``linalg.qr`` under its older name; some=False is the complete one.

    >>> import chainrule as torch
    >>> torch.qr(torch.tensor([[3.0, 0.0], [4.0, 5.0]])).R
    tensor([[-5., -4.],
            [ 0.,  3.]])
    """
    matrices("qr", input)
    return qr_result(*_qr_parts(input, "reduced" if some else "complete"))


def _geqrf(a):
    h, tau = np.linalg.qr(a, "raw")
    return np.ascontiguousarray(h.swapaxes(-1, -2)), tau


geqrf_p = primitive("linalg_geqrf", _geqrf, outputs=2, front=True)
geqrf_result = make_result("geqrf", "a", "tau")


@public
def geqrf(input):
    """LAPACK's form of the QR factorisation: R above, Householder vectors below the diagonal, and their factors
    tau. No gradient.

    >>> import chainrule as torch
    >>> torch.geqrf(torch.tensor([[3.0, 0.0], [4.0, 5.0]])).tau
    tensor([1.6000, 0.0000])
    """
    matrices("geqrf", input)
    return geqrf_result(*geqrf_p(input))
