"""Matrix products: the three bilinear primitives (matmul, mv, dot), the affine map, and PyTorch's names for them.

``matmul`` and ``mv`` take flags that transpose an operand, as BLAS does. So the transposes that a product's derivative needs are
products again, and no rule makes a transposed view.
"""

import math

import numpy as np

from ..config import modes, switches
from ..errors import ArgumentError, DTypeError, ShapeError
from ..handle import Tensor
from ..node import call_site
from ..primitive import bilinear, primitive, public
from ..primitive.base import edge_of, finish_node
from ..primitive.quiet import QUIET, mute, restore
from .shape import reshape_p, sum_to

ndarray = np.ndarray
_new = object.__new__

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
    "matmul", _matmul, _matmul_left, _matmul_right, front=True,
    node_name=lambda arrays, params: "MmBackward0" if arrays[0].ndim == 2 else "BmmBackward0",
)


def _mv(a, v, ta=False):
    if ta:
        a = a.swapaxes(-1, -2)
    if a.ndim == 2 and a.itemsize != 2:
        return a.dot(v)
    return _matmul(a, v[..., None])[..., 0]


mv_p = bilinear(
    "mv", _mv,
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
    "dot", _dot, lambda o, g, s, b: o.reshape(g, shape=(*g.shape, 1)) * b, lambda o, g, s, a: o.reshape(g, shape=(*g.shape, 1)) * a,
    front=True,
)


def _linear(x, w, b=None, trans=True):
    """``x @ w.T + b`` for x of any rank (``x @ w`` if not trans), as one two-dimensional product."""
    if trans:
        w = w.T
    if x.itemsize == 2:
        y = _narrow(x.reshape(-1, x.shape[-1]) if x.size else x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), w, False, False)
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
    "linear", _linear,
    (
        lambda o, g, s, y, x, w, b, *, trans=True: o.linear(g, w, None, trans=not trans),
        _linear_weight,
        lambda o, g, s, y, x, w, b, *, trans=True: (
            o.sum(g, dim=(-2,), keepdim=False) if len(s[0]) == 2 and s[2] == g.shape[1:] else o.sum_to(g, shape=s[2])
        ),
    ),
    node_name=lambda arrays, params: "MmBackward0" if arrays[2] is None else "AddmmBackward0",
)
linear_p.node = linear_p.node_type("AddmmBackward0")
_mm_node = linear_p.node_type("MmBackward0")


# ---- checks


def check_operands(operator, *tensors):
    """Tensors of one numeric dtype, or an error that says what to do."""
    first = None
    for i, t in enumerate(tensors):
        try:
            d = t._data.dtype
        except AttributeError:
            raise ArgumentError(
                f"{operator}(): argument {i + 1} must be Tensor, not {type(t).__name__}; make one with torch.tensor(...)"
            ) from None
        if first is None:
            first = d
        elif d is not first and d != first:
            raise DTypeError(
                f"{operator}(): expected all tensors to have the same dtype, but got: {_name(first)} != {_name(d)}; convert one with .to(dtype)"
            )
    if first.kind == "b":
        raise DTypeError(f'{operator}(): not implemented for bool tensors; convert with .float() or .to(torch.int64)')


def _name(d):
    return {"float32": "float", "float64": "double", "float16": "half", "int64": "long", "int32": "int"}.get(d.name, d.name)


def check_rank(operator, what, t, rank):
    """``t`` has ``rank`` dimensions."""
    if t._data.ndim != rank:
        raise ShapeError(f"{operator}(): {what} must be a {rank}-D tensor, got shape {list(t._data.shape)}")


def _no_product(operator, a, b):
    return ShapeError(
        f"{operator}(): mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, a))} and {'x'.join(map(str, b))}): "
        f"the last size of the first ({a[-1]}) must equal the first matrix size of the second ({b[0]}); did you mean to transpose one?"
    )


# ---- products


