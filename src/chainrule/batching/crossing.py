"""The operators that carry tensors into a batch and out of it; each is the other's transpose."""

import numpy as np

from ..primitive import linear
from .array import BatchedArray, lifted, moved, summed


def _enter(x, dim, level):
    return BatchedArray(moved(x, dim, 0), level)


def _exit(x, dim, level, size):
    x = x.data if type(x) is BatchedArray and x.level == level else lifted(x, size)
    return moved(x, 0, dim)


def _lift(x, level, size):
    return BatchedArray(lifted(x, size), level)


def _sum(x, level, size):
    if type(x) is BatchedArray and x.level == level:
        return summed(x.data)
    return np.asarray(x * size)


enter_batch = linear(
    "enter_batch", _enter, lambda o, g, s, *, dim, level: o.exit_batch(g, dim=dim, level=level, size=s[0][dim])
)
exit_batch = linear("exit_batch", _exit, lambda o, g, s, *, dim, level, size: o.enter_batch(g, dim=dim, level=level))
lift_batch = linear("lift_batch", _lift, lambda o, g, s, *, level, size: o.sum_batch(g, level=level, size=size))
sum_batch = linear("sum_batch", _sum, lambda o, g, s, *, level, size: o.lift_batch(g, level=level, size=size))
