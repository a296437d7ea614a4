"""All parameters of a model as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ... import ops
from ...errors import ArgumentError, ShapeError
from ...handle import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters in one vector, in order; gradients flow through.

    >>> import chainrule as torch
    >>> torch.nn.utils.parameters_to_vector(torch.nn.Linear(3, 2).parameters()).shape
    torch.Size([8])
    """
    return ops.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give each parameter its piece of `vec` as its data.

    Raises ArgumentError if `vec` is no tensor, ShapeError if it has too few elements.
    """
    if not isinstance(vec, Tensor):
        raise ArgumentError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    parameters = list(parameters)
    needed: Any = sum(p.numel() for p in parameters)
    if vec.numel() < needed:
        raise ShapeError(
            f"vector_to_parameters: vec has {vec.numel()} elements, the parameters have {needed}; "
            "make it with parameters_to_vector from the same parameters"
        )
    start = 0
    for p in parameters:
        size = p.numel()
        p.data = vec[start : start + size].detach().reshape(p.shape)
        start += size
