"""Eigenvalues of symmetric matrices, singular values, and what follows from them:

pseudoinverse, rank, condition, least squares.
"""

import math

import numpy as np

from ..errors import ArgumentError, CaptureError, LinAlgError, ShapeError, UnsupportedError
from ..handle import Tensor, wrap
from ..primitive import linear, primitive, public, recorded
from .linalg_common import (
    LINALG,
    column,
    common_batch,
    diagonals,
    drop_column,
    element,
    matrices,
    mT,
    one_dtype,
    row,
    transposed,
)
from .linalg_solve import inv
from .matmul import matmul
from .norms import matrix_norm
from .results import make_result
from .shape import reshape_p

# ---- symmetric eigenproblems


def _eigh(a, uplo="L"):
    try:
        w, v = np.linalg.eigh(a, uplo)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            f"linalg.eigh: {element(0, a.shape)}The algorithm failed to converge because the input matrix is "
            "ill-conditioned or has "
            "too many repeated eigenvalues"
        ) from None
    return w, v


def _quotient(o, num, den):
    """``num / den``, and 0 where the numerator is 0: a pair of equal values that nothing depends on contributes
    nothing.
    """
    return num / o.where(num == 0, 1.0, den)


def _eigh_rule(o, g, s, y, x, *, uplo="L"):
    (gw, gv), (w, v) = g, y
    # V^T gV, made antisymmetric: V can only rotate. So the gradient is symmetric.
    turn = o.matmul(v, gv, ta=True)
    inner = _quotient(o, (turn - mT(o, turn)) * 0.5, row(o, w) - column(o, w)) + diagonals(o, gw)
    return o.matmul(o.matmul(v, inner), v, tb=True)


eigh_p = primitive("linalg_eigh", _eigh, (_eigh_rule,), outputs=2, front=True)
eigh_result = make_result("linalg_eigh", "eigenvalues", "eigenvectors")


