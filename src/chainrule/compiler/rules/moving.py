"""Operators on indices and diagonals whose kernels go through memory in ways that symbols can't."""

import numpy as np

from ...ops.strided import check_span
from ..builder import Unlowered
from ..lowering import lowers
from ..twins import _numpy


@lowers("argmax")
def argmax(x, dim, keepdim=False):
    return _arg(np.argmax, x, dim, keepdim)


@lowers("argmin")
def argmin(x, dim, keepdim=False):
    return _arg(np.argmin, x, dim, keepdim)


def _arg(function, x, dim, keepdim):
    y = function(x, axis=dim)
    if not keepdim:
        return y
    return y.reshape((1,) * x.ndim) if dim is None else np.expand_dims(y, dim)


@lowers("as_strided")
def as_strided(x, size, stride, storage_offset=None, source=None):
    """``x`` owns its memory (see ``place_in_memory``), and has to lie there as the eager tensor would."""
    b = x.builder
    whole = b.dense(x.value)
    start = source[1] if storage_offset is None else storage_offset
    check_span(size, stride, start, whole.size, x.itemsize)
    part = b.view(whole, size, stride, start)
    b.origin[part] = b.origin.get(x.value, x.value)
    return x.like(part)


@lowers("nan_to_num")
def nan_to_num(x, nan=0.0, posinf=None, neginf=None):
    info = np.finfo(x.dtype.type) if x.dtype.kind == "f" else None
    if info is None:
        return x
    high = info.max if posinf is None else posinf
    low = info.min if neginf is None else neginf
    y = np.where(x != x, 0.0 if nan is None else nan, x)
    y = np.where(x == np.inf, high, y)
    return np.where(x == -np.inf, low, y)


PIECE = 128  # of a running sum that is one product


@lowers("cumsum")
def cumsum(x, dim, reverse=False):
    """Products with a triangle of ones; a long dimension in pieces, to which the sums of those before are added."""
    if x.ndim == 0:
        return x
    if x.dtype.kind != "f" or x.dtype.itemsize < 4 or x.size == 0:
        raise Unlowered("a cumulative sum of this dtype")
    return np.swapaxes(_running(np.swapaxes(x, dim, -1), reverse), dim, -1)


def _running(x, reverse, inclusive=True):
    n = x.shape[-1]
    if n <= PIECE:
        ones = _numpy.ones((n, n), np.dtype(x.dtype.type))
        k = 0 if inclusive else 1
        return np.matmul(x, np.tril(ones, -k) if reverse else np.triu(ones, k))
    pieces = -(-n // PIECE)
    rest = pieces * PIECE - n
    whole = np.concatenate([x, _numpy.zeros((*x.shape[:-1], rest), np.dtype(x.dtype.type))], axis=-1) if rest else x
    whole = whole.reshape((*x.shape[:-1], pieces, PIECE))
    before = _running(np.add.reduce(whole, axis=-1), reverse, inclusive=False)
    sums = _running(whole, reverse, inclusive) + before[..., None]
    return sums.reshape((*x.shape[:-1], pieces * PIECE))[..., :n]


@lowers("fast_erf")
def fast_erf(x):
    # Made anew in the backward pass: computing it costs less than keeping it.
    v = x.value
    return x.like(x.builder.program.add("map", (v,), {"fn": "erf"}, (v.shape, v.dtype)))


@lowers("unembed")
def unembed(g, ids, rows, padding_idx, by_count):
    flat = ids.reshape((ids.size,))
    g = g.reshape((ids.size, g.shape[-1]))
    if by_count:
        counts = _numpy.zeros((rows,), np.int64)
        np.add.at(counts, flat, _numpy.ones((ids.size,), np.int64))
        g = g / np.take(counts, flat)[:, None].astype(g.dtype)
    out = _numpy.zeros((rows, g.shape[-1]), g.dtype)
    np.add.at(out, flat, g)
    if padding_idx is not None:
        out[padding_idx] = 0
    return out
