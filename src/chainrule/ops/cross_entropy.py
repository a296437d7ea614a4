"""Losses of classifiers with one right class: nll_loss and cross_entropy.

``nll_pick`` (the weighted log-probability of each target, negated and reduced) is linear in the log-probabilities;
``nll_spread`` is its transpose.
``cross_entropy`` is log_softmax and nll_pick in one, because it ends almost every classifier.
"""

import numpy as np

from ..config import modes, switches
from ..errors import ArgumentError, ArgumentValueError, DTypeError, IndexRangeError, ShapeError
from ..handle import Tensor, wrap
from ..node import call_site
from ..primitive import linear, primitive, public, recorded
from ..primitive.base import edge_of, finish_node
from ..primitive.quiet import QUIET, mute, restore
from .loss_common import check_tensors, reduced, reduction_of
from .shape import reshape_p

F = {"namespaces": ("nn.functional",), "method": False}
maximum_reduce, add_reduce, true_divide, arange, uint64 = (
    np.maximum.reduce,
    np.add.reduce,
    np.true_divide,
    np.arange,
    np.dtype(np.uint64),
)
_new = object.__new__

# ---- kernels: x (N, C, L) or (N, C), target (N, L) or (N,) of class numbers, weight (C,) or None


def _valid(target, classes, ignore_index):
    """The targets with ignored ones replaced by 0, and which are not ignored (None: all);

    raises for a class out of range.
    """
    if target.dtype != np.int64:
        target = target.astype(np.int64)
    # Negative numbers are huge as unsigned ones, so one comparison finds both kinds of bad target.
    if not 0 <= ignore_index < classes and (not target.size or maximum_reduce(target.view(uint64), None) < classes):
        return target, None
    keep = target != ignore_index
    target = np.where(keep, target, 0)
    bad = (target < 0) | (target >= classes)
    if bad.any():
        raise IndexRangeError(
            f"Target {target[bad].flat[0]} is out of bounds: classes are numbered from 0 to {classes - 1}"
        )
    return target, keep


def _factors(target, keep, weight, dtype):
    """The weight of every target (None: all 1) and their sum."""
    if weight is None:
        return (None, target.size) if keep is None else (keep.astype(dtype), keep.sum())
    w = weight[target]
    if keep is not None:
        w = w * keep
    return w, w.sum()


def _pick(x, target):
    """The element of every target's class."""
    if x.ndim == 2:
        return x[arange(x.shape[0]), target]
    return np.take_along_axis(x, target[:, None], 1)[:, 0]


def _reduce(picked, w, total, reduction):
    """Minus the weighted elements, reduced."""
    if w is not None:
        # An ignored target has weight 0 and does not count, whatever its log-probability is.
        picked = np.where(w == 0, w, picked * w)
    if reduction == "none":
        return -picked
    loss = np.add.reduce(picked, axis=None)
    return -loss if reduction == "sum" else np.true_divide(-loss, total, dtype=picked.dtype)


def _nll_pick(x, target, weight=None, *, ignore_index, reduction):
    target, keep = _valid(target, x.shape[1], ignore_index)
    w, total = _factors(target, keep, weight, x.dtype)
    return _reduce(_pick(x, target), w, total, reduction)


def _nll_spread(g, target, weight=None, *, classes, ignore_index, reduction):
    target, keep = _valid(target, classes, ignore_index)
    w, total = _factors(target, keep, weight, g.dtype)
    value = -g if w is None else -g * w
    if reduction == "mean":
        value = np.true_divide(value, total, dtype=g.dtype)
    if keep is not None:
        value = np.where(keep, value, 0)  # not 0 / 0 where all are ignored
    out = np.zeros((target.shape[0], classes, *target.shape[1:]), g.dtype)
    if target.ndim == 1:
        out[np.arange(target.shape[0]), target] = value
    else:
        np.put_along_axis(out, target[:, None], np.broadcast_to(value, target.shape)[:, None], 1)
    return out


nll_pick_p = linear(
    "nll_pick",
    _nll_pick,
    lambda o, g, s, target, weight, *, ignore_index, reduction: o.nll_spread(
        g, target, weight, classes=s[0][1], ignore_index=ignore_index, reduction=reduction
    ),
    selecting=True,
    node_name=lambda arrays, params: "NllLossBackward0" if arrays[0].ndim == 2 else "NllLoss2DBackward0",
)

nll_spread_p = linear(
    "nll_spread",
    _nll_spread,
    lambda o, g, s, target, weight, *, classes, ignore_index, reduction: o.nll_pick(
        g, target, weight, ignore_index=ignore_index, reduction=reduction
    ),
)


def _cross_entropy(x, target, weight=None, *, ignore_index, reduction):
    target, keep = _valid(target, x.shape[1], ignore_index)
    shifted = x - maximum_reduce(x, 1, None, None, True, -np.inf)
    logs = np.log(add_reduce(np.exp(shifted), 1))
    if weight is None and keep is None and reduction != "none":
        loss = add_reduce(logs, None) - add_reduce(_pick(shifted, target), None)
        return loss if reduction == "sum" else true_divide(loss, target.size, dtype=x.dtype)
    w, total = _factors(target, keep, weight, x.dtype)
    return _reduce(_pick(shifted, target) - logs, w, total, reduction)


