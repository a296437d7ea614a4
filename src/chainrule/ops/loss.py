"""Losses between numbers: squared and absolute errors, likelihoods, cross entropy of probabilities of two classes."""

import math
import warnings

import numpy as np

from ..errors import ArgumentValueError, DomainError, DTypeError
from ..handle import Tensor
from ..primitive import pointwise, primitive, public, recorded
from .loss_common import check_tensors, float_pair, reduced, reduction_of, same_shape
from .refusal import refuse

F = {"namespaces": ("nn.functional",), "method": False}

# ---- squared error: one primitive, because it is the loss of most small programs


def _mse(a, b, reduction):
    d = a - b
    if reduction == "none":
        return d * d
    d = d.reshape(-1)
    total = d.dot(d)
    return total if reduction == "sum" else np.true_divide(total, d.size, dtype=d.dtype)


def _mse_vjp(o, g, s, y, a, b, *, reduction, needs):
    factor = 2.0 if reduction != "mean" else 2.0 / (math.prod(s[0]) or math.nan)
    d = (a - b) * (g * factor)
    return d if needs[0] else None, -d if needs[1] else None


mse_p = primitive(
    "mse_loss",
    _mse,
    vjp=_mse_vjp,
    define=lambda o, a, b, *, reduction: reduced((a - b) * (a - b), reduction),
)


@public(**F)
def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The mean (or sum, or none) of ``(input - target) ** 2``. Warns if the shapes differ.

    weight: factors that broadcast to the errors; the mean then divides by the sum of the weights.

    >>> import chainrule as torch
    >>> torch.nn.functional.mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """
    check_tensors("mse_loss", input=input, target=target, weight=weight)
    reduction = reduction_of(reduction, size_average, reduce)
    if input._data.shape != target._data.shape:
        input, target = same_shape("mse_loss", input, target)
    input, target = float_pair("mse_loss", input, target)
    if weight is None:
        return mse_p(input, target, reduction=reduction)
    return _weighted(mse_p(input, target, reduction="none"), weight, reduction)


def _weighted(loss, weight, reduction, by_weight=True):
    """The weighted loss; ``by_weight``: the mean divides by the sum of the weights."""
    if weight._data.shape != loss._data.shape:
        raise ArgumentValueError("Weights and input must have the same size.")
    loss = loss * weight
    if reduction == "mean" and by_weight:
        return reduced(loss, "sum") / reduced(weight, "sum")
    return reduced(loss, reduction)


@public(**F)
def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The mean (or sum, or none) of ``|input - target|``. Warns if the shapes differ.

    >>> import chainrule as torch
    >>> torch.nn.functional.l1_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(1.)
    """
    check_tensors("l1_loss", input=input, target=target, weight=weight)
    reduction = reduction_of(reduction, size_average, reduce)
    input, target = same_shape("l1_loss", input, target)
    loss = abs(input - target)
    return reduced(loss, reduction) if weight is None else _weighted(loss, weight, reduction)


def _smooth_l1(a, b, beta):
    d = np.abs(a - b)
    return np.where(d < beta, d * d * (0.5 / beta), d - 0.5 * beta)


def _clipped(o, d, limit):
    return o.where(d > limit, limit, o.where(d < -limit, -limit, d))


smooth_l1_p = pointwise(
    "smooth_l1_loss",
    _smooth_l1,
    (
        lambda o, y, a, b, *, beta: _clipped(o, a - b, beta) * (1 / beta),
        lambda o, y, a, b, *, beta: _clipped(o, b - a, beta) * (1 / beta),
    ),
)


@public(**F)
def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """Squared below ``beta``, absolute above: ``0.5 d**2 / beta`` or ``|d| - 0.5 beta``. Warns if the shapes differ.

    >>> import chainrule as torch
    >>> torch.nn.functional.smooth_l1_loss(torch.tensor([0.5, 2.0]), torch.zeros(2), reduction="none")
    tensor([0.1250, 1.5000])
    """
    check_tensors("smooth_l1_loss", input=input, target=target)
    reduction = reduction_of(reduction, size_average, reduce)
    if beta < 0:
        raise DomainError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    input, target = same_shape("smooth_l1_loss", input, target)
    if beta == 0:
        return reduced(abs(input - target), reduction)
    return reduced(smooth_l1_p(input, target, beta=float(beta)), reduction)


