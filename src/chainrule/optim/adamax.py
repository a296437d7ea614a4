"""Adamax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .flat import FlatOptimizer, Update
from .optimizer import to_scalar
from .options import check_betas, check_lr, check_not_negative, decayed


class Adamax(FlatOptimizer):
    """Adam with the largest gradient so far in place of the mean square (https://arxiv.org/abs/1412.6980, section 7).

    ``m = b1*m + (1-b1)*g``, ``n = max(b2*n, |g| + eps)``, ``p = p - lr / (1-b1^t) * m / n``.
    Arguments and errors as for `Adam`.

    >>> import chainrule as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> opt = torch.optim.Adamax([w], lr=0.5)
    >>> (w ** 2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.5000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
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
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _buffers(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        return (("exp_avg", 0.0), ("exp_inf", 0.0))

    def _rule(self, group: dict[str, Any], fresh: bool, *scalars: float) -> tuple[Update, Sequence[float]]:
        step = scalars[0] + 1
        beta1, beta2 = map(to_scalar, group["betas"])
        size, gain, eps = to_scalar(group["lr"]) / (1 - beta1**step), 1 - beta1, group["eps"]
        prepare = decayed(group)

        def update(p: np.ndarray, g: np.ndarray, m: np.ndarray, n: np.ndarray, t: np.ndarray, u: np.ndarray) -> None:
            if prepare:
                g = prepare(p, g, u)
            np.subtract(g, m, t)
            np.multiply(t, gain, t)
            np.add(m, t, m)
            np.multiply(n, beta2, n)
            np.absolute(g, t)
            np.add(t, eps, t)
            np.maximum(n, t, out=n)
            np.divide(m, n, t)
            np.multiply(t, size, t)
            np.subtract(p, t, p)

        return update, (step,)
