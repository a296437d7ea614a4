"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .flat import FlatOptimizer, Update
from .optimizer import to_scalar
from .options import check_fused, check_lr, check_not_negative, decayed


class SGD(FlatOptimizer):
    """Gradient descent, optionally with (Nesterov) momentum.

    ``b = momentum * b + (1 - dampening) * g``, ``p = p - lr * b``; the first ``b`` is ``g`` itself. With ``nesterov``
    the step is ``g + momentum * b`` (Sutskever et al. 2013, http://www.cs.toronto.edu/~hinton/absps/momentum.pdf).

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or one-element tensor.
        momentum: factor on the previous step; 0 keeps no state.
        dampening: how much of the gradient momentum leaves out.
        weight_decay: L2 penalty, added to the gradient.
        nesterov: look-ahead momentum; needs ``momentum > 0`` and ``dampening == 0``.
        maximize: climb instead of descend.
        foreach, fused: accepted, every step is fused already.
        differentiable: only False.

    Raises:
        ValueError: a negative option, or Nesterov without momentum.

    >>> import chainrule as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> opt = torch.optim.SGD([w], lr=0.25)
    >>> (w ** 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.5, 1.0]
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative(momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        check_fused(fused, foreach, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def _scalars(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        return ()

    def _buffers(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        return (("momentum_buffer", 0.0),) if group["momentum"] != 0 else ()

    # Asked at every step; plain SGD on a small model is mostly such overhead.
    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] != 0 else ()

    def _rule(self, group: dict[str, Any], fresh: bool, *scalars: float) -> tuple[Update, Sequence[float]]:
        lr, momentum = to_scalar(group["lr"]), to_scalar(group["momentum"])
        prepare, nesterov = decayed(group), group["nesterov"]
        if momentum == 0:

            def plain(p: np.ndarray, g: np.ndarray, t: np.ndarray, u: np.ndarray) -> None:
                if prepare:
                    g = prepare(p, g, u)
                np.multiply(g, lr, t)
                np.subtract(p, t, p)

            return plain, ()
        # The first buffer is the gradient, not damped.
        damped = not fresh and group["dampening"] != 0
        gain = 1 - group["dampening"] if damped else 1

        def heavy_ball(p: np.ndarray, g: np.ndarray, b: np.ndarray, t: np.ndarray, u: np.ndarray) -> None:
            if prepare:
                g = prepare(p, g, u)
            np.multiply(b, momentum, b)
            if damped:
                np.multiply(g, gain, t)
                np.add(b, t, b)
            else:
                np.add(b, g, b)
            if nesterov:
                np.multiply(b, momentum, t)
                np.add(t, g, t)
                np.multiply(t, lr, t)
            else:
                np.multiply(b, lr, t)
            np.subtract(p, t, p)

        return heavy_ball, ()
