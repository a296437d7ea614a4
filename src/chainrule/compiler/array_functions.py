"""NumPy's array functions on symbols (``__array_function__``): each in terms of the ones below it.

Those that move elements stand in array_places.py."""

import numpy as np

from .builder import Unlowered

FUNCTIONS = {}


def implements(*functions):
    def add(rule):
        for f in functions:
            FUNCTIONS[f] = rule
        return rule

    return add


def value(s, x, dtype=None):
    if hasattr(x, "builder"):
        return x.value if dtype is None else s.builder.convert(x.value, dtype)
    if dtype is not None and isinstance(x, (bool, int, float)):
        return s.builder.scalar(x, dtype)
    v = s.builder.constant(np.asarray(x))
    return v if dtype is None else s.builder.convert(v, dtype)


def common(s, xs):
    """Operands converted to the dtype NumPy would give them together; Python numbers are weak."""
    kinds = [
        x
        if type(x) in (int, float, bool)
        else np.dtype(np.asarray(x).dtype if not hasattr(x, "dtype") else x.dtype.type)
        for x in xs
    ]
    dtype = np.result_type(*kinds)
    return [value(s, x, dtype.name) for x in xs]


@implements(np.where)
def where(s, condition, x=None, y=None):
    if x is None:
        raise Unlowered("where with one argument")
    a, c = common(s, (x, y))
    mask = s.builder.convert(value(s, condition), "bool")
    return s.like(s.builder.map("where", mask, a, c))


def _moving(function):
    @implements(function)
    def rule(s, x, *args, **kw):
        return x.viewed(lambda a: function(a, *args, **kw))

    return rule


for _f in (
    np.reshape, np.transpose, np.swapaxes, np.moveaxis, np.squeeze, np.expand_dims, np.broadcast_to, np.diagonal,
    np.flip, np.rollaxis, np.atleast_1d, np.atleast_2d,
):  # fmt: skip
    _moving(_f)


@implements(np.ravel)
def ravel(s, x, order="C"):
    return x.ravel()


@implements(np.copy)
def copy(s, x, *args, **kw):
    return x.copy()


@implements(np.sum)
def sum_(s, x, axis=None, dtype=None, out=None, keepdims=False, **kw):
    return np.add.reduce(x, axis=axis, dtype=dtype, keepdims=keepdims, **kw)


@implements(np.prod)
def prod(s, x, axis=None, dtype=None, out=None, keepdims=False, **kw):
    return np.multiply.reduce(x, axis=axis, dtype=dtype, keepdims=keepdims, **kw)


@implements(np.max, np.amax)
def max_(s, x, axis=None, out=None, keepdims=False, **kw):
    return np.maximum.reduce(x, axis=axis, keepdims=keepdims, **kw)


@implements(np.min, np.amin)
def min_(s, x, axis=None, out=None, keepdims=False, **kw):
    return np.minimum.reduce(x, axis=axis, keepdims=keepdims, **kw)


@implements(np.any)
def any_(s, x, axis=None, out=None, keepdims=False, **kw):
    return np.logical_or.reduce(x, axis=axis, keepdims=keepdims, **kw)


@implements(np.all)
def all_(s, x, axis=None, out=None, keepdims=False, **kw):
    return np.logical_and.reduce(x, axis=axis, keepdims=keepdims, **kw)


@implements(np.count_nonzero)
def count_nonzero(s, x, axis=None, *, keepdims=False):
    return np.add.reduce(x != 0, axis=axis, dtype=np.int64, keepdims=keepdims)


def count(x, axis):
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    n = 1
    for a in axes:
        n *= x.shape[a]
    return n


@implements(np.mean)
def mean(s, x, axis=None, dtype=None, out=None, keepdims=False, **kw):
    if dtype is None and x.dtype.kind in "iub":
        dtype = np.float64
    n = count(x, axis)
    if n == 0:
        raise Unlowered("the mean of nothing")
    return np.true_divide(np.add.reduce(x, axis=axis, dtype=dtype, keepdims=keepdims), n)


@implements(np.var)
def var(s, x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, **kw):
    centred = x - np.mean(x, axis=axis, keepdims=True)
    n = count(x, axis) - ddof
    if n <= 0:
        raise Unlowered("the variance of too few")
    return np.true_divide(np.add.reduce(centred * centred, axis=axis, keepdims=keepdims), n)


