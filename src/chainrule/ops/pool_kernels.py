"""Pooling on arrays: the windows of the last ``len(kernel)`` dimensions of x, for any number of dimensions in front.

A window's elements are visited position by position: each position of all windows together is one strided slice of the
padded input.
``padding`` is a (low, high) pair per dimension; dilation is 1 where it is not an argument.
"""

import math

import numpy as np

from .conv_kernels import padded

# Integers as wide as a float: where(mask, g, 0) as an "and" of bit patterns is several times faster than np.where, and
# exact for infinities, which a product with the mask is not.
BITS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


def pooled_size(size, kernel, stride, padding, dilation):
    """How many windows fit, per dimension."""
    return tuple(
        [
            (n + lo + hi - d * (k - 1) - 1) // s + 1
            for n, k, s, (lo, hi), d in zip(size, kernel, stride, padding, dilation, strict=True)
        ]
    )


def places(kernel, stride, dilation, out):
    """Per position in the window, row by row: the slices that pick it from all windows."""
    for at in np.ndindex(*kernel):
        yield (
            at,
            (
                ...,
                *[
                    slice(i * d, i * d + (q - 1) * s + 1, s)
                    for i, d, q, s in zip(at, dilation, out, stride, strict=True)
                ],
            ),
        )


def one_by_one(x, kernel, stride, dilation, out, combine):
    """Reduce the windows one dimension after the other."""
    n = len(kernel)
    for axis in range(n):
        k, s, d, q = kernel[axis], stride[axis], dilation[axis], out[axis]
        if k == 1 and s == 1:
            continue
        after = (slice(None),) * (n - 1 - axis)
        pick = [x[(..., slice(i * d, i * d + (q - 1) * s + 1, s), *after)] for i in range(k)]
        x = pick[0] if k == 1 else combine(pick[0], pick[1])
        for p in pick[2:]:
            combine(x, p, out=x)
    return x


def max_pool(x, kernel, stride, padding, dilation):
    """The largest element of every window."""
    n = len(kernel)
    out = pooled_size(x.shape[-n:], kernel, stride, padding, dilation)
    y = one_by_one(padded(x, padding, lowest(x.dtype)), kernel, stride, dilation, out, np.maximum)
    return y.copy() if y.base is not None or y is x else y


def lowest(dtype):
    """What padding is filled with so that it is never the largest."""
    return -np.inf if dtype.kind in "fV" else np.iinfo(dtype).min


def hits(x, y, kernel, stride, padding, dilation):
    """Per position in the window: its slices, and in which windows it holds the first largest element."""
    n = len(kernel)
    out = y.shape[-n:]
    x = padded(x, padding, lowest(x.dtype))
    if y.dtype.kind == "f" and y.size and np.isnan(y.max()):  # a NaN is the largest
        x, y = np.where(np.isnan(x), np.inf, x), np.where(np.isnan(y), np.inf, y)
    last = math.prod(kernel) - 1
    free = None
    for i, (at, place) in enumerate(places(kernel, stride, dilation, out)):
        hit = x[place] == y
        if free is None:
            free = ~hit
        else:
            hit &= free
            if i != last:
                free ^= hit
        yield at, place, hit


def max_spread(g, x, y, kernel, stride, padding, dilation):
    """Send ``g`` to the elements that ``max_pool`` took; its transpose, given its input and output."""
    n = len(kernel)
    size = [m + lo + hi for m, (lo, hi) in zip(x.shape[-n:], padding, strict=True)]
    total = np.zeros((*x.shape[:-n], *size), g.dtype)
    apart = all(s >= k for s, k in zip(stride, kernel, strict=True)) and all(d == 1 for d in dilation)
    bits = BITS[g.itemsize]
    total_bits, g_bits = total.view(bits), np.ascontiguousarray(g).view(bits)
    for _, place, hit in hits(x, y, kernel, stride, padding, dilation):
        mask = np.negative(hit.view(np.int8), dtype=bits)
        if apart:
            np.bitwise_and(g_bits, mask, out=total_bits[place])
        else:
            total[place] += np.bitwise_and(g_bits, mask, out=mask).view(g.dtype)
    return total[inside(x.shape[-n:], padding)]


def max_pick(h, x, y, kernel, stride, padding, dilation):
    """The elements of ``h`` at the places that ``max_pool`` took from x."""
    h = padded(h, padding)
    total = np.zeros(y.shape, h.dtype)
    for _, place, hit in hits(x, y, kernel, stride, padding, dilation):
        np.copyto(total, h[place], where=hit)
    return total


def max_index(x, y, kernel, stride, padding, dilation):
    """Flat positions, in the last dimensions of x, of the elements that ``max_pool`` took."""
    n = len(kernel)
    out, size = y.shape[-n:], x.shape[-n:]
    index = np.zeros(y.shape, np.int64)
    for at, _, hit in hits(x, y, kernel, stride, padding, dilation):
        flat = np.zeros((1,) * n, np.int64)
        for i, (a, d, s, (lo, _), q) in enumerate(zip(at, dilation, stride, padding, out, strict=True)):
            along = (np.arange(q) * s + a * d - lo).reshape([-1 if j == i else 1 for j in range(n)])
            flat = flat * size[i] + along
        np.copyto(index, flat, where=hit)
    return index


def inside(size, padding):
    """The slices that undo a padding."""
    return (..., *[slice(lo, lo + m) for m, (lo, hi) in zip(size, padding, strict=True)])


def window_sum(x, kernel, stride, padding):
    """The sum of every window."""
    n = len(kernel)
    ones = (1,) * n
    out = pooled_size(x.shape[-n:], kernel, stride, padding, ones)
    y = one_by_one(padded(x, padding), kernel, stride, ones, out, np.add)
    return y.copy() if y.base is not None or y is x else y


def window_spread(g, size, kernel, stride, padding):
    """Send every window's ``g`` to all its elements: the transpose of ``window_sum`` for an input whose last sizes
    are ``size``.
    """
    n = len(kernel)
    for axis in range(n):
        k, s, (lo, hi), m, q = kernel[axis], stride[axis], padding[axis], size[axis], g.shape[axis - n]
        if k == 1 and s == 1 and not (lo or hi):
            continue
        after = (slice(None),) * (n - 1 - axis)
        total = np.zeros((*g.shape[: g.ndim - n + axis], m + lo + hi, *g.shape[g.ndim - n + axis + 1 :]), g.dtype)
        for i in range(k):
            at = (..., slice(i, i + (q - 1) * s + 1, s), *after)
            if s >= k:
                total[at] = g
            else:
                total[at] += g
        g = total[(..., slice(lo, lo + m), *after)]
    return g
