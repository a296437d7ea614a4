"""Matrix products: the bilinear primitives, the map behind linear layers, and PyTorch's names for them.

``matmul`` and ``mv`` take flags that transpose an operand, as BLAS does. So the transposes that a product's derivative
needs are products again, and no rule makes a transposed view.
"""

import math

import numpy as np

from ..errors import ShapeError
from ..primitive import bilinear, primitive, public
from .operands import check_operands, check_rank, no_product
from .shape import reshape_p

# ---- primitives


def _matmul(a, b, ta=False, tb=False):
    if a.ndim == 2:
        if a.itemsize == 2:
            return _narrow(a, b, ta, tb)
        return (a.T if ta else a).dot(b.T if tb else b)
    if a.itemsize == 2:
        return _narrow(a, b, ta, tb)
    return np.matmul(a.swapaxes(-1, -2) if ta else a, b.swapaxes(-1, -2) if tb else b)


def _narrow(a, b, ta, tb):
    """Half-precision (and 16-bit integer) products: BLAS has none, so compute wider and round once."""
    wide = np.int64 if a.dtype.kind in "iu" else np.float32
    return _matmul(a.astype(wide), b.astype(wide), ta, tb).astype(a.dtype)


def _matmul_left(o, g, s, b, *, ta=False, tb=False):
    r = o.matmul(b, g, ta=tb, tb=True) if ta else o.matmul(g, b, ta=False, tb=not tb)
    return r if r.shape == s[0] else o.sum_to(r, shape=s[0])


def _matmul_right(o, g, s, a, *, ta=False, tb=False):
    r = o.matmul(g, a, ta=True, tb=ta) if tb else o.matmul(a, g, ta=not ta, tb=False)
    return r if r.shape == s[1] else o.sum_to(r, shape=s[1])


# Both operands have the same number of dimensions, at least 2; batch dimensions broadcast.
matmul_p = bilinear(
    "matmul",
    _matmul,
    _matmul_left,
    _matmul_right,
    front=True,
    node_name=lambda arrays, params: "MmBackward0" if arrays[0].ndim == 2 else "BmmBackward0",
)


def _mv(a, v, ta=False):
    if ta:
        a = a.swapaxes(-1, -2)
    if a.ndim == 2 and a.itemsize != 2:
        return a.dot(v)
    return _matmul(a, v[..., None])[..., 0]


mv_p = bilinear(
    "mv",
    _mv,
    lambda o, g, s, v, *, ta=False: _column(o, v) * _row(o, g) if ta else _column(o, g) * _row(o, v),
    lambda o, g, s, a, *, ta=False: o.mv(a, g, ta=not ta),
    front=True,
)


def _column(o, v):
    return o.reshape(v, shape=(*v.shape, 1))


def _row(o, v):
    return o.reshape(v, shape=(*v.shape[:-1], 1, v.shape[-1]))


def _dot(a, b):
    if a.itemsize == 2:
        return _narrow(a[..., None, :], b[..., :, None], False, False)[..., 0, 0]
    return np.vecdot(a, b)


dot_p = bilinear(
    "dot",
    _dot,
    lambda o, g, s, b: o.reshape(g, shape=(*g.shape, 1)) * b,
    lambda o, g, s, a: o.reshape(g, shape=(*g.shape, 1)) * a,
    front=True,
)


def linear_kernel(x, w, b=None, trans=True):
    """``x @ w.T + b`` for x of any rank (``x @ w`` if not trans), as one two-dimensional product."""
    if trans:
        w = w.T
    if x.itemsize == 2:
        y = _narrow(
            x.reshape(-1, x.shape[-1]) if x.size else x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), w, False, False
        )
        y = y.reshape(*x.shape[:-1], w.shape[1])
    elif x.ndim == 2 or x.ndim == 1:
        y = x.dot(w)
    else:
        shape = x.shape
        y = x.reshape(math.prod(shape[:-1]), shape[-1]).dot(w).reshape(*shape[:-1], w.shape[1])
    if b is not None:
        y += b
    return y


def _linear_weight(o, g, s, y, x, w, b, *, trans=True):
    lead = math.prod(s[0][:-1])
    if len(s[0]) != 2:
        g = o.reshape(g, shape=(lead, g.shape[-1]))
        x = o.reshape(x, shape=(lead, s[0][-1]))
    return o.matmul(g, x, ta=True) if trans else o.matmul(x, g, ta=True)


linear_p = primitive(
    "linear",
    linear_kernel,
    (
        lambda o, g, s, y, x, w, b, *, trans=True: o.linear(g, w, None, trans=not trans),
        _linear_weight,
        lambda o, g, s, y, x, w, b, *, trans=True: (
            o.sum(g, dim=(-2,), keepdim=False) if len(s[0]) == 2 and s[2] == g.shape[1:] else o.sum_to(g, shape=s[2])
        ),
    ),
    node_name=lambda arrays, params: "MmBackward0" if arrays[2] is None else "AddmmBackward0",
)
# In its first two inputs a linear layer is a product; masked paths are followed through it as through one.
linear_p.left = lambda o, g, s, w, *, trans=True: o.linear(g, w, None, trans=not trans)
linear_p.right = lambda o, g, s, x, *, trans=True: _linear_weight(o, g, s, None, x, None, None, trans=trans)
linear_p.node = linear_p.node_type("AddmmBackward0")
mm_node = linear_p.node_type("MmBackward0")


# ---- products