@implements(np.std)
def std(s, x, *args, **kw):
    return np.sqrt(np.var(x, *args, **kw))


def _arg(fn):
    def rule(s, x, axis=None, out=None, *, keepdims=False):
        b, v = s.builder, value(s, x)
        if v.dtype == "bool" or v.dtype in ("float16", "bfloat16"):
            raise Unlowered(f"{fn} of {v.dtype}")
        axes = tuple(range(len(v.shape))) if axis is None else (axis % max(len(v.shape), 1),)
        if v.size == 0:
            raise Unlowered(f"{fn} of nothing")
        if v.shape == ():
            return s.like(b.scalar(0, "int64"))
        r = b.reduce(fn, v, axes, dtype="int64")
        if keepdims:
            r = b.reshape(r, tuple(1 if i in axes else n for i, n in enumerate(v.shape)))
        return s.like(r)

    return rule


implements(np.argmax)(_arg("argmax"))
implements(np.argmin)(_arg("argmin"))


@implements(np.trace)
def trace(s, x, offset=0, axis1=0, axis2=1, **kw):
    return np.add.reduce(np.diagonal(x, offset, axis1, axis2), axis=-1)


@implements(np.cross)
def cross(s, a, b, *args, **kw):
    if args or kw or a.shape[-1] != 3 or b.shape[-1] != 3:
        raise Unlowered("a cross product of this form")
    turn = lambda x, k: np.concatenate([x[..., k:], x[..., :k]], axis=-1)  # noqa: E731
    return turn(a, 1) * turn(b, 2) - turn(a, 2) * turn(b, 1)


@implements(np.diff)
def diff(s, x, n=1, axis=-1, **kw):
    for _ in range(n):
        head = (slice(None),) * (axis % x.ndim)
        x = x[(*head, slice(1, None))] - x[(*head, slice(0, -1))]
    return x


@implements(np.bincount)
def bincount(s, index, weights=None, minlength=0):
    """``minlength`` must be the length of the result: indices are below it where kernels use this."""
    b = s.builder
    index = index if hasattr(index, "builder") else s.like(b.constant(np.asarray(index)))
    if weights is None:
        weights = s.like(b.full(index.shape, 1, "int64"))
    dtype = "float64" if np.dtype(weights.dtype.type).kind == "f" else "int64"
    total = s.like(b.full((minlength,), 0, dtype))
    np.add.at(total, index, weights)
    return s.like(b.dense(total.value))


@implements(np.clip)
def clip(s, x, a_min=None, a_max=None, out=None, **kw):
    y = x if a_min is None else np.maximum(x, a_min)
    y = y if a_max is None else np.minimum(y, a_max)
    if out is None:
        return y
    out.assign(y.value)
    return out


def _like(fill):
    def rule(s, x, *args, dtype=None, shape=None, **kw):
        dtype = np.dtype(dtype).name if dtype is not None else x.dtype.name
        number = args[0] if fill is None else fill
        if hasattr(number, "builder"):
            return s.like(s.builder.expand(s.builder.convert(number.value, dtype), x.shape))
        return s.like(s.builder.full(x.shape if shape is None else shape, number, dtype))

    return rule


implements(np.zeros_like, np.empty_like)(_like(0))
implements(np.ones_like)(_like(1))
implements(np.full_like)(_like(None))


@implements(np.copyto)
def copyto(s, target, source, casting=None, where=True):
    if where is not True or not hasattr(target, "builder"):
        raise Unlowered("copyto into an array")
    target.assign(value(s, source, target.dtype.name))


@implements(np.dot)
def dot(s, a, b, out=None):
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    if np.ndim(b) > 2:
        raise Unlowered("dot with a tensor")
    return np.matmul(a, b)


@implements(np.outer)
def outer(s, a, b, out=None):
    return np.ravel(a)[:, None] * np.ravel(b)[None, :]


@implements(np.shape)
def shape_(s, x):
    return x.shape


@implements(np.ndim)
def ndim_(s, x):
    return x.ndim


@implements(np.size)
def size_(s, x, axis=None):
    return x.size if axis is None else x.shape[axis]


@implements(np.result_type)
def result_type(s, *xs):
    return np.result_type(*[np.dtype(x.dtype.type) if hasattr(x, "builder") else x for x in xs])


@implements(np.may_share_memory, np.shares_memory)
def shares(s, a, b, *args, **kw):
    return False
