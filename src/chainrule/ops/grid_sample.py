"""Sampling images and volumes at given places: grid_sample, and affine_grid which makes such places."""

import itertools
import math
import warnings

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ArgumentValueError, DTypeError, ShapeError
from ..handle import wrap
from ..primitive import public, recorded
from .loss_common import check_tensors
from .matmul import matmul
from .shape import expand_p, reshape_p

F_ONLY = {"namespaces": ("nn.functional",), "method": False}


def _default_corners(align_corners):
    if align_corners is None:
        warnings.warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please "
            "specify "
            "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details.",
            UserWarning,
            stacklevel=3,
        )
    return bool(align_corners)


# ---- coordinates: from [-1, 1] to elements, and what happens outside


def _unnormalize(c, n, align):
    return (c + 1.0) * ((n - 1) / 2) if align else ((c + 1.0) * n - 1.0) * 0.5


def _reflect(x, low, high):
    """Fold coordinates back and forth between ``low / 2`` and ``high / 2``."""
    if low == high:
        return x * 0.0
    start, span = low / 2, (high - low) / 2
    x = abs(x - start)
    flips = recorded.floor(x.detach() * (1 / span))
    rest = x - flips * span
    even = recorded.eq(flips - recorded.floor(flips * 0.5) * 2.0, 0.0)
    return recorded.where(even, rest + start, span - rest + start)


def _padded(x, n, padding_mode, align):
    """Coordinates brought inside, unless what is outside counts as zero."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        x = _reflect(x, 0, 2 * (n - 1)) if align else _reflect(x, -1, 2 * n - 1)
    return recorded.clamp_max(recorded.clamp_min(x, 0.0), float(n - 1))


def _pick(flat, sizes, places, zeros):
    """The elements of ``flat`` (N, C, P) at integer ``places`` (N, Q) per dimension; zero outside if ``zeros``."""
    index, inside = None, None
    for n, place in zip(sizes, places, strict=True):
        a = recorded.clamp_max(recorded.clamp_min(place, 0.0), float(n - 1))
        if zeros:
            ok = recorded.logical_and(recorded.ge(place, 0.0), recorded.le(place, float(n - 1)))
            inside = ok if inside is None else recorded.logical_and(inside, ok)
        index = a if index is None else index * float(n) + a
    index = recorded.cast(index, dtypes.int64)
    batch, count = index._data.shape
    channels = flat._data.shape[1]
    index = expand_p(reshape_p(index, shape=(batch, 1, count)), shape=(batch, channels, count))
    picked = flat.gather(2, index)
    return picked if inside is None else recorded.where(reshape_p(inside, shape=(batch, 1, count)), picked, 0.0)


def _linear_taps(x):
    low = recorded.floor(x.detach())
    part = x - low
    return [(low, 1.0 - part), (low + 1.0, part)]


def _cubic_taps(x):
    """Keys' cubic convolution with a = -0.75."""
    a = -0.75
    low = recorded.floor(x.detach())
    t = x - low
    near = lambda d: ((a + 2) * d - (a + 3)) * d * d + 1.0  # noqa: E731
    far = lambda d: ((a * d - 5 * a) * d + 8 * a) * d - 4 * a  # noqa: E731
    return [(low - 1.0, far(t + 1.0)), (low, near(t)), (low + 1.0, near(1.0 - t)), (low + 2.0, far(2.0 - t))]


