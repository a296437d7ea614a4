"""Triangular systems and the Cholesky factorisation."""

import numpy as np

from ..errors import LinAlgError, ShapeError
from ..handle import wrap
from ..primitive import primitive, public, recorded
from .linalg_common import (
    LINALG,
    all_fine,
    blas,
    column,
    common_batch,
    diagonal_of,
    diagonals,
    each,
    element,
    identity_like,
    lapack,
    low,
    matrices,
    mT,
    one_dtype,
    transposed,
    up,
)
from .matmul import matmul
from .results import make_result

# ---- triangular systems


def _solve_triangular(a, b, upper, ta=False, unit=False):
    trsm = blas().strsm if a.dtype == np.float32 else blas().dtrsm
    out = np.empty(b.shape, b.dtype)
    if out.size:
        for m, r, x in zip(each(a), each(b), each(out), strict=True):
            # BLAS is column-major, so it sees the transposes: op(m) x = r is x^T op(m)^T = r^T.
            x[...] = trsm(1.0, m.T, r.T, side=1, lower=upper, trans_a=ta, diag=unit).T
    return out


def _solve_triangular_matrix(o, g, s, y, a, b, *, upper, ta=False, unit=False):
    gb = o.linalg_solve_triangular(a, g, upper=upper, ta=not ta, unit=unit)
    ga = -(o.matmul(y, gb, tb=True) if ta else o.matmul(gb, y, tb=True))
    return up(o, ga, int(unit)) if upper else low(o, ga, -int(unit))


solve_triangular_p = primitive(
    "linalg_solve_triangular",
    _solve_triangular,
    (
        _solve_triangular_matrix,
        lambda o, g, s, y, a, b, *, upper, ta=False, unit=False: o.linalg_solve_triangular(
            a, g, upper=upper, ta=not ta, unit=unit
        ),
    ),
    front=True,
)


@public(**LINALG)
def solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    """X with ``A X = B`` (or ``X A = B`` if not left), reading only the upper or the lower triangle of A (*, n, n).

    unitriangular: take the diagonal as ones. A zero on the diagonal gives infinities, no error.

    >>> import chainrule as torch
    >>> torch.linalg.solve_triangular(torch.tensor([[2.0, 9.0], [1.0, 1.0]]), torch.tensor([[2.0], [3.0]]),
    ...     upper=False)
    tensor([[1.],
            [2.]])
    """
    operator = "linalg.solve_triangular"
    matrices(operator, A, square=True)
    matrices(operator, B, "B")
    one_dtype(operator, A, B)
    n = A._data.shape[-1]
    if B._data.shape[-2 if left else -1] != n:
        raise ShapeError(
            f"{operator}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({n}x{n} and {B._data.shape[-2]}x{B._data.shape[-1]})"
        )
    A, B = common_batch(operator, A, B if left else transposed(B))
    X = solve_triangular_p(A, B, upper=bool(upper), ta=not left, unit=bool(unitriangular))
    return X if left else transposed(X)


triangular_solve_result = make_result("triangular_solve", "solution", "cloned_coefficient")


@public
def triangular_solve(b, A, upper=True, transpose=False, unitriangular=False):
    """``linalg.solve_triangular`` under its older name: returns the solution and a copy of A.

    >>> import chainrule as torch
    >>> torch.triangular_solve(torch.tensor([[2.0], [3.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0]])).solution
    tensor([[1.],
            [3.]])
    """
    matrices("triangular_solve", A, square=True)
    matrices("triangular_solve", b, "b")
    if b._data.shape[-2] != A._data.shape[-1]:
        raise ShapeError(
            f"triangular_solve: Incompatible matrix sizes for triangular_solve: each A matrix is {A._data.shape[-1]} "
            "by "
            f"{A._data.shape[-1]} but each b matrix is {b._data.shape[-2]} by {b._data.shape[-1]}"
        )
    one_dtype("triangular_solve", A, b)
    A, b = common_batch("triangular_solve", A, b)
    X = solve_triangular_p(A, b, upper=bool(upper), ta=bool(transpose), unit=bool(unitriangular))
    return triangular_solve_result(X, A.clone())


