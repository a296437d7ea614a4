"""Convolutions and transposed convolutions in one, two and three dimensions."""

from operator import index as as_int

from ..errors import ArgumentError, ShapeError
from ..primitive import bilinear, primitive, public
from . import conv_kernels as kernels
from .operands import check_operands
from .shape import reshape_p

# ---- primitives: three bilinear maps, each the transpose of the two others


def _convolution(x, w, b=None, *, stride, padding, dilation, groups):
    y = kernels.conv(x, w, stride, padding, dilation, groups)
    if b is not None:
        y += b.reshape(-1, *[1] * (y.ndim - 2))
    return y


conv_p = primitive(
    "convolution",
    _convolution,
    (
        lambda o, g, s, y, x, w, b, **how: o.conv_input(g, w, size=s[0], **how),
        lambda o, g, s, y, x, w, b, **how: o.conv_weight(g, x, size=s[1], **how),
        lambda o, g, s, y, x, w, b, **how: o.sum(g, dim=_all_but_channels(len(s[0])), keepdim=False),
    ),
)

conv_input_p = bilinear(
    "conv_input",
    kernels.conv_input,
    lambda o, g, s, w, *, size, **how: _fit(o.convolution(g, w, None, **how), s[0]),
    lambda o, g, s, x, *, size, **how: o.conv_weight(x, g, size=s[1], **how),
    node_name="ConvolutionBackward0",
)

conv_weight_p = bilinear(
    "conv_weight",
    kernels.conv_weight,
    lambda o, g, s, x, *, size, **how: _fit(o.convolution(x, g, None, **how), s[0]),
    lambda o, g, s, y, *, size, **how: o.conv_input(y, g, size=s[1], **how),
    node_name="ConvolutionBackward0",
)


def _fit(y, shape):
    """Drop windows beyond ``shape``: with output padding there can be room for more than there were."""
    return y if y.shape == shape else y[tuple([slice(n) for n in shape])]


def _all_but_channels(ndim):
    return tuple([d for d in range(-ndim, 0) if d != 1 - ndim])


# ---- arguments


def spatial(operator, name, value, n, least=0):
    """An int, or a sequence of 1 or n ints, as n ints."""
    try:
        values = (as_int(value),) * n
    except TypeError:
        try:
            values = tuple([as_int(v) for v in value])
        except TypeError:
            raise ArgumentError(
                f"{operator}(): argument '{name}' must be an int or a tuple of ints, got {value!r}"
            ) from None
        if len(values) == 1:
            values *= n
    if len(values) != n:
        raise ShapeError(
            f"{operator}(): expected {name} to be a single integer value or a list of {n} values, but "
            f"got {name}={list(values)}"
        )
    if any(v < least for v in values):
        what = "negative" if least == 0 else "non-positive"
        raise ShapeError(f"{operator}(): {what} {name} is not supported, got {list(values)}")
    return values


def _checked(operator, n, input, weight, bias, groups, channel_axis):
    """Ranks, dtypes and channels; returns the input with a batch dimension and whether it had one."""
    check_operands(operator, *((input, weight) if bias is None else (input, weight, bias)))
    sx, sw = input._data.shape, weight._data.shape
    if len(sw) != n + 2:
        raise ShapeError(
            f"{operator}(): Expected {n + 2}-dimensional weight, but got {len(sw)}-dimensional weight of size "
            f"{list(sw)}"
        )
    if len(sx) not in (n + 1, n + 2):
        raise ShapeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {operator}, but got input of size: "
            f"{list(sx)}"
        )
    if not isinstance(groups, int) or groups < 1:
        raise ShapeError(f"{operator}(): expected groups to be a positive int, got {groups!r}")
    batched = len(sx) == n + 2
    shape = sx if batched else (1, *sx)
    expected = sw[1] * groups if channel_axis == 1 else sw[0]
    if shape[1] != expected:
        kind = "" if channel_axis == 1 else "transposed=1, "
        raise ShapeError(
            f"Given {kind}groups={groups}, weight of size {list(sw)}, expected input{list(sx)} to have {expected} "
            "channels, "
            f"but got {shape[1]} channels instead"
        )
    if sw[0] % groups or sw[0] == 0:
        raise ShapeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of "
            f"size {list(sw)} instead"
        )
    channels = sw[0] if channel_axis == 1 else sw[1] * groups
    if bias is not None and bias._data.shape != (channels,):
        raise ShapeError(
            f"Given weight of size {list(sw)}, expected bias to be 1-dimensional with {channels} elements, "
            f"but got bias of size {list(bias._data.shape)} instead"
        )
    return (input if batched else reshape_p(input, shape=shape)), batched


