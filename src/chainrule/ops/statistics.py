"""Covariance, correlation, numerical gradients and renormalisation: composites of reductions."""

import numpy as np

from ..config import defaults
from ..errors import ArgumentError, ArgumentValueError, DTypeError, ShapeError
from ..handle import Tensor, wrap
from ..primitive import primitive, public
from ..primitive.arguments import many_dims, one_dim, tensor_argument
from .arithmetic import add_p, div_p, mul_p, sub_p
from .cast import to_dtype
from .matmul import matmul
from .norms import matrix_norm, norm, vector_norm
from .reduce import sum as sum_over
from .scan import embed_p, segment_p
from .selection import clamp, where_p
from .shape import permute_p, reshape_p


def _weights(w, name, kinds, n):
    if tensor_argument(w, "cov", name)._data.ndim > 1 or w._data.dtype.kind not in kinds:
        raise DTypeError(
            f"cov(): expected {name} to have one dimension and an {'integral' if 'i' in kinds else 'floating point'} "
            "dtype"
        )
    if w._data.size != n:
        raise ShapeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input but got "
            f"{w._data.size} != {n}"
        )
    return w


@public
def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariance matrix of the variables in the rows of ``input``, whose columns are observations.

    correction: subtracted from the number of observations.  fweights: how often each was seen (integers).  aweights:
    its importance (floats).
    Raises ShapeError for more than two dimensions or the wrong number of weights.

    >>> import chainrule as torch
    >>> torch.cov(torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    n = tensor_argument(input, "cov")._data.ndim
    if n > 2:
        raise ShapeError(f"cov(): expected input to have two or fewer dimensions but got an input with {n} dimensions")
    if input._data.dtype.kind == "b":
        raise DTypeError("cov(): bool dtype is not supported for input")
    x = input if n == 2 else reshape_p(input, shape=(1, -1))
    observations = x._data.shape[1]
    w = None
    if fweights is not None:
        w = _weights(fweights, "fweights", "iu", observations)
    if aweights is not None:
        a = _weights(aweights, "aweights", "fV", observations)
        w = a if w is None else mul_p(w, a)
    total = observations if w is None else sum_over(w)
    mean = div_p(sum_over(x if w is None else mul_p(x, w), 1, True), total)
    if w is None or aweights is None or correction == 0:
        divisor = total - correction
    else:
        divisor = sub_p(total, mul_p(div_p(sum_over(mul_p(w, aweights)), total), correction))
    divisor = max(divisor, 0) if isinstance(divisor, int) else clamp(divisor, 0)
    centred = sub_p(x, mean)
    weighted = centred if w is None else mul_p(centred, w)
    result = div_p(matmul(weighted, permute_p(centred, dims=(-1, -2))), divisor)
    return result if n == 2 and x._data.shape[0] != 1 else reshape_p(result, shape=())


@public
def corrcoef(input):
    """The matrix of Pearson's correlation coefficients of the variables in the rows of ``input``.

    >>> import chainrule as torch
    >>> torch.corrcoef(torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    c = cov(input)
    if c._data.ndim == 0:
        return div_p(c, c)
    n = c._data.shape[0]
    scale = sum_over(mul_p(c, wrap(np.eye(n, dtype=c._data.dtype))), 1) ** 0.5
    return clamp(div_p(div_p(c, reshape_p(scale, shape=(n, 1))), reshape_p(scale, shape=(1, n))), -1, 1)


@public(inplace=True)
def renorm(input, p, dim, maxnorm):
    """Each slice along ``dim`` scaled down so that its ``p``-norm is at most ``maxnorm``.

    >>> import chainrule as torch
    >>> torch.renorm(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), 2, 0, 1.0)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    n = tensor_argument(input, "renorm")._data.ndim
    if n < 2:
        raise ShapeError(f"renorm: input needs at least 2 dimensions, got {n} dimensions")
    if not p > 0:
        raise ArgumentValueError(f"renorm: non-positive norm not supported, got {p}")
    if maxnorm < 0:
        raise ArgumentValueError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    d = one_dim(dim, n, "renorm")
    size = vector_norm(input, p, tuple([i for i in range(-n, 0) if i != d]), True)
    return mul_p(input, where_p(size > maxnorm, div_p(maxnorm, add_p(size, 1e-7)), 1.0))


