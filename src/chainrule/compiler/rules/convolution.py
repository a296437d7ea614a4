"""Convolutions as one matrix product each: windows laid out as columns (channel and place in the kernel; image and
position), so that the images of a batch make the product wide."""

import math

import numpy as np

from ...ops import conv_kernels as kernels
from ..builder import Unlowered
from ..lowering import lowers
from ..twins import _as_strided, twin

# Columns of more bytes than this are made for part of the batch at a time: they stay in cache and take little memory.
COLUMN_BYTES = 1 << 20


def _batches(n, image_bytes):
    """Slices of the batch whose columns are small enough."""
    step = max(1, min(n, COLUMN_BYTES // max(image_bytes, 1)))
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def _columns(x, kernel, stride, padding, dilation, out, groups):
    """(groups, C / groups * K, N * positions), from x (N, C, *S). Made anew wherever they are needed: keeping them from
    the forward to the backward pass would take more memory than all activations."""
    x = twin(kernels.padded)(x, padding)
    st = x.strides
    inner = [t * d for t, d in zip(st[2:], dilation, strict=True)]
    outer = [t * s for t, s in zip(st[2:], stride, strict=True)]
    n, c = x.shape[:2]
    view = _as_strided(x, (c, *kernel, n, *out), (st[1], *inner, st[0], *outer))
    b = x.builder
    cols = b.program.add("map", (view.value,), {"fn": "id"}, (view.shape, view.dtype.name))
    return b.reshape(cols, (groups, c // groups * math.prod(kernel), n * math.prod(out)))


def _by_channel(g, groups):
    """(N, O, *out) as (groups, O / groups, N * positions)."""
    n, o = g.shape[:2]
    length = math.prod(g.shape[2:])
    b = g.builder
    swapped = b.transpose(b.reshape(g.value, (n, o, length)), (1, 0, 2))
    return b.reshape(b.copy(swapped) if n > 1 else swapped, (groups, o // groups, n * length))


def _float(*xs):
    if any(x.dtype.kind != "f" or x.dtype.itemsize < 4 for x in xs):
        raise Unlowered("a convolution of this dtype")
    if any(x.size == 0 for x in xs):
        raise Unlowered("an empty convolution")


def _product(weight, x, kernel, stride, padding, dilation, out, groups):
    """``weight`` (groups, O / groups, C / groups * K) times the columns of x: (N, O, *out)."""
    b = x.builder
    n, o = x.shape[0], weight.shape[0] * weight.shape[1]
    image = math.prod(x.shape[1:2] + tuple(kernel) + tuple(out)) * x.itemsize
    parts = _batches(n, image)
    whole = None if len(parts) == 1 else x.like(b.full((o, n, *out), 0, x.dtype.name))
    for part in parts:
        images = x if whole is None else x[part]
        cols = _columns(images, kernel, stride, padding, dilation, out, groups)
        y = x.like(b.reshape(b.dot(weight, cols), (o, images.shape[0], *out)))
        if whole is None:
            whole = y
        else:
            whole[:, part] = y
    return x.like(b.transpose(whole.value, (1, 0, *range(2, 2 + len(out)))))


@lowers("convolution")
def convolution(x, w, bias=None, *, stride, padding, dilation, groups):
    _float(x, w)
    b = x.builder
    kernel = w.shape[2:]
    out = kernels.output_size(x.shape[2:], kernel, stride, padding, dilation)
    weight = b.reshape(w.value, (groups, w.shape[0] // groups, math.prod(w.shape[1:])))
    y = _product(weight, x, kernel, stride, padding, dilation, out, groups)
    return y if bias is None else y + bias.reshape(-1, *[1] * len(out))


@lowers("conv_weight")
def conv_weight(g, x, *, size, stride, padding, dilation, groups):
    _float(g, x)
    b = x.builder
    kernel, out = size[2:], g.shape[2:]
    total = None
    for part in _batches(x.shape[0], math.prod(x.shape[1:2] + tuple(kernel) + tuple(out)) * x.itemsize):
        cols = _columns(x[part], kernel, stride, padding, dilation, out, groups)
        y = b.dot(_by_channel(g[part], groups), b.transpose(cols, (0, 2, 1)))
        total = y if total is None else b.map("add", total, y)
    return x.like(b.reshape(total, size))


@lowers("conv_input")
def conv_input(g, w, *, size, stride, padding, dilation, groups):
    _float(g, w)
    b = g.builder
    kernel, out = w.shape[2:], g.shape[2:]
    c, o = size[1] // groups, w.shape[0] // groups
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if all(s == 1 for s in stride):
        # A convolution of g, padded so that every input meets all its windows, with the kernel turned round.
        around = tuple([(r - lo, n + lo - q) for r, (lo, _), n, q in zip(reach, padding, size[2:], out, strict=True)])
        turned = np.flip(w, tuple(range(2, w.ndim))).reshape(groups, o, c, *kernel)
        turned = b.transpose(turned.value, (0, 2, 1, *range(3, 3 + len(kernel))))
        turned = b.reshape(b.copy(turned), (groups, c, o * math.prod(kernel)))
        return _product(turned, g, kernel, stride, around, dilation, size[2:], groups)
    turned = b.transpose(b.reshape(w.value, (groups, o, c * math.prod(kernel))), (0, 2, 1))
    cols = g.like(b.reshape(b.dot(turned, _by_channel(g, groups)), (size[1], *kernel, size[0], *out)))
    full = [s + max(lo, 0) + max(hi, 0) for s, (lo, hi) in zip(size[2:], padding, strict=True)]
    skip = [max(-lo, 0) for lo, _ in padding]
    total = g.like(b.full((size[1], size[0], *full), 0, g.dtype.name))
    for at in np.ndindex(*kernel):
        place = tuple(
            slice(f + i * d, f + i * d + (q - 1) * s + 1, s)
            for f, i, d, q, s in zip(skip, at, dilation, out, stride, strict=True)
        )
        total[(..., *place)] = total[(..., *place)] + cols[(slice(None), *at)]
    crop = (..., *[slice(max(lo, 0), max(lo, 0) + s) for s, (lo, _) in zip(size[2:], padding, strict=True)])
    return np.swapaxes(total[crop], 0, 1)
