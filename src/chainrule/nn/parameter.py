"""Tensors that a module owns: parameters (trained) and buffers (state that is saved but not trained)."""

from __future__ import annotations

import copy
from typing import Any

from ..errors import ArgumentError, UnsupportedError
from ..handle import Tensor

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


def _alias(cls: type, data: Tensor) -> Any:
    """A leaf of type `cls` over the memory of `data`."""
    new = object.__new__(cls)
    new._data = data._data
    new._cell = data._shared_cell()
    return new


class Parameter(Tensor):
    """A tensor that becomes a module's parameter when it is assigned as an attribute.

    It shares the memory of `data` and requires a gradient unless told otherwise.
    Raises ArgumentError if `data` is neither a tensor nor None.

    >>> import chainrule as torch
    >>> torch.nn.Parameter(torch.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    _shown_as = "tensor"

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = Tensor([])
        elif not isinstance(data, Tensor):
            raise ArgumentError(
                f"Parameter: data: expected a tensor, got {type(data).__name__}; wrap it with torch.tensor(...)"
            )
        new = _alias(cls, data)
        new.requires_grad_(requires_grad)
        return new

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        pass

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]
        new = type(self)(self.detach().clone(), self.requires_grad)
        new.__dict__.update(copy.deepcopy(_extra_attributes(self), memo))
        memo[id(self)] = new
        return new

    def __repr__(self) -> str:
        text = Tensor.__repr__(self)
        return "Parameter containing:\n" + (text if type(self) is Parameter else f"Parameter({text})")

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return _rebuild, (type(self), self.detach(), self.requires_grad), _extra_attributes(self) or None


class Buffer(Tensor):
    """A tensor that becomes a module's buffer when it is assigned as an attribute.

    >>> import chainrule as torch
    >>> m = torch.nn.Module()
    >>> m.mean = torch.nn.Buffer(torch.zeros(2))
    >>> list(m.state_dict())
    ['mean']
    """

    persistent = True
    _shown_as = "tensor"

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Buffer:
        new = _alias(cls, Tensor([]) if data is None else data)
        new.persistent = persistent
        return new

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        pass

    def __deepcopy__(self, memo: dict) -> Buffer:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), persistent=self.persistent)
        return memo[id(self)]


class _Uninitialized:
    """What lazy modules hold until the first input tells the shape."""

    _kind: type

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give it memory of this shape and make it an ordinary parameter or buffer."""
        dtype = self.dtype if dtype is None else dtype
        self._data = Tensor([]).new_empty(shape, dtype=dtype, device=device)._data
        self.__class__ = self._kind

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter whose shape is not known yet."""

    _kind = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> UninitializedParameter:
        new = _alias(cls, Tensor([]).new_empty((0,), dtype=dtype, device=device))
        new.requires_grad_(requires_grad)
        return new

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        pass

    def __deepcopy__(self, memo: dict) -> UninitializedParameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, None, self.dtype)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return type(self), (self.requires_grad, None, self.dtype)


class UninitializedBuffer(_Uninitialized, Buffer):
    """A buffer whose shape is not known yet."""

    _kind = Buffer

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> UninitializedBuffer:
        if requires_grad:
            raise UnsupportedError(
                "UninitializedBuffer: requires_grad=True is not supported; use UninitializedParameter"
            )
        new = _alias(cls, Tensor([]).new_empty((0,), dtype=dtype, device=device))
        new.persistent = persistent
        return new

    def __init__(self, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True):
        pass

    def __deepcopy__(self, memo: dict) -> Any:
        if id(self) not in memo:
            memo[id(self)] = type(self)(False, None, self.dtype, self.persistent)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return type(self), (False, None, self.dtype, self.persistent)


def is_lazy(tensor: Any) -> bool:
    """True for a parameter or buffer that has no shape yet."""
    return isinstance(tensor, _Uninitialized)


def _rebuild(cls: type, data: Tensor, requires_grad: bool) -> Any:
    return cls(data, requires_grad)


def _extra_attributes(tensor: Tensor) -> dict:
    """What a user has set on the tensor, without the engine's own fields."""
    return {k: v for k, v in tensor.__dict__.items() if not k.startswith("_") and k != "name"}
