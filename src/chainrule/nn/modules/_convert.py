"""`Module.to` and its relatives: change the dtype of all tensors of a module in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import dtypes
from ...config import no_grad
from ...errors import ArgumentError, UnsupportedError
from ...handle import Tensor
from ..parameter import is_lazy


class ConvertMixin:
    """The part of `Module` that converts its parameters and buffers. Parameters stay the same objects."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            if param is None:
                continue
            with no_grad():
                param.data = fn(param)
                if param.grad is not None:
                    requires_grad = param.grad.requires_grad
                    param.grad = fn(param.grad).requires_grad_(requires_grad)
        for name, buffer in self._buffers.items():
            if is_lazy(buffer):
                buffer.data = fn(buffer)  # stays what it is until the first input comes
            elif buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Convert floating-point parameters and buffers: `to(dtype)`, `to(device)`, `to(device, dtype)`, `to(tensor)`.

        The only device is "cpu". Raises ArgumentError for a dtype that is not floating point.

        >>> import chainrule as torch
        >>> torch.nn.Linear(2, 1).to(torch.float64).weight.dtype
        torch.float64
        """
        dtype = _parse_to(args, kwargs)
        if dtype is None:
            return self
        if not dtype.is_floating_point:
            raise ArgumentError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def type(self, dst_type: Any) -> Any:
        """Convert all parameters and buffers to `dst_type`."""
        return self._apply(lambda t: t.to(dtypes.as_dtype(dst_type)))

    def float(self) -> Any:
        """Convert floating-point parameters and buffers to float32."""
        return self.to(dtypes.float32)

    def double(self) -> Any:
        """Convert floating-point parameters and buffers to float64."""
        return self.to(dtypes.float64)

    def half(self) -> Any:
        """Convert floating-point parameters and buffers to float16."""
        return self.to(dtypes.float16)

    def bfloat16(self) -> Any:
        """Convert floating-point parameters and buffers to bfloat16."""
        return self.to(dtypes.bfloat16)

    def cpu(self) -> Any:
        """Return the module; all memory is on the CPU."""
        return self

    def to_empty(self, *, device: Any, recurse: bool = True) -> Any:
        """Give all parameters and buffers fresh, uninitialised memory."""
        check_device(device, "Module.to_empty")
        return self._apply(lambda t: t if is_lazy(t) else t.new_empty(t.shape), recurse=recurse)

    def cuda(self, device: Any = None) -> Any:
        """Raise UnsupportedError: there is only the CPU."""
        raise UnsupportedError("Module.cuda: chainrule runs on the CPU only; leave out .cuda() or use .to('cpu')")

    def xpu(self, device: Any = None) -> Any:
        """Raise UnsupportedError: there is only the CPU."""
        raise UnsupportedError("Module.xpu: chainrule runs on the CPU only; leave out .xpu() or use .to('cpu')")

    def share_memory(self) -> Any:
        """Raise UnsupportedError: tensors are not shared between processes."""
        raise UnsupportedError(
            "Module.share_memory: sharing tensors between processes is not supported; send a state_dict() instead"
        )

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Raise UnsupportedError: a module is not compiled in place."""
        raise UnsupportedError("Module.compile: compiling a module in place is not supported; call the module directly")


def check_device(device: Any, where: str) -> None:
    """Raise UnsupportedError unless `device` is None or the CPU."""
    if device is not None and str(device).partition(":")[0] != "cpu":
        raise UnsupportedError(f"{where}: device: expected 'cpu', got {str(device)!r}; chainrule runs on the CPU only")


def _parse_to(args: tuple, kwargs: dict) -> Any:
    unknown = set(kwargs) - {"device", "dtype", "non_blocking", "copy", "memory_format", "tensor"}
    if unknown:
        name = sorted(unknown)[0]
        raise ArgumentError(f"Module.to: unexpected argument {name!r}; expected device, dtype or a tensor")
    dtype, device = kwargs.get("dtype"), kwargs.get("device")
    for arg in (*args, kwargs.get("tensor")):
        if isinstance(arg, Tensor):
            dtype = arg.dtype
        elif isinstance(arg, dtypes.dtype):
            dtype = arg
        elif isinstance(arg, type):
            dtype = dtypes.as_dtype(arg)
        elif arg is not None and not isinstance(arg, bool):
            device = arg
    check_device(device, "Module.to")
    return dtype if dtype is None else dtypes.as_dtype(dtype)