def _huber(a, b, delta):
    d = np.abs(a - b)
    return np.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))


huber_p = pointwise(
    "huber_loss",
    _huber,
    (lambda o, y, a, b, *, delta: _clipped(o, a - b, delta), lambda o, y, a, b, *, delta: _clipped(o, b - a, delta)),
)


@public(**F)
def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """Huber's loss: ``0.5 d**2`` up to ``delta``, then ``delta (|d| - 0.5 delta)``. Warns if the shapes differ.

    >>> import chainrule as torch
    >>> torch.nn.functional.huber_loss(torch.tensor([0.5, 2.0]), torch.zeros(2), reduction="none")
    tensor([0.1250, 1.5000])
    """
    check_tensors("huber_loss", input=input, target=target, weight=weight)
    reduction = reduction_of(reduction, None, None)
    if delta <= 0:
        raise DomainError(f"huber_loss does not support non-positive values for delta, got {delta}")
    input, target = same_shape("huber_loss", input, target)
    loss = huber_p(input, target, delta=float(delta))
    return reduced(loss, reduction) if weight is None else _weighted(loss, weight, reduction, by_weight=False)


# ---- two classes


def _bce(x, t):
    text = "binary_cross_entropy(): all elements of input should be between 0 and 1; apply sigmoid first"
    refuse((x < 0) | (x > 1), DomainError, text)
    # The logarithms are held at -100, as in PyTorch, so that a certain mistake has a finite loss.
    return (t - 1) * np.maximum(np.log1p(-x), -100) - t * np.maximum(np.log(x), -100)


def _bce_partial(o, y, x, t):
    p = (1 - x) * x
    return (x - t) / o.where(p < 1e-12, 1e-12, p)


bce_p = pointwise(
    "binary_cross_entropy",
    _bce,
    (_bce_partial, lambda o, y, x, t: o.log(1 - x) - o.log(x)),
    singular=True,
)


@public(**F)
def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Cross entropy of probabilities: ``-(target log(input) + (1 - target) log(1 - input))``, logarithms held at -100.

    Raises ArgumentValueError if the shapes differ, DomainError if an input is not in [0, 1].

    >>> import chainrule as torch
    >>> torch.nn.functional.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    check_tensors("binary_cross_entropy", input=input, target=target, weight=weight)
    reduction = reduction_of(reduction, size_average, reduce)
    if input._data.shape != target._data.shape:
        raise ArgumentValueError(
            f"Using a target size (torch.Size({list(target._data.shape)})) that is different to the input size "
            f"(torch.Size({list(input._data.shape)})) is deprecated. Please ensure they have the same size."
        )
    _same_dtype("binary_cross_entropy", input, target)
    loss = bce_p(input, target)
    if weight is not None:
        loss = loss * weight
    return reduced(loss, reduction)


def _same_dtype(operator, input, target):
    if input._data.dtype != target._data.dtype:
        raise DTypeError(
            f"{operator}(): Found dtype {target._data.dtype} but expected {input._data.dtype}; convert the target "
            "with .to(input.dtype)"
        )


def _softplus_of_minus(o, x):
    """log(1 + exp(-x)) without overflow."""
    return o.log1p(o.exp(-abs(x))) + o.where(x < 0, -x, 0.0)


def _bce_logits(x, t):
    return np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))


bce_logits_p = pointwise(
    "binary_cross_entropy_with_logits",
    _bce_logits,
    (lambda o, y, x, t: o.sigmoid(x) - t, lambda o, y, x, t: -x),
)


def _bce_logits_weighted(x, t, w):
    return (1 - t) * x + ((w - 1) * t + 1) * (np.log1p(np.exp(-np.abs(x))) + np.maximum(-x, 0))


bce_logits_weighted_p = pointwise(
    "binary_cross_entropy_with_logits_weighted",
    _bce_logits_weighted,
    (
        lambda o, y, x, t, w: (1 - t) - ((w - 1) * t + 1) * o.sigmoid(-x),
        lambda o, y, x, t, w: (w - 1) * _softplus_of_minus(o, x) - x,
        lambda o, y, x, t, w: t * _softplus_of_minus(o, x),
    ),
    node_name="BinaryCrossEntropyWithLogitsBackward0",
)