def _cross_entropy_grad(g, x, target, weight=None, *, ignore_index, reduction):
    """(softmax - one-hot) times the gradient of each sample's loss."""
    target, keep = _valid(target, x.shape[1], ignore_index)
    w, total = _factors(target, keep, weight, x.dtype)
    p = x - maximum_reduce(x, 1, None, None, True, -np.inf)
    np.exp(p, p)
    if reduction == "mean":
        g = true_divide(g, total, dtype=p.dtype)
    if w is not None:
        g = g * w
    if keep is not None:
        g = np.where(keep, g, 0)  # not 0 / 0 where all are ignored
    if g.ndim:
        g = g[:, None]
    p *= g / add_reduce(p, 1, None, None, True)
    if p.ndim == 2:
        p[arange(p.shape[0]), target] -= g[:, 0] if g.ndim else g
    else:
        at = target[:, None]
        np.put_along_axis(p, at, np.take_along_axis(p, at, 1) - g, 1)
    return p


cross_entropy_grad_p = primitive("cross_entropy_grad", _cross_entropy_grad)


def _cross_entropy_rule(o, g, s, y, x, target, weight, *, ignore_index, reduction):
    if not o.recorded:
        return o.cross_entropy_grad(g, x, target, weight, ignore_index=ignore_index, reduction=reduction)
    spread = o.nll_spread(g, target, weight, classes=s[0][1], ignore_index=ignore_index, reduction=reduction)
    dim = 1 - len(s[0])
    return spread - o.softmax(x, dim=dim) * o.sum(spread, dim=(dim,), keepdim=True)


cross_entropy_p = primitive(
    "cross_entropy",
    _cross_entropy,
    (_cross_entropy_rule, None, None),
    define=lambda o, x, target, weight=None, **how: o.nll_pick(o.log_softmax(x, dim=1 - x.ndim), target, weight, **how),
    node_name=lambda arrays, params: "NllLossBackward0" if arrays[0].ndim == 2 else "NllLoss2DBackward0",
)
cross_entropy_p.node = cross_entropy_p.node_type("NllLossBackward0")


# ---- public functions


def _class_target(operator, input, target, weight):
    """Check shapes; returns input as (N, C) or (N, C, L), target to match, and the shape of an unreduced result."""
    sx, st = input._data.shape, target._data.shape
    n = len(sx)
    if n == 0:
        raise ShapeError(f"{operator}(): input tensor should be 1D or more, with a dimension of classes, but got 0D")
    classes = sx[0] if n == 1 else sx[1]
    if n == 1:
        if st not in ((), (1,)):
            raise ShapeError(
                f"{operator}(): for an unbatched input of shape {list(sx)} the target must be 0-D, got {list(st)}"
            )
    elif not st or st[0] != sx[0]:
        raise ArgumentValueError(
            f"Expected input batch_size ({sx[0]}) to match target batch_size ({st[0] if st else 'none: 0-D target'})."
        )
    elif n == 2 and len(st) != 1:
        raise ShapeError(
            f"{operator}(): 0D or 1D target tensor expected, multi-target not supported; got target {list(st)} for "
            f"input {list(sx)}"
        )
    elif st[1:] != sx[2:]:
        raise ShapeError(f"{operator}(): Expected target size {[sx[0], *sx[2:]]}, got {list(st)}")
    if target._data.dtype.kind not in "iu":
        raise DTypeError(
            f"{operator}(): expected scalar type Long but found {target._data.dtype}; class numbers are integers, "
            "convert with .long()"
        )
    if weight is not None and weight._data.shape != (classes,):
        raise ShapeError(
            f"{operator}(): weight tensor should be defined either for all {classes} classes or no classes but got "
            "weight tensor "
            f"of shape: {list(weight._data.shape)}"
        )
    if n == 1:
        return reshape_p(input, shape=(1, classes)), reshape_p(target, shape=(1,)), ()
    if n > 3:
        length = int(np.prod(sx[2:]))
        return reshape_p(input, shape=(*sx[:2], length)), reshape_p(target, shape=(sx[0], length)), st
    return input, target, st


def _pick_loss(primitive, operator, input, target, weight, ignore_index, reduction):
    if input._data.dtype.kind not in "fV":
        raise DTypeError(f"{operator}(): not implemented for {input._data.dtype} input; convert with .float()")
    if weight is not None and weight._data.dtype != input._data.dtype:
        raise DTypeError(
            f"{operator}(): expected weight of dtype {input._data.dtype} but found {weight._data.dtype}; convert it"
        )
    x, t, shape = _class_target(operator, input, target, weight)
    y = primitive(x, t, weight, ignore_index=ignore_index, reduction=reduction)
    return y if reduction != "none" or y._data.shape == shape else reshape_p(y, shape=shape)