@public(method=False)
def frobenius_norm(input, dim=(), keepdim=False):
    """The Frobenius norm: the 2-norm of all elements, or over the dimensions ``dim``.

    >>> import chainrule as torch
    >>> torch.frobenius_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    return norm(input, 2, None if dim == () else dim, keepdim)


@public(method=False)
def nuclear_norm(input, dim=(-2, -1), keepdim=False):
    """The sum of the singular values of the matrices in the dimensions ``dim``.

    >>> import chainrule as torch
    >>> torch.nuclear_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(7.)
    """
    return matrix_norm(input, "nuc", dim, keepdim)


# ---- numerical gradients


def _inner_weights(left, right):
    """Of the element before, the element and the one after, by their distances."""
    return -right / (left * (left + right)), (right - left) / (left * right), left / (right * (left + right))


def _end_weights(a, b):
    """Of three points at the end whose distances, going inwards, are ``a`` and ``b`` (negative from the other end)."""
    return -(2 * a + b) / (a * (a + b)), (a + b) / (a * b), -a / (b * (a + b))


def _slope_weights(coordinates, dtype, edge_order, trail):
    """The weights of the points, inside (with ``trail`` dimensions of size 1 behind) and at the two ends."""
    steps = np.diff(coordinates.astype(dtype))
    inner = steps.reshape((-1,) + (1,) * trail)
    before, own, after = _inner_weights(inner[:-1], inner[1:])
    if edge_order == 1:
        first, last = steps[0], steps[-1]
    else:
        first = np.stack(_end_weights(steps[0], steps[1]))
        last = np.stack(_end_weights(-steps[-1], -steps[-2]))
    return before, own, after, np.asarray(first), np.asarray(last)


slope_weights_p = primitive("slope_weights", _slope_weights, outputs=5)


def _uneven_slope(x, d, weights):
    """The slope along ``d`` where the points have the distances that ``weights`` are made of."""
    n = x._data.shape[d]
    piece = lambda start, length: segment_p(x, dim=d, start=start, length=length)  # noqa: E731
    *inner, first, last = weights
    terms = [mul_p(piece(i, n - 2), w) for i, w in enumerate(inner)]
    if first._data.ndim == 0:
        first = div_p(sub_p(piece(1, 1), piece(0, 1)), first)
        last = div_p(sub_p(piece(n - 1, 1), piece(n - 2, 1)), last)
    else:
        first, last = (
            _sum_of_three([mul_p(piece(i, 1), segment_p(w, dim=-1, start=k, length=1)) for k, i in enumerate(places)])
            for w, places in ((first, (0, 1, 2)), (last, (n - 1, n - 2, n - 3)))
        )
    total = embed_p(_sum_of_three(terms), dim=d, start=1, size=n)
    return add_p(add_p(total, embed_p(first, dim=d, start=0, size=n)), embed_p(last, dim=d, start=n - 1, size=n))


def _sum_of_three(terms):
    return add_p(add_p(terms[0], terms[1]), terms[2])


def _slope(x, d, spacing, edge_order):
    """Central differences inside, one-sided at the ends, along dimension ``d``; spacing: a number or the
    coordinates."""
    if isinstance(spacing, Tensor):
        how = {"dtype": x._data.dtype.char, "edge_order": edge_order, "trail": -d - 1}
        return _uneven_slope(x, d, slope_weights_p(spacing, **how))
    n = x._data.shape[d]
    piece = lambda start, length: segment_p(x, dim=d, start=start, length=length)  # noqa: E731
    side = lambda a: wrap(np.asarray(a, x._data.dtype).reshape((-1,) + (1,) * (-d - 1)))  # noqa: E731
    steps = np.full(n - 1, spacing, x._data.dtype)
    left, right = steps[:-1], steps[1:]
    weights = _inner_weights(left, right)
    inside = _sum_of_three([mul_p(piece(i, n - 2), side(w)) for i, w in enumerate(weights)])
    if edge_order == 1:
        first = div_p(sub_p(piece(1, 1), piece(0, 1)), float(steps[0]))
        last = div_p(sub_p(piece(n - 1, 1), piece(n - 2, 1)), float(steps[-1]))
    else:
        first, last = (
            _second_order(piece, 0, (0, 1, 2), steps[0], steps[1]),
            _second_order(piece, n - 1, (n - 1, n - 2, n - 3), -steps[-1], -steps[-2]),
        )
    total = embed_p(inside, dim=d, start=1, size=n)
    return add_p(add_p(total, embed_p(first, dim=d, start=0, size=n)), embed_p(last, dim=d, start=n - 1, size=n))


def _second_order(piece, at, places, a, b):
    """The slope at the end of three points; see ``_end_weights``."""
    weights = _end_weights(a, b)
    return _sum_of_three([mul_p(piece(i, 1), float(w)) for i, w in zip(places, weights, strict=True)])


@public(method=False)
def gradient(input, *, spacing=1, dim=None, edge_order=1):
    """The slope of samples along the dimensions ``dim`` (None: all), one tensor each: central differences, one-sided at
    the ends.

    spacing: a number, one number per dimension, or one tensor of coordinates per dimension.  edge_order: 1 or 2, the
    accuracy at the ends.
    Raises ShapeError if a dimension has fewer than ``edge_order + 1`` samples.

    >>> import chainrule as torch
    >>> torch.gradient(torch.tensor([1.0, 4.0, 9.0, 16.0]))
    (tensor([3., 4., 6., 7.]),)
    """
    n = tensor_argument(input, "gradient")._data.ndim
    if edge_order not in (1, 2):
        raise ArgumentValueError(f"torch.gradient only supports edge_order=1 and edge_order=2, got {edge_order}")
    dims = many_dims(dim, n, "gradient")
    if spacing is None:
        spacing = 1
    if isinstance(spacing, (list, tuple)):
        spacings = list(spacing)
    else:
        spacings = [spacing] * len(dims)
    if len(spacings) != len(dims):
        raise ArgumentError(
            f"torch.gradient expected spacing to be unspecified, a scalar, or a list of length {len(dims)}, got "
            f"{len(spacings)}"
        )
    for d in dims:
        if input._data.shape[d] < edge_order + 1:
            raise ShapeError(
                "torch.gradient expected each dimension size to be at least edge_order+1, got "
                f"{input._data.shape[d]} in dimension {d + n}"
            )
    if input._data.dtype.kind in "iu":
        input = to_dtype(input, defaults.dtype)
    return tuple([_slope(input, d, s, edge_order) for d, s in zip(dims, spacings, strict=True)])
