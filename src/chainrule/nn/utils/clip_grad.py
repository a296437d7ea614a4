"""Limiting the size of gradients."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

from ... import ops
from ...config import no_grad, tracing
from ...handle import Tensor
from ...ops.refusal import refuse

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _list(tensors: Any) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all tensors as if they were one vector. `foreach` changes nothing.

    Raises RuntimeError for a norm that is not finite, with `error_if_nonfinite`.

    >>> import chainrule as torch
    >>> torch.nn.utils.get_total_norm([torch.tensor([3.0]), torch.tensor([4.0])])
    tensor(5.)
    """
    tensors = _list(tensors)
    if not tensors:
        return ops.zeros(())
    norm_type = float(norm_type)
    with no_grad():
        norms = [ops.linalg.vector_norm(t, norm_type) for t in tensors]
        total = norms[0] if len(norms) == 1 else ops.linalg.vector_norm(ops.stack(norms), norm_type)
    if error_if_nonfinite:
        refuse(
            ~(total._data < math.inf),
            RuntimeError,
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`",
        )
    return total


def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Tensor, foreach: bool | None = None) -> None:
    """Scale all gradients in place by max_norm / total_norm, if that is less than 1."""
    grads = [p.grad for p in _list(parameters) if p.grad is not None]
    with no_grad():
        if tracing() is not None:  # no values yet: always scale, by 1 where nothing is clipped
            for grad in grads:
                grad.mul_((float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0).to(grad.dtype))
            return
        factor = min(float(max_norm) / (float(total_norm) + 1e-6), 1.0) if math.isfinite(float(total_norm)) else None
        for grad in grads:
            if factor is None:  # as PyTorch: a norm of nan or inf shows in the gradients
                grad.mul_((float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0).to(grad.dtype))
            elif factor < 1.0:
                grad.mul_(factor)


def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of `parameters` in place so that their common norm is at most `max_norm`.

    Returns the norm before. `foreach` changes nothing. Raises RuntimeError for a norm that is not finite, with
    `error_if_nonfinite`.

    >>> import chainrule as torch
    >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> torch.nn.utils.clip_grad_norm_([w], 1.0)
    tensor(10.)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    if not isinstance(parameters, Tensor) and not isinstance(parameters, Iterable):
        raise TypeError(f"clip_grad_norm_: parameters: expected tensors, got {type(parameters).__name__}")
    parameters = _list(parameters)
    grads = [p.grad for p in parameters if p.grad is not None]
    total = get_total_norm(grads, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_norm(*args: Any, **kwargs: Any) -> Tensor:
    """The old name of `clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(*args, **kwargs)


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Clamp each element of the gradients of `parameters` to ±clip_value, in place. `foreach` changes nothing."""
    clip_value = float(clip_value)
    with no_grad():
        for p in _list(parameters):
            if p.grad is not None:
                p.grad.clamp_(min=-clip_value, max=clip_value)
