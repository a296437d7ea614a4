"""Making a module without drawing its weights."""

from __future__ import annotations

from typing import Any

from ...errors import ArgumentError
from ..modules.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls: type, *args: Any, **kwargs: Any) -> Module:
    """`module_cls(*args, **kwargs)`, whose parameters are not initialised (they hold zeros or whatever was there).

    Raises ArgumentError unless `module_cls` is a Module class.

    >>> import chainrule as torch
    >>> torch.nn.utils.skip_init(torch.nn.Linear, 5, 1)
    Linear(in_features=5, out_features=1, bias=True)
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise ArgumentError(f"Expected a Module; got {module_cls}")

    class Skipping(module_cls):  # type: ignore[misc, valid-type]
        def reset_parameters(self) -> None:
            pass

        _reset_parameters = reset_parameters

    module = Skipping(*args, **kwargs)
    module.__class__ = module_cls
    return module
