"""Parameters that are computed from others: `register_parametrization(module, "weight", f)` makes weight = f(original).

The module's class is replaced by a subclass with a property, so that reading the parameter computes it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ...config import no_grad
from ...errors import ArgumentValueError, ShapeError
from ...handle import Tensor
from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "type_before_parametrizations",
]

_depth = 0
_cache: dict[tuple[int, str], Any] = {}


@contextlib.contextmanager
def cached() -> Iterator[None]:
    """Inside, each parametrized tensor is computed once."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The functions behind one parametrized tensor, and its original tensor(s): `original`, or `original0`, ...

    A function with a `right_inverse` may return several tensors, or one of another shape.
    """

    def __init__(self, modules: Any, original: Tensor, unsafe: bool = False) -> None:
        modules = list(modules)
        super().__init__(modules)
        self.unsafe = unsafe
        new: Any = original
        with no_grad():
            for module in reversed(modules):
                if hasattr(module, "right_inverse"):
                    try:
                        new = module.right_inverse(new)
                    except NotImplementedError:
                        pass
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        trained = original.requires_grad
        if self.is_tensor:
            data = original.data if new is original else new.detach()
            self._keep("original", data, original, trained)
        else:
            for i, part in enumerate(new):
                self._keep(f"original{i}", part.detach(), original, trained)
        if not unsafe:
            value = self()
            if not isinstance(value, Tensor):
                raise ArgumentValueError(f"A parametrization must return a tensor. Got {type(value).__name__}.")
            if value.dtype != original.dtype:
                raise ArgumentValueError(
                    "Registering a parametrization may not change the dtype of the tensor, unless `unsafe` flag is "
                    f"enabled. original.dtype: {original.dtype} parametrized.dtype: {value.dtype}"
                )
            if value.shape != original.shape:
                raise ArgumentValueError(
                    "Registering a parametrization may not change the shape of the tensor, unless `unsafe` flag is "
                    f"enabled. original.shape: {original.shape} parametrized.shape: {value.shape}"
                )

    def _keep(self, name: str, data: Tensor, original: Tensor, trained: bool) -> None:
        if isinstance(original, Parameter):
            self.register_parameter(name, Parameter(data, trained and data.dtype.is_floating_point))
        else:
            self.register_buffer(name, data)

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parametrized tensor becomes `value`."""
        new: Any = value
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                new = module.right_inverse(new)
            for own, part in zip(self._originals(), [new] if self.is_tensor else new, strict=True):
                if own.shape != part.shape:
                    raise ShapeError(
                        f"right_inverse gave shape {part.shape}, but the original tensor has shape {own.shape}"
                    )
                own.copy_(part)

    def forward(self) -> Tensor:
        modules = list(self)
        x = modules[0](*self._originals())
        for module in modules[1:]:
            x = module(x)
        return x


def _property(name: str) -> property:
    def get(self: Any) -> Any:
        if not _depth:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def set_(self: Any, value: Tensor) -> None:
        _cache.pop((id(self), name), None)
        self.parametrizations[name].right_inverse(value)

    return property(get, set_)


def _setattr(self: Any, name: str, value: Any) -> None:
    # Module.__setattr__ would register a Parameter over the property.
    if isinstance(getattr(type(self), name, None), property):
        object.__setattr__(self, name, value)
    else:
        Module.__setattr__(self, name, value)


def _dress(module: Module, base: type, names: list[str]) -> None:
    """Give the module a class of its own, in which these names are computed."""
    body: dict[str, Any] = {name: _property(name) for name in names}
    body |= {"__setattr__": _setattr, "__module__": base.__module__}
    module.__class__ = type(f"Parametrized{base.__name__}", (base,), body) if names else base


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Make `module.<tensor_name>` the result of `parametrization` applied to what was there; returns the module.

    Several registrations apply one after the other. Raises ArgumentValueError for an unknown name or if the result
    has another shape or dtype (unless `unsafe`).

    >>> import chainrule as torch
    >>> from chainrule.nn.utils import parametrize
    >>> class Symmetric(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = parametrize.register_parametrization(torch.nn.Linear(3, 3), "weight", Symmetric())
    >>> torch.allclose(layer.weight, layer.weight.T)
    True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        old = module.parametrizations[tensor_name]
        if hasattr(parametrization, "right_inverse"):
            with no_grad():
                value = parametrization.right_inverse(getattr(module, tensor_name))
            if isinstance(value, Tensor):
                old.right_inverse(value)
        old.append(parametrization)
        return module
    if tensor_name not in module._parameters and tensor_name not in module._buffers:
        raise ArgumentValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    original = getattr(module, tensor_name)
    kept = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    base = type_before_parametrizations(module)
    module.parametrizations[tensor_name] = kept
    _dress(module, base, list(module.parametrizations))
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """True if the module, or this tensor of it, is parametrized."""
    parametrizations = module._modules.get("parametrizations")
    if parametrizations is None or not isinstance(parametrizations, ModuleDict):
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make `module.<tensor_name>` an ordinary tensor again: its present value, or the original.

    Raises ArgumentValueError if it is not parametrized, or has several originals and `leave_parametrized=False`.
    """
    if not is_parametrized(module, tensor_name):
        raise ArgumentValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    kept = module.parametrizations[tensor_name]
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name).detach().clone()
    elif kept.is_tensor:
        value = kept.original.detach()
    else:
        raise ArgumentValueError(
            "A parametrization with several original tensors can only be removed with leave_parametrized=True."
        )
    first = kept._originals()[0]
    base = type_before_parametrizations(module)
    del module.parametrizations[tensor_name]
    _dress(module, base, list(module.parametrizations))
    if len(module.parametrizations) == 0:
        del module.parametrizations
    if isinstance(first, Parameter):
        module.register_parameter(tensor_name, Parameter(value, first.requires_grad))
    else:
        module.register_buffer(tensor_name, value)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class of the module without its parametrizations."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)
