"""RAdam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .flat import FlatOptimizer, Update
from .optimizer import to_scalar
from .options import check_betas, check_lr, check_not_negative, decayed, either, truth


class RAdam(FlatOptimizer):
    """Rectified Adam (Liu et al., https://arxiv.org/abs/1908.03265).

    Plain momentum while the variance of the second moment is not yet tractable (``rho_t <= 5``), then Adam's step
    times the rectification term. Arguments and errors as for `Adam`.

    >>> import chainrule as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> opt = torch.optim.RAdam([w], lr=0.1)
    >>> (w ** 2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.8000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative(eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )

    def _buffers(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        return (("exp_avg", 0.0), ("exp_avg_sq", 0.0))

    def _rule(self, group: dict[str, Any], fresh: bool, *scalars: float) -> tuple[Update, Sequence[float]]:
        step = scalars[0] + 1
        beta1, beta2 = map(to_scalar, group["betas"])
        correction2 = 1 - beta2**step
        size, eps = to_scalar(group["lr"]) / (1 - beta1**step), group["eps"]
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * step * beta2**step / correction2
        rectified = truth(rho > 5.0)
        if rectified is not False:
            factor = ((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
            size = either(rectified, size * factor * correction2**0.5, size)
        gain1, gain2 = 1 - beta1, 1 - beta2
        prepare = decayed(group, group["decoupled_weight_decay"])

        def update(p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, t: np.ndarray, u: np.ndarray) -> None:
            if prepare:
                g = prepare(p, g, u)
            np.multiply(m, beta1, m)
            np.multiply(g, gain1, t)
            np.add(m, t, m)
            np.multiply(v, beta2, v)
            np.square(g, t)
            np.multiply(t, gain2, t)
            np.add(v, t, v)
            if rectified is not False:
                np.sqrt(v, t)
                np.add(t, eps, t)
                np.divide(m, either(rectified, t, 1.0), t)
                np.multiply(t, size, t)
            else:
                np.multiply(m, size, t)
            np.subtract(p, t, p)

        return update, (step,)
