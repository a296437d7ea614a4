"""Running operations along a dimension: cumulative sums, products, maxima, and a first-order recurrence that gives
their derivatives.
"""

import math

import numpy as np

from .. import dtypes
from ..config import defaults
from ..dtypes import as_dtype, from_numpy_dtype
from ..errors import ArgumentError, ShapeError
from ..handle import Tensor
from ..primitive import linear, primitive, public, single
from ..primitive.arguments import one_dim, tensor_argument
from .arithmetic import add_p, div_p, mul_p, sub_p
from .cast import clone_p, to_dtype
from .comparison import ne
from .extremes import pick_p
from .reduce import sum as sum_over
from .results import make_result
from .shape import reshape_p

ndarray = np.ndarray


def _at(x, dim, index):
    """Indexes ``index`` along ``dim`` (negative)."""
    return (*[slice(None)] * (x.ndim + dim), index)


def _flip(x, dim):
    return x[_at(x, dim, slice(None, None, -1))]


# ---- pieces along a dimension, and a shift by one

segment_p = linear(
    "segment",
    lambda x, dim, start, length: x[_at(x, dim, slice(start, start + length))],
    lambda o, g, s, *, dim, start, length: o.embed(g, dim=dim, start=start, size=s[0][dim]),
    front=True,
    node_name="SliceBackward0",
)


def _embed(x, dim, start, size):
    shape = list(x.shape)
    shape[dim] = size
    y = np.zeros(shape, x.dtype)
    y[_at(x, dim, slice(start, start + x.shape[dim]))] = x
    return y


embed_p = linear(
    "embed",
    _embed,
    lambda o, g, s, *, dim, start, size: o.segment(g, dim=dim, start=start, length=s[0][dim]),
    front=True,
    node_name="SliceBackward0",
)


def _delay(x, dim, reverse):
    n = x.shape[dim]
    y = np.zeros_like(x)
    if n:
        ahead, behind = _at(x, dim, slice(1, None)), _at(x, dim, slice(0, n - 1))
        if reverse:
            y[behind] = x[ahead]
        else:
            y[ahead] = x[behind]
    return y


# y[i] = x[i - 1] (reverse: x[i + 1]), 0 at the end.
linear("delay", _delay, lambda o, g, s, *, dim, reverse: o.delay(g, dim=dim, reverse=not reverse), front=True)

# ---- the recurrence s[i] = b[i] + a[i] * s[i - 1]


def _recurrence(b, a, dim, reverse):
    b, a = b.swapaxes(0, dim), a.swapaxes(0, dim)
    s = np.empty_like(b)
    n = len(b)
    order = range(n - 1, -1, -1) if reverse else range(n)
    last = None
    for i in order:
        last = b[i] if last is None else b[i] + a[i] * last
        s[i] = last
    return s.swapaxes(0, dim)


def _recurrence_vjp(o, g, s, y, b, a, *, needs, dim, reverse):
    t = o.recurrence(g, o.delay(a, dim=dim, reverse=not reverse), dim=dim, reverse=not reverse)
    return t, t * o.delay(y, dim=dim, reverse=reverse) if needs[1] else None


recurrence_p = primitive("recurrence", _recurrence, vjp=_recurrence_vjp, front=True)

# ---- sums and products


def _cumsum(x, dim, reverse=False):
    if x.dtype.itemsize == 2 and x.dtype.kind not in "iu":  # 16-bit sums need a wider accumulator
        return _cumsum(x.astype(np.float32), dim, reverse).astype(x.dtype)
    return _flip(np.add.accumulate(_flip(x, dim), dim, x.dtype), dim) if reverse else np.add.accumulate(x, dim, x.dtype)


cumsum_p = single(
    linear(
        "cumsum", _cumsum, lambda o, g, s, *, dim, reverse=False: o.cumsum(g, dim=dim, reverse=not reverse), front=True
    )
)


def _exclusive_cumprod(x, dim, reverse):
    y = np.ones_like(x)
    n = x.shape[dim]
    if n > 1:
        source = _flip(x, dim) if reverse else x
        target = _flip(y, dim) if reverse else y  # a view
        np.multiply.accumulate(source[_at(x, dim, slice(0, n - 1))], axis=dim, out=target[_at(x, dim, slice(1, None))])
    return y


def _exclusive_cumprod_vjp(o, g, s, y, x, *, needs, dim, reverse):
    # y[i + 1] = x[i] * y[i]
    t = o.recurrence(g, x, dim=dim, reverse=not reverse)
    return (o.delay(t, dim=dim, reverse=not reverse) * y,)


exclusive_cumprod_p = primitive("exclusive_cumprod", _exclusive_cumprod, vjp=_exclusive_cumprod_vjp, front=True)


