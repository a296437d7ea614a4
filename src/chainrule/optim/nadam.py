"""NAdam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .flat import FlatOptimizer, Update
from .optimizer import to_scalar
from .options import check_betas, check_lr, check_not_negative, decayed, rounded


class NAdam(FlatOptimizer):
    """Adam with Nesterov momentum (Dozat 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ).

    The momentum follows the schedule ``mu_t = b1 * (1 - 0.96^(t * momentum_decay) / 2)``; the step is
    ``lr * ((1-mu_t)/(1-prod mu) * g + mu_{t+1}/(1-prod mu * mu_{t+1}) * m) / (sqrt(v / (1-b2^t)) + eps)``.
    Other arguments and errors as for `Adam`.

    >>> import chainrule as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> opt = torch.optim.NAdam([w], lr=0.1)
    >>> (w ** 2).sum().backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.8944
    """

    _counters = ("step", "mu_product")

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_not_negative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _scalars(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        return (("step", 0.0), ("mu_product", 1.0))

    def _buffers(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        return (("exp_avg", 0.0), ("exp_avg_sq", 0.0))

    def _rule(self, group: dict[str, Any], fresh: bool, *scalars: float) -> tuple[Update, Sequence[float]]:
        step = scalars[0] + 1
        lr, eps, decay = to_scalar(group["lr"]), group["eps"], group["momentum_decay"]
        beta1, beta2 = map(to_scalar, group["betas"])
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))
        # The product is kept in the counters' dtype; rounding it here, too, gives the same sequence as PyTorch.
        product = rounded(rounded(scalars[1]) * rounded(mu))
        size_g = lr * (1.0 - mu) / (1.0 - product)
        size_m = lr * mu_next / (1.0 - product * mu_next)
        correction2 = (1 - beta2**step) ** 0.5
        size_g, size_m, eps = size_g * correction2, size_m * correction2, eps * correction2
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
            np.multiply(g, size_g, u)
            np.multiply(m, size_m, t)
            np.add(u, t, u)
            np.sqrt(v, t)
            np.add(t, eps, t)
            np.divide(u, t, u)
            np.subtract(p, u, p)

        return update, (step, product)
