"""Products plus something: linear layers, addmm and its relatives."""

import math

import numpy as np

from ..config import modes, switches
from ..errors import DTypeError, ShapeError
from ..handle import Tensor
from ..node import call_site
from ..primitive import public
from ..primitive.base import edge_of, finish_node
from ..primitive.fast import own
from ..primitive.quiet import QUIET, mute, restore
from ..primitive.registry import raw
from .matmul import bmm, linear_kernel, linear_p, matmul, matmul_p, mm_node, mv
from .operands import check_operands, check_rank, no_product
from .products import outer
from .shape import reshape_p, sum_to

ndarray = np.ndarray
_new = object.__new__


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
    b = None if bias is None else bias._data
    if (
        x.dtype.kind != "f"
        or switches.anomaly is not None
        or not (type(x) is type(w) is type(x if b is None else b) is ndarray)
    ):
        return linear_p(input, weight, bias)
    return _layer(input, weight, bias, x, w, b)


def _layer(input, weight, bias, x, w, b):
    """What ``linear_p(input, weight, bias)`` does, spelled out for plain float arrays ``x``, ``w`` and ``b``:

    nearly every network calls it. The arrays are those that were looked at: a capture in another thread may begin at
    any time.
    """
    token = mute(QUIET)
    try:
        y = linear_kernel(x, w, b)
    finally:
        restore(token)
    t = _new(Tensor)
    t._data = y
    if not switches.threads_off or modes.grad:
        ex = edge_of(input) if input._requires_grad or input._base is not None else None
        ew = edge_of(weight) if weight._requires_grad or weight._base is not None else None
        eb = edge_of(bias) if b is not None and (bias._requires_grad or bias._base is not None) else None
        if ex is not None or ew is not None or eb is not None:
            make = mm_node if b is None else linear_p.node
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


def _spelled_out(general):
    """The rule of a linear layer's node, for matrices of plain floats; ``general`` does the rest."""

    def pull(self, o, g, edges):
        sx, _, sb = self.shapes
        if o is not raw or self.params or len(sx) != 2 or g.itemsize == 2 or (sb is not None and sb != g.shape[1:]):
            return general(self, o, g, edges)
        _, x, w, _ = self.unpack(False)
        ex, ew, eb = edges
        return (
            None if ex is None else g.dot(w),
            None if ew is None else g.T.dot(x),
            None if eb is None else np.add.reduce(g, 0),
        )

    return pull


for _node in (linear_p.node, mm_node):
    _node.pull = own(_spelled_out(_node.pull))


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
        raise ShapeError(
            f"linear(): input has {sx[-1]} features (shape {list(sx)}), weight expects {sw[0]} (shape {list(sw)})"
        )
    if len(sw) == 1:
        y = matmul(input, weight)
        return y if bias is None else y + bias
    shape = (*sx[:-1], sw[0])
    if bias is not None and not _broadcasts(bias._data.shape, shape):
        raise ShapeError(
            f"linear(): bias of shape {list(bias._data.shape)} does not broadcast to the output's shape {list(shape)}"
        )
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
            f"{operator}(): The expanded size of the tensor {list(shape)} must match the existing size "
            f"{list(input._data.shape)}: "
            "input must broadcast to the shape of the product"
        )
    if isinstance(beta, float) or isinstance(alpha, float):
        if input._data.dtype.kind in "iu":
            raise DTypeError(
                f"{operator}(): For integral input tensors, arguments alpha and beta must not be "
                "floating-point numbers."
            )
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    return (input if beta == 1 else input * beta) + product


@public(inplace=True)
def addmm(input, mat1, mat2, *, beta=1, alpha=1):
    """``beta * input + alpha * (mat1 @ mat2)`` for matrices; input broadcasts to the product's shape.

    >>> import chainrule as torch
    >>> torch.addmm(torch.tensor([1.0, 2.0]), torch.eye(2), torch.eye(2), alpha=10)
    tensor([[11.,  2.],
            [ 1., 12.]])
    """
    check_operands("addmm", input, mat1, mat2)
    check_rank("addmm", "mat1", mat1, 2)
    check_rank("addmm", "mat2", mat2, 2)
    sa, sb = mat1._data.shape, mat2._data.shape
    if sa[1] != sb[0]:
        raise no_product("addmm", sa, sb)
    if beta == 1 and alpha == 1 and _broadcasts(input._data.shape, (sa[0], sb[1])):
        return linear_p(mat1, mat2, input, trans=False)
    return _combine("addmm", input, matmul_p(mat1, mat2), beta, alpha)


def _broadcasts(shape, target):
    lead = len(target) - len(shape)
    return lead >= 0 and all(n in (1, m) for n, m in zip(shape, target[lead:], strict=True))


@public(inplace=True)
def addmv(input, mat, vec, *, beta=1, alpha=1):
    """``beta * input + alpha * (mat @ vec)``.

    >>> import chainrule as torch
    >>> torch.addmv(torch.tensor([1.0, 2.0]), torch.eye(2), torch.tensor([5.0, 6.0]))
    tensor([6., 8.])
    """
    check_operands("addmv", input, mat, vec)
    return _combine("addmv", input, mv(mat, vec), beta, alpha)


@public(inplace=True)
def addr(input, vec1, vec2, *, beta=1, alpha=1):
    """``beta * input + alpha * outer(vec1, vec2)``; dtypes promote.

    >>> import chainrule as torch
    >>> torch.addr(torch.zeros(2, 2), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    return _combine("addr", input, outer(vec1, vec2), beta, alpha)


@public(inplace=True)
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """``beta * input + alpha * (batch1 @ batch2)`` for batches of matrices; input broadcasts to the product's shape.

    >>> import chainrule as torch
    >>> torch.baddbmm(torch.ones(1), torch.ones(2, 1, 3), torch.ones(2, 3, 1), beta=2).shape
    torch.Size([2, 1, 1])
    """
    check_operands("baddbmm", input, batch1, batch2)
    return _combine("baddbmm", input, bmm(batch1, batch2), beta, alpha)


@public(inplace=True)
def addbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """``beta * input + alpha * sum over the batch of (batch1 @ batch2)``.

    >>> import chainrule as torch
    >>> torch.addbmm(torch.ones(1), torch.ones(2, 1, 3), torch.ones(2, 3, 1))
    tensor([[7.]])
    """
    check_operands("addbmm", input, batch1, batch2)
    product = bmm(batch1, batch2)
    shape = product._data.shape[1:]
    return _combine("addbmm", input, reshape_p(sum_to(product, shape=(1, *shape)), shape=shape), beta, alpha)
