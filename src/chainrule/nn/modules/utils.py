"""Small helpers that layers share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ... import ops
from ..parameter import Parameter


def ntuple(value: Any, n: int) -> tuple:
    """`value` as a tuple: an iterable as it is, a single number n times."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * n


def _single(value: Any) -> tuple:
    return ntuple(value, 1)


def _pair(value: Any) -> tuple:
    return ntuple(value, 2)


def _triple(value: Any) -> tuple:
    return ntuple(value, 3)


def _quadruple(value: Any) -> tuple:
    return ntuple(value, 4)


def new_parameter(*shape: int, device: Any = None, dtype: Any = None) -> Parameter:
    """A parameter with uninitialised memory."""
    return Parameter(ops.empty(shape, device=device, dtype=dtype))


def spec(module: Any, *names: str, positional: tuple = ()) -> str:
    """The text of an `extra_repr`: values of `positional`, then `name=value` of `names`."""
    shown = [f"{getattr(module, name)}" for name in positional]
    shown += [f"{name}={getattr(module, name)}" for name in names]
    return ", ".join(shown)
