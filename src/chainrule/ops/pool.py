"""Max, average and power-average pooling in one, two and three dimensions."""

import math

import numpy as np

from ..errors import ShapeError
from ..handle import wrap
from ..primitive import linear, primitive, public
from . import pool_kernels as kernels
from .conv import spatial
from .loss_common import check_tensors

# ---- primitives, over the last len(kernel) dimensions

max_pool_p = primitive(
    "max_pool",
    kernels.max_pool,
    (lambda o, g, s, y, x, **how: o.max_spread(g, x, y, **how),),
    selecting=True,
    output_free=True,
    front=True,
    node_name=lambda arrays, params: f"MaxPool{len(params['kernel'])}DWithIndicesBackward0",
)
max_spread_p = linear(
    "max_spread",
    kernels.max_spread,
    lambda o, g, s, x, y, **how: o.max_pick(g, x, y, **how),
    selecting=True,
    front=True,
)
max_pick_p = linear(
    "max_pick",
    kernels.max_pick,
    lambda o, g, s, x, y, **how: o.max_spread(g, x, y, **how),
    selecting=True,
    front=True,
)
max_index_p = primitive("max_index", kernels.max_index, front=True)

window_sum_p = linear(
    "window_sum",
    kernels.window_sum,
    lambda o, g, s, **how: o.window_spread(g, size=s[0][-len(how["kernel"]) :], **how),
    front=True,
    node_name=lambda arrays, params: f"AvgPool{len(params['kernel'])}DBackward0",
)
window_spread_p = linear(
    "window_spread", kernels.window_spread, lambda o, g, s, *, size, **how: o.window_sum(g, **how), front=True
)

# ---- arguments


def _spatial_rank(operator, input, n):
    check_tensors(operator, input=input)
    if input._data.ndim not in (n + 1, n + 2):
        raise ShapeError(
            f"{operator}(): Expected {n + 1}D or {n + 2}D input, got shape {list(input._data.shape)}; "
            "(N, C, ...) with a batch, (C, ...) without"
        )