def _cumprod_vjp(o, g, s, y, x, *, needs, dim):
    if type(x) is ndarray and x.all() and np.isfinite(y).all() and y.all():
        return (_cumsum(g * y, dim, True) / x,)
    t = o.recurrence(g, o.delay(x, dim=dim, reverse=True), dim=dim, reverse=True)
    return (t * o.exclusive_cumprod(x, dim=dim, reverse=False),)


cumprod_p = single(
    primitive("cumprod", lambda x, dim: np.multiply.accumulate(x, dim, x.dtype), vjp=_cumprod_vjp, front=True)
)


def _running_input(input, operator, dtype):
    tensor_argument(input, operator)
    source = from_numpy_dtype(input._data.dtype)
    target = as_dtype(dtype) if dtype is not None else source if source.is_floating_point else dtypes.int64
    return input if target is source else to_dtype(input, target)


@public(inplace=True)
def cumsum(input, dim, *, dtype=None):
    """The running sum along ``dim``. Bools and integers are summed in int64.

    >>> import chainrule as torch
    >>> torch.cumsum(torch.tensor([1.0, 2.0, 3.0]), 0)
    tensor([1., 3., 6.])
    """
    input = _running_input(input, "cumsum", dtype)
    d = one_dim(dim, input._data.ndim, "cumsum")
    return cumsum_p(input, dim=d) if input._data.ndim else mul_p(input, 1)


@public(inplace=True)
def cumprod(input, dim, *, dtype=None):
    """The running product along ``dim``; its derivative is right where elements are zero, at any order.

    >>> import chainrule as torch
    >>> torch.cumprod(torch.tensor([1.0, 2.0, 3.0]), 0)
    tensor([1., 2., 6.])
    """
    input = _running_input(input, "cumprod", dtype)
    d = one_dim(dim, input._data.ndim, "cumprod")
    return cumprod_p(input, dim=d) if input._data.ndim else mul_p(input, 1)


# ---- logarithm of the running sum of exponentials


def _logcumsumexp_vjp(o, g, s, y, x, *, needs, dim):
    # dy[k]/dx[i] = exp(x[i] - y[k]) = exp(x[i] - y[i]) * exp(y[i] - y[i + 1]) * …: no factor exceeds 1.
    n = s[0][dim]
    dead = y == -math.inf
    alive = o.where(dead, 0.0, y)
    drop = o.segment(alive, dim=dim, start=0, length=n - 1) - o.segment(alive, dim=dim, start=1, length=n - 1)
    ratio = o.where(dead, 0.0, o.embed(o.exp(drop), dim=dim, start=0, size=n))
    t = o.recurrence(g, ratio, dim=dim, reverse=True)
    return (t * o.where(dead, 0.0, o.exp(x - alive)),)


logcumsumexp_p = primitive(
    "logcumsumexp",
    lambda x, dim: np.logaddexp.accumulate(x, axis=dim),
    vjp=_logcumsumexp_vjp,
    front=True,
    node_name="LogcumsumexpBackward0",
)


@public
def logcumsumexp(input, dim):
    """The logarithm of the running sum of ``exp(input)`` along ``dim``.

    >>> import chainrule as torch
    >>> torch.logcumsumexp(torch.tensor([0.0, 0.0]), 0)
    tensor([0.0000, 0.6931])
    """
    tensor_argument(input, "logcumsumexp")
    if input._data.dtype.kind not in "fV":
        input = to_dtype(input, defaults.dtype)
    d = one_dim(dim, input._data.ndim, "logcumsumexp")
    return logcumsumexp_p(input, dim=d) if input._data.ndim and input._data.shape[d] else mul_p(input, 1)


# ---- running extremes


def _running_index(ufunc, reach):
    def kernel(x, dim):
        best = ufunc.accumulate(x, axis=dim)
        hit = reach(x, best)
        if x.dtype.kind == "f":
            hit |= np.isnan(x)
        position = np.arange(x.shape[dim]).reshape((-1,) + (1,) * (-dim - 1))
        return np.maximum.accumulate(np.where(hit, position, 0), axis=dim)

    return kernel


cummax_index_p = primitive("cummax_index", _running_index(np.maximum, np.greater_equal), front=True)
cummin_index_p = primitive("cummin_index", _running_index(np.minimum, np.less_equal), front=True)


