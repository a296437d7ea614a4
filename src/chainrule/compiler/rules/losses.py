"""Losses of class numbers: the picked class is a comparison with the numbers along the class dimension, so that it
joins the softmax's pass over the row."""

import numpy as np

from ...primitive.registry import primitives
from ..lowering import lowers


def _classes(x, target):
    """Where the class is the target's, shaped like x; and the target's validity."""
    b = x.builder
    numbers = x.like(b.iota((x.shape[1], *[1] * (x.ndim - 2)), 0, "int64"))
    return numbers == np.expand_dims(target, 1)


def _checked(x, target, classes, ignore_index):
    """The targets; which count (None: all)."""
    target = target.astype(np.int64)
    outside = (target < 0) | (target >= classes)
    keep = target != ignore_index
    if not 0 <= ignore_index < classes:
        outside = outside & keep
    x.builder.check(np.any(outside), f"Target is out of bounds: classes are numbered from 0 to {classes - 1}")
    return target, keep


def _factors(x, target, keep, weight):
    """The weight of every target, and their sum."""
    w = keep.astype(x.dtype)
    if weight is not None:
        w = w * np.take(weight, np.clip(target, 0, weight.shape[0] - 1))
        w = np.where(keep, w, 0)
    return w, np.add.reduce(w, axis=None)


def _reduced(picked, w, total, reduction):
    picked = np.where(w == 0, w, picked * w)
    if reduction == "none":
        return -picked
    loss = -np.add.reduce(picked, axis=None)
    return loss if reduction == "sum" else loss / total


@lowers("nll_pick")
def nll_pick(x, target, weight=None, *, ignore_index, reduction):
    return _picked(x, 0, target, weight, ignore_index, reduction)


def _picked(x, below, target, weight, ignore_index, reduction):
    """The loss for the log-probabilities ``x - below``, ``below`` being one number per row."""
    target, keep = _checked(x, target, x.shape[1], ignore_index)
    picked = np.add.reduce(np.where(_classes(x, target), x, 0), axis=1) - below
    return _reduced(picked, *_factors(x, target, keep, weight), reduction)


@lowers("nll_spread")
def nll_spread(g, target, weight=None, *, classes, ignore_index, reduction):
    target, keep = _checked(g, target, classes, ignore_index)
    w, total = _factors(g, target, keep, weight)
    value = -g * w
    if reduction == "mean":
        value = value / total
    value = np.where(keep, value, 0)  # not 0 / 0 where all are ignored
    b = g.builder
    like = g.like(b.full((target.shape[0], classes, *target.shape[1:]), 0, g.dtype.name))
    return np.where(_classes(like, target), np.expand_dims(value, 1), 0)


@lowers("cross_entropy")
def cross_entropy(x, target, weight=None, *, ignore_index, reduction):
    """log_softmax, but that the pass over a row that sums the exponentials picks the class too."""
    if x.dtype.itemsize < 4:
        y = primitives["log_softmax"].kernel(x, -(x.ndim - 1))
        return nll_pick(y, target, weight, ignore_index=ignore_index, reduction=reduction)
    y = x - np.maximum.reduce(x, axis=1, keepdims=True, initial=-np.inf)
    total = np.log(np.add.reduce(np.exp(y), axis=1))
    return _picked(y, total, target, weight, ignore_index, reduction)