def _uplo(operator, UPLO):
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise ArgumentError(f"{operator}: Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper()


@public(**LINALG)
def eigh(A, UPLO="L"):
    """Eigenvalues (ascending) and orthonormal eigenvectors of symmetric matrices, of which one triangle is read.

    Gradients through the eigenvectors need distinct eigenvalues.

    >>> import chainrule as torch
    >>> torch.linalg.eigh(torch.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    matrices("linalg.eigh", A, square=True)
    return eigh_result(*eigh_p(A, uplo=_uplo("linalg.eigh", UPLO)))


@public(**LINALG)
def eigvalsh(A, UPLO="L"):
    """The eigenvalues (ascending) of symmetric matrices.

    >>> import chainrule as torch
    >>> torch.linalg.eigvalsh(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([1., 2.])
    """
    matrices("linalg.eigvalsh", A, square=True)
    return eigh_p(A, uplo=_uplo("linalg.eigvalsh", UPLO))[0]


def _complex(name):
    def call(A):
        raise UnsupportedError(
            f"linalg.{name}: the eigenvalues of general matrices are complex, which is not supported; for symmetric "
            "matrices use "
            f"linalg.{'eigh' if name == 'eig' else 'eigvalsh'}"
        )

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "Not supported: the eigenvalues of general matrices are complex. Raises UnsupportedError."
    return call


for _name in ("eig", "eigvals"):
    public(_complex(_name), **LINALG)

# ---- singular values


def _svd(a, full=False):
    if 0 in a.shape[-2:]:
        m, n = a.shape[-2:]
        batch = a.shape[:-2]
        u = np.broadcast_to(np.eye(m, m if full else 0, dtype=a.dtype), (*batch, m, m if full else 0))
        vh = np.broadcast_to(np.eye(n if full else 0, n, dtype=a.dtype), (*batch, n if full else 0, n))
        return u, np.zeros((*batch, 0), a.dtype), vh
    try:
        return tuple(np.linalg.svd(a, full_matrices=full))
    except np.linalg.LinAlgError:
        raise LinAlgError(
            f"linalg.svd: {element(0, a.shape)}The algorithm failed to converge because the input matrix is "
            "ill-conditioned or has "
            "too many repeated singular values"
        ) from None


def _svd_rule(o, g, s, y, x, *, full=False):
    (gu, gs, gvh), (u, sigma, vh) = g, y
    m, n = s[0][-2:]
    k = min(m, n)
    if full:  # the further columns are any basis of the rest: nothing can depend on them
        u, vh, gu, gvh = u[..., :k], vh[..., :k, :], gu[..., :k], gvh[..., :k, :]
    gaps = row(o, sigma * sigma) - column(o, sigma * sigma)
    ug, vg = o.matmul(u, gu, ta=True), o.matmul(vh, gvh, tb=True)
    core = _quotient(o, ug - mT(o, ug), gaps) * row(o, sigma) + column(o, sigma) * _quotient(o, vg - mT(o, vg), gaps)
    core = core + diagonals(o, gs)
    ga = o.matmul(o.matmul(u, core), vh)
    if m > k:
        ga = ga + o.matmul(_quotient(o, gu - o.matmul(u, ug), row(o, sigma)), vh)
    if n > k:
        ga = ga + o.matmul(u, _quotient(o, gvh - o.matmul(vg, vh, ta=True), column(o, sigma)))
    return ga


svd_p = primitive("linalg_svd", _svd, (_svd_rule,), outputs=3, front=True)
linalg_svd_result = make_result("linalg_svd", "U", "S", "Vh")
svd_result = make_result("svd", "U", "S", "V")


@public(**LINALG)
def svd(A, full_matrices=True, *, driver=None):
    """U, S, Vh with ``A = U diag(S) Vh``; S descending.

    full_matrices: U (*, m, m) and Vh (*, n, n), else only their first min(m, n) columns and rows.
    Gradients through U and Vh need distinct singular values.

    >>> import chainrule as torch
    >>> torch.linalg.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    matrices("linalg.svd", A)
    if driver is not None:
        raise ShapeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend."
        )
    return linalg_svd_result(*svd_p(A, full=bool(full_matrices)))


@public(**LINALG)
def svdvals(A, *, driver=None):
    """The singular values of matrices, descending.

    >>> import chainrule as torch
    >>> torch.linalg.svdvals(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor([4., 3.])
    """
    matrices("linalg.svdvals", A)
    if driver is not None:
        raise ShapeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend."
        )
    return svd_p(A, full=False)[1]


recorded.singular_values = svdvals  # for the matrix norms


