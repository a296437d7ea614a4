"""Where the gradient of a maximum goes: window position by window position."""

import numpy as np

from ...ops.conv_kernels import padded
from ...ops.pool_kernels import inside, lowest, places
from ..lowering import lowers
from ..twins import twin


def _padded(x, padding, value):
    return twin(padded)(x, padding, value)


def _hits(x, y, kernel, stride, padding, dilation):
    """Per position in the window: its slices, and in which windows it holds the first largest element (a NaN is the
    largest)."""
    n = len(kernel)
    x = _padded(x, padding, lowest(np.dtype(x.dtype.type)))
    free = None
    for _, place in places(kernel, stride, dilation, y.shape[-n:]):
        part = x[place]
        hit = part == y
        if y.dtype.kind == "f":
            hit = hit | ((part != part) & (y != y))
        if free is None:
            free = ~hit
        else:
            hit, free = hit & free, free & ~hit
        yield place, hit


@lowers("max_spread")
def max_spread(g, x, y, kernel, stride, padding, dilation):
    n = len(kernel)
    size = [m + lo + hi for m, (lo, hi) in zip(x.shape[-n:], padding, strict=True)]
    total = g.like(g.builder.full((*x.shape[:-n], *size), 0, g.dtype.name))
    apart = all(s >= k for s, k in zip(stride, kernel, strict=True)) and all(d == 1 for d in dilation)
    for place, hit in _hits(x, y, kernel, stride, padding, dilation):
        part = np.where(hit, g, 0)
        total[place] = part if apart else total[place] + part
    return total[inside(x.shape[-n:], padding)]


@lowers("max_pick")
def max_pick(h, x, y, kernel, stride, padding, dilation):
    h = _padded(h, padding, 0)
    total = h.like(h.builder.full(y.shape, 0, h.dtype.name))
    for place, hit in _hits(x, y, kernel, stride, padding, dilation):
        total = np.where(hit, h[place], total)
    return total


@lowers("max_index")
def max_index(x, y, kernel, stride, padding, dilation):
    n = len(kernel)
    out, size = y.shape[-n:], x.shape[-n:]
    index = x.like(x.builder.full(y.shape, 0, "int64"))
    positions = list(np.ndindex(*kernel))
    for at, (_, hit) in zip(positions, _hits(x, y, kernel, stride, padding, dilation), strict=True):
        flat = np.zeros((1,) * n, np.int64)
        for i, (a, d, s, (lo, _), q) in enumerate(zip(at, dilation, stride, padding, out, strict=True)):
            along = (np.arange(q) * s + a * d - lo).reshape([-1 if j == i else 1 for j in range(n)])
            flat = flat * size[i] + along
        index = np.where(hit, flat, index)
    return index
