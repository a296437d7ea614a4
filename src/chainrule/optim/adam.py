"""Adam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..handle import Tensor
from .flat import FlatOptimizer, Update
from .optimizer import to_scalar
from .options import check_betas, check_fused, check_lr, check_not_negative, decayed


class Adam(FlatOptimizer):
    """Adam (Kingma & Ba, https://arxiv.org/abs/1412.6980): momentum scaled by the root of the mean squared gradient.

    ``m = b1*m + (1-b1)*g``, ``v = b2*v + (1-b2)*g*g``,
    ``p = p - lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)``.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or one-element tensor.
        betas: decay rates ``(b1, b2)`` of the two averages.
        eps: added to the denominator.
        weight_decay: L2 penalty on the gradient, or a shrinking of ``p`` if ``decoupled_weight_decay``.
        amsgrad: divide by the largest ``v`` so far (Reddi et al., https://arxiv.org/abs/1904.09237).
        maximize: climb instead of descend.
        foreach, fused, capturable: accepted, they choose nothing here.
        differentiable: only False.
        decoupled_weight_decay: decay as in AdamW.

    Raises:
        ValueError: an option outside its range.

    >>> import chainrule as torch
    >>> w = torch.tensor([1.0, -1.0], requires_grad=True)
    >>> opt = torch.optim.Adam([w], lr=0.5)
    >>> (w ** 2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([ 0.5000, -0.5000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        check_lr(lr)
        check_not_negative(eps=eps)
        for i, beta in enumerate(betas):
            if isinstance(beta, Tensor) and beta._data.size != 1:
                raise ValueError(f"Tensor betas[{i}] must be 1-element")
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        if isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor) or not all(
            isinstance(b, (float, Tensor)) for b in betas
        ):
            raise ValueError("betas must be either both floats or both Tensors")
        check_fused(fused, foreach, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": tuple(betas),
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _buffers(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        if group["amsgrad"]:
            return (("exp_avg", 0.0), ("exp_avg_sq", 0.0), ("max_exp_avg_sq", 0.0))
        return (("exp_avg", 0.0), ("exp_avg_sq", 0.0))

    def _rule(self, group: dict[str, Any], fresh: bool, *scalars: float) -> tuple[Update, Sequence[float]]:
        step = scalars[0] + 1
        beta1, beta2 = map(to_scalar, group["betas"])
        prepare = decayed(group, group["decoupled_weight_decay"])
        # lr*m/c1 / (sqrt(v)/c2 + eps) with c2 moved out of the denominator: one pass less over the arrays.
        correction2 = (1 - beta2**step) ** 0.5
        size = to_scalar(group["lr"]) / (1 - beta1**step) * correction2
        eps = group["eps"] * correction2
        gain1, gain2 = 1 - beta1, 1 - beta2

        def update(p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, *rest: np.ndarray) -> None:
            t, u = rest[-2], rest[-1]
            if prepare:
                g = prepare(p, g, u)
            np.multiply(m, beta1, m)
            np.multiply(g, gain1, t)
            np.add(m, t, m)
            np.multiply(v, beta2, v)
            np.square(g, t)
            np.multiply(t, gain2, t)
            np.add(v, t, v)
            if len(rest) == 3:
                v = np.maximum(rest[0], v, out=rest[0])
            np.sqrt(v, t)
            np.add(t, eps, t)
            np.divide(m, t, t)
            np.multiply(t, size, t)
            np.subtract(p, t, p)

        return update, (step,)
