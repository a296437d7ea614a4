"""Convolutions over 1, 2 and 3 spatial dimensions, and their transposes."""

from __future__ import annotations

import math
from typing import Any

from ...errors import ArgumentValueError, ShapeError
from .. import functional as F
from .. import init
from ..parameter import UninitializedParameter
from .lazy import LazyModuleMixin
from .module import Module
from .utils import new_parameter, ntuple

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolutions share. Weights are drawn uniformly on ±1/sqrt(fan_in)."""

    _dims: int
    transposed = False

    def _setup(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        n = self._dims
        stride = ntuple(stride, n)
        if groups <= 0:
            raise ArgumentValueError("groups must be a positive integer")
        if in_channels % groups != 0:
            raise ArgumentValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ArgumentValueError("out_channels must be divisible by groups")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ArgumentValueError(f"Invalid padding string {padding!r}, should be one of 'same', 'valid'")
            if padding == "same" and any(s != 1 for s in stride):
                raise ArgumentValueError("padding='same' is not supported for strided convolutions")
        if padding_mode not in _PADDING_MODES:
            raise ArgumentValueError(
                f"padding_mode must be one of {_PADDING_MODES}, but got padding_mode={padding_mode!r}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = ntuple(kernel_size, n)
        self.stride = stride
        self.padding = padding if isinstance(padding, str) else ntuple(padding, n)
        self.dilation = ntuple(dilation, n)
        self.output_padding = ntuple(output_padding, n)
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = self._explicit_padding()
        if 0 in (in_channels, out_channels) and isinstance(self, LazyModuleMixin):
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            self.register_parameter("bias", UninitializedParameter(device=device, dtype=dtype) if bias else None)
            return
        self.weight = new_parameter(*self._weight_shape(), device=device, dtype=dtype)
        self.register_parameter("bias", new_parameter(out_channels, device=device, dtype=dtype) if bias else None)
        self.reset_parameters()

    def _weight_shape(self) -> tuple:
        a, b = self.out_channels, self.in_channels
        if self.transposed:
            a, b = b, a
        return (a, b // self.groups, *self.kernel_size)

    def _explicit_padding(self) -> list[int]:
        """The padding as `F.pad` wants it: two numbers per dimension, last dimension first."""
        out: list[int] = []
        if isinstance(self.padding, str):
            for d, k in zip(reversed(self.dilation), reversed(self.kernel_size), strict=True):
                total = d * (k - 1) if self.padding == "same" else 0
                out += [total // 2, total - total // 2]
        else:
            for p in reversed(self.padding):
                out += [p, p]
        return out

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * len(self.padding):
            text += f", padding={self.padding}"
        if self.dilation != (1,) * len(self.dilation):
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * len(self.output_padding):
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Conv(_ConvNd):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._setup(in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode,
                    device, dtype)  # fmt: skip

    def forward(self, input: Any) -> Any:
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        return getattr(F, self._function)(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """Cross-correlation along a line: (N, C_in, L) or (C_in, L) to (N, C_out, L').

    `padding` is a number, "same" or "valid"; `padding_mode` zeros, reflect, replicate or circular.

    >>> import chainrule as torch
    >>> torch.nn.Conv1d(4, 8, 3, stride=2)(torch.randn(2, 4, 9)).shape
    torch.Size([2, 8, 4])
    """

    _dims, _function = 1, "conv1d"


class Conv2d(_Conv):
    """Cross-correlation over an image: (N, C_in, H, W) or (C_in, H, W) to (N, C_out, H', W').

    `padding` is a number, a pair, "same" or "valid"; `padding_mode` zeros, reflect, replicate or circular.

    >>> import chainrule as torch
    >>> torch.nn.Conv2d(3, 8, 3, padding="same")(torch.randn(2, 3, 6, 5)).shape
    torch.Size([2, 8, 6, 5])
    """

    _dims, _function = 2, "conv2d"


class Conv3d(_Conv):
    """Cross-correlation over a volume: (N, C_in, D, H, W) or (C_in, D, H, W) to (N, C_out, D', H', W').

    >>> import chainrule as torch
    >>> torch.nn.Conv3d(2, 4, 3)(torch.randn(1, 2, 5, 5, 5)).shape
    torch.Size([1, 4, 3, 3, 3])
    """

    _dims, _function = 3, "conv3d"


class _ConvTransposeNd(_ConvNd):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_mode != "zeros":
            raise ArgumentValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        self._setup(in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias,
                    padding_mode, device, dtype)  # fmt: skip

    def forward(self, input: Any, output_size: Any = None) -> Any:
        padding = self.output_padding if output_size is None else self._output_padding(input, list(output_size))
        return getattr(F, self._function)(
            input, self.weight, self.bias, self.stride, self.padding, padding, self.groups, self.dilation
        )

    def _output_padding(self, input: Any, output_size: list[int]) -> tuple[int, ...]:
        """The output padding that gives the wished size; several input sizes lead to one output size under stride."""
        n = self._dims
        batched = input.dim() == n + 2
        full = input.dim()
        if len(output_size) == full:
            output_size = output_size[full - n :]
        if len(output_size) != n:
            raise ArgumentValueError(
                f"ConvTranspose{n}D: for {input.dim()}D input, output_size must have {n} or "
                f"{n + 1 + batched} elements (got {len(output_size)})"
            )
        smallest = [
            (input.shape[d - n] - 1) * self.stride[d] - 2 * self.padding[d]
            + self.dilation[d] * (self.kernel_size[d] - 1) + 1
            for d in range(n)
        ]  # fmt: skip
        largest = [m + s - 1 for m, s in zip(smallest, self.stride, strict=True)]
        if any(not low <= size <= high for size, low, high in zip(output_size, smallest, largest, strict=True)):
            raise ArgumentValueError(
                f"requested an output size of {output_size}, but valid sizes range from {smallest} to {largest} "
                f"(for an input of {tuple(input.shape[2:])})"
            )
        return tuple(size - low for size, low in zip(output_size, smallest, strict=True))


class ConvTranspose1d(_ConvTransposeNd):
    """The transpose of `Conv1d`: (N, C_in, L) to (N, C_out, L'). `output_size` may be given to the call.

    >>> import chainrule as torch
    >>> torch.nn.ConvTranspose1d(4, 2, 3, stride=2)(torch.randn(1, 4, 5)).shape
    torch.Size([1, 2, 11])
    """

    _dims, _function = 1, "conv_transpose1d"


class ConvTranspose2d(_ConvTransposeNd):
    """The transpose of `Conv2d`: (N, C_in, H, W) to (N, C_out, H', W'). `output_size` may be given to the call.

    >>> import chainrule as torch
    >>> up = torch.nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1)
    >>> up(torch.randn(1, 4, 6, 6), output_size=(12, 12)).shape
    torch.Size([1, 2, 12, 12])
    """

    _dims, _function = 2, "conv_transpose2d"


class ConvTranspose3d(_ConvTransposeNd):
    """The transpose of `Conv3d`: (N, C_in, D, H, W) to (N, C_out, D', H', W').

    >>> import chainrule as torch
    >>> torch.nn.ConvTranspose3d(4, 2, 2, stride=2)(torch.randn(1, 4, 3, 3, 3)).shape
    torch.Size([1, 2, 6, 6, 6])
    """

    _dims, _function = 3, "conv_transpose3d"


class _LazyConv(LazyModuleMixin):
    """Leaves `in_channels` out of the constructor."""

    def __init__(self, out_channels: int, kernel_size: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(0, out_channels, kernel_size, *args, **kwargs)

    def initialize_parameters(self, input: Any, *args: Any, **kwargs: Any) -> None:
        """Take the number of channels from the first input."""
        if not self.has_uninitialized_params():
            return
        n = self._dims
        if input.dim() not in (n + 1, n + 2):
            raise ShapeError(
                f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {type(self).__name__}, "
                f"but got input of size: {input.shape}"
            )
        self.in_channels = input.shape[-n - 1]
        if self.in_channels % self.groups != 0:
            raise ArgumentValueError("in_channels must be divisible by groups")
        self.weight.materialize(self._weight_shape())
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class LazyConv1d(_LazyConv, Conv1d):
    """`Conv1d` that takes `in_channels` from its first input."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """`Conv2d` that takes `in_channels` from its first input."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """`Conv3d` that takes `in_channels` from its first input."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConv, ConvTranspose1d):
    """`ConvTranspose1d` that takes `in_channels` from its first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConv, ConvTranspose2d):
    """`ConvTranspose2d` that takes `in_channels` from its first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConv, ConvTranspose3d):
    """`ConvTranspose3d` that takes `in_channels` from its first input."""

    cls_to_become = ConvTranspose3d