@public(aliases=("linalg_matmul",), namespaces=("torch", "linalg"))
def matmul(input, other, *, out=None):
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
            raise _no_product("matmul", sa, sb)
        return matmul_p(input, other)
    if na == 0 or nb == 0:
        raise ShapeError(
            f"matmul(): both arguments to matmul need to be at least 1D, but they are {na}D and {nb}D; use * to multiply by a number"
        )
    inner = sb[-2] if nb > 1 else sb[0]
    if sa[-1] != inner:
        if na == nb == 1:
            raise ShapeError(
                f"matmul(): inconsistent tensor size, expected tensor {list(sa)} and src {list(sb)} to have the same number of elements"
            )
        raise _no_product("matmul", sa if na > 1 else (1, *sa), sb[-2:] if nb > 1 else (*sb, 1))
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
def mm(input, mat2, *, out=None):
    """The product of two matrices, without broadcasting.

    Raises ShapeError unless both are 2-D and fit together.
    """
    check_operands("mm", input, mat2)
    check_rank("mm", "input", input, 2)
    check_rank("mm", "mat2", mat2, 2)
    if input._data.shape[1] != mat2._data.shape[0]:
        raise _no_product("mm", input._data.shape, mat2._data.shape)
    return matmul_p(input, mat2)


@public
def bmm(input, mat2, *, out=None):
    """The products of two batches of matrices, ``(b, n, m)`` and ``(b, m, p)``, without broadcasting."""
    check_operands("bmm", input, mat2)
    check_rank("bmm", "batch1", input, 3)
    check_rank("bmm", "batch2", mat2, 3)
    sa, sb = input._data.shape, mat2._data.shape
    if sa[0] != sb[0] or sa[2] != sb[1]:
        raise ShapeError(
            f"bmm(): Expected size for first two dimensions of batch2 tensor to be: [{sa[0]}, {sa[2]}] but got: [{sb[0]}, {sb[1]}]."
        )
    return matmul_p(input, mat2)


@public
def mv(input, vec, *, out=None):
    """The product of a matrix and a vector."""
    check_operands("mv", input, vec)
    if input._data.ndim != 2 or vec._data.ndim != 1:
        raise ShapeError(f"mv(): vector + matrix @ vector expected, got {input._data.ndim}D and {vec._data.ndim}D")
    if input._data.shape[1] != vec._data.shape[0]:
        raise ShapeError(
            f"mv(): size mismatch, got input ({input._data.shape[0]}), mat ({'x'.join(map(str, input._data.shape))}), vec ({vec._data.shape[0]})"
        )
    return mv_p(input, vec)


@public
def dot(input, tensor, *, out=None):
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
            f"dot(): inconsistent tensor size, expected tensor [{input._data.shape[0]}] and src [{tensor._data.shape[0]}] "
            f"to have the same number of elements, but got {input._data.shape[0]} and {tensor._data.shape[0]} elements respectively"
        )
    return dot_p(input, tensor)


@public
def vdot(input, other, *, out=None):
    """The dot product of two vectors; for real numbers the same as ``dot``."""
    return dot(input, other)


@public(namespaces=("nn.functional",), method=False)
def linear(input, weight, bias=None):
    """``input @ weight.T + bias``: input (*, in), weight (out, in) or (in), bias (out).

    Raises ShapeError if the sizes do not fit, DTypeError if the dtypes differ.

    >>> import chainrule as torch
    >>> torch.nn.functional.linear(torch.ones(1, 2), torch.tensor([[1.0, 2.0]]), torch.tensor([0.5]))
    tensor([[3.5000]])
    """
    try:
        x, w = input._data, weight._data
        sx, sw = x.shape, w.shape
        fits = sx[-1] == sw[1] and x.dtype is w.dtype and len(sw) == 2
    except (AttributeError, IndexError):
        fits = False
    if not fits or (bias is not None and not _fits(bias, sx, sw, x.dtype)):
        return _linear_checked(input, weight, bias)
    if x.dtype.kind != "f" or switches.anomaly is not None or type(x) is not ndarray or type(w) is not ndarray:
        return linear_p(input, weight, bias)
    return _layer(input, weight, bias)


