"""Hooks around `Module.__call__`: before and after `forward`, and around the backward pass of one module."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ...autograd.function import Function
from ...handle import Tensor
from ...node import RemovableHandle

_global_forward_pre_hooks: OrderedDict = OrderedDict()
_global_forward_hooks: OrderedDict = OrderedDict()
_global_forward_hooks_always_called: OrderedDict = OrderedDict()
_global_forward_hooks_with_kwargs: OrderedDict = OrderedDict()
_global_backward_pre_hooks: OrderedDict = OrderedDict()
_global_backward_hooks: OrderedDict = OrderedDict()


def register_module_forward_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, args)` before every module's `forward`."""
    return _register(_global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after every module's `forward`."""
    flags = []
    if with_kwargs:
        flags.append(_global_forward_hooks_with_kwargs)
    if always_call:
        flags.append(_global_forward_hooks_always_called)
    return _register(_global_forward_hooks, hook, flags)


def register_module_full_backward_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, grad_output)` before every module's backward pass."""
    return _register(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` after every module's backward pass."""
    return _register(_global_backward_hooks, hook)


def _register(table: OrderedDict, hook: Callable, flags: Any = (), prepend: bool = False) -> RemovableHandle:
    # What stays in a flag table after removal is harmless: ids are never used twice.
    handle = RemovableHandle(table)
    table[handle.id] = hook
    for flag in flags:
        flag[handle.id] = True
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


