"""RMSprop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .flat import FlatOptimizer, Update
from .optimizer import to_scalar
from .options import check_lr, check_not_negative, decayed


class RMSprop(FlatOptimizer):
    """The gradient divided by the root of its mean square (Hinton, lecture 6e of "Neural Networks for ML").

    ``v = alpha*v + (1-alpha)*g*g``, ``p = p - lr * g / (sqrt(v) + eps)``. ``centered`` subtracts the squared mean
    gradient from ``v`` under the root (Graves, https://arxiv.org/abs/1308.0850); ``momentum`` averages the quotient.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or one-element tensor.
        alpha: decay rate of the mean square.
        eps: added to the denominator.
        weight_decay: L2 penalty on the gradient.
        momentum: factor on the previous step.
        centered: divide by an estimate of the standard deviation.
        capturable, foreach: accepted, they choose nothing here.
        maximize: climb instead of descend.
        differentiable: only False.

    Raises:
        ValueError: a negative option.

    >>> import chainrule as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> opt = torch.optim.RMSprop([w], lr=0.05)
    >>> (w ** 2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.5000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative(eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _buffers(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        names = ["square_avg"]
        if group["momentum"] > 0:
            names.append("momentum_buffer")
        if group["centered"]:
            names.append("grad_avg")
        return tuple([(name, 0.0) for name in names])

    def _rule(self, group: dict[str, Any], fresh: bool, *scalars: float) -> tuple[Update, Sequence[float]]:
        lr, alpha, eps, momentum = to_scalar(group["lr"]), group["alpha"], group["eps"], group["momentum"]
        gain, centered = 1 - alpha, group["centered"]
        prepare = decayed(group)

        def update(p: np.ndarray, g: np.ndarray, v: np.ndarray, *rest: np.ndarray) -> None:
            t, u = rest[-2], rest[-1]
            if prepare:
                g = prepare(p, g, u)
            np.multiply(g, g, t)
            np.multiply(t, gain, t)
            np.multiply(v, alpha, v)
            np.add(v, t, v)
            if centered:
                mean = rest[-3]
                np.subtract(g, mean, t)
                np.multiply(t, gain, t)
                np.add(mean, t, mean)
                np.multiply(mean, mean, t)
                np.subtract(v, t, t)
                np.sqrt(t, t)
            else:
                np.sqrt(v, t)
            np.add(t, eps, t)
            np.divide(g, t, t)
            if momentum > 0:
                b = rest[0]
                np.multiply(b, momentum, b)
                np.add(b, t, b)
                np.multiply(b, lr, t)
            else:
                np.multiply(t, lr, t)
            np.subtract(p, t, p)

        return update, (scalars[0] + 1,)