@public(namespaces=("nn.functional", "torch"), method=False)
def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """Sigmoid and binary cross entropy in one, stable for large inputs.

    pos_weight: factors of the positive class, broadcast from the right.  Raises ArgumentValueError if the shapes
    differ.

    >>> import chainrule as torch
    >>> torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    check_tensors("binary_cross_entropy_with_logits", input=input, target=target, weight=weight, pos_weight=pos_weight)
    if type(reduction) is int:  # torch.binary_cross_entropy_with_logits takes the number
        reduction = ("none", "mean", "sum")[reduction]
    reduction = reduction_of(reduction, size_average, reduce)
    if input._data.shape != target._data.shape:
        raise ArgumentValueError(
            f"Target size (torch.Size({list(target._data.shape)})) must be the same as input size "
            f"(torch.Size({list(input._data.shape)}))"
        )
    if pos_weight is None:
        loss = bce_logits_p(input, target)
    else:
        loss = bce_logits_weighted_p(input, target, pos_weight)
    if weight is not None:
        loss = loss * weight
    return reduced(loss, reduction)


# ---- distributions


@public(namespaces=("nn.functional", "torch"), method=False)
def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """Kullback-Leibler divergence ``target (log target - input)``; input holds log-probabilities.

    reduction "batchmean" divides the sum by the batch size, which is the mathematical definition.

    >>> import chainrule as torch
    >>> torch.nn.functional.kl_div(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[1.0, 0.0]]),
    ...     reduction="batchmean")
    tensor(0.6931)
    """
    check_tensors("kl_div", input=input, target=target)
    if type(reduction) is int:
        reduction = ("none", "mean", "sum")[reduction]
    elif reduction == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            UserWarning,
            stacklevel=2,
        )
    reduction = reduction_of(reduction, size_average, reduce, ("none", "mean", "sum", "batchmean"))
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = recorded.xlogy(target, target) - target * input
    if reduction == "batchmean":
        batch = input._data.shape[0] if input._data.ndim else 1
        return reduced(loss, "sum") * (1 / batch) if batch else reduced(loss, "sum") / 0
    return reduced(loss, reduction)


@public(namespaces=("nn.functional", "torch"), method=False)
def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"
):
    """Negative log likelihood of Poisson counts: ``exp(input) - target input``, or with the rate itself if not
    log_input.

    full: add Stirling's approximation of log(target!).

    >>> import chainrule as torch
    >>> torch.nn.functional.poisson_nll_loss(torch.tensor([0.0]), torch.tensor([2.0]))
    tensor(1.)
    """
    check_tensors("poisson_nll_loss", input=input, target=target)
    if type(reduction) is int:
        reduction = ("none", "mean", "sum")[reduction]
    reduction = reduction_of(reduction, size_average, reduce)
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:
        stirling = recorded.xlogy(target, target) - target + 0.5 * (target * (2 * math.pi)).log()
        loss = loss + recorded.where(target <= 1, 0.0, stirling)
    return reduced(loss, reduction)


@public(**F)
def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """Negative log likelihood of Gaussians with means ``input`` and variances ``var`` (held at ``eps`` or more,
    undifferentiated).

    Raises ArgumentValueError for a negative variance or one of the wrong shape.

    >>> import chainrule as torch
    >>> torch.nn.functional.gaussian_nll_loss(torch.tensor([1.0]), torch.tensor([3.0]), torch.tensor([1.0]))
    tensor(2.)
    """
    if isinstance(var, float):
        if var < 0:
            raise ArgumentValueError("var has negative entry/entries")
        var = input.new_full((), var).expand(input._data.shape)
    elif not isinstance(var, Tensor):
        raise ArgumentValueError(f"gaussian_nll_loss(): var must be a Tensor or a float, not {type(var).__name__}")
    refuse(var._data < 0, ArgumentValueError, "var has negative entry/entries")
    size, vsize = input._data.shape, var._data.shape
    if vsize != size:
        if vsize == size[:-1]:
            var = var.unsqueeze(-1)
        elif len(vsize) != len(size) or sum([v for s, v in zip(size, vsize, strict=True) if s != v]) != 1:
            raise ArgumentValueError(
                f"var is of incorrect size: expected {list(size)}, {list(size[:-1])} or one dimension of size 1, got "
                f"{list(vsize)}"
            )
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentValueError(f"{reduction} is not valid")
    # The bound on the variance is not part of what is differentiated, as in PyTorch.
    low = recorded.where(var < eps, eps - var.detach(), 0.0)
    var = var + low
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)
