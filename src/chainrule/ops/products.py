"""Products built from the matrix product: tensordot, kron, cross, bilinear, chains of matrices."""

import math
from operator import index as as_int

import numpy as np

from ..errors import ArgumentError, ArgumentValueError, DTypeError, ShapeError
from ..handle import Tensor
from ..primitive import bilinear as bilinear_family
from ..primitive import public
from ..primitive.arguments import one_dim
from .matmul import dot_p, linear_p, matmul_p
from .operands import check_operands
from .shape import permute_p, reshape_p

# ---- the cross product, along the last dimension


def _cross(a, b):
    return np.cross(a, b)


cross_p = bilinear_family(
    "cross",
    _cross,
    lambda o, g, s, b: o.sum_to(o.cross(b, g), shape=s[0]),
    lambda o, g, s, a: o.sum_to(o.cross(g, a), shape=s[1]),
    node_name="LinalgCrossBackward0",
)


def _to_last(x, d):
    """Move dimension ``d`` (negative) to the end."""
    n = x._data.ndim
    return x if d == -1 else permute_p(x, dims=(*[i for i in range(-n, 0) if i != d], d))


def _from_last(x, d):
    """Move the last dimension to ``d`` (negative)."""
    if d == -1:
        return x
    n = x._data.ndim
    dims = list(range(-n, -1))
    dims.insert(d + n, -1)
    return permute_p(x, dims=tuple(dims))


@public(namespaces=("linalg",), method=False, name="cross")
def linalg_cross(input, other, *, dim=-1):
    """The cross product of three-dimensional vectors along ``dim``; other dimensions broadcast.

    Raises ShapeError unless both have 3 elements along ``dim``.

    >>> import chainrule as torch
    >>> torch.linalg.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    check_operands("linalg.cross", input, other)
    sa, sb = input._data.shape, other._data.shape
    if len(sa) != len(sb):
        raise ShapeError(f"linalg.cross: inputs must have the same number of dimensions, got {len(sa)} and {len(sb)}")
    d = one_dim(dim, len(sa), "linalg.cross")
    if not sa or sa[d] != 3 or sb[d] != 3:
        got = (sa[d], sb[d]) if sa else ("none", "none")
        raise ShapeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {got[0]} and {got[1]}")
    return _from_last(cross_p(_to_last(input, d), _to_last(other, d)), d)


@public
def cross(input, other, dim=None):
    """As ``linalg.cross``; without ``dim``, along the first dimension of size 3.

    >>> import chainrule as torch
    >>> torch.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    if dim is None:
        check_operands("cross", input, other)
        dim = next((i for i, n in enumerate(input._data.shape) if n == 3), None)
        if dim is None:
            raise ShapeError(f"cross(): no dimension of size 3 in input, its shape is {list(input._data.shape)}")
    return linalg_cross(input, other, dim=dim)


# ---- contractions


@public(method=False)
def tensordot(a, b, dims=2):
    """Contract the dimensions ``dims``: a number n (the last n of a with the first n of b) or two lists of dimensions.

    >>> import chainrule as torch
    >>> torch.tensordot(torch.ones(2, 3, 4), torch.ones(4, 3, 5), dims=([1, 2], [1, 0])).shape
    torch.Size([2, 5])
    """
    check_operands("tensordot", a, b)
    sa, sb = a._data.shape, b._data.shape
    if hasattr(dims, "tolist"):
        dims = dims.tolist()
    if isinstance(dims, (tuple, list)):
        first, second = dims
        first, second = (
            ([first] if isinstance(first, int) else first),
            ([second] if isinstance(second, int) else second),
        )
        first = [one_dim(d, len(sa), "tensordot") % len(sa) for d in first]
        second = [one_dim(d, len(sb), "tensordot") % len(sb) for d in second]
    else:
        n = as_int(dims)
        if n < 0:
            raise ArgumentValueError(f"tensordot expects dims >= 0, but got dims={n}")
        if n > min(len(sa), len(sb)):
            raise ShapeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={n}")
        first, second = list(range(len(sa) - n, len(sa))), list(range(n))
    if len(first) != len(second):
        raise ShapeError("tensordot: both dimension lists should have same length")
    for i, j in zip(first, second, strict=True):
        if sa[i] != sb[j] and 1 not in (sa[i], sb[j]):
            raise ShapeError(
                f"contracted dimensions need to match, but first has size {sa[i]} in dim {i} and second has size "
                f"{sb[j]} in dim {j}"
            )
    # A contracted size of 1 broadcasts: sum the other operand over it first.
    thin_a = tuple(i - len(sa) for i, j in zip(first, second, strict=True) if sa[i] != sb[j] and sb[j] == 1)
    thin_b = tuple(j - len(sb) for i, j in zip(first, second, strict=True) if sa[i] != sb[j] and sa[i] == 1)
    if thin_a:
        a = a.sum(thin_a, keepdim=True)
        sa = a._data.shape
    if thin_b:
        b = b.sum(thin_b, keepdim=True)
        sb = b._data.shape
    keep_a = [i for i in range(len(sa)) if i not in first]
    keep_b = [j for j in range(len(sb)) if j not in second]
    k = math.prod([sa[i] for i in first])
    left, right = [sa[i] for i in keep_a], [sb[j] for j in keep_b]
    x = reshape_p(_permuted(a, keep_a + first), shape=(math.prod(left), k))
    y = reshape_p(_permuted(b, second + keep_b), shape=(k, math.prod(right)))
    return reshape_p(matmul_p(x, y), shape=(*left, *right))


