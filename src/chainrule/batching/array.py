"""A batch that looks like one sample: the arrays that ``vmap`` puts into tensors, and how primitives run on them.

A BatchedArray holds a physical array with the batch in front (itself a BatchedArray where ``vmap`` is nested) and
shows the shape of one sample.
The binder meets an array that is no NumPy array and hands the call to its ``bind``. Autograd knows nothing of it:
nodes, rules and gradients are those of one sample.
"""

import numpy as np

from ..errors import GradientError
from ..primitive import recorded
from ..primitive.quiet import QUIET, mute, restore

_DTYPES = {}


def marked(dtype):
    """A dtype equal to ``dtype`` but another object, so that the spelled-out calls for plain arrays let it pass by."""
    d = _DTYPES.get(dtype)
    if d is None:
        d = _DTYPES[dtype] = np.dtype(dtype, metadata={"batched": True}) if dtype.kind != "V" else dtype
    return d


class BatchedArray:
    """``data`` with the batch in front, one level of ``vmap``."""

    __slots__ = ("__weakref__", "data", "level")
    base = None  # as of a NumPy array that owns its memory

    def __init__(self, data, level):
        self.data = data
        self.level = level

    @property
    def shape(self):
        return tuple(self.data.shape[1:])

    @property
    def ndim(self):
        return self.data.ndim - 1

    @property
    def size(self):
        n = 1
        for k in self.shape:
            n *= k
        return n

    @property
    def dtype(self):
        return marked(self.data.dtype)

    @property
    def batch_size(self):
        return self.data.shape[0]

    def ones(self):
        """Ones of this array's kind; what a gradient starts with."""
        return _filled(self, 1)

    def bind(self, primitive, arrays, params):
        """Run a primitive on arrays of which at least one is a batch."""
        return run(primitive, arrays, params)

    def prepare(self, inputs):
        """Inputs from outside the batch that want gradients are lifted into it; the lift's transpose sums over the
        batch."""
        sizes = {}
        for t in inputs:
            if hasattr(t, "_data"):
                sizes.update(sizes_of(t._data))
        out = []
        for t in inputs:
            if hasattr(t, "_data") and t._requires_grad:
                own = sizes_of(t._data)
                if len(own) < len(sizes):
                    for level, n in sizes.items():
                        if level not in own:
                            t = recorded.lift_batch(t, level=level, size=n)
            out.append(t)
        return out

    def __getattr__(self, name):
        if name[:2] == "__":
            raise AttributeError(name)
        self._values_needed()

    def _values_needed(self, *args, **kwargs):
        raise GradientError(
            "vmap: the values of a batched tensor were asked for (.item(), .numpy(), bool(), a branch on it, or an "
            "operator that has no "
            "batched form); write torch.where instead of a branch, or take that part out of the vmapped function"
        )

    __array__ = __bool__ = __float__ = __int__ = __getitem__ = __iter__ = __len__ = _values_needed
    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __sub__ = __mul__ = __truediv__ = __neg__ = __invert__ = (
        _values_needed
    )

    def __repr__(self):
        return f"BatchedTensor(level={self.level}, batch={self.batch_size}, shape={list(self.shape)})"


def _filled(a, value):
    if type(a.data) is BatchedArray:
        return BatchedArray(_filled(a.data, value), a.level)
    if type(a.data) is not np.ndarray:
        return BatchedArray(np.full_like(a.data, value), a.level)
    return BatchedArray(np.full(a.data.shape, value, np.dtype(a.data.dtype.type)), a.level)


def sizes_of(a):
    """The levels of all batches that an array belongs to, with their sizes."""
    found = {}
    while type(a) is BatchedArray:
        found[a.level] = a.batch_size
        a = a.data
    return found


def top(arrays):
    """The highest level among the arrays, and the size of its batch."""
    level, n = 0, 0
    for a in arrays:
        if type(a) is BatchedArray and a.level > level:
            level, n = a.level, a.batch_size
    return level, n


def run(primitive, arrays, params):
    """A primitive on any mixture of plain arrays and batches."""
    if primitive.name in _CROSSING:
        return primitive.kernel(*arrays, **params)
    level, n = top(arrays)
    if level == 0:
        symbol = next((a for a in arrays if a is not None and type(a) is not np.ndarray and hasattr(a, "bind")), None)
        if symbol is not None:  # a function is being compiled
            return symbol.bind(primitive, arrays, params)
        token = mute(QUIET)
        try:
            result = primitive.kernel(*arrays, **params)
        finally:
            restore(token)
        if primitive.outputs == 1:
            return np.asarray(result)
        return tuple([np.asarray(r) for r in result])
    inside = [type(a) is BatchedArray and a.level == level for a in arrays]
    physical = [a.data if b else a for a, b in zip(arrays, inside, strict=True)]
    rule = _RULES.get(primitive.name)
    if primitive.family == "pointwise":
        result = run(primitive, aligned(arrays, physical, inside), params)
    elif rule is not None:
        result = rule(primitive, n, physical, inside, params)
    elif primitive.front:
        result = run(
            primitive, [a if b or a is None else lifted(a, n) for a, b in zip(physical, inside, strict=True)], params
        )
    else:
        result = one_by_one(primitive, n, physical, inside, params)
    if primitive.outputs == 1:
        return BatchedArray(result, level)
    return tuple([BatchedArray(r, level) for r in result])