def _running(operator, index_p, word):
    result = make_result(operator, "values", "indices")

    def function(input, dim):
        tensor_argument(input, operator)
        d = one_dim(dim, input._data.ndim, operator)
        flat = input._data.ndim == 0
        if flat:
            input = reshape_p(input, shape=(1,))
        indices = index_p(input, dim=d)
        values = pick_p(input, indices, dim=d, keepdim=True, operator=operator)
        if flat:
            values, indices = reshape_p(values, shape=()), reshape_p(indices, shape=())
        return result(values, indices)

    function.__name__ = function.__qualname__ = operator
    function.__doc__ = (
        f"The running {word} along ``dim`` and its index: a named tuple ``(values, indices)``.\n\n"
        f">>> import chainrule as torch\n>>> torch.{operator}(torch.tensor([1.0, 3.0, 2.0]), 0).values\n"
        f"tensor({'[1., 3., 3.]' if word == 'maximum' else '[1., 1., 1.]'})\n"
    )
    return public(function)


cummax = _running("cummax", cummax_index_p, "maximum")
cummin = _running("cummin", cummin_index_p, "minimum")

# ---- differences and areas


def _piece(x, d, start, length):
    return segment_p(x, dim=d, start=start, length=length)


def _diff_once(x, d):
    n = x._data.shape[d]
    m = n - 1 if n else 0
    later, earlier = _piece(x, d, 1, m), _piece(x, d, 0, m)
    return ne(later, earlier) if x._data.dtype.kind == "b" else sub_p(later, earlier)


def _joined(parts, d):
    """The parts one after another along ``d``; as a sum of embeddings, so that this file needs no concatenation."""
    size = sum([p._data.shape[d] for p in parts])
    kind = parts[0]._data.dtype.kind
    total, start = None, 0
    for p in parts:
        piece = embed_p(p, dim=d, start=start, size=size)
        total = piece if total is None else add_p(total, piece) if kind != "b" else ne(total, piece)
        start += p._data.shape[d]
    return total


@public
def diff(input, n=1, dim=-1, prepend=None, append=None):
    """Differences of neighbours along ``dim``, taken ``n`` times; ``prepend`` and ``append`` are joined to the ends
    first.

    Raises ShapeError for a 0-d tensor, ArgumentError for a negative ``n``.

    >>> import chainrule as torch
    >>> torch.diff(torch.tensor([1.0, 4.0, 9.0]))
    tensor([3., 5.])
    """
    tensor_argument(input, "diff")
    if input._data.ndim == 0:
        raise ShapeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise ArgumentError(f"diff(): order must be non-negative but got {n}")
    d = one_dim(dim, input._data.ndim, "diff")
    if n == 0:
        return clone_p(input)
    parts = [p for p in (prepend, input, append) if p is not None]
    if len(parts) > 1:
        input = _joined(parts, d)
    for _ in range(n):
        input = _diff_once(input, d)
    return input


def _trapezoids(operator, y, x, dx, dim):
    """The area of each trapezoid between neighbours, and the dimension."""
    tensor_argument(y, operator)
    d = one_dim(dim, y._data.ndim, operator)
    if x is not None and dx is not None:
        raise ArgumentError(f"{operator}(): received both 'x' and 'dx'; give one of them")
    n = y._data.shape[d]
    m = n - 1 if n else 0
    heights = add_p(_piece(y, d, 1, m), _piece(y, d, 0, m))
    if x is None:
        step = 1.0 if dx is None else dx
        return mul_p(heights, step / 2.0 if isinstance(step, (int, float)) else div_p(step, 2.0)), d
    tensor_argument(x, operator, "x")
    if x._data.ndim == 1:
        if x._data.shape[0] != n:
            raise ShapeError(
                f"{operator}(): There must be one `x` value for each sample point: got {x._data.shape[0]} for {n} "
                f"along dimension {dim}"
            )
        widths = _diff_once(x, -1)
        if d != -1:
            widths = reshape_p(widths, shape=(m,) + (1,) * (-d - 1))
    else:
        widths = _diff_once(x, d)
    return div_p(mul_p(heights, widths), 2.0), d


@public(method=False, aliases=("trapz",))
def trapezoid(y, x=None, *, dx=None, dim=-1):
    """The area under ``y`` along ``dim`` by the trapezoidal rule, with sample points ``x`` or spacing ``dx`` (1).

    Raises ShapeError if there is not one ``x`` per sample.

    >>> import chainrule as torch
    >>> torch.trapezoid(torch.tensor([1.0, 2.0, 3.0]))
    tensor(4.)
    """
    if dx is None and isinstance(x, (int, float)) and not isinstance(x, Tensor):
        x, dx = None, x
    areas, d = _trapezoids("trapezoid", y, x, dx, dim)
    return sum_over(areas, d)


@public(method=False)
def cumulative_trapezoid(y, x=None, *, dx=None, dim=-1):
    """The running area under ``y`` along ``dim``, see ``trapezoid``; one element less than ``y``.

    >>> import chainrule as torch
    >>> torch.cumulative_trapezoid(torch.tensor([1.0, 2.0, 3.0]))
    tensor([1.5000, 4.0000])
    """
    areas, d = _trapezoids("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(areas, d)
