"""``nn.parallel`` for programs written for several GPUs: without one, the wrapped module itself is called."""

from __future__ import annotations

from typing import Any

from .modules.module import Module

__all__ = ["DataParallel"]


class DataParallel(Module):
    """Calls ``module``, as PyTorch's does on a machine without GPUs; names in the state dict start with "module.".

    device_ids, output_device and dim are taken and change nothing.

    >>> import chainrule as torch
    >>> torch.nn.DataParallel(torch.nn.Linear(2, 1))(torch.ones(4, 2)).shape
    torch.Size([4, 1])
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[int] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)
