"""Powers and the exponential of matrices."""

from operator import index as as_int

from ..errors import ArgumentError
from ..primitive import primitive, public
from .linalg_common import identity_like, matrices, mT
from .linalg_solve import inv_p
from .matmul import matmul


@public(namespaces=("torch", "linalg"))
def matrix_power(A, n):
    """The n-th power of square matrices (*, m, m), by repeated squaring; a negative n inverts first.

    Raises ShapeError unless A is square, LinAlgError if it has to be inverted and is singular.

    >>> import chainrule as torch
    >>> torch.linalg.matrix_power(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
    tensor([[1., 5.],
            [0., 1.]])
    """
    matrices("linalg.matrix_power", A, square=True)
    try:
        n = as_int(n)
    except TypeError:
        raise ArgumentError(f"matrix_power(): argument 'n' must be int, not {type(n).__name__}") from None
    if n == 0:
        return identity_like(A).clone() + A * 0.0 if A.requires_grad else identity_like(A).clone()
    if n < 0:
        A, n = inv_p(A, name="linalg.inv"), -n
    result, square = None, A
    while n:
        if n & 1:
            result = square if result is None else matmul(result, square)
        n >>= 1
        if n:
            square = matmul(square, square)
    return result


def _matrix_exp(a):
    import scipy.linalg

    if not a.size:
        return a.copy()
    return scipy.linalg.expm(a).astype(a.dtype, copy=False)


def _matrix_exp_rule(o, g, s, y, x):
    # The block matrix [[A^T, G], [0, A^T]] has the gradient in the upper right of its exponential (Mathias, 1996).
    n = s[0][-1]
    a = mT(o, x)
    whole = o.cat(o.cat(a, g, dim=-1), o.cat(g * 0.0, a, dim=-1), dim=-2)
    return o.matrix_exp(whole)[..., :n, n:]


matrix_exp_p = primitive(
    "matrix_exp", _matrix_exp, (_matrix_exp_rule,), node_name="LinalgMatrixExpBackward0", front=True
)


@public(namespaces=("torch", "linalg"), aliases=())
def matrix_exp(A):
    """The exponential of square matrices (*, n, n): ``sum A**k / k!`` (SciPy's scaling and squaring).

    >>> import chainrule as torch
    >>> torch.linalg.matrix_exp(torch.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    matrices("linalg.matrix_exp", A, square=True)
    return matrix_exp_p(A)