def _layer(input, weight, bias):
    """What ``linear_p(input, weight, bias)`` does, spelled out for plain float arrays: nearly every network calls it."""
    x, w, b = input._data, weight._data, None if bias is None else bias._data
    token = mute(QUIET)
    y = _linear(x, w, b)
    restore(token)
    t = _new(Tensor)
    t._data = y
    if modes.grad:
        ex = edge_of(input) if input._requires_grad or input._base is not None else None
        ew = edge_of(weight) if weight._requires_grad or weight._base is not None else None
        eb = edge_of(bias) if b is not None and (bias._requires_grad or bias._base is not None) else None
        if ex is not None or ew is not None or eb is not None:
            make = _mm_node if b is None else linear_p.node
            saved = (None, x if ew is not None else None, w if ex is not None else None, None)
            t._node = node = make((ex, ew, eb), saved, call_site())
            t._requires_grad = True
            if ex is not None or ew is not None:
                node.tensors = (input if ew is not None else None, weight if ex is not None else None, None)
            node.shapes = (x.shape, w.shape, None if b is None else b.shape)
            node.params = {}
            node.result = (y.shape, y.dtype)
            finish_node(node, (input, weight, bias))
    return t


def _fits(bias, sx, sw, dtype):
    return isinstance(bias, Tensor) and bias._data.shape == (sw[0],) and bias._data.dtype is dtype and len(sx) > 0


def _linear_checked(input, weight, bias):
    """The rare cases: a weight that is a vector, a bias that broadcasts, and all errors."""
    check_operands("linear", *((input, weight) if bias is None else (input, weight, bias)))
    sx, sw = input._data.shape, weight._data.shape
    if len(sx) == 0 or len(sw) == 0:
        raise ShapeError(
            f"linear(): both arguments to linear need to be at least 1D, but they are {len(sx)}D and {len(sw)}D"
        )
    if len(sw) > 2:
        raise ShapeError(f"linear(): weight must be (out_features, in_features) or (in_features), got shape {list(sw)}")
    if sx[-1] != sw[-1]:
        rows = (math.prod(sx[:-1]), sx[-1])
        if len(sw) == 2:
            raise ShapeError(
                f"linear(): mat1 and mat2 shapes cannot be multiplied ({rows[0]}x{rows[1]} and {sw[1]}x{sw[0]}): "
                f"input has {sx[-1]} features (shape {list(sx)}), weight expects {sw[1]} (shape {list(sw)})"
            )
        raise ShapeError(f"linear(): input has {sx[-1]} features (shape {list(sx)}), weight expects {sw[0]} (shape {list(sw)})")
    if len(sw) == 1:
        y = matmul(input, weight)
        return y if bias is None else y + bias
    shape = (*sx[:-1], sw[0])
    if bias is not None and np.broadcast_shapes(bias._data.shape, shape) != shape:
        raise ShapeError(f"linear(): bias of shape {list(bias._data.shape)} does not broadcast to the output's shape {list(shape)}")
    return linear_p(input, weight, bias)


# ---- products added to something


def _combine(operator, input, product, beta, alpha):
    """``beta * input + alpha * product``; with beta 0 the input is ignored, NaN and all."""
    shape = product._data.shape
    try:
        fits = np.broadcast_shapes(input._data.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{operator}(): The expanded size of the tensor {list(shape)} must match the existing size {list(input._data.shape)}: "
            "input must broadcast to the shape of the product"
        )
    if isinstance(beta, float) or isinstance(alpha, float):
        if input._data.dtype.kind in "iu":
            raise DTypeError(f"{operator}(): For integral input tensors, arguments alpha and beta must not be floating-point numbers.")
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    return (input if beta == 1 else input * beta) + product