def _pads(operator, padding, n, kernel, stride, dilation):
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * n
        if padding != "same":
            raise ShapeError(f"Invalid padding string: '{padding}'; {operator} takes 'valid', 'same' or numbers")
        if any(s != 1 for s in stride):
            raise ShapeError("padding='same' is not supported for strided convolutions")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple([(t // 2, t - t // 2) for t in totals])
    return tuple([(p, p) for p in spatial(operator, "padding", padding, n)])


def _conv(operator, n, input, weight, bias, stride, padding, dilation, groups):
    x, batched = _checked(operator, n, input, weight, bias, groups, 1)
    stride = spatial(operator, "stride", stride, n, 1)
    dilation = spatial(operator, "dilation", dilation, n, 1)
    kernel = weight._data.shape[2:]
    pads = _pads(operator, padding, n, kernel, stride, dilation)
    size = x._data.shape[2:]
    if any(m + lo + hi < d * (k - 1) + 1 for m, k, (lo, hi), d in zip(size, kernel, pads, dilation, strict=True)):
        have = " x ".join(str(m + lo + hi) for m, (lo, hi) in zip(size, pads, strict=True))
        need = " x ".join(str(d * (k - 1) + 1) for k, d in zip(kernel, dilation, strict=True))
        raise ShapeError(
            f"Calculated padded input size per channel: ({have}). Kernel size: ({need}). "
            "Kernel size can't be greater than actual input size"
        )
    y = conv_p(x, weight, bias, stride=stride, padding=pads, dilation=dilation, groups=groups)
    return y if batched else reshape_p(y, shape=y._data.shape[1:])


def _conv_transpose(operator, n, input, weight, bias, stride, padding, output_padding, groups, dilation):
    x, batched = _checked(operator, n, input, weight, bias, groups, 0)
    stride = spatial(operator, "stride", stride, n, 1)
    dilation = spatial(operator, "dilation", dilation, n, 1)
    padding = spatial(operator, "padding", padding, n)
    extra = spatial(operator, "output_padding", output_padding, n)
    for e, s, d in zip(extra, stride, dilation, strict=True):
        if e >= max(s, d):
            raise ShapeError(
                f"output padding must be smaller than either stride or dilation, but got output_padding {list(extra)}, "
                f"stride {list(stride)}, dilation {list(dilation)}"
            )
    sx, sw = x._data.shape, weight._data.shape
    size = tuple(
        [
            (m - 1) * s - 2 * p + d * (k - 1) + e + 1
            for m, s, p, d, k, e in zip(sx[2:], stride, padding, dilation, sw[2:], extra, strict=True)
        ]
    )
    if any(m <= 0 for m in size):
        raise ShapeError(
            f"Given input size per channel: {list(sx[2:])}. Calculated output size per channel: {list(size)}. Output "
            "size is too small"
        )
    y = conv_input_p(
        x,
        weight,
        size=(sx[0], sw[1] * groups, *size),
        stride=stride,
        padding=tuple([(p, p) for p in padding]),
        dilation=dilation,
        groups=groups,
    )
    if bias is not None:
        y = y + reshape_p(bias, shape=(bias._data.shape[0], *[1] * n))
    return y if batched else reshape_p(y, shape=y._data.shape[1:])


# ---- public functions

SPACES = {"namespaces": ("nn.functional", "torch"), "method": False}


@public(**SPACES)
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """One-dimensional cross-correlation: input (N, C, L) or (C, L), weight (O, C / groups, K), bias (O).

    padding: numbers, "valid" or "same".  Raises ShapeError if the sizes do not fit, DTypeError if the dtypes differ.

    >>> import chainrule as torch
    >>> torch.nn.functional.conv1d(torch.ones(1, 1, 4), torch.ones(1, 1, 3))
    tensor([[[3., 3.]]])
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@public(**SPACES)
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Two-dimensional cross-correlation: input (N, C, H, W) or (C, H, W), weight (O, C / groups, KH, KW), bias (O).

    padding: numbers, "valid" or "same".  Raises ShapeError if the sizes do not fit, DTypeError if the dtypes differ.

    >>> import chainrule as torch
    >>> torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2), padding="same").shape
    torch.Size([1, 1, 3, 3])
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@public(**SPACES)
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Three-dimensional cross-correlation: input (N, C, D, H, W) or (C, D, H, W), weight (O, C / groups, KD, KH,
    KW).

    >>> import chainrule as torch
    >>> torch.nn.functional.conv3d(torch.ones(1, 1, 4, 4, 4), torch.ones(2, 1, 3, 3, 3)).shape
    torch.Size([1, 2, 2, 2, 2])
    """
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


@public(**SPACES)
def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of ``conv1d`` in its input: input (N, C, L), weight (C, O / groups, K), bias (O).

    >>> import chainrule as torch
    >>> torch.nn.functional.conv_transpose1d(torch.ones(1, 1, 2), torch.ones(1, 1, 2), stride=2)
    tensor([[[1., 1., 1., 1.]]])
    """
    return _conv_transpose(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@public(**SPACES)
def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of ``conv2d`` in its input: input (N, C, H, W), weight (C, O / groups, KH, KW), bias (O).

    >>> import chainrule as torch
    >>> torch.nn.functional.conv_transpose2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), stride=2).shape
    torch.Size([1, 1, 4, 4])
    """
    return _conv_transpose(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@public(**SPACES)
def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of ``conv3d`` in its input: input (N, C, D, H, W), weight (C, O / groups, KD, KH, KW), bias (O).

    >>> import chainrule as torch
    >>> torch.nn.functional.conv_transpose3d(torch.ones(1, 1, 2, 2, 2), torch.ones(1, 3, 2, 2, 2), stride=2).shape
    torch.Size([1, 3, 4, 4, 4])
    """
    return _conv_transpose(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
