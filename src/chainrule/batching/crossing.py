"""The operators that carry tensors into a batch and out of it; each is the other's transpose.

Where batches are nested, the highest level is the outermost BatchedArray. A graph recorded in one batch may be
differentiated inside a later one, so a level can also enter, or leave, below a higher one.
"""

from ..primitive import linear
from .array import BatchedArray, lifted, moved, multiplied, summed


def _enter(x, dim, level):
    if type(x) is BatchedArray and x.level > level:
        return BatchedArray(_enter(x.data, dim + 1, level), x.level)
    return BatchedArray(moved(x, dim, 0), level)


def _exit(x, dim, level, size):
    if type(x) is BatchedArray and x.level > level:
        return BatchedArray(_exit(x.data, dim + 1, level, size), x.level)
    x = x.data if type(x) is BatchedArray and x.level == level else lifted(x, size)
    return moved(x, 0, dim)


def _lift(x, level, size):
    if type(x) is BatchedArray and x.level > level:
        return BatchedArray(_lift(x.data, level, size), x.level)
    return BatchedArray(lifted(x, size), level)


def _sum(x, level, size):
    if type(x) is BatchedArray and x.level > level:
        return BatchedArray(_sum(x.data, level, size), x.level)
    if type(x) is BatchedArray and x.level == level:
        return summed(x.data)
    return multiplied(x, size)


enter_batch = linear(
    "enter_batch", _enter, lambda o, g, s, *, dim, level: o.exit_batch(g, dim=dim, level=level, size=s[0][dim])
)
exit_batch = linear("exit_batch", _exit, lambda o, g, s, *, dim, level, size: o.enter_batch(g, dim=dim, level=level))
lift_batch = linear("lift_batch", _lift, lambda o, g, s, *, level, size: o.sum_batch(g, level=level, size=size))
sum_batch = linear("sum_batch", _sum, lambda o, g, s, *, level, size: o.lift_batch(g, level=level, size=size))