@public(**F)
def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Negative log likelihood: minus the log-probability of the target class.

    input: log-probabilities (C), (N, C) or (N, C, d1, ...).  target: class numbers of input's shape without C.
    weight: a factor per class; the mean divides by the sum of the targets' weights.  Targets equal to ``ignore_index``
    do not count.
    Raises IndexRangeError for a class out of range, ShapeError or ArgumentValueError for shapes that do not fit.

    >>> import chainrule as torch
    >>> torch.nn.functional.nll_loss(torch.tensor([[-0.5, -1.0]]), torch.tensor([1]))
    tensor(1.)
    """
    check_tensors("nll_loss", input=input, target=target, weight=weight)
    reduction = reduction_of(reduction, size_average, reduce)
    return _pick_loss(nll_pick_p, "nll_loss", input, target, weight, ignore_index, reduction)


@public(**F)
def cross_entropy(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0
):
    """Cross entropy of logits: ``nll_loss(log_softmax(input))``.

    input: logits (C), (N, C) or (N, C, d1, ...).  target: class numbers of input's shape without C, or probabilities
    of input's shape.
    weight: a factor per class.  label_smoothing: mix the target with that much of the uniform distribution.
    Raises IndexRangeError for a class out of range, ShapeError or ArgumentValueError for shapes that do not fit.

    >>> import chainrule as torch
    >>> torch.nn.functional.cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """
    try:
        x, t = input._data, target._data
        plain = (
            t.ndim == 1
            and x.ndim == 2
            and t.dtype.kind == "i"
            and x.dtype.kind == "f"
            and x.shape[0] == t.shape[0]
            and weight is None
            and label_smoothing == 0.0
            and size_average is reduce is None
            and reduction in ("mean", "sum")
        )
    except AttributeError:
        plain = False
    if plain:
        if switches.anomaly is not None or type(x) is not np.ndarray or type(t) is not np.ndarray:
            return cross_entropy_p(input, target, None, ignore_index=ignore_index, reduction=reduction)
        return _plain(input, target, ignore_index, reduction)
    check_tensors("cross_entropy", input=input, target=target, weight=weight)
    reduction = reduction_of(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target._data.dtype.kind in "fV" and target._data.shape == input._data.shape:
        return _probabilities(input, target, weight, reduction, label_smoothing)
    if label_smoothing == 0.0:
        return _pick_loss(cross_entropy_p, "cross_entropy", input, target, weight, ignore_index, reduction)
    return _smoothed(input, target, weight, ignore_index, reduction, label_smoothing)


def _plain(input, target, ignore_index, reduction):
    """What ``cross_entropy_p(input, target, None, ...)`` does, spelled out for plain float arrays."""
    x, t = input._data, target._data
    token = mute(QUIET)
    try:
        r = _cross_entropy(x, t, None, ignore_index=ignore_index, reduction=reduction)
    finally:
        restore(token)
    out = _new(Tensor)
    out._data = r = np.asarray(r)
    if modes.grad and (input._requires_grad or input._base is not None):
        edge = edge_of(input)
        if edge is not None:
            out._node = node = cross_entropy_p.node((edge, None, None), (None, x, t, None), call_site())
            node.tensors = (input, target, None)
            out._requires_grad = True
            node.shapes = (x.shape, t.shape, None)
            node.params = {"ignore_index": ignore_index, "reduction": reduction}
            node.result = (r.shape, r.dtype)
            finish_node(node, (input, target, None))
    return out


def _class_dim(input):
    return -1 if input._data.ndim == 1 else 1 - input._data.ndim


def _per_class(weight, input):
    """Class weights shaped to multiply ``input``."""
    return reshape_p(weight, shape=(*weight._data.shape, *[1] * (-_class_dim(input) - 1)))


def _probabilities(input, target, weight, reduction, smoothing):
    dim = _class_dim(input)
    if smoothing:
        target = target * (1 - smoothing) + smoothing / input._data.shape[dim]
    product = recorded.log_softmax(input, dim=dim) * target
    if weight is not None:
        product = product * _per_class(weight, input)
    loss = -recorded.sum(product, dim=(dim,), keepdim=False)
    return reduced(loss, reduction)


def _smoothed(input, target, weight, ignore_index, reduction, smoothing):
    x, t, shape = _class_target("cross_entropy", input, target, weight)
    logp = recorded.log_softmax(x, dim=1 - x._data.ndim)
    nll = nll_pick_p(logp, t, weight, ignore_index=ignore_index, reduction=reduction)
    smooth = logp if weight is None else logp * _per_class(weight, x)
    smooth = -recorded.sum(smooth, dim=(1 - x._data.ndim,), keepdim=False)
    keep = recorded.ne(t, ignore_index)
    smooth = recorded.where(keep, smooth, 0.0)
    if reduction != "none":
        smooth = reduced(smooth, "sum")
        if reduction == "mean":
            # Minus the weights picked by the targets: their sum is what the mean divides by.
            ones = recorded.expand(wrap(np.ones((), x._data.dtype)), shape=x._data.shape)
            total = nll_pick_p(ones, t, weight, ignore_index=ignore_index, reduction="sum")
            smooth = smooth / -total
    y = nll * (1 - smoothing) + smooth * (smoothing / x._data.shape[1])
    return y if reduction != "none" or y._data.shape == shape else reshape_p(y, shape=shape)
