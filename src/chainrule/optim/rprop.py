"""Rprop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .flat import FlatOptimizer, Update
from .optimizer import to_scalar
from .options import check_lr, decayed


class Rprop(FlatOptimizer):
    """Resilient backpropagation (Riedmiller & Braun 1993): only the sign of each partial derivative counts.

    Every weight has its own step size, which grows while the sign stays and shrinks when it flips; after a flip the
    weight rests for one step. Meant for full batches.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: the first step size, a number or one-element tensor.
        etas: factors ``(shrink, grow)``.
        step_sizes: smallest and largest step size.
        capturable, foreach: accepted, they choose nothing here.
        maximize: climb instead of descend.
        differentiable: only False.

    Raises:
        ValueError: ``etas`` not on their sides of 1, or a negative learning rate.

    >>> import chainrule as torch
    >>> w = torch.tensor([1.0, -3.0], requires_grad=True)
    >>> opt = torch.optim.Rprop([w], lr=0.25)
    >>> (w ** 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.75, -2.75]
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _buffers(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        return (("prev", 0.0), ("step_size", to_scalar(group["lr"])))

    def _rule(self, group: dict[str, Any], fresh: bool, *scalars: float) -> tuple[Update, Sequence[float]]:
        shrink, grow = group["etas"]
        smallest, largest = group["step_sizes"]
        prepare = decayed(group)

        def update(
            p: np.ndarray, g: np.ndarray, prev: np.ndarray, size: np.ndarray, t: np.ndarray, u: np.ndarray
        ) -> None:
            if prepare:
                g = prepare(p, g, u)
            np.multiply(g, prev, t)
            flipped = t < 0
            np.multiply(size, grow, size, where=t > 0)
            np.multiply(size, shrink, size, where=flipped)
            np.clip(size, smallest, largest, out=size)
            np.copyto(prev, g)
            prev[flipped] = 0
            np.sign(prev, t)
            np.multiply(t, size, t)
            np.subtract(p, t, p)

        return update, (scalars[0] + 1,)