@public(namespaces=("nn.functional",), method=False)
def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """Sample (N, C, H, W) at the places ``grid`` (N, H', W', 2), or (N, C, D, H, W) at (N, D', H', W', 3).

    grid: coordinates x, y(, z) from -1 to 1.  mode: "bilinear", "nearest", or "bicubic" (4-D input only).
    padding_mode: what is outside: "zeros", "border" (the nearest element) or "reflection".
    align_corners: whether -1 and 1 are the centres or the edges of the corner elements; warns if None.
    Raises ArgumentValueError for unknown modes, ShapeError for sizes that do not fit.

    >>> import chainrule as torch
    >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> torch.nn.functional.grid_sample(image, torch.zeros(1, 1, 1, 2), align_corners=True)
    tensor([[[[2.5000]]]])
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ArgumentValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    align = _default_corners(align_corners)
    check_tensors("grid_sampler", input=input, grid=grid)
    sx, sg = input._data.shape, grid._data.shape
    if len(sx) not in (4, 5) or len(sx) != len(sg):
        raise ShapeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with sizes "
            f"{list(sx)} and grid with sizes {list(sg)}"
        )
    d = len(sx) - 2
    if sx[0] != sg[0]:
        raise ShapeError(
            f"grid_sampler(): expected grid and input to have same batch size, but got input with sizes {list(sx)} "
            "and grid with "
            f"sizes {list(sg)}"
        )
    if sg[-1] != d:
        raise ShapeError(
            f"grid_sampler(): expected grid to have size {d} in last dimension, but got grid with sizes {list(sg)}"
        )
    if mode == "bicubic" and d != 2:
        raise ShapeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if input._data.dtype != grid._data.dtype:
        raise DTypeError(
            f"grid_sampler(): expected input and grid to have same dtype, but input has {input._data.dtype} and grid "
            "has "
            f"{grid._data.dtype}"
        )
    if any(n == 0 for n in sx[2:]):
        raise ShapeError(
            f"grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes {list(sx)}"
        )
    y = _sample(input, grid, sx[2:], mode, padding_mode, align)
    return reshape_p(y, shape=(*sx[:2], *sg[1:-1]))


def _sample(input, grid, sizes, mode, padding_mode, align):
    n, c = input._data.shape[:2]
    count, d = math.prod(grid._data.shape[1:-1]), len(sizes)
    flat = reshape_p(input, shape=(n, c, math.prod(sizes)))
    points = reshape_p(grid, shape=(n, count, d))
    # The grid's last dimension starts with x, the last spatial dimension.
    at = [_unnormalize(points[..., d - 1 - i], m, align) for i, m in enumerate(sizes)]
    zeros = padding_mode == "zeros"
    if mode != "bicubic":
        at = [_padded(x, m, padding_mode, align) for x, m in zip(at, sizes, strict=True)]
    if mode == "nearest":
        y = _pick(flat, sizes, [recorded.round(x.detach()) for x in at], zeros)
        # The places have a gradient, which is zero.
        return y + reshape_p(sum(x * 0.0 for x in at), shape=(n, 1, count)) if grid.requires_grad else y
    taps = [(_linear_taps if mode == "bilinear" else _cubic_taps)(x) for x in at]
    total = None
    for corner in itertools.product(*taps):
        places = [p for p, _ in corner]
        if mode == "bicubic":
            places = [_padded(p, m, padding_mode, align) for p, m in zip(places, sizes, strict=True)]
        weight = math.prod(w for _, w in corner)
        part = _pick(flat, sizes, places, zeros) * reshape_p(weight, shape=(n, 1, count))
        total = part if total is None else total + part
    return total


@public(namespaces=("nn.functional",), method=False)
def affine_grid(theta, size, align_corners=None):
    """The grid for ``grid_sample`` that moves images by the affine maps ``theta``: (N, 2, 3) with size (N, C, H, W),
    or (N, 3, 4) in 3-D.

    Raises ShapeError or ArgumentValueError for sizes that do not fit, ArgumentError for integer theta.

    >>> import chainrule as torch
    >>> torch.nn.functional.affine_grid(torch.eye(2, 3)[None], (1, 1, 4, 4), align_corners=False).shape
    torch.Size([1, 4, 4, 2])
    """
    check_tensors("affine_grid", theta=theta)
    size = tuple(size)
    if theta._data.dtype.kind not in "fV":
        raise ArgumentValueError(f"Expected theta to have floating point type, but got {theta._data.dtype}")
    d = len(size) - 2
    if d not in (2, 3):
        raise ArgumentError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size "
            f"{list(size)}"
        )
    if theta._data.ndim != 3 or theta._data.shape[-2:] != (d, d + 1):
        raise ArgumentValueError(
            f"Expected a batch of {d}D affine matrices of shape Nx{d}x{d + 1} for size {list(size)}. Got "
            f"{list(theta._data.shape)}."
        )
    if any(n <= 0 for n in size):
        raise ArgumentValueError(f"Expected non-zero, positive output size. Got {list(size)}")
    align = _default_corners(align_corners)
    axes = []
    for m in size[2:]:
        a = np.linspace(-1, 1, m) if m > 1 else np.zeros(1)
        axes.append(a if align else a * ((m - 1) / m))
    mesh = np.meshgrid(*axes, indexing="ij")
    base = np.stack([*reversed(mesh), np.ones(mesh[0].shape)], -1).reshape(1, -1, d + 1).astype(theta._data.dtype)
    base = expand_p(wrap(base), shape=(size[0], base.shape[1], d + 1))
    y = matmul(base, recorded.permute(theta, dims=(-3, -1, -2)))
    return reshape_p(y, shape=(size[0], *size[2:], d))
