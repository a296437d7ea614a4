"""Adagrad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .flat import FlatOptimizer, Update
from .optimizer import to_scalar
from .options import check_fused, check_lr, check_not_negative, decayed


class Adagrad(FlatOptimizer):
    """The gradient divided by the root of the sum of its squares (Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html).

    ``s = s + g*g``, ``p = p - lr / (1 + (t-1) * lr_decay) * g / (sqrt(s) + eps)``.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or one-element tensor.
        lr_decay: how fast the learning rate falls.
        weight_decay: L2 penalty on the gradient.
        initial_accumulator_value: where the sum starts.
        eps: added to the denominator.
        foreach, fused: accepted, they choose nothing here.
        maximize: climb instead of descend.
        differentiable: only False.

    Raises:
        ValueError: a negative option.

    >>> import chainrule as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> opt = torch.optim.Adagrad([w], lr=0.5)
    >>> (w ** 2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.5000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative(
            lr_decay=lr_decay, weight_decay=weight_decay, initial_accumulator_value=initial_accumulator_value, eps=eps
        )
        check_fused(fused, foreach, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        # Adagrad's state exists from the start, so that it can be shared or inspected before the first step.
        for group in self.param_groups:
            for p in group["params"]:
                self._complete_state(p, group)

    def share_memory(self) -> None:
        """Not available: state is ordinary memory of this process."""
        raise NotImplementedError("Adagrad.share_memory is not supported: optimizer state cannot move to shared memory")

    def _buffers(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        return (("sum", group["initial_accumulator_value"]),)

    def _rule(self, group: dict[str, Any], fresh: bool, *scalars: float) -> tuple[Update, Sequence[float]]:
        step, eps = scalars[0] + 1, group["eps"]
        size = to_scalar(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
        prepare = decayed(group)

        def update(p: np.ndarray, g: np.ndarray, s: np.ndarray, t: np.ndarray, u: np.ndarray) -> None:
            if prepare:
                g = prepare(p, g, u)
            np.multiply(g, g, t)
            np.add(s, t, s)
            np.sqrt(s, t)
            np.add(t, eps, t)
            np.divide(g, t, t)
            np.multiply(t, size, t)
            np.subtract(p, t, p)

        return update, (step,)