def _permuted(x, order):
    n = x._data.ndim
    return x if list(order) == list(range(n)) else permute_p(x, dims=tuple([d - n for d in order]))


@public
def kron(input, other):
    """The Kronecker product; the smaller shape is padded with ones in front; dtypes promote.

    >>> import chainrule as torch
    >>> torch.kron(torch.eye(2), torch.tensor([[1.0, 2.0]]))
    tensor([[1., 2., 0., 0.],
            [0., 0., 1., 2.]])
    """
    sa, sb = input._data.shape, other._data.shape
    n = max(len(sa), len(sb))
    sa, sb = (1,) * (n - len(sa)) + sa, (1,) * (n - len(sb)) + sb
    a = reshape_p(input, shape=tuple([m for k in sa for m in (k, 1)]))
    b = reshape_p(other, shape=tuple([m for k in sb for m in (1, k)]))
    return reshape_p(a * b, shape=tuple([i * j for i, j in zip(sa, sb, strict=True)]))


@public(namespaces=("nn.functional", "torch"), method=False)
def bilinear(input1, input2, weight, bias=None):
    """``y[..., k] = input1 @ weight[k] @ input2 + bias[k]``:

    inputs (*, in1) and (*, in2), weight (out, in1, in2), bias (out).

    >>> import chainrule as torch
    >>> torch.nn.functional.bilinear(torch.ones(1, 2), torch.ones(1, 3), torch.ones(4, 2, 3))
    tensor([[6., 6., 6., 6.]])
    """
    check_operands("bilinear", *((input1, input2, weight) if bias is None else (input1, input2, weight, bias)))
    s1, s2, sw = input1._data.shape, input2._data.shape, weight._data.shape
    if len(s1) != len(s2):
        raise ShapeError(f"bilinear(): input dimensions do not match: got {len(s1)} and {len(s2)}")
    if s1[:-1] != s2[:-1]:
        raise ShapeError(f"bilinear(): input batch dimensions do not match: got {list(s1[:-1])} and {list(s2[:-1])}")
    if len(sw) != 3 or s1[-1] != sw[1] or s2[-1] != sw[2]:
        raise ShapeError(
            f"bilinear(): weight must be (out_features, {s1[-1]}, {s2[-1]}) to fit the inputs' last sizes, got "
            f"{list(sw)}"
        )
    if bias is not None and bias._data.shape != (sw[0],):
        raise ShapeError(
            f"bilinear(): bias size does not match weight size: got {list(bias._data.shape)} but expected [{sw[0]}]"
        )
    m, (out, in1, in2) = math.prod(s1[:-1]), sw
    x = reshape_p(input1, shape=(m, in1))
    # (m, in1) @ (in1, out * in2), then the dot product with input2 for every output.
    w = reshape_p(permute_p(weight, dims=(-2, -3, -1)), shape=(in1, out * in2))
    left = reshape_p(matmul_p(x, w), shape=(m, out, in2))
    y = reshape_p(matmul_p(left, reshape_p(input2, shape=(m, in2, 1))), shape=(*s1[:-1], out))
    return y if bias is None else y + bias


