"""Connectionist temporal classification (Graves et al. 2006), as a composite of differentiable operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from ..errors import ArgumentError, ArgumentValueError, ShapeError
from ..handle import Tensor
from ..primitive import public

__all__ = ["ctc_loss"]

# Stands for log 0 inside the recursion: finite, so that no derivative becomes nan, yet far below any real value.
_NEVER = -1e30


@public(namespaces=("nn.functional",), method=False)
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log-probability of the target labels over all alignments.

    log_probs (T, N, C) or (T, C); targets (N, S), or all labels in a row; lengths (N,). "mean" divides each loss by
    its target length first. An impossible alignment gives inf, or 0 with `zero_infinity`.
    Raises ShapeError or ArgumentValueError for lengths and labels that do not fit.

    >>> import chainrule as torch
    >>> x = torch.zeros(2, 1, 3).log_softmax(-1)
    >>> torch.nn.functional.ctc_loss(x, torch.tensor([[1]]), [2], [1])
    tensor(1.0986)
    """
    if not isinstance(log_probs, Tensor) or not isinstance(targets, Tensor):
        raise ArgumentError("ctc_loss: log_probs and targets: expected tensors; make them with torch.tensor(...)")
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentValueError(f"{reduction} is not a valid value for reduction")
    batched = log_probs.dim() == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
    steps, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise ArgumentValueError(f"ctc_loss: blank must be in label range [0, {classes - 1}], got {blank}")
    inputs, lengths = _lengths(input_lengths), _lengths(target_lengths)
    if inputs.size != batch or lengths.size != batch:
        raise ShapeError(
            f"ctc_loss: input_lengths and target_lengths must be of size batch_size ({batch}), "
            f"got {inputs.size} and {lengths.size}"
        )
    if inputs.size and (inputs.max() > steps or inputs.min() < 0):
        raise ShapeError(f"Expected input_lengths to have value at most {steps}, but got value {inputs.max()}")
    labels = _labels(targets._data, lengths, batched)
    found = _log_likelihood(log_probs, labels, inputs, lengths, blank)
    never = found <= _NEVER / 2
    loss = ops.where(never, 0.0 if zero_infinity else math.inf, -found)
    if reduction == "mean":
        loss = (loss / Tensor._wrap(np.maximum(lengths, 1).astype(loss._data.dtype))).mean()
    elif reduction == "sum":
        loss = loss.sum()
    return loss if batched or reduction != "none" else loss.squeeze(0)


def _lengths(given: Any) -> np.ndarray:
    return np.atleast_1d(np.asarray(given._data if isinstance(given, Tensor) else given, np.int64))


def _labels(targets: np.ndarray, lengths: np.ndarray, batched: bool) -> np.ndarray:
    """The labels as (N, longest), zeros behind the end of each row."""
    longest = int(lengths.max(initial=0))
    if targets.ndim == 2 or not batched:
        targets = np.atleast_2d(targets)
        if targets.shape[0] != len(lengths) or targets.shape[1] < longest:
            raise ShapeError(
                f"Expected tensor to have size at least {longest} at dimension 1, but got size {list(targets.shape)} "
                "for targets"
            )
        return targets[:, :longest].astype(np.int64)
    if targets.size != lengths.sum():
        raise ShapeError(f"ctc_loss: expected {lengths.sum()} labels (the sum of target_lengths), got {targets.size}")
    out = np.zeros((len(lengths), longest), np.int64)
    for row, part in zip(out, np.split(targets, np.cumsum(lengths)[:-1]), strict=True):
        row[: len(part)] = part
    return out


def _log_likelihood(
    log_probs: Tensor, labels: np.ndarray, inputs: np.ndarray, lengths: np.ndarray, blank: int
) -> Tensor:
    """log Σ over alignments, (N,): forward recursion over the labels with blanks between them."""
    batch = len(labels)
    extended = np.full((batch, 2 * labels.shape[1] + 1), blank, np.int64)
    extended[:, 1::2] = labels
    width = extended.shape[1]
    if log_probs.shape[0] == 0:
        raise ShapeError("ctc_loss: log_probs has no time steps")
    dtype = log_probs._data.dtype
    # A label may follow the one before it directly, unless they are equal.
    skip = np.zeros((batch, width), bool)
    skip[:, 2:] = (extended[:, 2:] != blank) & (extended[:, 2:] != extended[:, :-2])
    skip = Tensor._wrap(skip)
    index = Tensor._wrap(np.broadcast_to(extended, (log_probs.shape[0], batch, width)).copy())
    emitted = log_probs.gather(2, index).unbind(0)
    start = Tensor._wrap(np.broadcast_to(np.arange(width) < 2, (batch, width)).copy())
    alpha = ops.where(start, emitted[0], _NEVER)
    one, two = (Tensor._wrap(np.full((batch, min(k, width)), _NEVER, dtype)) for k in (1, 2))
    for t in range(1, len(emitted)):
        stay = alpha
        step = ops.cat([one, alpha[:, :-1]], 1)
        jump = ops.where(skip, ops.cat([two, alpha[:, :-2]], 1)[:, :width], _NEVER)
        new = emitted[t] + ops.stack([stay, step, jump]).logsumexp(0)
        running = inputs > t
        alpha = new if running.all() else ops.where(Tensor._wrap(running[:, None]), new, alpha)
    last = np.stack([2 * lengths, np.maximum(2 * lengths - 1, 0)], 1)
    ends = alpha.gather(1, Tensor._wrap(last))
    ends = ops.where(Tensor._wrap(np.stack([lengths >= 0, lengths > 0], 1)), ends, _NEVER)
    without_input = Tensor._wrap(np.where(lengths == 0, 0.0, _NEVER).astype(dtype))
    return ops.where(Tensor._wrap(inputs > 0), ends.logsumexp(1), without_input)
