"""Convolution on arrays, for any number of spatial dimensions: windows laid out as columns, then one matrix product.

A convolution is bilinear in input and weight, and its two transposes are the two other functions here, so the three of
them are closed under differentiation. Arrays: x (N, C, *S), w (O, C / groups, *K), y (N, O, *out). ``padding`` is a
(low, high) pair per dimension.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

# Columns larger than this are made for part of the batch at a time.
CHUNK_BYTES = 1 << 23


def output_size(size, kernel, stride, padding, dilation):
    """Spatial sizes of a convolution's result."""
    return tuple(
        [
            (n + lo + hi - d * (k - 1) - 1) // s + 1
            for n, k, s, (lo, hi), d in zip(size, kernel, stride, padding, dilation, strict=True)
        ]
    )


def padded(x, padding, value=0):
    """``x`` with its last dimensions padded; itself if there is nothing to pad. Negative padding crops."""
    if not any(lo or hi for lo, hi in padding):
        return x
    lead = x.ndim - len(padding)
    size = [n + lo + hi for n, (lo, hi) in zip(x.shape[lead:], padding, strict=True)]
    if any(lo < 0 or hi < 0 for lo, hi in padding):
        x = x[
            (..., *[slice(max(-lo, 0), n - max(-hi, 0)) for n, (lo, hi) in zip(x.shape[lead:], padding, strict=True)])
        ]
    out = np.full((*x.shape[:lead], *size), value, x.dtype) if value else np.zeros((*x.shape[:lead], *size), x.dtype)
    inner = [slice(max(lo, 0), n - max(hi, 0)) for n, (lo, hi) in zip(size, padding, strict=True)]
    out[(..., *inner)] = x
    return out


def windows(x, kernel, stride, dilation, out):
    """A view of a padded ``x`` (N, C, *S) as (N, C, *K, *out)."""
    st = x.strides
    inner = [t * d for t, d in zip(st[2:], dilation, strict=True)]
    outer = [t * s for t, s in zip(st[2:], stride, strict=True)]
    return as_strided(x, (*x.shape[:2], *kernel, *out), (*st[:2], *inner, *outer), writeable=False)


