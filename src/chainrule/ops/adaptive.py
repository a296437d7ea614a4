"""Adaptive pooling (windows that cover the input evenly), and unpooling."""

import math

import numpy as np

from ..errors import ArgumentError, ArgumentValueError, IndexRangeError, ShapeError
from ..handle import wrap
from ..primitive import public, recorded
from .conv import spatial
from .loss_common import check_tensors
from .pool import max_index_p, max_pool_p, window_sum_p
from .refusal import refuse
from .resample import resample_p, taps
from .shape import reshape_p

F_ONLY = {"namespaces": ("nn.functional",), "method": False}
BOTH = {"namespaces": ("nn.functional", "torch"), "method": False}


def _output_size(operator, n, input, output_size):
    """The output sizes; None keeps the input's."""
    check_tensors(operator, input=input)
    shape = input._data.shape
    if len(shape) not in (n + 1, n + 2):
        raise ShapeError(f"{operator}(): Expected {n + 1}D or {n + 2}D tensor, but got {list(shape)}")
    values = list(output_size) if isinstance(output_size, (tuple, list)) else [output_size] * n
    if len(values) != n:
        raise ShapeError(f"{operator}(): output_size must have {n} elements, got {list(values)}")
    try:
        values = [shape[len(shape) - n + i] if v is None else v.__index__() for i, v in enumerate(values)]
    except AttributeError:
        raise ArgumentError(f"{operator}(): output_size must be ints or None, got {output_size!r}") from None
    if any(v < 0 for v in values):
        raise ShapeError(
            f"{operator}(): elements of output_size must be greater than or equal to 0 but received {values}"
        )
    if any(m == 0 for m in shape[-n:]):
        raise ShapeError(
            f"{operator}(): Expected input to have non-zero size for non-batch dimensions, but input "
            f"has sizes {list(shape)}"
        )
    return tuple(values)


def _even(size, out):
    """Whether the windows are equal and do not overlap."""
    return all(q and m % q == 0 for m, q in zip(size, out, strict=True))


