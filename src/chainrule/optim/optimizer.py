"""The base of every optimiser: parameter groups, state, saving, hooks.

A subclass writes ``step``; the base wraps it once, so that hooks run and learning-rate schedulers can see that a
step was made, whatever the subclass does.
"""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from ..config import get_default_dtype, hold, switches, tracing
from ..handle import Tensor
from ..node import RemovableHandle, add_hook
from ..primitive.quiet import QUIET, mute, restore


class _Required:
    """Marks an option that every parameter group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()

_global_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_post_hooks: OrderedDict[int, Callable] = OrderedDict()


def _register(hooks: OrderedDict[int, Callable], hook: Callable, prepend: bool = False) -> RemovableHandle:
    handle = add_hook(hooks, hook)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before every step of every optimiser."""
    return _register(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after every step of every optimiser."""
    return _register(_global_post_hooks, hook)


def to_scalar(value: Any) -> float:
    """The Python number behind an option that may be given as a one-element tensor."""
    return value.item() if isinstance(value, Tensor) else value


def scalar_dtype() -> np.dtype:
    """The dtype in which counters such as ``step`` are kept: float32, or float64 if that is the default dtype."""
    return np.dtype(np.float64 if str(get_default_dtype()).endswith("float64") else np.float32)


def _hooked(step: Callable) -> Callable:
    """Wrap a subclass's ``step``: hooks before and after, and the mark that schedulers look for."""

    @functools.wraps(step)
    def wrapper(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        # A step that calls super().step() is one step: only the outermost wrapper acts.
        if type(self).step is not wrapper:
            return step(self, *args, **kwargs)
        self._opt_called = True
        hooks = self._optimizer_step_pre_hooks
        if hooks or _global_pre_hooks:
            args = (self, *args)
            for hook in chain(_global_pre_hooks.values(), hooks.values()):
                result = hook(self, args, kwargs)
                if result is not None:
                    if not (isinstance(result, tuple) and len(result) == 2):
                        raise RuntimeError(
                            f"{hook} must return None or a tuple of (new_args, new_kwargs), but got {result}."
                        )
                    args, kwargs = result
        else:
            args = (self, *args)
        # A loss that diverges overflows here too; like PyTorch's, a step says nothing of it.
        quiet = mute(QUIET)
        try:
            out = step(*args, **kwargs)
        finally:
            restore(quiet)
        args = args[1:]
        hooks = self._optimizer_step_post_hooks
        if hooks or _global_post_hooks:
            for hook in chain(hooks.values(), _global_post_hooks.values()):
                hook(self, (self, *args), kwargs)
        return out

    wrapper._is_hooked = True  # type: ignore[attr-defined]
    return wrapper


class Optimizer:
    """Base of all optimisers, and of optimisers you write yourself.

    Args:
        params: an iterable of tensors, of ``(name, tensor)`` pairs, or of dicts (parameter groups: ``"params"`` plus
            options that differ from the defaults). Iterate in a fixed order: saved state is matched by position.
        defaults: the options used where a group does not give its own.

    Raises:
        TypeError: ``params`` is a tensor or a set, or holds something that is not a tensor.
        ValueError: no parameters, a tensor that is not a leaf, or one tensor in two groups.

    A subclass defines ``step(closure=None)``, reads ``self.param_groups`` and keeps what it needs per parameter in
    ``self.state[p]``:

    >>> import chainrule as torch
    >>> class SignSGD(torch.optim.Optimizer):
    ...     def __init__(self, params, lr):
    ...         super().__init__(params, {"lr": lr})
    ...     @torch.no_grad()
    ...     def step(self, closure=None):
    ...         for group in self.param_groups:
    ...             for p in group["params"]:
    ...                 if p.grad is not None:
    ...                     p.sub_(p.grad.sign(), alpha=group["lr"])
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> SignSGD([w], lr=0.5).step()
    >>> w.tolist()
    [0.5, -1.5]
    """

    defaults: dict[str, Any]
    state: defaultdict[Any, Any]
    param_groups: list[dict[str, Any]]
    _optimizer_step_pre_hooks: OrderedDict[int, Callable]
    _optimizer_step_post_hooks: OrderedDict[int, Callable]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Callable]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Callable]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Callable]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Callable]
    _opt_called = False  # schedulers warn when they are stepped first
    # State entries that keep their own dtype when loaded.
    _counters: tuple[str, ...] = ("step",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("step")
        if own is not None and not getattr(own, "_is_hooked", False):
            cls.step = _hooked(own)  # type: ignore[method-assign]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._init_hooks()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {_typename(params)}; for one tensor write [tensor]"
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _init_hooks(self) -> None:
        for name in Optimizer.__annotations__:
            if name.endswith("_hooks") and name not in self.__dict__:
                setattr(self, name, OrderedDict())

    # Hooks and caches belong to the live object: a copy starts without them, as in PyTorch.
    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._init_hooks()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        text = self.__class__.__name__ + " ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            for key in sorted(group):
                if key != "params":
                    text += f"    {key}: {group[key]}\n"
        return text + ")"

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return new ``(args, kwargs)``."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return _register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` before ``state_dict`` collects anything."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` at the end of ``state_dict``; it may return another dict."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before loading; it may return another dict."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` after loading."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def state_dict(self) -> dict[str, Any]:
        """The state as plain data: ``{"state": {index: {...}}, "param_groups": [{..., "params": [indices]}]}``.

        The tensors in it are the live ones, not copies.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        index: dict[int, int] = {}
        start = 0
        groups = []
        for group in self.param_groups:
            packed = {k: v for k, v in group.items() if k != "params"}
            index.update({id(p): i for i, p in enumerate(group["params"], start) if id(p) not in index})
            packed["params"] = [index[id(p)] for p in group["params"]]
            start += len(packed["params"])
            groups.append(packed)
        state = {index[id(k)] if isinstance(k, Tensor) else k: v for k, v in self.state.items()}
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state written by ``state_dict``. Parameters are matched by position.

        Tensors are copied, so two optimisers never share state; floating-point state takes its parameter's dtype.

        Raises:
            ValueError: another number of groups, or of parameters in a group.
        """
        state_dict = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        groups, saved_groups = self.param_groups, deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups "
                f"(expected {len(groups)}, got {len(saved_groups)})"
            )
        for i, (group, saved) in enumerate(zip(groups, saved_groups, strict=True)):
            if len(group["params"]) != len(saved["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group "
                    f"(group {i}: expected {len(group['params'])} parameters, got {len(saved['params'])})"
                )
        params = dict(
            zip(
                chain.from_iterable(g["params"] for g in saved_groups),
                chain.from_iterable(g["params"] for g in groups),
                strict=True,
            )
        )
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            state[params.get(key, key)] = _copy_state(params[key], value, self._counters) if key in params else value
        for group, saved in zip(groups, saved_groups, strict=True):
            saved["params"] = group["params"]
            if "param_names" in group and "param_names" not in saved:
                saved["param_names"] = group["param_names"]
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients: set them to ``None``, or fill them with zeros in place if ``set_to_none=False``."""
        captured = None
        if switches.tracer is not None:
            captured = tracing()
            for group in self.param_groups:
                hold(group["params"])
        for group in self.param_groups:
            for p in group["params"]:
                if captured is not None and set_to_none:
                    captured.forget_grad(p)
                    continue
                grad = p._grad
                if grad is None:
                    continue
                if set_to_none:
                    p._grad = None
                    continue
                if switches.tracer is not None:
                    switches.tracer.lift((grad,))
                # A gradient from create_graph=True keeps its graph alive; a zeroed one must not.
                grad._node, grad._requires_grad = None, False
                grad._data.fill(0)
                grad._bump()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step. ``closure``, if given, computes the loss anew (with gradients) and is called first."""
        raise NotImplementedError(f"{type(self).__name__} must define step(closure=None)")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with its own options, for instance layers that are unfrozen later.

        Raises:
            TypeError: not a dict, or the parameters are a set or not tensors.
            ValueError: not a leaf, a required option is missing, or a parameter belongs to another group already.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but "
                "the ordering of tensors in sets will change between runs. Please use a list instead."
            )
        params = list(params)
        names = [p[0] for p in params if isinstance(p, tuple)]
        tensors = [p[1] if isinstance(p, tuple) else p for p in params]
        param_group["params"] = tensors
        if names:
            if len(names) != len(tensors):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            param_group["param_names"] = names
        for p in tensors:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {_typename(p)}")
            if not self.defaults.get("differentiable") and p._node is not None and not p._retains:
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        if len(tensors) != len({id(p) for p in tensors}):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; "
                "in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        known: set[int] = set()
        for group in self.param_groups:
            known.update(id(p) for p in group["params"])
            if ("param_names" in param_group) != ("param_names" in group):
                kind = "with names" if "param_names" in param_group else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {kind} to the optimizer"
                )
        if not known.isdisjoint(id(p) for p in tensors):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)


def _typename(value: object) -> str:
    kind = type(value)
    if isinstance(value, Tensor):
        return "torch.Tensor"
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _copy_state(param: Tensor, value: Any, counters: tuple[str, ...], key: Any = None) -> Any:
    """A copy of one saved state value; floating-point tensors other than counters take the parameter's dtype."""
    if isinstance(value, Tensor):
        data = value._data
        floating = data.dtype.kind not in "biu"
        dtype = param._data.dtype if floating and key not in counters else data.dtype
        return Tensor._wrap(np.array(data, dtype=dtype, order="C"))
    if isinstance(value, dict):
        return {k: _copy_state(param, v, counters, k) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Iterator)):
        return type(value)(_copy_state(param, v, counters) for v in value)  # type: ignore[call-arg]
    return value