def conv(x, w, stride, padding, dilation, groups):
    """Cross-correlate ``x`` with ``w``."""
    if x.itemsize == 2:
        return conv(x.astype(np.float32), w.astype(np.float32), stride, padding, dilation, groups).astype(x.dtype)
    kernel = w.shape[2:]
    out = output_size(x.shape[2:], kernel, stride, padding, dilation)
    n, o, length = x.shape[0], w.shape[0], math.prod(out)
    y = np.empty((n, groups, o // groups, length), x.dtype)
    w = w.reshape(groups, o // groups, math.prod(w.shape[1:]))
    k = w.shape[2]
    for part in chunks(n, groups * k * length * x.itemsize):
        view = windows(padded(x[part], padding), kernel, stride, dilation, out)
        m = view.shape[0]
        if length >= 48 or m == 1:
            np.matmul(w, view.reshape(m, groups, k, length), out=y[part])
        else:  # few positions per image: put the images of a group side by side, or the products get too thin
            cols = columns(view, groups, k, m * length)
            y[part] = np.matmul(w, cols).reshape(groups, o // groups, m, length).transpose(2, 0, 1, 3)
    return y.reshape(n, o, *out)


def columns(view, groups, k, total):
    """Windows (N, C, *K, *out) copied to (groups, C / groups * K, N * positions)."""
    spatial = (view.ndim - 2) // 2
    order = (1, *range(2, 2 + spatial), 0, *range(2 + spatial, view.ndim))
    return view.transpose(order).reshape(groups, k, total)


def chunks(n, bytes_each):
    """Slices of the batch whose columns fit the limit."""
    step = max(1, min(n, CHUNK_BYTES // max(bytes_each, 1)))
    return [slice(i, i + step) for i in range(0, n, step)]


def by_channel(g, groups):
    """(N, O, *out) as (groups, O / groups, N * positions)."""
    n, o = g.shape[:2]
    length = math.prod(g.shape[2:])
    return g.reshape(n, o, length).swapaxes(0, 1).reshape(groups, o // groups, n * length)


def conv_weight(g, x, size, stride, padding, dilation, groups):
    """The transpose of ``conv`` in its weight, of shape ``size``: g (N, O, *out), x (N, C, *S)."""
    if x.itemsize == 2:
        wide = conv_weight(g.astype(np.float32), x.astype(np.float32), size, stride, padding, dilation, groups)
        return wide.astype(x.dtype)
    kernel, out = size[2:], g.shape[2:]
    k, length = math.prod(size[1:]), math.prod(out)
    if groups == 1 and size[1] >= 8 and g.ndim == 4 and all(s == 1 for s in (*stride, *dilation)):
        return weight_by_shifts(g, padded(x, padding), size)
    total = None
    for part in chunks(x.shape[0], groups * k * length * x.itemsize):
        view = windows(padded(x[part], padding), kernel, stride, dilation, out)
        cols = columns(view, groups, k, view.shape[0] * length)
        r = np.matmul(by_channel(g[part], groups), cols.swapaxes(1, 2))
        total = r if total is None else np.add(total, r, out=total)
    return np.zeros(size, x.dtype) if total is None else total.reshape(size)


def widened(g, width):
    """``g`` (N, O, H, V) with its rows filled up with zeros to ``width`` and laid end to end, without the last row's
    zeros."""
    n, o, h, v = g.shape
    wide = np.zeros((n, o, h, width), g.dtype)
    wide[..., :v] = g
    return wide.reshape(n, o, h * width)[..., : (h - 1) * width + v]


def weight_by_shifts(g, x, size):
    """``conv_weight`` of one group, stride and dilation 1, two dimensions: with rows end to end, each place in the
    kernel is one shift of x, so no columns are copied."""
    width = x.shape[3]
    wide = widened(g, width)
    flat = x.reshape(*x.shape[:2], -1).swapaxes(1, 2)
    result = np.empty(size, x.dtype)
    for i, j in np.ndindex(*size[2:]):
        shift = i * width + j
        np.matmul(wide, flat[:, shift : shift + wide.shape[2]]).sum(0, out=result[:, :, i, j])
    return result


def input_by_shifts(g, w, size, padding):
    """``conv_input`` of one group, stride and dilation 1, two dimensions, likewise."""
    (top, bottom), (left, right) = padding
    height, width = size[2] + top + bottom, size[3] + left + right
    wide = widened(g, width)
    run = wide.shape[2]
    total = np.zeros((*size[:2], height * width), g.dtype)
    by_place = np.ascontiguousarray(w.transpose(2, 3, 1, 0))
    part = np.empty((*size[:2], run), g.dtype)
    for i, j in np.ndindex(*w.shape[2:]):
        at = total[:, :, i * width + j : i * width + j + run]
        np.add(at, np.matmul(by_place[i, j], wide, out=part), out=at)
    return total.reshape(*size[:2], height, width)[:, :, top : top + size[2], left : left + size[3]].copy()


def conv_input(g, w, size, stride, padding, dilation, groups):
    """The transpose of ``conv`` in its input, of shape ``size``: g (N, O, *out), w (O, C / groups, *K)."""
    if g.itemsize == 2:
        wide = conv_input(g.astype(np.float32), w.astype(np.float32), size, stride, padding, dilation, groups)
        return wide.astype(g.dtype)
    kernel, out = w.shape[2:], g.shape[2:]
    n, c = size[:2]
    k = math.prod(w.shape[1:])
    if (
        groups == 1
        and c >= 8
        and g.ndim == 4
        and all(s == 1 for s in (*stride, *dilation))
        and min(map(min, padding)) >= 0
    ):
        return input_by_shifts(g, w, size, padding)
    wt = w.reshape(groups, w.shape[0] // groups, k).swapaxes(1, 2)
    full = [s + max(lo, 0) + max(hi, 0) for s, (lo, hi) in zip(size[2:], padding, strict=True)]
    whole = full == list(size[2:])
    crop = (..., *[slice(max(lo, 0), max(lo, 0) + s) for s, (lo, hi) in zip(size[2:], padding, strict=True)])
    # With negative padding the windows start inside the input.
    skip = [max(-lo, 0) for lo, hi in padding]
    result = np.empty(size, g.dtype)
    for part in chunks(n, groups * k * math.prod(out) * g.itemsize):
        m = g[part].shape[0]
        cols = np.matmul(wt, by_channel(g[part], groups)).reshape(c, *kernel, m, *out)
        total = np.zeros((c, m, *full), g.dtype)
        for at in np.ndindex(*kernel):
            place = [
                slice(b + i * d, b + i * d + (q - 1) * s + 1, s)
                for b, i, d, q, s in zip(skip, at, dilation, out, stride, strict=True)
            ]
            total[(..., *place)] += cols[(slice(None), *at)]
        result[part] = (total if whole else total[crop]).swapaxes(0, 1)
    return result
