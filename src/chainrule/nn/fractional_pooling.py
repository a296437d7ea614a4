"""Max pooling over windows whose places are drawn at random (Graham 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentValueError, ShapeError
from ..handle import Tensor
from ..ops.random import source
from ..primitive import primitive, public

__all__ = [
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
]


def _sizes(value: Any, n: int) -> tuple:
    return (value,) * n if isinstance(value, (int, float)) else tuple(value)


def _starts(samples: np.ndarray, size: int, kernel: int, out: int) -> np.ndarray:
    """First positions of the windows: (N, C) samples to (N, C, out), increasing, the last at the end."""
    if out == 1:
        return np.full((*samples.shape, 1), size - kernel, np.int64)
    alpha = (size - kernel) / (out - 1)
    i = np.arange(out - 1)
    starts = ((i + samples[..., None]) * alpha).astype(np.int64) - (samples[..., None] * alpha).astype(np.int64)
    return np.concatenate([starts, np.full((*samples.shape, 1), size - kernel, np.int64)], -1)


def _pool(
    n: int, x: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Any
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{n}d"
    if x.dim() not in (n + 1, n + 2):
        raise ShapeError(f"{name}: expected {n + 1}D or {n + 2}D input, got {x.dim()}D")
    if output_size is None and output_ratio is None:
        raise ArgumentValueError(f"{name} requires specifying either an output_size or an output_ratio")
    batched = x if x.dim() == n + 2 else x.unsqueeze(0)
    sizes, kernel = tuple(batched.shape[2:]), _sizes(kernel_size, n)
    if output_size is None:
        out = tuple(int(s * r) for s, r in zip(sizes, _sizes(output_ratio, n), strict=True))
    else:
        out = _sizes(output_size, n)
    for s, k, o in zip(sizes, kernel, out, strict=True):
        if o + k - 1 > s:
            raise ShapeError(f"{name}: pool size {k} too large relative to input size {s} for output size {o}")
    lead = tuple(batched.shape[:2])
    if samples is None:
        samples = Tensor._wrap(source(None).random((*lead, n)))
    elif (min(lead[0], samples.shape[0]), *samples.shape[1:]) != (*lead, n):
        raise ShapeError(f"{name}: _random_samples: expected shape {(*lead, n)}, got {tuple(samples.shape)}")
    where = fractional_places_p(batched, samples, kernel=kernel, out=out)
    found = batched.flatten(2).gather(2, where.flatten(2)).reshape(*lead, *out)
    return (found, where) if x.dim() == n + 2 else (found.squeeze(0), where.squeeze(0))


def _places(x: np.ndarray, samples: np.ndarray, kernel: tuple, out: tuple) -> np.ndarray:
    """The flat position of each window's maximum, (N, C, *out); a NaN is the largest."""
    n, lead, sizes = len(kernel), x.shape[:2], x.shape[2:]
    drawn = samples.astype(np.float64)[: lead[0]]
    if n == 2:
        drawn = drawn[..., ::-1]  # PyTorch gives the width's sample first here, and last for volumes
    # Flat positions of all elements of all windows: (N, C, *out, *kernel).
    flat = np.zeros((1,) * (2 + 2 * n), np.int64)
    for d in range(n):
        window = _starts(drawn[..., d], sizes[d], kernel[d], out[d])[..., None] + np.arange(kernel[d])
        shape = [*lead] + [1] * (2 * n)
        shape[2 + d], shape[2 + n + d] = out[d], kernel[d]
        flat = flat * sizes[d] + window.reshape(shape)
    flat = flat.reshape(*lead, int(np.prod(out)), int(np.prod(kernel)))
    values = np.take_along_axis(x.reshape(*lead, 1, -1), flat, -1)
    best = np.argmax(np.where(np.isnan(values), np.inf, values), -1)
    return np.take_along_axis(flat, best[..., None], -1)[..., 0].reshape(*lead, *out)


fractional_places_p = primitive("fractional_places", _places)


@public(namespaces=("nn.functional",), method=False)
def fractional_max_pool2d_with_indices(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`fractional_max_pool2d` and the flat positions of the maxima."""
    return _pool(2, input, kernel_size, output_size, output_ratio, _random_samples)


@public(namespaces=("nn.functional",), method=False)
def fractional_max_pool2d(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:  # fmt: skip
    """Max pooling of (N, C, H, W) to `output_size`, or to `output_ratio` times its size, with random windows.

    `_random_samples` (N, C, 2) in [0, 1) says where. Raises ShapeError if the windows do not fit.

    >>> import chainrule as torch
    >>> torch.nn.functional.fractional_max_pool2d(torch.randn(1, 2, 9, 9), 2, output_ratio=0.5).shape
    torch.Size([1, 2, 4, 4])
    """
    found = _pool(2, input, kernel_size, output_size, output_ratio, _random_samples)
    return found if return_indices else found[0]


@public(namespaces=("nn.functional",), method=False)
def fractional_max_pool3d_with_indices(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`fractional_max_pool3d` and the flat positions of the maxima."""
    return _pool(3, input, kernel_size, output_size, output_ratio, _random_samples)


@public(namespaces=("nn.functional",), method=False)
def fractional_max_pool3d(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:  # fmt: skip
    """Max pooling of (N, C, D, H, W) with random windows; see `fractional_max_pool2d`."""
    found = _pool(3, input, kernel_size, output_size, output_ratio, _random_samples)
    return found if return_indices else found[0]