@public(inplace=True)
def addmm(input, mat1, mat2, *, beta=1, alpha=1, out=None):
    """``beta * input + alpha * (mat1 @ mat2)`` for matrices; input broadcasts to the product's shape."""
    check_operands("addmm", input, mat1, mat2)
    check_rank("addmm", "mat1", mat1, 2)
    check_rank("addmm", "mat2", mat2, 2)
    sa, sb = mat1._data.shape, mat2._data.shape
    if sa[1] != sb[0]:
        raise _no_product("addmm", sa, sb)
    if beta == 1 and alpha == 1 and _broadcasts(input._data.shape, (sa[0], sb[1])):
        return linear_p(mat1, mat2, input, trans=False)
    return _combine("addmm", input, matmul_p(mat1, mat2), beta, alpha)


def _broadcasts(shape, target):
    lead = len(target) - len(shape)
    return lead >= 0 and all(n in (1, m) for n, m in zip(shape, target[lead:], strict=True))


@public(inplace=True)
def addmv(input, mat, vec, *, beta=1, alpha=1, out=None):
    """``beta * input + alpha * (mat @ vec)``."""
    check_operands("addmv", input, mat, vec)
    return _combine("addmv", input, mv(mat, vec), beta, alpha)


@public(inplace=True)
def addr(input, vec1, vec2, *, beta=1, alpha=1, out=None):
    """``beta * input + alpha * outer(vec1, vec2)``; dtypes promote."""
    return _combine("addr", input, outer(vec1, vec2), beta, alpha)


@public(inplace=True)
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1, out_dtype=None, out=None):
    """``beta * input + alpha * (batch1 @ batch2)`` for batches of matrices; input broadcasts to the product's shape."""
    check_operands("baddbmm", input, batch1, batch2)
    return _combine("baddbmm", input, bmm(batch1, batch2), beta, alpha)


@public(inplace=True)
def addbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    """``beta * input + alpha * sum over the batch of (batch1 @ batch2)``."""
    check_operands("addbmm", input, batch1, batch2)
    product = bmm(batch1, batch2)
    shape = product._data.shape[1:]
    return _combine("addbmm", input, reshape_p(sum_to(product, shape=(1, *shape)), shape=shape), beta, alpha)


# ---- products of vectors


@public(aliases=("ger",))
def outer(input, vec2, *, out=None):
    """The outer product of two vectors: ``input[i] * vec2[j]``; dtypes promote."""
    for name, t in (("input", input), ("vec2", vec2)):
        if not isinstance(t, Tensor):
            raise ArgumentError(f"outer(): argument '{name}' must be Tensor, not {type(t).__name__}; make one with torch.tensor(...)")
        if t._data.ndim != 1:
            raise ShapeError(f"outer(): Expected 1-D argument {name}, but got {t._data.ndim}-D")
    return reshape_p(input, shape=(*input._data.shape, 1)) * vec2


@public
def inner(input, other, *, out=None):
    """Sums of products over the last dimension of both; with a 0-d operand, a plain product."""
    check_operands("inner", input, other)
    sa, sb = input._data.shape, other._data.shape
    if not sa or not sb:
        return input * other
    if sa[-1] != sb[-1]:
        raise ShapeError(
            f"inner(): the last dimension must match on both input tensors but got shapes {list(sa)} and {list(sb)}"
        )
    if len(sa) == len(sb) == 1:
        return dot_p(input, other)
    y = linear_p(input, reshape_p(other, shape=(math.prod(sb[:-1]), sb[-1])), None)
    return reshape_p(y, shape=sa[:-1] + sb[:-1])


@public(namespaces=("linalg",), method=False, name="vecdot")
def vecdot(x, y, *, dim=-1, out=None):
    """Dot products along ``dim`` of two broadcastable tensors."""
    check_operands("linalg.vecdot", x, y)
    if x._data.dtype.kind not in "fV":
        raise DTypeError("linalg.vecdot(): Expected a floating point tensor as input; convert with .float()")
    return (x * y).sum(dim)