@public(namespaces=("torch", "linalg"))
def matmul(input, other):
    """The matrix product, as ``@``: vectors, matrices, and batches of matrices whose batch dimensions broadcast.

    Raises ShapeError if the inner sizes differ or an operand is 0-d, DTypeError if the dtypes differ.

    >>> import chainrule as torch
    >>> torch.matmul(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    check_operands("matmul", input, other)
    sa, sb = input._data.shape, other._data.shape
    na, nb = len(sa), len(sb)
    if na == 2 and nb == 2:
        if sa[1] != sb[0]:
            raise no_product("matmul", sa, sb)
        return matmul_p(input, other)
    if na == 0 or nb == 0:
        raise ShapeError(
            f"matmul(): both arguments to matmul need to be at least 1D, but they are {na}D and {nb}D; use * to "
            "multiply by a number"
        )
    inner = sb[-2] if nb > 1 else sb[0]
    if sa[-1] != inner:
        if na == nb == 1:
            raise ShapeError(
                f"matmul(): inconsistent tensor size, expected tensor {list(sa)} and src {list(sb)} to have the same "
                "number of elements"
            )
        raise no_product("matmul", sa if na > 1 else (1, *sa), sb[-2:] if nb > 1 else (*sb, 1))
    if na == 1 and nb == 1:
        return dot_p(input, other)
    if na == 2 and nb == 1:
        return mv_p(input, other)
    if na == 1 and nb == 2:
        return mv_p(other, input, ta=True)
    if nb == 2:
        return linear_p(input, other, None, trans=False)
    if nb == 1:
        flat = reshape_p(input, shape=(math.prod(sa[:-1]), sa[-1]))
        return reshape_p(mv_p(flat, other), shape=sa[:-1])
    if na == 1:
        y = matmul_p(reshape_p(input, shape=(1,) * (nb - 1) + sa), other)
        return reshape_p(y, shape=y._data.shape[:-2] + y._data.shape[-1:])
    _check_batch(sa, sb)
    n = max(na, nb)
    if na < n:
        input = reshape_p(input, shape=(1,) * (n - na) + sa)
    elif nb < n:
        other = reshape_p(other, shape=(1,) * (n - nb) + sb)
    return matmul_p(input, other)


def _check_batch(sa, sb):
    try:
        np.broadcast_shapes(sa[:-2], sb[:-2])
    except ValueError:
        raise ShapeError(
            f"matmul(): batch dimensions {list(sa[:-2])} and {list(sb[:-2])} do not broadcast; sizes must be equal or 1"
        ) from None


@public
def mm(input, mat2):
    """The product of two matrices, without broadcasting.

    Raises ShapeError unless both are 2-D and fit together.

    >>> import chainrule as torch
    >>> torch.mm(torch.eye(2), torch.tensor([[1.0], [2.0]]))
    tensor([[1.],
            [2.]])
    """
    check_operands("mm", input, mat2)
    check_rank("mm", "input", input, 2)
    check_rank("mm", "mat2", mat2, 2)
    if input._data.shape[1] != mat2._data.shape[0]:
        raise no_product("mm", input._data.shape, mat2._data.shape)
    return matmul_p(input, mat2)


@public
def bmm(input, mat2):
    """The products of two batches of matrices, ``(b, n, m)`` and ``(b, m, p)``, without broadcasting.

    >>> import chainrule as torch
    >>> torch.bmm(torch.ones(2, 1, 3), torch.ones(2, 3, 1)).shape
    torch.Size([2, 1, 1])
    """
    check_operands("bmm", input, mat2)
    check_rank("bmm", "batch1", input, 3)
    check_rank("bmm", "batch2", mat2, 3)
    sa, sb = input._data.shape, mat2._data.shape
    if sa[0] != sb[0] or sa[2] != sb[1]:
        raise ShapeError(
            f"bmm(): Expected size for first two dimensions of batch2 tensor to be: [{sa[0]}, {sa[2]}] but got: "
            f"[{sb[0]}, {sb[1]}]."
        )
    return matmul_p(input, mat2)


@public
def mv(input, vec):
    """The product of a matrix and a vector.

    >>> import chainrule as torch
    >>> torch.mv(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    check_operands("mv", input, vec)
    if input._data.ndim != 2 or vec._data.ndim != 1:
        raise ShapeError(f"mv(): vector + matrix @ vector expected, got {input._data.ndim}D and {vec._data.ndim}D")
    if input._data.shape[1] != vec._data.shape[0]:
        raise ShapeError(
            f"mv(): size mismatch, got input ({input._data.shape[0]}), mat "
            f"({'x'.join(map(str, input._data.shape))}), vec ({vec._data.shape[0]})"
        )
    return mv_p(input, vec)


@public
def dot(input, tensor):
    """The dot product of two vectors of equal length.

    >>> import chainrule as torch
    >>> torch.dot(torch.tensor([2.0, 3.0]), torch.tensor([2.0, 1.0]))
    tensor(7.)
    """
    check_operands("dot", input, tensor)
    if input._data.ndim != 1 or tensor._data.ndim != 1:
        raise ShapeError(f"dot(): 1D tensors expected, but got {input._data.ndim}D and {tensor._data.ndim}D tensors")
    if input._data.shape != tensor._data.shape:
        raise ShapeError(
            f"dot(): inconsistent tensor size, expected tensor [{input._data.shape[0]}] and src "
            f"[{tensor._data.shape[0]}] "
            f"to have the same number of elements, but got {input._data.shape[0]} and {tensor._data.shape[0]} "
            "elements respectively"
        )
    return dot_p(input, tensor)


@public
def vdot(input, other):
    """The dot product of two vectors; for real numbers the same as ``dot``.

    >>> import chainrule as torch
    >>> torch.vdot(torch.tensor([2.0, 3.0]), torch.tensor([2.0, 1.0]))
    tensor(7.)
    """
    return dot(input, other)