# ---- Cholesky


def _infos(a):
    """Per matrix: 0, or the order of the first leading minor that is not positive."""
    potrf = lapack().spotrf if a.dtype == np.float32 else lapack().dpotrf
    found = [potrf(m, lower=1)[1] if m.size else 0 for m in each(a)]
    return np.array(found, np.int32).reshape(a.shape[:-2])


infos_p = primitive("linalg_cholesky_infos", _infos, front=True)


def _cholesky(a):
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        info = _infos(a).reshape(-1)
        i = int(np.argmax(info > 0))
        raise LinAlgError(
            f"linalg.cholesky: {element(i, a.shape)}The factorization could not be completed because the input is not "
            f"positive-definite (the leading minor of order {info[i]} is not positive-definite)."
        ) from None


def _cholesky_rule(o, g, s, y, x):
    # Murray, "Differentiation of the Cholesky decomposition" (2016): L^-T P(L^T G) L^-1, made symmetric; P halves the
    # diagonal.
    product = o.matmul(y, g, ta=True)
    p = low(o, product, -1) + diagonals(o, diagonal_of(o, product) * 0.5)
    left = o.linalg_solve_triangular(y, p, upper=False, ta=True)
    whole = mT(o, o.linalg_solve_triangular(y, mT(o, left), upper=False, ta=True))
    return (whole + mT(o, whole)) * 0.5


cholesky_p = primitive(
    "linalg_cholesky", _cholesky, (_cholesky_rule,), front=True, node_name="LinalgCholeskyExBackward0"
)


@public(**LINALG)
def cholesky(A, *, upper=False):
    """The lower triangular L with ``A = L L^T`` for symmetric positive-definite A (or the upper U with ``A = U^T U``).

    Only one triangle of A is read; the gradient is symmetric.  Raises LinAlgError if A is not positive-definite.

    >>> import chainrule as torch
    >>> torch.linalg.cholesky(torch.tensor([[4.0, 0.0], [0.0, 9.0]]))
    tensor([[2., 0.],
            [0., 3.]])
    """
    matrices("linalg.cholesky", A, square=True)
    return transposed(cholesky_p(transposed(A))) if upper else cholesky_p(A)


def _torch_cholesky(input, upper=False):
    """``linalg.cholesky`` under its older name.

    >>> import chainrule as torch
    >>> torch.cholesky(torch.tensor([[4.0, 0.0], [0.0, 9.0]]))
    tensor([[2., 0.],
            [0., 3.]])
    """
    return cholesky(input, upper=upper)


public(_torch_cholesky, name="cholesky")

cholesky_ex_result = make_result("linalg_cholesky_ex", "L", "info")


@public(**LINALG)
def cholesky_ex(A, *, upper=False, check_errors=False):
    """The Cholesky factor and, per matrix, 0 or the order of the minor that is not positive. Raises only if
    ``check_errors``.

    Where a matrix is not positive-definite its factor is NaN.

    >>> import chainrule as torch
    >>> torch.linalg.cholesky_ex(-torch.eye(2)).info
    tensor(1, dtype=torch.int32)
    """
    matrices("linalg.cholesky_ex", A, square=True)
    info = infos_p(transposed(A) if upper else A)
    if check_errors or all_fine(info):
        return cholesky_ex_result(cholesky(A, upper=upper), info)
    bad = wrap((info._data != 0)[..., None, None])
    L = cholesky(recorded.where(bad, identity_like(A), A), upper=upper)
    return cholesky_ex_result(recorded.where(bad, float("nan"), L), info)


def _cholesky_solve(b, a, upper=False):
    return _solve_triangular(a, _solve_triangular(a, b, upper, ta=upper), upper, ta=not upper)


def _cholesky_solve_factor(o, g, s, y, b, a, *, upper=False):
    # The derivative through A = L L^T, whose entries beyond the triangle are not zero; PyTorch keeps them too.
    gb = o.cholesky_solve(g, a, upper=upper)
    both = o.matmul(gb, y, tb=True)
    both = both + mT(o, both)
    return -(o.matmul(a, both) if upper else o.matmul(both, a))


