"""Running a module with other tensors in the place of its parameters and buffers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ... import ops
from ...config import modes, switches
from ...errors import ArgumentError, ArgumentValueError, ShapeError
from ...handle import Tensor
from ..modules.module import Module

__all__ = ["functional_call", "stack_module_state"]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: dict | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)` with tensors from a dict (or several) by dotted name; gradients flow to them.

    With `tie_weights` a tensor that the module uses under several names is replaced under all of them. With
    `strict` the names must be exactly the module's. Raises ArgumentValueError for a name given twice,
    RuntimeError for names that do not fit.

    >>> import chainrule as torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> w = torch.tensor([[1.0, 2.0]])
    >>> torch.nn.utils.stateless.functional_call(layer, {"weight": w}, torch.ones(1, 2))
    tensor([[3.]])
    """
    if isinstance(parameter_and_buffer_dicts, Mapping):
        given = dict(parameter_and_buffer_dicts)
    elif isinstance(parameter_and_buffer_dicts, Sequence):
        given = {}
        for part in parameter_and_buffer_dicts:
            for name, tensor in part.items():
                if name in given:
                    raise ArgumentValueError(f"{name} appears in multiple dictionaries; behavior of functional call is "
                                             "ambiguous")  # fmt: skip
                given[name] = tensor
    else:
        raise ArgumentError(
            "functional_call: expected a dictionary or a sequence of dictionaries, got "
            f"{type(parameter_and_buffer_dicts).__name__}"
        )
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given, tie_weights, strict):
        return module(*args, **(kwargs or {}))


@contextlib.contextmanager
def _replaced(module: Module, given: dict[str, Tensor], tie_weights: bool, strict: bool) -> Iterator[None]:
    own = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    unexpected = [name for name in given if name not in own]
    if tie_weights:
        shared = {id(own[name]): tensor for name, tensor in given.items() if name in own}
        given = {name: shared[id(t)] for name, t in own.items() if id(t) in shared} | given
    missing = [name for name in own if name not in given] if strict else []
    if unexpected or missing:
        text = f"functional_call: unexpected names {unexpected}" if unexpected else "functional_call:"
        raise RuntimeError(text + (f" missing names {missing}" if missing else "") + f"; the module has {list(own)}")
    places = []
    for name, tensor in given.items():
        path, _, last = name.rpartition(".")
        owner = module.get_submodule(path)
        table = owner._parameters if last in owner._parameters else owner._buffers
        places.append((table, last, table[last]))
        table[last] = tensor
    modes.swapped += 1
    switches.structure += 1
    try:
        yield
    finally:
        for table, last, tensor in places:
            table[last] = tensor
        modes.swapped -= 1


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and buffers of several alike modules, stacked along a new first dimension, by name.

    Raises ShapeError for an empty list or for modules of different classes or in different modes.
    """
    models = list(models)
    if not models:
        raise ShapeError("stack_module_state: Expected at least one model, got 0.")
    if len({(type(m), m.training) for m in models}) > 1:
        raise ShapeError("stack_module_state: Expected all models to be of the same class and in the same mode.")
    params = {}
    for name in dict(models[0].named_parameters()):
        parts = [dict(m.named_parameters())[name] for m in models]
        params[name] = ops.stack([p.detach() for p in parts]).requires_grad_(parts[0].requires_grad)
    buffers = {
        name: ops.stack([dict(m.named_buffers())[name] for m in models]) for name in dict(models[0].named_buffers())
    }
    return params, buffers
