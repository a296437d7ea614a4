"""NumPy's functions on symbols that move elements: joining, indexing, padding. ``FUNCTIONS`` is complete with them."""

import numpy as np

from ..errors import IndexRangeError
from .array_functions import FUNCTIONS, common, implements, value
from .builder import Unlowered
from .indexing import inside

__all__ = ["FUNCTIONS"]


@implements(np.concatenate)
def concatenate(s, arrays, axis=0, out=None, dtype=None, casting=None):
    if axis is None:
        arrays, axis = [np.ravel(a) for a in arrays], 0
    arrays = list(arrays)
    values = common(s, arrays)
    shape = list(values[0].shape)
    axis %= len(shape)
    shape[axis] = sum(v.shape[axis] for v in values)
    if len([v for v in values if v.size]) == 1:
        return s.like(next(v for v in values if v.size))
    b = s.builder
    whole = s.like(b.full(shape, 0, values[0].dtype))
    start = 0
    for v in values:
        part = (slice(None),) * axis + (slice(start, start + v.shape[axis]),)
        whole[part] = s.like(v)
        start += v.shape[axis]
    if out is None:
        return whole
    out.assign(whole.value)
    return out


@implements(np.stack)
def stack(s, arrays, axis=0, out=None, **kw):
    arrays = [a if hasattr(a, "builder") else s.like(value(s, a)) for a in arrays]
    ndim = arrays[0].ndim + 1
    return np.concatenate([np.expand_dims(a, axis % ndim) for a in arrays], axis=axis % ndim)


def _take_index(s, index, n):
    b = s.builder
    v = b.convert(value(s, index), "int64")
    if hasattr(index, "builder"):
        s.like(v).within(-n, n, f"an index is out of bounds for a dimension with size {n}")
        low = b.map("lt", v, b.scalar(0, "int64"), dtype="bool")
        return inside(b, b.map("where", low, b.map("add", v, b.scalar(n, "int64")), v), n)
    a = np.asarray(index)
    if a.size and (a.min() < -n or a.max() >= n):
        raise IndexRangeError(f"an index is out of bounds for a dimension with size {n}")
    return b.constant(np.where(a < 0, a + n, a).astype(np.int64))


@implements(np.take)
def take(s, x, indices, axis=None, out=None, mode="raise"):
    if axis is None:
        x, axis = np.ravel(x), 0
    v = value(s, x)
    axis %= len(v.shape)
    index = _take_index(s, indices, v.shape[axis])
    shape = (*v.shape[:axis], *index.shape, *v.shape[axis + 1 :])
    return s.like(s.builder.emit("take", (s.builder.dense(v), index), {"dim": axis}, (shape, v.dtype)))


@implements(np.take_along_axis)
def take_along_axis(s, x, indices, axis):
    v = value(s, x)
    axis %= len(v.shape)
    b = s.builder
    index = _take_index(s, indices, v.shape[axis])
    shape = list(np.broadcast_shapes(_without(v.shape, axis), _without(index.shape, axis)))
    shape[axis] = index.shape[axis]
    index = b.expand(index, shape)
    full = list(shape)
    full[axis] = v.shape[axis]
    v = b.dense(b.expand(v, full))
    return s.like(b.emit("gather", (v, index), {"dim": axis}, (shape, v.dtype)))


def _without(shape, axis):
    shape = list(shape)
    shape[axis] = 1
    return shape


@implements(np.put_along_axis)
def put_along_axis(s, target, indices, values, axis):
    b = s.builder
    axis %= target.ndim
    index = _take_index(s, indices, target.shape[axis])
    piece = b.expand(value(s, values, target.dtype.name), index.shape)
    if _without(index.shape, axis) != _without(target.shape, axis):
        index = b.expand(index, [index.shape[i] if i == axis else n for i, n in enumerate(target.shape)])
        piece = b.expand(piece, index.shape)
    if not piece.size:
        return
    params = {"dim": axis, "fn": "set", "along": True}
    v = b.dense(target.value)
    target.assign(b.emit("scatter", (v, index, piece), params, (v.shape, v.dtype)))


def _triangle(keep):
    def rule(s, x, k=0):
        b, v = s.builder, value(s, x)
        shape, n = v.shape, len(v.shape)
        row, column = b.iota(shape[-2:], 0, "int64"), b.iota(shape[-2:], 1, "int64")
        mask = b.map(keep, column, b.map("add", row, b.scalar(k, "int64")), dtype="bool")
        return s.like(b.map("where", b.expand(mask, shape) if n > 2 else mask, v, b.scalar(0, v.dtype)))

    return rule


implements(np.tril)(_triangle("le"))
implements(np.triu)(_triangle("ge"))


@implements(np.roll)
def roll(s, x, shift, axis=None):
    if axis is None:
        return np.roll(np.ravel(x), shift, 0).reshape(x.shape)
    shifts, axes = np.broadcast_arrays(shift, axis)
    for k, a in zip(shifts.reshape(-1).tolist(), axes.reshape(-1).tolist(), strict=True):
        n = x.shape[a]
        k = k % n if n else 0
        if k:
            head = (slice(None),) * (a % x.ndim)
            x = np.concatenate([x[(*head, slice(n - k, n))], x[(*head, slice(0, n - k))]], axis=a)
    return x


@implements(np.pad)
def pad(s, x, pad_width, mode="constant", constant_values=0, **kw):
    if mode != "constant" or kw:
        raise Unlowered(f"pad in mode {mode}")
    widths = np.broadcast_to(pad_width, (x.ndim, 2)).tolist()
    shape = [n + a + c for n, (a, c) in zip(x.shape, widths, strict=True)]
    whole = s.like(s.builder.full(shape, constant_values, x.dtype.name))
    whole[tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True))] = x
    return whole


@implements(np.split, np.array_split)
def split(s, x, places, axis=0):
    if isinstance(places, int):
        n = x.shape[axis] // places
        places = [n * i for i in range(1, places)]
    edges = [0, *list(places), x.shape[axis]]
    head = (slice(None),) * (axis % x.ndim)
    return [x[(*head, slice(a, c))] for a, c in zip(edges[:-1], edges[1:], strict=True)]
