"""Connectionist temporal classification: the loss of a sequence whose alignment with its labels is not known.

Graves et al. (2006). Forward and backward variables in log space, one vectorised step per time over batch and states;
the states of a sequence are its labels with blanks between, before and after.
"""

import numpy as np

from ..errors import ArgumentValueError, DTypeError, ShapeError, UnsupportedError
from ..handle import Tensor, wrap
from ..primitive import primitive, public, recorded
from .loss_common import check_tensors, reduction_of
from .refusal import refuse
from .shape import reshape_p

MINUS = -np.inf


def _states(targets, lengths, blank):
    """Per sequence the labels with blanks between, (N, 2 S + 1); how many states;

    and where two labels may follow directly.
    """
    n, s = targets.shape
    states = np.full((n, 2 * s + 1), blank, np.int64)
    states[:, 1::2] = targets
    skip = np.zeros(states.shape, bool)
    skip[:, 3::2] = targets[:, 1:] != targets[:, :-1]
    return states, 2 * lengths + 1, skip


def _log_add(*xs):
    top = np.maximum.reduce(xs)
    safe = np.where(np.isfinite(top), top, 0)
    return np.log(sum(np.exp(x - safe) for x in xs)) + safe


def _shifted(a, by):
    """States moved ``by`` places towards the end (or, negative, the beginning)."""
    out = np.full_like(a, MINUS)
    if by > 0:
        out[:, by:] = a[:, :-by]
    elif a.shape[1] > -by:
        out[:, :by] = a[:, -by:]
    return out


def _forward(logp, targets, input_lengths, lengths, blank):
    """The forward variables (T, N, states) and the loss of every sequence."""
    states, count, skip = _states(targets, lengths, blank)
    t_max, n, _ = logp.shape
    batch = np.arange(n)
    emit = np.take_along_axis(logp, np.broadcast_to(states, (t_max, *states.shape)), 2) if t_max else logp[:, :, :0]
    alpha = np.full((t_max, n, states.shape[1]), MINUS, logp.dtype)
    if t_max:
        alpha[0, :, 0] = emit[0, :, 0]
        if states.shape[1] > 1:
            alpha[0, :, 1] = np.where(lengths > 0, emit[0, :, 1], MINUS)
    for t in range(1, t_max):
        a = alpha[t - 1]
        alpha[t] = _log_add(a, _shifted(a, 1), np.where(skip, _shifted(a, 2), MINUS)) + emit[t]
    last = np.maximum(input_lengths - 1, 0)
    final = alpha[last, batch] if t_max else np.full((n, states.shape[1]), MINUS, logp.dtype)
    end = final[batch, count - 1]
    before = np.where(count > 1, final[batch, np.maximum(count - 2, 0)], MINUS)
    loss = -_log_add(end, before)
    # Without time steps only an empty target is possible.
    return (
        alpha,
        emit,
        states,
        count,
        skip,
        np.where(input_lengths == 0, np.where(lengths == 0, 0, np.inf), loss).astype(logp.dtype),
    )


def _ctc(logp, targets, input_lengths, lengths, *, blank, zero_infinity):
    loss = _forward(logp, targets, input_lengths, lengths, blank)[-1]
    return np.where(np.isinf(loss), 0, loss).astype(loss.dtype) if zero_infinity else loss


def _ctc_grad(g, logp, targets, input_lengths, lengths, *, blank, zero_infinity):
    alpha, emit, states, count, skip, loss = _forward(logp, targets, input_lengths, lengths, blank)
    t_max, n, classes = logp.shape
    batch, width = np.arange(n), states.shape[1]
    position = np.arange(width)
    ends = (position == (count - 1)[:, None]) | ((position == (count - 2)[:, None]) & (count > 1)[:, None])
    beta = np.full(alpha.shape, MINUS, logp.dtype)
    forward_skip = np.zeros_like(skip)
    forward_skip[:, :-2] = skip[:, 2:]
    inside = position < count[:, None]
    for t in reversed(range(t_max)):
        start = np.where(ends, emit[t], MINUS)
        if t + 1 < t_max:
            b = beta[t + 1]
            step = _log_add(b, _shifted(b, -1), np.where(forward_skip, _shifted(b, -2), MINUS)) + emit[t]
            beta[t] = np.where(
                (input_lengths == t + 1)[:, None], start, np.where((input_lengths > t + 1)[:, None], step, MINUS)
            )
        else:
            beta[t] = np.where((input_lengths == t + 1)[:, None], start, MINUS)
    # Expected use of every class at every time; each path counts its emission in both alpha and beta, hence minus log
    # p once.
    with np.errstate(all="ignore"):
        use = np.where(inside, np.exp(alpha + beta - emit + loss[:, None]), 0)
    use = np.where(np.isnan(use), 0, use)
    expected = np.zeros_like(logp)
    for k in range(width):
        expected[:, batch, states[:, k]] += use[:, :, k]
    grad = np.exp(logp) - expected
    within = np.arange(t_max)[:, None] < input_lengths
    impossible = np.isinf(loss)
    grad = np.where(within[:, :, None], grad, 0)
    if zero_infinity:
        grad = np.where(impossible[:, None], 0, grad)
    elif impossible.any():
        grad = np.where((impossible & within)[:, :, None], np.nan, grad)
    return (grad * g[:, None]).astype(logp.dtype)


