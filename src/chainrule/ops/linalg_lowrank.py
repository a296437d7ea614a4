"""Low-rank approximations by random projection (Halko, Martinsson and Tropp, 2009)."""

from ..errors import ArgumentValueError
from ..primitive import public
from .linalg_common import matrices, transposed
from .linalg_factor import qr
from .linalg_spectral import svd
from .matmul import matmul
from .random import randn


def _basis(A, q, niter):
    """Orthonormal columns that span nearly what the q largest singular vectors of A span."""
    Q = qr(matmul(A, randn(A._data.shape[-1], q, dtype=A.dtype))).Q
    for _ in range(niter):
        Q = qr(matmul(transposed(A), Q)).Q
        Q = qr(matmul(A, Q)).Q
    return Q


@public(method=False)
def svd_lowrank(A, q=6, niter=2, M=None):
    """U, S, V of a rank-q approximation of A (*, m, n), or of A - M: ``A ~ U diag(S) V.T``.

    niter: power iterations, more for slowly falling singular values. Draws random numbers.

    >>> import chainrule as torch
    >>> U, S, V = torch.svd_lowrank(torch.ones(5, 3), q=2)
    >>> U.shape, S.shape, V.shape
    (torch.Size([5, 2]), torch.Size([2]), torch.Size([3, 2]))
    """
    matrices("svd_lowrank", A)
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    if M is not None:
        A = A - M
    wide = A._data.shape[-2] < A._data.shape[-1]
    if wide:
        A = transposed(A)
    Q = _basis(A, q, niter)
    U, S, Vh = svd(matmul(transposed(Q), A), full_matrices=False)
    U, V = matmul(Q, U), transposed(Vh)
    return (V, S, U) if wide else (U, S, V)


@public(method=False)
def pca_lowrank(A, q=None, center=True, niter=2):
    """Principal components of A (*, m, n), rows being samples: U, S, V of the (centred) matrix, of rank ``q``.

    q: None means ``min(6, m, n)``.  Raises ArgumentValueError for a rank out of range.

    >>> import chainrule as torch
    >>> torch.pca_lowrank(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), q=1)[1]
    tensor([4.])
    """
    m, n = matrices("pca_lowrank", A)[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ArgumentValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ArgumentValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)
