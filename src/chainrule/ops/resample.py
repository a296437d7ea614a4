"""Separable resampling: every output position along a dimension is a weighted sum of a few input positions.

A map along one dimension is ``(kind, input size, output size, options...)``. ``taps`` turns it into tables: output i
is the sum over t of ``weights[t, i] * x[index[t, i]]``. The transposed map has tables too, so the backward pass is the
same kernel.
Kinds: "nearest", "nearest-exact", "linear", "cubic", "lanczos" (interpolation), "area" (adaptive average), "windows"
(adaptive windows laid out side by side, the last element repeated to make them equally long).
"""

import functools
import math

import numpy as np

from ..primitive import linear

_NAMES = {
    "nearest": "UpsampleNearest",
    "nearest-exact": "UpsampleNearestExact",
    "cubic": "UpsampleBicubic",
    "lanczos": "UpsampleLanczos",
    "area": "AdaptiveAvgPool",
}
_LINEAR = {1: "UpsampleLinear", 2: "UpsampleBilinear", 3: "UpsampleTrilinear"}


def _node_name(arrays, params):
    kind, n = params["maps"][0][0], len(params["maps"])
    return f"{_LINEAR[n] if kind == 'linear' else _NAMES.get(kind, 'Resample')}{n}DBackward0"


def _resample(x, maps, back=False):
    """Apply the maps to the last dimensions of x; ``back``: their transposes."""
    first = x.ndim - len(maps)
    for axis, how in enumerate(maps, first):
        index, weights, empty = taps(how, back)
        shape = [1] * x.ndim
        shape[axis] = index.shape[1]
        y = None
        for i, w in zip(index, weights, strict=True):
            part = x.take(i, axis=axis)
            if w is not None:
                part *= w.astype(x.dtype).reshape(shape)
            y = part if y is None else np.add(y, part, out=y)
        if empty is not None:
            y[(slice(None),) * axis + (empty,)] = 0
        x = y
    return x


resample_p = linear(
    "resample",
    _resample,
    lambda o, g, s, *, maps, back=False: o.resample(g, maps=maps, back=not back),
    front=True,
    node_name=_node_name,
)


@functools.lru_cache(maxsize=256)
def taps(how, back):
    """Tables of a map (or its transpose): indices (taps, n), per tap its weights (None:

    all 1), and which outputs have no input.
    """
    index, weights = _FORWARD[how[0]](*how[1:])
    if back:
        index, weights, empty = _transpose(index, weights, how[1])
    else:
        empty = None
    weights = [None if (w == 1).all() else w for w in weights]
    return index, weights, empty


def _transpose(index, weights, n):
    pairs = [[] for _ in range(n)]
    for row, w in zip(index, weights, strict=True):
        for i, (j, value) in enumerate(zip(row.tolist(), w.tolist(), strict=True)):
            if value:
                pairs[j].append((i, value))
    most = max(1, max((len(p) for p in pairs), default=1))
    back_index, back_weights = np.zeros((most, n), np.intp), np.zeros((most, n))
    for j, found in enumerate(pairs):
        for t, (i, value) in enumerate(found):
            back_index[t, j], back_weights[t, j] = i, value
        if found:  # padding repeats an index with weight 0
            back_index[len(found) :, j] = found[-1][0]
    empty = np.array([not p for p in pairs], bool)
    return back_index, back_weights, np.flatnonzero(empty) if empty.any() else None


# ---- the maps


def adaptive_bounds(n, out):
    """Where the windows of adaptive pooling start and end."""
    i = np.arange(out)
    return i * n // out, -(-(i + 1) * n // out)


def _area(n, out):
    start, end = adaptive_bounds(n, out)
    most = int((end - start).max(initial=1))
    t = np.arange(most)[:, None]
    return np.minimum(start + t, end - 1), np.where(start + t < end, 1.0 / (end - start), 0.0)


def _windows(n, out):
    start, end = adaptive_bounds(n, out)
    most = int((end - start).max(initial=1))
    index = np.minimum(start[:, None] + np.arange(most), (end - 1)[:, None]).reshape(1, -1)
    return index, np.ones(index.shape)


def _nearest(n, out, scale):
    # PyTorch computes in single precision here, and rounding decides which element is the nearest.
    index = np.floor(np.arange(out, dtype=np.float32) * np.float32(scale)).astype(np.intp)
    return np.minimum(index, n - 1)[None], np.ones((1, out))


def _nearest_exact(n, out, scale):
    index = np.floor((np.arange(out, dtype=np.float32) + np.float32(0.5)) * np.float32(scale)).astype(np.intp)
    return np.minimum(index, n - 1)[None], np.ones((1, out))


def _positions(n, out, scale, align, clamp):
    i = np.arange(out, dtype=np.float64)
    if align:
        return i * ((n - 1) / (out - 1) if out > 1 else 0.0)
    x = (i + 0.5) * scale - 0.5
    return np.maximum(x, 0) if clamp else x


def _linear(n, out, scale, align, antialias):
    if antialias:
        return _filtered(n, out, scale, align, 1, lambda d: np.maximum(1 - np.abs(d), 0))
    x = _positions(n, out, scale, align, True)
    low = np.minimum(np.floor(x).astype(np.intp), n - 1)
    part = np.clip(x - low, 0, 1)
    high = np.minimum(low + 1, n - 1)
    return np.stack([low, high]), np.stack([1 - part, part])


def _cubic_filter(d, a):
    """Keys' cubic convolution kernel (1981)."""
    d = np.abs(d)
    near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _cubic(n, out, scale, align, antialias):
    if antialias:
        return _filtered(n, out, scale, align, 2, lambda d: _cubic_filter(d, -0.5))
    x = _positions(n, out, scale, align, False)
    base = np.floor(x)
    offsets = np.arange(-1, 3)[:, None]
    index = np.clip(base + offsets, 0, n - 1).astype(np.intp)
    return index, _cubic_filter(x - base - offsets, -0.75)


def _lanczos(n, out, scale, align, antialias):
    """A sinc of six taps in a sinc window."""
    return _filtered(n, out, scale, align, 3, lambda d: np.where(np.abs(d) < 3, np.sinc(d) * np.sinc(d / 3), 0.0))


def _filtered(n, out, scale, align, reach, kernel):
    """Antialiased: the filter is stretched by the scale when shrinking."""
    if align:
        scale = (n - 1) / (out - 1) if out > 1 else 0.0
    stretch = max(scale, 1.0)
    support = reach * stretch
    centre = scale * (np.arange(out) + 0.5)
    start = np.maximum((centre - support + 0.5).astype(np.intp), 0)
    end = np.minimum((centre + support + 0.5).astype(np.intp), n)
    t = np.arange(int((end - start).max(initial=1)))[:, None]
    weights = np.where(start + t < end, kernel((start + t - centre + 0.5) / stretch), 0.0)
    return np.minimum(start + t, np.maximum(end - 1, start)), weights / weights.sum(0)


_FORWARD = {
    "area": _area,
    "windows": _windows,
    "nearest": _nearest,
    "nearest-exact": _nearest_exact,
    "linear": _linear,
    "cubic": _cubic,
    "lanczos": _lanczos,
}


def scale_of(n, out, factor):
    """Input steps per output step."""
    return 1.0 / factor if factor is not None and factor > 0 else n / out if out else math.nan