def _geometry(operator, n, input, kernel_size, stride, padding, dilation, ceil_mode):
    """Kernel, stride, (low, high) padding and dilation of the windows;

    ``ceil_mode`` becomes further padding at the end.
    """
    _spatial_rank(operator, input, n)
    kernel = spatial(operator, "kernel_size", kernel_size, n, 1)
    stride = (
        kernel
        if stride is None or (isinstance(stride, (tuple, list)) and not stride)
        else spatial(operator, "stride", stride, n, 1)
    )
    padding = spatial(operator, "padding", padding, n)
    dilation = spatial(operator, "dilation", dilation, n, 1)
    size = input._data.shape[-n:]
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if p > ((k - 1) * d + 1) // 2:
            raise ShapeError(
                f"{operator}(): pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation={d}"
            )
    pads = []
    for m, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        reach = d * (k - 1) + 1
        room = m + 2 * p - reach
        if room < 0 and not (ceil_mode and room + s - 1 >= 0):
            raise ShapeError(
                f"{operator}(): Given input size {list(input._data.shape)}, calculated output size is too small: "
                f"window {reach} is larger than the padded size {m + 2 * p}"
            )
        count = room // s + 1
        if ceil_mode:
            count = -(-room // s) + 1
            if (count - 1) * s >= m + p:  # the last window must start inside the input or the padding before it
                count -= 1
        pads.append((p, max((count - 1) * s + reach - m - p, p if not ceil_mode else 0, 0)))
    return kernel, stride, tuple(pads), dilation, padding


# ---- maximum


def _max_pool(n, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    kernel, stride, pads, dilation, _ = _geometry(
        f"max_pool{n}d", n, input, kernel_size, stride, padding, dilation, ceil_mode
    )
    how = {"kernel": kernel, "stride": stride, "padding": pads, "dilation": dilation}
    y = max_pool_p(input, **how)
    return (y, max_index_p(input.detach(), y.detach(), **how)) if return_indices else y


F = {"namespaces": ("nn.functional", "torch"), "method": False}
F_ONLY = {"namespaces": ("nn.functional",), "method": False}


@public(**F)
def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of every window of (N, C, L) or (C, L); stride is the kernel size if None.

    return_indices: also the positions taken, for ``max_unpool1d``.  Raises ShapeError for sizes that do not fit.

    >>> import chainrule as torch
    >>> torch.nn.functional.max_pool1d(torch.tensor([[1.0, 3.0, 2.0, 4.0]]), 2)
    tensor([[3., 4.]])
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@public(**F)
def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of every window of (N, C, H, W) or (C, H, W); stride is the kernel size if None.

    return_indices: also the flat positions taken, for ``max_unpool2d``.  Raises ShapeError for sizes that do not fit.

    >>> import chainrule as torch
    >>> torch.nn.functional.max_pool2d(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
    tensor([[[4.]]])
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@public(**F)
def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of every window of (N, C, D, H, W) or (C, D, H, W); stride is the kernel size if None.

    >>> import chainrule as torch
    >>> torch.nn.functional.max_pool3d(torch.ones(1, 2, 4, 4, 4), 2).shape
    torch.Size([1, 2, 2, 2, 2])
    """
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _with_indices(n):
    def call(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        return _max_pool(n, input, kernel_size, stride, padding, dilation, ceil_mode, True)

    call.__name__ = call.__qualname__ = f"max_pool{n}d_with_indices"
    call.__doc__ = f"``max_pool{n}d`` with ``return_indices=True``."
    return call


for _n in (1, 2, 3):
    public(_with_indices(_n), namespaces=("nn.functional",), method=False)


# ---- average


def _avg_pool(n, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    operator = f"avg_pool{n}d"
    kernel, stride, pads, ones, padding = _geometry(operator, n, input, kernel_size, stride, padding, 1, ceil_mode)
    total = window_sum_p(input, kernel=kernel, stride=stride, padding=pads)
    if divisor_override is not None:
        if divisor_override == 0:
            raise ShapeError(f"{operator}(): divisor must be not zero")
        return total * (1 / divisor_override)
    plain = all(hi <= p for (_, hi), p in zip(pads, padding, strict=True))
    if plain and (count_include_pad or not any(padding)):
        return total * (1 / math.prod(kernel))
    # Count, per window, the elements that are not beyond what may be counted: the input, or the input and its padding.
    size = input._data.shape[-n:]
    counts = np.ones((), input._data.dtype)
    for i, (m, k, s, (lo, hi), p) in enumerate(zip(size, kernel, stride, pads, padding, strict=True)):
        q = (m + lo + hi - k) // s + 1
        start = np.arange(q) * s - lo
        end = np.minimum(start + k, m + p)
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, m)
        counts = counts * (end - start).astype(counts.dtype).reshape([-1 if j == i else 1 for j in range(n)])
    return total * wrap(1 / counts)


@public(**F)
def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of every window of (N, C, L) or (C, L); stride is the kernel size if None.

    Zero padding counts unless told not to.

    >>> import chainrule as torch
    >>> torch.nn.functional.avg_pool1d(torch.tensor([[1.0, 3.0, 2.0, 4.0]]), 2)
    tensor([[2., 3.]])
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@public(**F_ONLY)
def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of every window of (N, C, H, W) or (C, H, W); stride is the kernel size if None.

    count_include_pad: zero padding counts as elements.  divisor_override: divide by this instead of the count.

    >>> import chainrule as torch
    >>> torch.nn.functional.avg_pool2d(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
    tensor([[[2.5000]]])
    """
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@public(**F_ONLY)
def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of every window of (N, C, D, H, W) or (C, D, H, W); arguments as ``avg_pool2d``.

    >>> import chainrule as torch
    >>> torch.nn.functional.avg_pool3d(torch.ones(1, 2, 4, 4, 4), 2).shape
    torch.Size([1, 2, 2, 2, 2])
    """
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _lp_pool(n, input, norm_type, kernel_size, stride, ceil_mode):
    kernel = spatial(f"lp_pool{n}d", "kernel_size", kernel_size, n, 1)
    mean = _avg_pool(n, input**norm_type, kernel, stride, 0, ceil_mode, True, None)
    return (mean.sign() * abs(mean).relu() * math.prod(kernel)) ** (1.0 / norm_type)


@public(**F_ONLY)
def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of every window of (N, C, L), p being ``norm_type``: ``(sum x**p) ** (1/p)``.

    >>> import chainrule as torch
    >>> torch.nn.functional.lp_pool1d(torch.tensor([[3.0, 4.0]]), 2, 2)
    tensor([[5.]])
    """
    return _lp_pool(1, input, float(norm_type), kernel_size, stride, ceil_mode)


@public(**F_ONLY)
def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of every window of (N, C, H, W), p being ``norm_type``: ``(sum x**p) ** (1/p)``.

    >>> import chainrule as torch
    >>> torch.nn.functional.lp_pool2d(torch.tensor([[[3.0, 0.0], [0.0, 4.0]]]), 2, 2)
    tensor([[[5.]]])
    """
    return _lp_pool(2, input, float(norm_type), kernel_size, stride, ceil_mode)


@public(**F_ONLY)
def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of every window of (N, C, D, H, W), p being ``norm_type``: ``(sum x**p) ** (1/p)``.

    >>> import chainrule as torch
    >>> torch.nn.functional.lp_pool3d(torch.ones(1, 1, 2, 2, 2), 3, 2)
    tensor([[[[[2.]]]]])
    """
    return _lp_pool(3, input, float(norm_type), kernel_size, stride, ceil_mode)