def _no_second_order(o, g, s, y, *inputs, **params):
    raise UnsupportedError("ctc_loss(): the second derivative is not implemented; differentiate once only")


primitive("ctc_grad", _ctc_grad, (_no_second_order, _no_second_order, None, None, None))

ctc_p = primitive(
    "ctc_loss",
    _ctc,
    (
        lambda o, g, s, y, logp, targets, input_lengths, lengths, **how: o.ctc_grad(
            g, logp, targets, input_lengths, lengths, **how
        ),
        None,
        None,
        None,
    ),
)


def _lengths(name, value, n):
    a = value._data if isinstance(value, Tensor) else np.asarray(value)
    if a.dtype.kind not in "iu":
        raise DTypeError(f"ctc_loss(): {name} must be integral")
    a = a.reshape(a.shape or (1,)).astype(np.int64)
    if a.shape != (n,):
        raise ShapeError(f"ctc_loss(): Expected {name} to have length {n} (the batch size), got {list(a.shape)}")
    return a


@public(namespaces=("nn.functional", "torch"), method=False)
def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """Connectionist temporal classification loss.

    log_probs: (T, N, C) or (T, C), log-probabilities.  targets: (N, S), or all labels one after the other; never the
    blank.
    lengths: per sequence, tensors or sequences of ints.  zero_infinity: sequences that cannot fit have loss and
    gradient 0.
    The mean divides each loss by its target's length first. There is no second derivative.
    Raises ShapeError for lengths that do not fit, ArgumentValueError for the blank out of range.

    >>> import chainrule as torch
    >>> log_probs = torch.zeros(4, 1, 3).log_softmax(2)
    >>> torch.nn.functional.ctc_loss(log_probs, torch.tensor([[1, 2]]), (4,), (2,))
    tensor(0.8432)
    """
    check_tensors("ctc_loss", log_probs=log_probs, targets=targets)
    if type(reduction) is int:
        reduction = ("none", "mean", "sum")[reduction]
    reduction = reduction_of(reduction, None, None)
    if log_probs._data.ndim not in (2, 3):
        raise ShapeError(f"ctc_loss(): log_probs must be (T, N, C) or (T, C), got {list(log_probs._data.shape)}")
    single = log_probs._data.ndim == 2
    x = reshape_p(log_probs, shape=(log_probs._data.shape[0], 1, log_probs._data.shape[1])) if single else log_probs
    t_max, n, classes = x._data.shape
    if not 0 <= blank < classes:
        raise ArgumentValueError(f"ctc_loss(): blank must be in label range 0 to {classes - 1}, got {blank}")
    if targets._data.dtype.kind not in "iu":
        raise DTypeError(f"ctc_loss(): targets must be integral, got {targets._data.dtype}")
    steps, lengths = _lengths("input_lengths", input_lengths, n), _lengths("target_lengths", target_lengths, n)
    text = f"ctc_loss(): Expected input_lengths to have value at most {t_max}"
    if type(steps) is not np.ndarray:
        refuse((steps > t_max) | (steps < 0), ShapeError, text)
    elif steps.max(initial=0) > t_max or steps.min(initial=0) < 0:
        raise ShapeError(f"{text}, but got value {steps.max()}")
    refuse(lengths < 0, ShapeError, "ctc_loss(): target_lengths must not be negative")
    labels = _table(targets, lengths, n, blank)
    loss = ctc_p(x, labels, wrap(steps), wrap(lengths), blank=blank, zero_infinity=bool(zero_infinity))
    if reduction == "mean":
        return recorded.mean(loss / wrap(np.maximum(lengths, 1).astype(x._data.dtype)), dim=(-1,), keepdim=False)
    if reduction == "sum":
        return recorded.sum(loss, dim=(-1,), keepdim=False)
    return reshape_p(loss, shape=()) if single else loss


def _table(targets, lengths, n, blank):
    """Targets as (N, S), filled up with blanks. S: the longest; while a function is compiled, as long as it can get."""
    t = targets._data
    known = type(lengths) is np.ndarray
    longest = int(lengths.max(initial=0)) if known else t.shape[1] if t.ndim == 2 else t.size
    if t.ndim == 2:
        if t.shape[0] != n or t.shape[1] < longest:
            raise ShapeError(
                f"ctc_loss(): Expected tensor to have size at least {longest} at dimension 1, but got size "
                f"{list(t.shape)} for targets"
            )
        if not known:
            text = f"ctc_loss(): Expected target_lengths to be at most {t.shape[1]}, the number of columns of targets"
            refuse(lengths > t.shape[1], ShapeError, text)
    else:
        total = lengths.sum()
        text = f"ctc_loss(): targets hold {t.size} labels, but target_lengths add up to {total if known else 'more'}"
        refuse(total > t.size, ShapeError, text)
    return table_p(targets, wrap(lengths), width=longest, blank=blank)


def _labels(targets, lengths, width, blank):
    place = np.arange(width)
    inside = place < lengths[:, None]
    if not targets.size:
        return np.full(inside.shape, blank, np.int64)
    if targets.ndim == 2:
        return np.where(inside, targets[:, :width].astype(np.int64), blank)
    starts = np.cumsum(lengths) - lengths
    return np.where(inside, targets.astype(np.int64)[np.minimum(starts[:, None] + place, targets.size - 1)], blank)


table_p = primitive("ctc_labels", _labels)
