"""Inverse, determinant, and systems of equations with square matrices."""

import math

import numpy as np

from ..errors import ShapeError
from ..handle import wrap
from ..primitive import primitive, public, recorded
from ..primitive.arguments import one_dim
from .linalg_common import (
    LINALG,
    all_fine,
    common_batch,
    drop_column,
    each,
    identity_like,
    lapack,
    matrices,
    mT,
    one_dtype,
    refuse_singular,
    singular,
    transposed,
)
from .results import make_result
from .shape import permute_p, reshape_p

# ---- inverse


def _inv(a, name="linalg.inv"):
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError:
        raise singular(name, a) from None


inv_p = primitive(
    "linalg_inv",
    _inv,
    (lambda o, g, s, y, x, **_: -o.matmul(o.matmul(y, g, ta=True), y, tb=True),),
    node_name="LinalgInvExBackward0",
    front=True,
)


@public(**LINALG)
def inv(A):
    """The inverse of square matrices (*, n, n).

    Raises ShapeError unless square, LinAlgError if singular.

    >>> import chainrule as torch
    >>> torch.linalg.inv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    matrices("linalg.inv", A, square=True)
    return inv_p(A)


@public
def inverse(input):
    """``linalg.inv`` under its older name.

    >>> import chainrule as torch
    >>> torch.inverse(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return inv(input)


inv_ex_result = make_result("linalg_inv_ex", "inverse", "info")


def _infos(a):
    """Per matrix: 0, or the 1-based position of the zero pivot."""
    getrf = lapack().sgetrf if a.dtype == np.float32 else lapack().dgetrf
    found = [max(getrf(m)[2], 0) if m.size else 0 for m in each(a)]
    return np.array(found, np.int32).reshape(a.shape[:-2])


infos_p = primitive("linalg_infos", _infos, front=True)


@public(**LINALG)
def inv_ex(A, *, check_errors=False):
    """The inverse and, per matrix, 0 or the position of a zero pivot; does not raise unless ``check_errors``.

    Where a matrix is singular its inverse is filled with infinity.

    >>> import chainrule as torch
    >>> torch.linalg.inv_ex(torch.zeros(2, 2)).info
    tensor(1, dtype=torch.int32)
    """
    matrices("linalg.inv_ex", A, square=True)
    info = infos_p(A)
    if check_errors:
        refuse_singular("linalg.inv_ex", A, info)
    if check_errors or all_fine(info):
        return inv_ex_result(inv_p(A, name="linalg.inv_ex"), info)
    bad = wrap((info._data != 0)[..., None, None])
    return inv_ex_result(recorded.where(bad, math.inf, inv_p(recorded.where(bad, identity_like(A), A))), info)


# ---- determinant


def _cofactors(a):
    """The matrix of cofactors, det(A) A^-T; by the singular value decomposition if A is singular."""
    try:
        return np.linalg.det(a)[..., None, None] * np.linalg.inv(a).swapaxes(-1, -2)
    except np.linalg.LinAlgError:
        u, s, vh = np.linalg.svd(a)
        n = s.shape[-1]
        others = np.stack([np.prod(np.delete(s, i, -1), -1) for i in range(n)], -1)
        sign = (np.linalg.det(u) * np.linalg.det(vh))[..., None, None]
        return (sign * (u * others[..., None, :]) @ vh).astype(a.dtype)


def _cofactors_rule(o, h, s, y, x):
    # With C = det(A) B and B = A^-T: dC = <B, dA> C - C dA^T B.
    b = mT(o, o.linalg_inv(x))
    inner = o.sum(h * b, dim=(-2, -1), keepdim=True)
    return inner * y - o.matmul(o.matmul(y, h, tb=True), b)


cofactors_p = primitive("linalg_cofactors", _cofactors, (_cofactors_rule,), front=True)

det_p = primitive(
    "linalg_det",
    lambda a: np.linalg.det(a),
    (lambda o, g, s, y, x: o.reshape(g, shape=(*g.shape, 1, 1)) * o.linalg_cofactors(x),),
    front=True,
)


@public(**LINALG)
def det(A):
    """The determinants of square matrices (*, n, n). The gradient is right for singular matrices too.

    >>> import chainrule as torch
    >>> torch.linalg.det(torch.tensor([[2.0, 0.0], [1.0, 4.0]]))
    tensor(8.)
    """
    matrices("linalg.det", A, square=True)
    return det_p(A)


public(det, name="det", namespaces=("torch",))

slogdet_p = primitive(
    "linalg_slogdet",
    lambda a: tuple(np.linalg.slogdet(a)),
    (
        lambda o, g, s, y, x: (
            o.reshape(g[1], shape=(*g[1].shape, 1, 1)) * mT(o, o.linalg_inv(x, name="linalg.slogdet backward"))
        ),
    ),
    outputs=2,
    front=True,
)
linalg_slogdet_result = make_result("linalg_slogdet", "sign", "logabsdet")
slogdet_result = make_result("slogdet", "sign", "logabsdet")


@public(**LINALG)
def slogdet(A):
    """The sign and the logarithm of the absolute value of the determinants of square matrices:

    ``(sign, logabsdet)``.

    >>> import chainrule as torch
    >>> torch.linalg.slogdet(-torch.eye(3)).sign
    tensor(-1.)
    """
    matrices("linalg.slogdet", A, square=True)
    return linalg_slogdet_result(*slogdet_p(A))


def _torch_slogdet(input):
    """As ``linalg.slogdet``.

    >>> import chainrule as torch
    >>> torch.slogdet(-torch.eye(3)).sign
    tensor(-1.)
    """
    matrices("slogdet", input, square=True)
    return slogdet_result(*slogdet_p(input))


public(_torch_slogdet, name="slogdet")


@public
def logdet(input):
    """The logarithm of the determinants of square matrices; NaN where the determinant is negative.

    >>> import chainrule as torch
    >>> torch.logdet(torch.eye(3))
    tensor(0.)
    """
    matrices("logdet", input, square=True)
    sign, value = slogdet_p(input)
    return recorded.where(recorded.lt(sign.detach(), 0.0), math.nan, value)


# ---- systems of equations


def _solve(a, b, ta=False):
    m = a.swapaxes(-1, -2) if ta else a
    try:
        return np.linalg.solve(m, b)
    except np.linalg.LinAlgError:
        raise singular("torch.linalg.solve", a, "The solver failed because the input matrix is singular.") from None


def _solve_matrix(o, g, s, y, a, b, *, ta=False):
    gb = o.linalg_solve(a, g, ta=not ta)
    return -(o.matmul(y, gb, tb=True) if ta else o.matmul(gb, y, tb=True))


solve_p = primitive(
    "linalg_solve",
    _solve,
    (_solve_matrix, lambda o, g, s, y, a, b, *, ta=False: o.linalg_solve(a, g, ta=not ta)),
    front=True,
    node_name="LinalgSolveExBackward0",
)


def _is_vector(A, B):
    """Whether B holds right-hand sides that are vectors, one per matrix."""
    return B._data.ndim == 1 or (A._data.ndim - 1 == B._data.ndim and B._data.shape == A._data.shape[:-1])


@public(**LINALG)
def solve(A, B, *, left=True):
    """X with ``A X = B`` (or ``X A = B`` if not left): A (*, n, n), B (*, n) or (*, n, k).

    Raises ShapeError for sizes that do not fit, LinAlgError if A is singular.

    >>> import chainrule as torch
    >>> torch.linalg.solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    matrices("linalg.solve", A, square=True)
    one_dtype("linalg.solve", A, B)
    n, vector = A._data.shape[-1], _is_vector(A, B)
    if vector:
        if not left:
            raise ShapeError("linalg.solve: Vector broadcasting of the left hand side is not supported for left=False.")
        B = reshape_p(B, shape=(*B._data.shape, 1))
    rows = B._data.shape[-2 if left else -1] if B._data.ndim > 1 else None
    if rows != n:
        raise ShapeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({n}x{n} and {'x'.join(map(str, B._data.shape[-2:]))})"
        )
    if not left:
        A, B = common_batch("linalg.solve", A, transposed(B))
        return transposed(solve_p(A, B, ta=True))
    A, B = common_batch("linalg.solve", A, B)
    X = solve_p(A, B)
    return drop_column(X) if vector else X


solve_ex_result = make_result("linalg_solve_ex", "result", "info")


@public(**LINALG)
def solve_ex(A, B, *, left=True, check_errors=False):
    """The solution and, per matrix, 0 or the position of a zero pivot.

    Raises for a singular matrix only if ``check_errors``.

    >>> import chainrule as torch
    >>> torch.linalg.solve_ex(torch.zeros(2, 2), torch.ones(2)).info
    tensor(1, dtype=torch.int32)
    """
    matrices("linalg.solve_ex", A, square=True)
    info = infos_p(A)
    if check_errors or all_fine(info):
        return solve_ex_result(solve(A, B, left=left), info)
    bad = wrap((info._data != 0)[..., None, None])
    result = solve(recorded.where(bad, identity_like(A), A), B, left=left)
    bad = bad if result._data.ndim >= bad._data.ndim else drop_column(bad)
    return solve_ex_result(recorded.where(bad, math.inf, result), info)


@public(**LINALG)
def tensorsolve(A, B, dims=None):
    """X with ``tensordot(A, X, X.ndim) = B``; ``dims`` of A are moved to its end first.

    >>> import chainrule as torch
    >>> torch.linalg.tensorsolve(torch.eye(6).view(2, 3, 6), torch.ones(2, 3))
    tensor([1., 1., 1., 1., 1., 1.])
    """
    sa, sb = A._data.shape, B._data.shape
    if dims is not None:
        moved = [one_dim(d, len(sa), "linalg.tensorsolve") for d in dims]
        A = permute_p(A, dims=(*[d for d in range(-len(sa), 0) if d not in moved], *moved))
        sa = A._data.shape
    result = sa[len(sb) :]
    if math.prod(result) != math.prod(sb) or math.prod(sa[: len(sb)]) != math.prod(sb):
        raise ShapeError(
            f"linalg.tensorsolve: Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), got A of shape {list(sa)} and B of shape {list(sb)}"
        )
    n = math.prod(result)
    return reshape_p(solve(reshape_p(A, shape=(n, n)), reshape_p(B, shape=(n,))), shape=result)


@public(**LINALG)
def tensorinv(A, ind=2):
    """The inverse for ``tensordot`` with ``ind`` dimensions:

    A's first ``ind`` sizes multiply to as much as the others.

    >>> import chainrule as torch
    >>> torch.linalg.tensorinv(torch.eye(6).view(2, 3, 6)).shape
    torch.Size([6, 2, 3])
    """
    if ind <= 0:
        raise ShapeError(f"Expected a strictly positive integer for 'ind', got {ind}")
    sa = A._data.shape
    rows, columns = sa[:ind], sa[ind:]
    if math.prod(rows) != math.prod(columns):
        raise ShapeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{math.prod(columns)} != {math.prod(rows)}"
        )
    n = math.prod(rows)
    return reshape_p(inv(reshape_p(A, shape=(n, n))), shape=columns + rows)
