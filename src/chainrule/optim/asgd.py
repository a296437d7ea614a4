"""Averaged SGD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .flat import FlatOptimizer, Update
from .optimizer import to_scalar
from .options import check_lr, check_not_negative, decayed, either, truth


class ASGD(FlatOptimizer):
    """Averaged stochastic gradient descent (Polyak & Juditsky 1992; Bottou, https://leon.bottou.org/projects/sgd).

    ``p = p * (1 - lambd * eta) - eta * g`` with ``eta = lr / (1 + lambd*lr*t)^alpha``; ``state[p]["ax"]`` is the
    average of ``p`` from step ``t0`` on.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or one-element tensor.
        lambd: decay term.
        alpha: power of the learning rate's fall.
        t0: the step at which averaging starts.
        weight_decay: L2 penalty on the gradient.
        foreach, capturable: accepted, they choose nothing here.
        maximize: climb instead of descend.
        differentiable: only False.

    Raises:
        ValueError: a negative learning rate or weight decay.

    >>> import chainrule as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> opt = torch.optim.ASGD([w], lr=0.25, lambd=0.0)
    >>> (w ** 2).sum().backward()
    >>> opt.step()
    >>> w.tolist(), opt.state[w]["ax"].tolist()
    ([0.5], [0.5])
    """

    _counters = ("step", "eta", "mu")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative(weight_decay=weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _scalars(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        return (("step", 0.0), ("eta", to_scalar(group["lr"])), ("mu", 1.0))

    def _buffers(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        return (("ax", 0.0),)

    def _rule(self, group: dict[str, Any], fresh: bool, *scalars: float) -> tuple[Update, Sequence[float]]:
        step, eta, mu = scalars[0] + 1, scalars[1], scalars[2]
        lr, lambd = to_scalar(group["lr"]), group["lambd"]
        keep, first = 1 - lambd * eta, truth(mu == 1)
        prepare = decayed(group)

        def update(p: np.ndarray, g: np.ndarray, ax: np.ndarray, t: np.ndarray, u: np.ndarray) -> None:
            if prepare:
                g = prepare(p, g, u)
            np.multiply(p, keep, p)
            np.multiply(g, eta, t)
            np.subtract(p, t, p)
            if first is True:
                np.copyto(ax, p)
            else:
                np.subtract(p, ax, t)
                np.multiply(t, mu, t)
                np.add(ax, t, ax)
                if first is not False:
                    np.copyto(ax, np.where(first, p, ax))

        eta_next = lr / ((1 + lambd * lr * step) ** group["alpha"])
        return update, (step, eta_next, 1 / either(step - group["t0"] > 1, step - group["t0"], 1.0))
