"""Adadelta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .flat import FlatOptimizer, Update
from .optimizer import to_scalar
from .options import check_lr, check_not_negative, decayed


class Adadelta(FlatOptimizer):
    """Steps in the parameter's own units (Zeiler, https://arxiv.org/abs/1212.5701).

    ``v = rho*v + (1-rho)*g*g``, ``d = sqrt(a + eps) / sqrt(v + eps) * g``, ``a = rho*a + (1-rho)*d*d``,
    ``p = p - lr * d``.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: factor on the step, a number or one-element tensor.
        rho: decay rate of both averages.
        eps: added under both roots.
        weight_decay: L2 penalty on the gradient.
        foreach, capturable: accepted, they choose nothing here.
        maximize: climb instead of descend.
        differentiable: only False.

    Raises:
        ValueError: an option outside its range.

    >>> import chainrule as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> opt = torch.optim.Adadelta([w])
    >>> (w ** 2).sum().backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.9968
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_not_negative(eps=eps, weight_decay=weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def _buffers(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        return (("square_avg", 0.0), ("acc_delta", 0.0))

    def _rule(self, group: dict[str, Any], fresh: bool, *scalars: float) -> tuple[Update, Sequence[float]]:
        lr, rho, eps = to_scalar(group["lr"]), group["rho"], group["eps"]
        gain = 1 - rho
        prepare = decayed(group)

        def update(p: np.ndarray, g: np.ndarray, v: np.ndarray, a: np.ndarray, t: np.ndarray, u: np.ndarray) -> None:
            if prepare:
                g = prepare(p, g, u)
            np.multiply(g, g, t)
            np.multiply(t, gain, t)
            np.multiply(v, rho, v)
            np.add(v, t, v)
            np.add(v, eps, t)
            np.sqrt(t, t)
            # From here on the gradient is needed once more only, so u (which may hold it) can take the step.
            np.divide(g, t, u)
            np.add(a, eps, t)
            np.sqrt(t, t)
            np.multiply(u, t, u)
            np.multiply(u, u, t)
            np.multiply(t, gain, t)
            np.multiply(a, rho, a)
            np.add(a, t, a)
            np.multiply(u, lr, u)
            np.subtract(p, u, p)

        return update, (scalars[0] + 1,)