class HookMixin:
    """The part of `Module` that registers hooks and runs a call which has some."""

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; what it returns (if not None) replaces `args`.

        With `with_kwargs=True` the call is `hook(module, args, kwargs)` and it returns None or `(args, kwargs)`.
        """
        flags = [self._forward_pre_hooks_with_kwargs] if with_kwargs else []
        return _register(self._forward_pre_hooks, hook, flags, prepend)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; what it returns (if not None) replaces the output.

        With `with_kwargs=True` the call is `hook(module, args, kwargs, output)`. With `always_call=True` the hook
        also runs when `forward` raised.
        """
        flags = [self._forward_hooks_with_kwargs] if with_kwargs else []
        if always_call:
            flags.append(self._forward_hooks_always_called)
        return _register(self._forward_hooks, hook, flags, prepend)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradients of the module's outputs are known."""
        return _register(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the module's inputs are known.

        A returned tuple replaces `grad_input`. Inputs that need no gradient show as None.
        """
        return _register(self._backward_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook: Callable) -> RemovableHandle:
        """The old, ill-defined backward hook of PyTorch. Here it is the full backward hook."""
        return self.register_full_backward_hook(hook)

    def _call_with_hooks(self, args: tuple, kwargs: dict) -> Any:
        ran: set[int] = set()
        output = None
        try:
            for table, with_kwargs in (
                (_global_forward_pre_hooks, ()),
                (self._forward_pre_hooks, self._forward_pre_hooks_with_kwargs),
            ):
                for key, hook in list(table.items()):
                    args, kwargs = _run_pre_hook(self, hook, key in with_kwargs, args, kwargs)
            gate = _BackwardGate.of(self)
            if gate is not None:
                args = gate.on_inputs(args)
            output = self.forward(*args, **kwargs)
            for key, hook, with_kwargs, _ in self._after_forward():
                ran.add(key)
                result = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
                if result is not None:
                    output = result
            return output if gate is None else gate.on_outputs(output)
        except Exception:
            self._run_always_called(ran, args, kwargs, output)
            raise

    def _after_forward(self) -> list[tuple[int, Callable, bool, bool]]:
        found = [
            (k, h, k in _global_forward_hooks_with_kwargs, k in _global_forward_hooks_always_called)
            for k, h in _global_forward_hooks.items()
        ]
        found += [
            (k, h, k in self._forward_hooks_with_kwargs, k in self._forward_hooks_always_called)
            for k, h in self._forward_hooks.items()
        ]
        return found

    def _run_always_called(self, ran: set[int], args: tuple, kwargs: dict, output: Any) -> None:
        for key, hook, with_kwargs, always in self._after_forward():
            if not always or key in ran:
                continue
            try:
                result = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
                output = output if result is None else result
            except Exception as error:
                warnings.warn(
                    "module forward hook with ``always_call=True`` raised an exception that was silenced as another "
                    f"error was raised in forward: {error}",
                    stacklevel=3,
                )


def _run_pre_hook(module: Any, hook: Callable, with_kwargs: bool, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    if with_kwargs:
        result = hook(module, args, kwargs)
        if result is None:
            return args, kwargs
        if isinstance(result, tuple) and len(result) == 2:
            return result
        raise RuntimeError(f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {result}.")
    result = hook(module, args)
    if result is None:
        return args, kwargs
    return (result if isinstance(result, tuple) else (result,)), kwargs


class _Gate(Function):
    """Identity on all its tensors at once; its backward hands all their gradients to `callback` together."""

    @staticmethod
    def forward(ctx: Any, callback: Callable, *tensors: Tensor) -> tuple:
        ctx.callback = callback
        out = tuple(t.view_as(t) for t in tensors)
        ctx.mark_non_differentiable(*[o for o, t in zip(out, tensors, strict=True) if not t.requires_grad])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple:
        return (None, *ctx.callback(grads))


class _BackwardGate:
    """Puts a module's inputs and outputs through a `_Gate` each and calls its backward hooks there."""

    @classmethod
    def of(cls, module: Any) -> _BackwardGate | None:
        pre = [*_global_backward_pre_hooks.values(), *module._backward_pre_hooks.values()]
        post = [*_global_backward_hooks.values(), *module._backward_hooks.values()]
        return cls(module, pre, post) if pre or post else None

    def __init__(self, module: Any, pre: list, post: list) -> None:
        self.module, self.pre, self.post = module, pre, post
        self.grad_output: tuple | None = None
        self.inputs_gated = False
        self.n_inputs = 0

    def on_inputs(self, args: tuple) -> tuple:
        gated, found = _gate_tensors(args, self._inputs_known)
        self.inputs_gated, self.n_inputs = found, len(args)
        self.input_places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        return gated

    def on_outputs(self, output: Any) -> Any:
        is_tuple = isinstance(output, tuple)
        outputs = output if is_tuple else (output,)
        self.n_outputs = len(outputs)
        self.output_places = [i for i, o in enumerate(outputs) if isinstance(o, Tensor)]
        gated, _ = _gate_tensors(outputs, self._outputs_known)
        return gated if is_tuple else gated[0]

    def _outputs_known(self, grads: tuple) -> tuple:
        for hook in self.pre:
            result = hook(self.module, _spread(grads, self.output_places, self.n_outputs))
            if result is not None:
                result = result if isinstance(result, tuple) else (result,)
                _check_count(result, self.n_outputs, "backward pre hook", "grad_output")
                grads = tuple(result[i] for i in self.output_places)
        self.grad_output = _spread(grads, self.output_places, self.n_outputs)
        if not self.inputs_gated:
            # No input needs a gradient: there is no later moment to call the hooks.
            for hook in self.post:
                if hook(self.module, (None,) * self.n_inputs, self.grad_output) is not None:
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return None or "
                        "None for all gradients."
                    )
        return grads

    def _inputs_known(self, grads: tuple) -> tuple:
        if self.grad_output is None:
            raise RuntimeError("Module backward hook for grad_input is called before the grad_output one.")
        for hook in self.post:
            result = hook(self.module, _spread(grads, self.input_places, self.n_inputs), self.grad_output)
            if result is not None:
                result = result if isinstance(result, tuple) else (result,)
                _check_count(result, self.n_inputs, "backward hook", "grad_input")
                grads = tuple(result[i] for i in self.input_places)
        return grads


def _gate_tensors(values: tuple, callback: Callable) -> tuple[tuple, bool]:
    places = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
    if not any(values[i].requires_grad for i in places):
        return values, False
    gated = _Gate.apply(callback, *[values[i] for i in places])
    out = list(values)
    for i, t in zip(places, gated, strict=True):
        out[i] = t
    return tuple(out), True


def _spread(grads: tuple, places: list[int], size: int) -> tuple:
    out: list[Any] = [None] * size
    for i, g in zip(places, grads, strict=True):
        out[i] = g
    return tuple(out)


def _check_count(result: tuple, expected: int, who: str, what: str) -> None:
    if len(result) != expected:
        raise RuntimeError(
            f"{who.capitalize()} returned an invalid number of {what}, got {len(result)}, but expected {expected}"
        )
