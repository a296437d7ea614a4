"""Layers that learn the size of their input from the first batch."""

from __future__ import annotations

from typing import Any

from ...errors import ArgumentError
from ..parameter import is_lazy

__all__ = ["LazyModuleMixin"]


class LazyModuleMixin:
    """Put before a layer's class: `initialize_parameters(input)` runs at the first call, then the class changes.

    Raises ArgumentError if the first call has no positional input.
    """

    cls_to_become: type | None = None

    def has_uninitialized_params(self) -> bool:
        """True until the first call."""
        return any(is_lazy(t) for t in (*self._parameters.values(), *self._buffers.values()))

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters their shapes; every lazy layer defines it."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not args:
            raise ArgumentError(f"{type(self).__name__}: the first call needs the input as a positional argument")
        self.initialize_parameters(*args, **kwargs)
        if self.cls_to_become is None:
            return super().__call__(*args, **kwargs)
        self.__class__ = self.cls_to_become
        return self(*args, **kwargs)
