"""Sliding windows of images as columns, and back."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module
from .utils import spec

__all__ = ["Fold", "Unfold"]


class Unfold(Module):
    """Each window of (N, C, H, W) as a column of (N, C·kernel, windows).

    >>> import chainrule as torch
    >>> torch.nn.Unfold(2)(torch.randn(1, 3, 4, 4)).shape
    torch.Size([1, 12, 9])
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Any) -> Any:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return spec(self, "kernel_size", "dilation", "padding", "stride")


class Fold(Module):
    """The transpose of `Unfold`: columns (N, C·kernel, windows) added up into images (N, C, *output_size).

    >>> import chainrule as torch
    >>> torch.nn.Fold((4, 4), 2)(torch.randn(1, 12, 9)).shape
    torch.Size([1, 3, 4, 4])
    """

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Any) -> Any:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return spec(self, "output_size", "kernel_size", "dilation", "padding", "stride")