cholesky_solve_p = primitive(
    "cholesky_solve",
    _cholesky_solve,
    (lambda o, g, s, y, b, a, *, upper=False: o.cholesky_solve(g, a, upper=upper), _cholesky_solve_factor),
    front=True,
)


@public
def cholesky_solve(B, L, upper=False):
    """X with ``A X = B`` given the Cholesky factor L of A.

    >>> import chainrule as torch
    >>> torch.cholesky_solve(torch.tensor([[4.0], [9.0]]), torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
    tensor([[1.],
            [1.]])
    """
    operator = "cholesky_solve"
    matrices(operator, B, "B")
    matrices(operator, L, "L", square=True)
    one_dtype(operator, L, B)
    if B._data.shape[-2] != L._data.shape[-1]:
        raise ShapeError(
            f"{operator}: Incompatible matrix sizes for cholesky_solve: each A matrix is {L._data.shape[-1]} by "
            f"{L._data.shape[-1]} but each b matrix is {B._data.shape[-2]} by {B._data.shape[-1]}"
        )
    L, B = common_batch(operator, L, B)
    return cholesky_solve_p(B, L, upper=bool(upper))


@public
def cholesky_inverse(L, upper=False):
    """The inverse of A given its Cholesky factor L.

    >>> import chainrule as torch
    >>> torch.cholesky_inverse(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([[0.2500, 0.0000],
            [0.0000, 1.0000]])
    """
    matrices("cholesky_inverse", L, "L", square=True)
    return cholesky_solve(identity_like(L), L, upper)


@public(**LINALG)
def householder_product(A, tau):
    """The first n columns of the product of Householder reflections ``I - tau_i v_i v_i^T``: A (*, m, n), tau (*, k).

    v_i is column i of A below the diagonal, with a one on it.

    >>> import chainrule as torch
    >>> a, tau = torch.geqrf(torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> torch.linalg.householder_product(a, tau)
    tensor([[-0.6000, -0.8000],
            [-0.8000,  0.6000]])
    """
    sa, st = matrices("linalg.householder_product", A), tau._data.shape
    m, n = sa[-2:]
    k = st[-1] if st else 0
    if m < n:
        raise ShapeError("linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1]")
    if n < k:
        raise ShapeError("linalg.householder_product: input.shape[-1] must be greater than or equal to tau.shape[-1]")
    if st[:-1] != sa[:-2]:
        raise ShapeError(
            "linalg.householder_product: Expected batch dimensions of tau to be equal to input.shape[:-2], but got "
            f"{list(st[:-1])}"
        )
    one_dtype("linalg.householder_product", A, tau)
    Q = wrap(np.broadcast_to(np.eye(m, n, dtype=A._data.dtype), sa))
    if k == 0:
        return A * 0.0 + Q
    unit = wrap(np.eye(m, n, dtype=A._data.dtype))
    V = recorded.add(low(recorded, A, -1), unit)
    for i in reversed(range(k)):
        v = V[..., i : i + 1]
        Q = Q - column(recorded, tau[..., i : i + 1]) * matmul(v, matmul(transposed(v), Q))
    return Q


public(householder_product, name="orgqr")


@public
def ormqr(input, tau, other, left=True, transpose=False):
    """Multiply ``other`` by the orthogonal matrix that (input, tau) from ``geqrf`` stand for.

    >>> import chainrule as torch
    >>> a, tau = torch.geqrf(torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> torch.ormqr(a, tau, torch.eye(2))
    tensor([[-0.6000, -0.8000],
            [-0.8000,  0.6000]])
    """
    matrices("ormqr", input)
    m, n = input._data.shape[-2:]
    k = tau._data.shape[-1]
    if k < n:  # only as many columns as there are reflections count
        input, n = input[..., :k], k
    if m > n:
        input = recorded.cat(input, wrap(np.zeros((*input._data.shape[:-1], m - n), input._data.dtype)), dim=-1)
    Q = householder_product(input, tau)
    Q = transposed(Q) if transpose else Q
    return matmul(Q, other) if left else matmul(other, Q)