def aligned(arrays, physical, inside):
    """Batches with fewer dimensions than others get dimensions of size 1 behind the batch, where broadcasting would
    put them."""
    ndim = max(a.ndim for a in arrays if a is not None)
    out = []
    for a, p, b in zip(arrays, physical, inside, strict=True):
        if b and a.ndim < ndim:
            p = reshaped(p, (p.shape[0], *(1,) * (ndim - a.ndim), *p.shape[1:]))
        out.append(p)
    return out


def one_by_one(primitive, n, physical, inside, params):
    """The way that is always right: sample by sample."""
    if n == 0:
        raise GradientError(f"vmap: {primitive.name} has no batched form and the batch is empty")
    results = [
        run(primitive, [index(a, i) if b else a for a, b in zip(physical, inside, strict=True)], params)
        for i in range(n)
    ]
    if primitive.outputs == 1:
        return stacked(results)
    return tuple([stacked(column) for column in zip(*results, strict=True)])


# ---- array functions that see through nested batches; ``axis`` counts the dimensions that are there


def index(a, i, axis=0):
    if type(a) is BatchedArray:
        return BatchedArray(index(a.data, i, axis + 1), a.level)
    part = a[(slice(None),) * axis + (i,)]
    return np.asarray(part) if isinstance(a, np.ndarray) else part


def stacked(parts, axis=0):
    level, n = top(parts)
    if level == 0:
        return np.stack(parts, axis)
    parts = [p.data if type(p) is BatchedArray and p.level == level else lifted(p, n) for p in parts]
    return BatchedArray(stacked(parts, axis + 1), level)


def lifted(a, n):
    """``a`` repeated along a new leading dimension, without copying."""
    if type(a) is BatchedArray:
        return BatchedArray(expand_at(a.data, n, 1), a.level)
    return np.broadcast_to(a, (n, *a.shape))


def expand_at(a, n, axis):
    if type(a) is BatchedArray:
        return BatchedArray(expand_at(a.data, n, axis + 1), a.level)
    a = np.expand_dims(a, axis)
    return np.broadcast_to(a, (*a.shape[:axis], n, *a.shape[axis + 1 :]))


def reshaped(a, shape):
    if type(a) is BatchedArray:
        return BatchedArray(reshaped(a.data, (a.batch_size, *shape)), a.level)
    return a.reshape(shape)


def moved(a, source, target):
    if type(a) is BatchedArray:
        return BatchedArray(moved(a.data, source + 1, target + 1), a.level)
    return np.moveaxis(a, source, target)


def summed(a):
    if type(a) is BatchedArray:
        return BatchedArray(moved_sum(a.data), a.level)
    return np.add.reduce(a, axis=0)


def multiplied(a, factor):
    if type(a) is BatchedArray:
        return BatchedArray(multiplied(a.data, factor), a.level)
    return np.asarray(a * factor)


def moved_sum(a, axis=1):
    if type(a) is BatchedArray:
        return BatchedArray(moved_sum(a.data, axis + 1), a.level)
    return np.add.reduce(a, axis=axis)


# ---- rules of operators whose parameters name sizes


def _sized(primitive, n, physical, inside, params):
    return run(primitive, physical, {**params, "shape": (n, *params["shape"])})


def _expand(primitive, n, physical, inside, params):
    (a,), shape = physical, params["shape"]
    a = reshaped(a, (n, *(1,) * (len(shape) - (a.ndim - 1)), *a.shape[1:]))
    return run(primitive, [a], {"shape": (n, *shape)})


def _sum_to(primitive, n, physical, inside, params):
    (a,), shape = physical, params["shape"]
    lead = a.ndim - 1 - len(shape)
    middle = run(primitive, [a], {"shape": (n, *(1,) * lead, *shape)})
    return reshaped(middle, (n, *shape))


def _permute(primitive, n, physical, inside, params):
    dims = params["dims"]
    return run(primitive, physical, {"dims": (-len(dims) - 1, *dims)})


def _cat(primitive, n, physical, inside, params):
    """1-d tensors without elements take no part, whatever the rank of the others."""
    shapes = [a.shape[1:] if b else a.shape for a, b in zip(physical, inside, strict=True)]
    some = [k for k, s in enumerate(shapes) if s != (0,)] or range(len(shapes))
    return run(primitive, [physical[k] if inside[k] else lifted(physical[k], n) for k in some], params)


_RULES = {
    "cat": _cat,
    "reshape": _sized,
    "view": _sized,
    "expand": _expand,
    "sum_to": _sum_to,
    "permute": _permute,
}
_CROSSING = ("enter_batch", "exit_batch", "lift_batch", "sum_batch")
