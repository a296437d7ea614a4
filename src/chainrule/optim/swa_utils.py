"""Weight averaging: stochastic weight averaging (https://arxiv.org/abs/1803.05407) and moving averages."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import numpy as np

from ..config import no_grad
from ..handle import Tensor
from ..nn.modules.batchnorm import _BatchNorm
from ..nn.modules.module import Module
from ._lr_base import LRScheduler, per_group
from .optimizer import Optimizer, to_scalar

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def get_ema_avg_fn(decay: float = 0.999) -> Callable:
    """``avg_fn`` for `AveragedModel`: ``decay * average + (1 - decay) * parameter``."""
    _check_decay(decay)

    def ema_update(averaged: Any, current: Any, num_averaged: Any) -> Any:
        with no_grad():
            return decay * averaged + (1 - decay) * current

    return ema_update


def get_swa_avg_fn() -> Callable:
    """``avg_fn`` for `AveragedModel`: the mean of all models seen."""

    def swa_update(averaged: Any, current: Any, num_averaged: Any) -> Any:
        with no_grad():
            return averaged + (current - averaged) / (num_averaged + 1)

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable:
    """``multi_avg_fn`` for `AveragedModel`: the moving average, all parameters at once."""
    _check_decay(decay)

    def ema_update(averaged: Iterable[Tensor], current: Iterable[Tensor], num_averaged: Any) -> None:
        _lerp(averaged, current, 1 - decay)

    return ema_update


def get_swa_multi_avg_fn() -> Callable:
    """``multi_avg_fn`` for `AveragedModel`: the mean, all parameters at once."""

    def swa_update(averaged: Iterable[Tensor], current: Iterable[Tensor], num_averaged: Any) -> None:
        _lerp(averaged, current, 1 / (to_scalar(num_averaged) + 1))

    return swa_update


def _lerp(averaged: Iterable[Tensor], current: Iterable[Tensor], weight: float) -> None:
    for mean, value in zip(averaged, current, strict=True):
        mean._data[...] = mean._data + (value._data - mean._data) * weight
        mean._bump()


def _copy_into(target: Tensor, source: Any) -> None:
    np.copyto(target._data, source._data, casting="unsafe")
    target._bump()


class AveragedModel(Module):
    """A copy of ``model`` that holds the average of its parameters over the calls of ``update_parameters``.

    Args:
        model: the model to average.
        device: only the CPU exists; None.
        avg_fn: ``(average, parameter, number so far) -> new average``; the equal mean by default.
        multi_avg_fn: the same for lists of tensors, in place.
        use_buffers: average buffers, too, instead of copying them.

    Raises:
        AssertionError: both functions are given.

    >>> import chainrule as torch
    >>> model = torch.nn.Linear(1, 1)
    >>> average = torch.optim.swa_utils.AveragedModel(model)
    >>> average.update_parameters(model)
    >>> bool((average.module.weight == model.weight).all())
    True
    """

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable | None = None,
        multi_avg_fn: Callable | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", Tensor._wrap(np.array(0, dtype=np.int64)))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take ``model``'s present parameters into the average; the first call copies them."""
        own: Any = self.parameters()
        theirs: Any = model.parameters()
        if self.use_buffers:
            own = itertools.chain(self.module.parameters(), self.module.buffers())
            theirs = itertools.chain(model.parameters(), model.buffers())
        pairs = [(a.detach(), b.detach()) for a, b in zip(own, theirs, strict=True)]
        if self.n_averaged.item() == 0:
            for average, value in pairs:
                _copy_into(average, value)
        elif self.avg_fn is not None:
            for average, value in pairs:
                _copy_into(average, self.avg_fn(average, value, self.n_averaged))
        else:
            update = self.multi_avg_fn or get_swa_multi_avg_fn()
            update([a for a, _ in pairs], [b for _, b in pairs], self.n_averaged)
        if not self.use_buffers:
            for average, value in zip(self.module.buffers(), model.buffers(), strict=True):
                _copy_into(average, value)
        self.n_averaged._data += 1
        self.n_averaged._bump()


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Recompute the running statistics of every batch norm in ``model`` from one pass over ``loader``."""
    momenta = {}
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    with no_grad():
        for module in momenta:
            module.momentum = None
        for batch in loader:
            if isinstance(batch, (list, tuple)):
                batch = batch[0]
            if device is not None:
                batch = batch.to(device)
            model(batch)
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Anneal the rate to ``swa_lr`` in ``anneal_epochs`` steps (``"cos"`` or ``"linear"``) and hold it there.

    Raises:
        ValueError: another strategy, or a negative or fractional number of epochs.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for lr, group in zip(per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._set_anneal_func(anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    @staticmethod
    def _linear_anneal(t: float) -> float:
        return t

    @staticmethod
    def _cosine_anneal(t: float) -> float:
        return (1 - math.cos(math.pi * t)) / 2

    @staticmethod
    def _get_initial_lr(lr: float, swa_lr: float, alpha: float) -> float:
        return swa_lr if alpha == 1 else (lr - alpha * swa_lr) / (1 - alpha)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        length = max(1, self.anneal_epochs)
        before = self.anneal_func(max(0, min(1, (step - 1) / length)))
        now = self.anneal_func(max(0, min(1, step / length)))
        rates = []
        for group in self.optimizer.param_groups:
            swa_lr = to_scalar(group["swa_lr"])
            start = self._get_initial_lr(to_scalar(group["lr"]), swa_lr, before)
            rates.append(swa_lr * now + start * (1 - now))
        return rates

    def _set_anneal_func(self, anneal_strategy: str) -> None:
        self._anneal_strategy = anneal_strategy
        self.anneal_func = self._cosine_anneal if anneal_strategy == "cos" else self._linear_anneal

    def state_dict(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("optimizer", "anneal_func")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.__dict__.update(state_dict)
        self._set_anneal_func(self._anneal_strategy)