@public(name="svd")
def _torch_svd(input, some=True, compute_uv=True):
    """U, S, V with ``A = U diag(S) V.T``, under the older name; some=False gives square U and V.

    >>> import chainrule as torch
    >>> torch.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    matrices("svd", input)
    U, S, Vh = svd_p(input, full=not some)
    if not compute_uv:
        m, n = input._data.shape[-2:]
        batch, d = input._data.shape[:-2], input._data.dtype
        return svd_result(wrap(np.zeros((*batch, m, m), d)), S, wrap(np.zeros((*batch, n, n), d)))
    return svd_result(U, S, transposed(Vh))


# ---- what follows from singular values


def _cutoff(a, sizes, atol, rtol):
    """The tolerance per matrix: the larger of atol and rtol times the largest value (its shape: the batch)."""
    largest = sizes.max(-1, initial=0)
    eps = np.finfo(a.dtype).eps
    if rtol is None:
        given = np.asarray(0.0 if atol is None else atol)
        rtol = np.where(given > 0, 0.0, eps * max(a.shape[-2:]))
    return np.maximum(np.asarray(0.0 if atol is None else atol), np.asarray(rtol) * largest)


def _pinv(a, atol=None, rtol=None, hermitian=False):
    if not a.size:
        return np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    if hermitian:
        w, v = np.linalg.eigh(a)
        keep = np.abs(w) > _cutoff(a, np.abs(w), atol, rtol)[..., None]
        inverse = np.where(keep, 1 / np.where(keep, w, 1), 0).astype(a.dtype)
        return (v * inverse[..., None, :]) @ v.swapaxes(-1, -2)
    u, sigma, vh = np.linalg.svd(a, full_matrices=False)
    keep = sigma > _cutoff(a, sigma, atol, rtol)[..., None]
    inverse = np.where(keep, 1 / np.where(keep, sigma, 1), 0).astype(a.dtype)
    return (vh.swapaxes(-1, -2) * inverse[..., None, :]) @ u.swapaxes(-1, -2)


def _pinv_rule(o, g, s, y, x, *_, **__):
    # Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems" (1973).
    h, yt = mT(o, g), mT(o, y)
    if s[0][-2] <= s[0][-1]:
        k = o.matmul(h, y)
        ky = o.matmul(k, yt)
        return ky - mT(o, o.matmul(y, k)) - o.matmul(o.matmul(x, y), ky) + o.matmul(o.matmul(yt, y), h - o.matmul(k, x))
    k = o.matmul(y, h)
    yk = o.matmul(yt, k)
    return o.matmul(o.matmul(h - o.matmul(x, k), y), yt) - mT(o, o.matmul(k, y)) + yk - o.matmul(o.matmul(yk, y), x)


pinv_p = primitive("linalg_pinv", _pinv, (_pinv_rule,), front=True)


def _matrix_rank(a, atol=None, rtol=None, hermitian=False):
    if not a.size:
        return np.zeros(a.shape[:-2], np.int64)
    sizes = np.abs(np.linalg.eigvalsh(a)) if hermitian else np.linalg.svd(a, compute_uv=False)
    return np.asarray((sizes > _cutoff(a, sizes, atol, rtol)[..., None]).sum(-1))


matrix_rank_p = primitive("linalg_matrix_rank", _matrix_rank, front=True)


def _with_tolerances(operator, A, atol, rtol, hermitian):
    """``operator`` of A: tolerances that are tensors are operands, numbers are parameters."""
    if isinstance(atol, Tensor) or isinstance(rtol, Tensor):
        atol, rtol = (t if t is None or isinstance(t, Tensor) else wrap(np.asarray(t)) for t in (atol, rtol))
        return operator(A, atol, rtol, hermitian=bool(hermitian))
    return operator(A, atol=atol, rtol=rtol, hermitian=bool(hermitian))


@public(**LINALG)
def pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None):
    """The pseudoinverse (Moore-Penrose) of matrices (*, m, n).

    Singular values up to ``max(atol, rtol * largest)`` count as zero; rtol defaults to ``max(m, n) * eps`` unless atol
    is given.

    >>> import chainrule as torch
    >>> torch.linalg.pinv(torch.tensor([[2.0, 0.0], [0.0, 0.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])
    """
    matrices("linalg.pinv", A)
    rtol = rcond if rtol is None else rtol
    return _with_tolerances(pinv_p, A, atol, rtol, hermitian)


@public
def pinverse(input, rcond=1e-15):
    """``linalg.pinv`` under its older name.

    >>> import chainrule as torch
    >>> torch.pinverse(torch.tensor([[2.0, 0.0], [0.0, 0.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])
    """
    return pinv(input, rcond)


@public(**LINALG)
def matrix_rank(A, tol=None, hermitian=False, *, atol=None, rtol=None):
    """How many singular values (absolute eigenvalues if hermitian) are above ``max(atol, rtol * largest)``;

    integers, no gradient.

    >>> import chainrule as torch
    >>> torch.linalg.matrix_rank(torch.ones(3, 3))
    tensor(1)
    """
    matrices("linalg.matrix_rank", A)
    if tol is not None:
        atol, rtol = tol, 0.0
    return _with_tolerances(matrix_rank_p, A, atol, rtol, hermitian)


@public(**LINALG)
def cond(A, p=None):
    """The condition number in the norm p: None or 2, -2 (by singular values), "fro", "nuc", inf, -inf, 1, -1 (norm
    of A times of A^-1).

    >>> import chainrule as torch
    >>> torch.linalg.cond(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor(2.)
    """
    matrices("linalg.cond", A, square=p not in (None, 2, -2))
    if p in (None, 2, -2):
        S = svdvals(A)
        if S._data.shape[-1] == 0:
            raise ShapeError("linalg.cond: the condition number of an empty matrix is not defined")
        return S[..., -1] / S[..., 0] if p == -2 else S[..., 0] / S[..., -1]
    if p not in ("fro", "nuc", math.inf, -math.inf, 1, -1):
        raise ShapeError(f"linalg.cond got an invalid norm type: {p}")
    return matrix_norm(A, p) * matrix_norm(inv(A), p)


def _residuals(x, rank, columns):
    if (rank != columns).any():
        raise CaptureError(
            "linalg.lstsq: a matrix has not full rank, so that residuals are empty, but this function was compiled for "
            "matrices of full rank (the shape of residuals depends on values). Take driver='gelsy', which gives none, "
            "compute them from the solution, or leave this part outside the compiled function."
        )
    return x.copy()


# Stands in compiled functions alone, and there only if somebody looks at the residuals.
residuals_p = linear("linalg_lstsq_residuals", _residuals, lambda o, g, s, rank, *, columns: g, front=True)
lstsq_result = make_result("linalg_lstsq", "solution", "residuals", "rank", "singular_values")


@public(**LINALG)
def lstsq(A, B, rcond=None, *, driver=None):
    """X that minimises ``|A X - B|`` (and, among those, ``|X|``): ``(solution, residuals, rank, singular_values)``.

    driver: "gelsy" (default), "gels", "gelsd" or "gelss" as in PyTorch; all give the same solution here, and decide
    whether rank and singular values are returned.  residuals: the squared errors if A has full rank and more rows than
    columns (not with "gelsy"), else empty.

    >>> import chainrule as torch
    >>> torch.linalg.lstsq(torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0], [3.0]])).solution
    tensor([[2.0000]])
    """
    operator = "torch.linalg.lstsq"
    matrices(operator, A)
    one_dtype(operator, A, B)
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise ShapeError(f"{operator}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), got {driver!r}")
    driver = driver or "gelsy"
    vector = B._data.ndim == 1 or (A._data.ndim - 1 == B._data.ndim and B._data.shape == A._data.shape[:-1])
    if vector:
        B = column(recorded, B)
    m, n = A._data.shape[-2:]
    if B._data.shape[-2] != m:
        raise ShapeError(f"{operator}: input.size(-2) should match other.size(-2), got {m} and {B._data.shape[-2]}")
    A, B = common_batch(operator, A, B)
    eps = float(np.finfo(A._data.dtype).eps)
    X = matmul(pinv(A, rtol=eps * max(m, n) if rcond is None else rcond), B)
    rank, sizes = matrix_rank(A, rtol=eps * max(m, n) if rcond is None else rcond), svdvals(A.detach())
    known = type(rank._data) is np.ndarray  # not while a function is compiled
    if driver != "gelsy" and m > n and (not known or (rank._data == n).all()):
        error = matmul(A, X) - B
        residuals = (error * error).sum(-2)
        if not known:
            residuals = residuals_p(residuals, rank, columns=n)
    else:
        residuals = reshape_p(X, shape=(X._data.size,))[:0]
    if driver == "gels":
        rank = wrap(np.empty(0, np.int64))
    if driver in ("gels", "gelsy"):
        sizes = wrap(np.empty(0, A._data.dtype))
    return lstsq_result(drop_column(X) if vector else X, residuals, rank, sizes)


@public(**LINALG)
def vander(x, N=None):
    """The Vandermonde matrix: powers 0 to N-1 of the elements of x (*, n), along a new last dimension;

    N defaults to n.

    >>> import chainrule as torch
    >>> torch.linalg.vander(torch.tensor([1.0, 2.0, 3.0]))
    tensor([[1., 1., 1.],
            [1., 2., 4.],
            [1., 3., 9.]])
    """
    if not x._data.ndim:
        x = reshape_p(x, shape=(1,))
    shape = x._data.shape
    n = shape[-1] if N is None else N
    if n <= 1:
        raise ShapeError(f"linalg.vander: N must be greater than 1, got {n}")
    powers = [wrap(np.ones(shape, x._data.dtype)), x]
    for _ in range(n - 2):
        powers.append(powers[-1] * x)
    return recorded.cat(*[column(recorded, p) for p in powers], dim=-1)
