"""Options that optimisers share: checking them, and applying ``maximize`` and ``weight_decay``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..config import tracing
from ..errors import CaptureError
from ..handle import Tensor
from ..node import call_site, site_text
from .optimizer import scalar_dtype, to_scalar

Prepare = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def decayed(group: dict[str, Any], decoupled: bool = False) -> Prepare | None:
    """The function ``(p, g, u) -> gradient`` that applies ``maximize`` and ``weight_decay``; None if neither is on.

    With ``decoupled`` the decay shrinks ``p`` itself instead of entering the gradient (Loshchilov & Hutter,
    https://arxiv.org/abs/1711.05101).
    """
    maximize, decay = group["maximize"], to_scalar(group.get("weight_decay", 0))
    if decay == 0:
        return (lambda p, g, u: np.negative(g, u)) if maximize else None
    if decoupled:
        keep = 1 - to_scalar(group["lr"]) * decay

        def shrink(p: np.ndarray, g: np.ndarray, u: np.ndarray) -> np.ndarray:
            np.multiply(p, keep, p)
            return np.negative(g, u) if maximize else g

        return shrink
    combine = np.subtract if maximize else np.add

    def decay_gradient(p: np.ndarray, g: np.ndarray, u: np.ndarray) -> np.ndarray:
        np.multiply(p, decay, u)
        return combine(u, g, u)

    return decay_gradient


def either(condition: Any, yes: Any, no: Any) -> Any:
    """``yes if condition else no``; while a step is compiled the condition has no value yet, and both are computed."""
    condition = truth(condition)
    if condition is True:
        return yes
    return no if condition is False else np.where(condition, yes, no)


def truth(condition: Any) -> Any:
    """A bool where the condition has a value."""
    return bool(condition) if isinstance(condition, (bool, np.bool_)) else condition


def rounded(x: Any) -> Any:
    """A number as the counters' dtype would hold it."""
    return float(scalar_dtype().type(x)) if isinstance(x, (int, float)) else x.rounded(scalar_dtype())


def not_while_compiling(what: str, instead: str) -> None:
    """Raise CaptureError if a function is being compiled: ``what`` needs values, or changes Python numbers."""
    if tracing() is not None:
        raise CaptureError(f"compile: {what} at {site_text(call_site(3))} can't be part of a compiled step; {instead}")


def put_off(schedule: Any, *args: Any) -> bool:
    """Whether a function is being compiled: then ``schedule.step(*args)`` is called at the end of each of its calls."""
    tracer = tracing()
    if tracer is not None:
        tracer.put_off(schedule, args)
    return tracer is not None


def check_lr(lr: Any) -> None:
    """Raise PyTorch's errors for a learning rate that is a tensor of many elements, negative or NaN."""
    if isinstance(lr, Tensor) and lr._data.size != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not to_scalar(lr) >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_not_negative(**options: Any) -> None:
    """Raise ``Invalid NAME value: ...`` for the first option below zero (or NaN)."""
    for name, value in options.items():
        if not to_scalar(value) >= 0.0:
            label = "epsilon" if name == "eps" else name
            raise ValueError(f"Invalid {label} value: {value}")


def check_betas(betas: Sequence[Any]) -> None:
    for i in (0, 1):
        if not 0.0 <= to_scalar(betas[i]) < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")


def check_fused(fused: Any, foreach: Any, differentiable: Any) -> None:
    """``fused`` and ``foreach`` choose nothing here, every step is fused already; contradictions are still refused."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