# ---- chains of matrices


def _matrices(operator, tensors):
    tensors = list(tensors)
    if len(tensors) < 2:
        raise ShapeError(f"{operator}(): expected at least 2 tensors but got {len(tensors)}")
    check_operands(operator, *tensors)
    return tensors


@public(namespaces=("linalg",), method=False)
def multi_dot(tensors):
    """The product of several matrices in the order of fewest multiplications; the first and last may be vectors.

    The order is found by dynamic programming (Cormen et al., Introduction to Algorithms, matrix-chain multiplication).

    >>> import chainrule as torch
    >>> torch.linalg.multi_dot([torch.ones(2, 3), torch.ones(3, 1), torch.ones(1, 2)])
    tensor([[3., 3.],
            [3., 3.]])
    """
    tensors = _matrices("multi_dot", tensors)
    first, last = tensors[0]._data.ndim == 1, tensors[-1]._data.ndim == 1
    if first:
        tensors[0] = reshape_p(tensors[0], shape=(1, tensors[0]._data.shape[0]))
    if last:
        tensors[-1] = reshape_p(tensors[-1], shape=(tensors[-1]._data.shape[0], 1))
    for i, t in enumerate(tensors):
        if t._data.ndim != 2:
            what = "1D or 2D" if i in (0, len(tensors) - 1) else "2D"
            raise ShapeError(f"multi_dot(): tensor {i} must be {what} but got {t._data.ndim}D")
        if i and tensors[i - 1]._data.shape[1] != t._data.shape[0]:
            before = tensors[i - 1]._data.shape
            raise ShapeError(
                f"multi_dot(): tensors {i - 1} and {i} with shapes {list(before)} and {list(t._data.shape)} cannot "
                "be multiplied"
            )
    y = _best_order(tensors)
    rows, columns = y._data.shape
    if first or last:
        y = reshape_p(y, shape=(() if first else (rows,)) + (() if last else (columns,)))
    return y


def _best_order(tensors):
    n = len(tensors)
    sizes = [t._data.shape[0] for t in tensors] + [tensors[-1]._data.shape[1]]
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i][j], cut[i][j] = min(
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )

    def product(i, j):
        return tensors[i] if i == j else matmul_p(product(i, cut[i][j]), product(cut[i][j] + 1, j))

    return product(0, n - 1)


@public(method=False)
def chain_matmul(*matrices):
    """The product of matrices in the order of fewest multiplications (``linalg.multi_dot`` is the newer name).

    >>> import chainrule as torch
    >>> torch.chain_matmul(torch.ones(1, 2), torch.ones(2, 3), torch.ones(3, 1))
    tensor([[6.]])
    """
    if len(matrices) == 1 and isinstance(matrices[0], (tuple, list)):
        matrices = matrices[0]
    if len(matrices) == 1:
        check_operands("chain_matmul", *matrices)
        return matrices[0]
    return multi_dot(matrices)


# ---- products of vectors


@public(aliases=("ger",))
def outer(input, vec2):
    """The outer product of two vectors: ``input[i] * vec2[j]``; dtypes promote.

    >>> import chainrule as torch
    >>> torch.outer(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 10.0]))
    tensor([[ 1., 10.],
            [ 2., 20.]])
    """
    for name, t in (("input", input), ("vec2", vec2)):
        if not isinstance(t, Tensor):
            raise ArgumentError(
                f"outer(): argument '{name}' must be Tensor, not {type(t).__name__}; make one with torch.tensor(...)"
            )
        if t._data.ndim != 1:
            raise ShapeError(f"outer(): Expected 1-D argument {name}, but got {t._data.ndim}-D")
    return reshape_p(input, shape=(*input._data.shape, 1)) * vec2


@public
def inner(input, other):
    """Sums of products over the last dimension of both; with a 0-d operand, a plain product.

    >>> import chainrule as torch
    >>> torch.inner(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
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
def vecdot(x, y, *, dim=-1):
    """Dot products along ``dim`` of two broadcastable tensors.

    >>> import chainrule as torch
    >>> torch.linalg.vecdot(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    check_operands("linalg.vecdot", x, y)
    if x._data.dtype.kind not in "fV":
        raise DTypeError("linalg.vecdot(): Expected a floating point tensor as input; convert with .float()")
    return (x * y).sum(dim)