def adaptive_average(input, out):
    """The means of ``out`` windows over the last dimensions."""
    n = len(out)
    size = input._data.shape[-n:]
    if all(q == 1 for q in out):
        return recorded.mean(input, dim=tuple(range(-n, 0)), keepdim=True)
    if _even(size, out):
        kernel = tuple([m // q for m, q in zip(size, out, strict=True)])
        total = window_sum_p(input, kernel=kernel, stride=kernel, padding=((0, 0),) * n)
        return total * (1 / math.prod(kernel))
    return resample_p(input, maps=tuple([("area", m, q) for m, q in zip(size, out, strict=True)]))


@public(**BOTH)
def adaptive_avg_pool1d(input, output_size):
    """The means of ``output_size`` windows that cover (N, C, L) evenly.

    >>> import chainrule as torch
    >>> torch.nn.functional.adaptive_avg_pool1d(torch.tensor([[1.0, 2.0, 3.0]]), 2)
    tensor([[1.5000, 2.5000]])
    """
    return adaptive_average(input, _output_size("adaptive_avg_pool1d", 1, input, output_size))


@public(**F_ONLY)
def adaptive_avg_pool2d(input, output_size):
    """The means of ``output_size`` (an int, or height and width; None keeps a size) windows that cover (N, C, H, W)
    evenly.

    >>> import chainrule as torch
    >>> torch.nn.functional.adaptive_avg_pool2d(torch.ones(1, 2, 5, 7), 3).shape
    torch.Size([1, 2, 3, 3])
    """
    return adaptive_average(input, _output_size("adaptive_avg_pool2d", 2, input, output_size))


@public(**F_ONLY)
def adaptive_avg_pool3d(input, output_size):
    """The means of ``output_size`` windows that cover (N, C, D, H, W) evenly.

    >>> import chainrule as torch
    >>> torch.nn.functional.adaptive_avg_pool3d(torch.ones(1, 2, 5, 6, 7), (1, None, 3)).shape
    torch.Size([1, 2, 1, 6, 3])
    """
    return adaptive_average(input, _output_size("adaptive_avg_pool3d", 3, input, output_size))


def _adaptive_max(n, input, output_size, return_indices):
    out = _output_size(f"adaptive_max_pool{n}d", n, input, output_size)
    size = input._data.shape[-n:]
    if 0 in out:
        y = reshape_p(input[..., :0], shape=(*input._data.shape[:-n], *out))
        return (y, wrap(np.zeros(y._data.shape, np.int64))) if return_indices else y
    x, maps = input, None
    if not _even(size, out):
        # Windows of different lengths: lay them side by side, each filled up with its last element.
        maps = tuple([("windows", m, q) for m, q in zip(size, out, strict=True)])
        x = resample_p(input, maps=maps)
    kernel = tuple([m // q for m, q in zip(x._data.shape[-n:], out, strict=True)])
    how = {"kernel": kernel, "stride": kernel, "padding": ((0, 0),) * n, "dilation": (1,) * n}
    y = max_pool_p(x, **how)
    if not return_indices:
        return y
    index = max_index_p(x.detach(), y.detach(), **how)
    return y, index if maps is None else wrap(_original(index._data, x._data.shape[-n:], size, maps))


def _original(index, laid, size, maps):
    """Flat positions among windows laid side by side as flat positions in the input."""
    flat = 0
    for how, n, before in zip(maps, size, np.cumprod((1, *laid[:0:-1]))[::-1].tolist(), strict=True):
        place = index // before
        table = np.asarray(taps(how, False)[0][0])
        flat = flat * n + (place.look_up(table) if hasattr(type(place), "look_up") else table[place])
        index = index - place * before
    return flat


@public(**BOTH)
def adaptive_max_pool1d(input, output_size, return_indices=False):
    """The largest elements of ``output_size`` windows that cover (N, C, L) evenly.

    >>> import chainrule as torch
    >>> torch.nn.functional.adaptive_max_pool1d(torch.tensor([[1.0, 2.0, 3.0]]), 2)
    tensor([[2., 3.]])
    """
    return _adaptive_max(1, input, output_size, return_indices)


@public(**F_ONLY)
def adaptive_max_pool2d(input, output_size, return_indices=False):
    """The largest elements of ``output_size`` windows that cover (N, C, H, W) evenly;

    with ``return_indices`` also where they are.

    >>> import chainrule as torch
    >>> torch.nn.functional.adaptive_max_pool2d(torch.ones(1, 2, 5, 7), (2, 3)).shape
    torch.Size([1, 2, 2, 3])
    """
    return _adaptive_max(2, input, output_size, return_indices)


@public(**F_ONLY)
def adaptive_max_pool3d(input, output_size, return_indices=False):
    """The largest elements of ``output_size`` windows that cover (N, C, D, H, W) evenly.

    >>> import chainrule as torch
    >>> torch.nn.functional.adaptive_max_pool3d(torch.ones(1, 2, 5, 6, 7), 2).shape
    torch.Size([1, 2, 2, 2, 2])
    """
    return _adaptive_max(3, input, output_size, return_indices)


def _with_indices(n):
    def call(input, output_size, return_indices=False):
        return _adaptive_max(n, input, output_size, True)

    call.__name__ = call.__qualname__ = f"adaptive_max_pool{n}d_with_indices"
    call.__doc__ = f"``adaptive_max_pool{n}d`` with ``return_indices=True``."
    return call


for _n in (1, 2, 3):
    public(_with_indices(_n), **F_ONLY)


# ---- unpooling


def _unpool(n, input, indices, kernel_size, stride, padding, output_size):
    operator = f"max_unpool{n}d"
    check_tensors(operator, input=input, indices=indices)
    shape = input._data.shape
    if indices._data.shape != shape:
        raise ShapeError(
            f"{operator}(): Expected shape of indices to be same as that of the input tensor ({list(shape)}) but got "
            "indices "
            f"tensor with shape: {list(indices._data.shape)}"
        )
    if indices._data.dtype != np.int64:
        raise ShapeError(f"{operator}(): elements in indices should be type int64 but got: {indices._data.dtype}")
    if len(shape) not in (n + 1, n + 2):
        raise ShapeError(f"{operator}(): Expected {n + 1}D or {n + 2}D tensor, but got {list(shape)}")
    kernel = spatial(operator, "kernel_size", kernel_size, n, 1)
    stride = kernel if stride is None else spatial(operator, "stride", stride, n, 1)
    padding = spatial(operator, "padding", padding, n)
    default = [(m - 1) * s + k - 2 * p for m, s, k, p in zip(shape[-n:], stride, kernel, padding, strict=True)]
    if output_size is None:
        out = default
    else:
        out = list(output_size)[-n:]
        if len(output_size) not in (n, n + 1, n + 2):
            raise ArgumentValueError(
                f"output_size should be a sequence containing {n} or {n + 2} elements, but it "
                f"has a length of '{len(output_size)}'"
            )
        for i, (q, d, s) in enumerate(zip(out, default, stride, strict=True)):
            if not d - s < q < d + s:
                raise ArgumentValueError(
                    f"invalid output_size {list(output_size)} (dim {i} must be between {d - s} and {d + s})"
                )
    lead, total, count = shape[:-n], math.prod(out), math.prod(shape[-n:])
    flat = indices._data
    largest = f": {flat.max()}" if type(flat) is np.ndarray and flat.size else ""
    text = f"{operator}(): Found an invalid max index{largest} (output volumes are of size {'x'.join(map(str, out))})"
    refuse((flat < 0) | (flat >= total), IndexRangeError, text)
    rows = reshape_p(input, shape=(*lead, count))
    where = reshape_p(indices, shape=(*lead, count))
    zeros = wrap(np.zeros((*lead, total), input._data.dtype))
    return reshape_p(zeros.scatter(-1, where, rows), shape=(*lead, *out))


@public(**F_ONLY)
def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put the elements back to where ``max_pool1d`` (with ``return_indices``) took them from; zeros elsewhere.

    >>> import chainrule as torch
    >>> y, index = torch.nn.functional.max_pool1d(torch.tensor([[1.0, 3.0, 4.0, 2.0]]), 2, return_indices=True)
    >>> torch.nn.functional.max_unpool1d(y, index, 2)
    tensor([[0., 3., 4., 0.]])
    """
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


@public(**F_ONLY)
def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put the elements back to where ``max_pool2d`` (with ``return_indices``) took them from; zeros elsewhere.

    >>> import chainrule as torch
    >>> y, index = torch.nn.functional.max_pool2d(torch.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2, return_indices=True)
    >>> torch.nn.functional.max_unpool2d(y, index, 2)
    tensor([[[0., 0.],
             [4., 0.]]])
    """
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


@public(**F_ONLY)
def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put the elements back to where ``max_pool3d`` (with ``return_indices``) took them from; zeros elsewhere.

    >>> import chainrule as torch
    >>> y, index = torch.nn.functional.max_pool3d(torch.ones(1, 4, 4, 4), 2, return_indices=True)
    >>> torch.nn.functional.max_unpool3d(y, index, 2).shape
    torch.Size([1, 4, 4, 4])
    """
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)
