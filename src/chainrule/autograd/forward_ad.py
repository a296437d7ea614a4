"""``torch.autograd.forward_ad``: dual numbers, a value together with its tangent.

A dual tensor is a variable of the recorded graph; ``unpack_dual`` pushes the tangents of this level's duals through
the graph to the tensor asked for.
So operations between the two must be recorded (not under ``no_grad``), and a dual tensor has ``requires_grad``.
"""

import threading
from typing import NamedTuple

from ..config import enable_grad, is_grad_enabled
from ..errors import ArgumentError, DTypeError, GradientError, ShapeError
from ..handle import Tensor
from ..ops import cast
from ..primitive.base import edge_of
from .forward import leads_outside, push_forward


class UnpackedDualTensor(NamedTuple):
    """``(primal, tangent)``; the tangent is None for a tensor that does not depend on a dual of the level."""

    primal: Tensor
    tangent: Tensor | None


class _Level(threading.local):
    duals = None  # [(variable, tangent)] while a level is open


_level = _Level()


def enter_dual_level():
    """Open the level; returns its number (there is one, 0)."""
    if _level.duals is not None:
        raise GradientError("Nested forward mode AD is not supported at the moment; nest torch.func.jvp instead")
    _level.duals = []
    return 0


def exit_dual_level(*, level=None):
    """Close the level; its duals lose their tangents."""
    if _level.duals is None:
        raise GradientError("Trying to exit a forward AD level but no level exists.")
    _level.duals = None


class dual_level:
    """The block in which duals live.

    >>> import chainrule as torch
    >>> import chainrule.autograd.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     x = fwAD.make_dual(torch.tensor(3.0), torch.tensor(1.0))
    ...     fwAD.unpack_dual(x * x).tangent
    tensor(6.)
    """

    def __enter__(self):
        return enter_dual_level()

    def __exit__(self, *exc):
        exit_dual_level()


def make_dual(tensor, tangent, *, level=None):
    """A dual tensor with value ``tensor`` and tangent ``tangent`` (of the same shape and dtype)."""
    if _level.duals is None:
        raise GradientError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    for name, t in (("primal", tensor), ("tangent", tangent)):
        if not isinstance(t, Tensor):
            raise ArgumentError(f"make_dual: expected {name} to be a Tensor, got {type(t).__name__}")
        if not t.is_floating_point():
            raise DTypeError(f"Expected {name} to be floating point or complex, but got: {t.dtype}")
    if tensor._data.shape != tangent._data.shape:
        raise ShapeError(
            f"make_dual: expected tangent of the primal's shape {list(tensor.shape)}, got {list(tangent.shape)}"
        )
    with enable_grad():
        variable = cast.alias_p(tensor)
        variable._base = variable._view = None
        if variable._node is None:
            variable._requires_grad = True
        _level.duals.append((variable, tangent))
        return cast.alias_p(variable)


def unpack_dual(tensor, *, level=None):
    """The value and the tangent of a tensor computed from duals of the open level."""
    if not isinstance(tensor, Tensor):
        raise ArgumentError(f"unpack_dual: expected a Tensor, got {type(tensor).__name__}")
    if not _level.duals:
        return UnpackedDualTensor(tensor, None)
    variables, tangents = zip(*_level.duals, strict=True)
    (moved,) = push_forward(variables, tangents, [tensor])
    if moved is None and edge_of(tensor) is None:
        return UnpackedDualTensor(tensor, None)
    kept = is_grad_enabled() and leads_outside([tensor, *([moved] if moved is not None else [])], variables)
    return UnpackedDualTensor(
        tensor if kept or moved is None else tensor.detach(), moved if kept or moved is None else moved.detach()
    )
