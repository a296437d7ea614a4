"""Losses with margins, between embeddings, and over several labels at once."""

import numpy as np

from ..errors import ArgumentValueError, DTypeError, ShapeError
from ..handle import wrap
from ..primitive import primitive, public, recorded
from .distance import pairwise_distance
from .loss_common import check_tensors, reduced, reduction_of
from .refusal import refuse
from .shape import reshape_p

F_ONLY = {"namespaces": ("nn.functional",), "method": False}
BOTH = {"namespaces": ("nn.functional", "torch"), "method": False}


def _reduction(reduction, size_average, reduce):
    if type(reduction) is int:  # the torch.* forms take PyTorch's internal number
        reduction = ("none", "mean", "sum")[reduction]
    return reduction_of(reduction, size_average, reduce)


@public(**BOTH)
def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """``input`` where the target is 1, ``max(0, margin - input)`` where it is -1.

    >>> import chainrule as torch
    >>> torch.nn.functional.hinge_embedding_loss(torch.tensor([0.5, 0.5]), torch.tensor([1, -1]), reduction="none")
    tensor([0.5000, 0.5000])
    """
    check_tensors("hinge_embedding_loss", input=input, target=target)
    reduction = _reduction(reduction, size_average, reduce)
    apart = recorded.where(recorded.ne(target, 1), recorded.clamp_min(margin - input, 0.0), 0.0)
    alike = recorded.where(recorded.ne(target, -1), input, 0.0)
    return reduced(apart + alike, reduction)


@public(**BOTH)
def cosine_embedding_loss(input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"):
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1:

    inputs (N, D) with target (N), or (D) with ().

    >>> import chainrule as torch
    >>> torch.nn.functional.cosine_embedding_loss(torch.ones(1, 2), torch.tensor([[0.0, 1.0]]), torch.tensor([1]))
    tensor(0.2929)
    """
    check_tensors("cosine_embedding_loss", input1=input1, input2=input2, target=target)
    reduction = _reduction(reduction, size_average, reduce)
    n, expected = target._data.ndim, input1._data.ndim
    if n not in (0, 1) or expected != n + 1 or input2._data.ndim != n + 1:
        raise ShapeError(
            f"{n}D target tensor expects {n + 1}D input tensors, but found inputs with sizes "
            f"{list(input1._data.shape)} and "
            f"{list(input2._data.shape)}."
        )
    # PyTorch adds its epsilon to the squared lengths here.
    product = (input1 * input2).sum(-1)
    lengths = ((input1 * input1).sum(-1) + 1e-12) * ((input2 * input2).sum(-1) + 1e-12)
    cosine = product / lengths.sqrt()
    alike = recorded.where(recorded.eq(target, 1), 1.0 - cosine, 0.0)
    apart = recorded.where(recorded.eq(target, -1), recorded.clamp_min(cosine - margin, 0.0), 0.0)
    return reduced(alike + apart, reduction)


@public(**BOTH)
def margin_ranking_loss(input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"):
    """``max(0, -target (input1 - input2) + margin)``: target 1 ranks the first higher, -1 the second.

    >>> import chainrule as torch
    >>> torch.nn.functional.margin_ranking_loss(torch.tensor([1.0]), torch.tensor([3.0]), torch.tensor([1.0]))
    tensor(2.)
    """
    check_tensors("margin_ranking_loss", input1=input1, input2=input2, target=target)
    reduction = _reduction(reduction, size_average, reduce)
    if not input1._data.ndim == input2._data.ndim == target._data.ndim:
        raise ShapeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
            f"{list(input1._data.shape)}, "
            f"input2: {list(input2._data.shape)}, target: {list(target._data.shape)} "
        )
    return reduced(recorded.clamp_min(-target * (input1 - input2) + margin, 0.0), reduction)


def _triplet(near, far, swapped, margin, swap, reduction):
    if swap:
        far = recorded.minimum(far, swapped)
    return reduced(recorded.clamp_min(near - far + margin, 0.0), reduction)


@public(**BOTH)
def triplet_margin_loss(
    anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, size_average=None, reduce=None, reduction="mean"
):
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` with the p-norm distance.

    swap: use the positive-negative distance where it is smaller (Balntas et al., 2016).

    >>> import chainrule as torch
    >>> torch.nn.functional.triplet_margin_loss(torch.zeros(1, 2), torch.ones(1, 2), torch.zeros(1, 2))
    tensor(2.4142)
    """
    check_tensors("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    reduction = _reduction(reduction, size_average, reduce)
    if margin <= 0:
        raise ArgumentValueError(f"margin must be greater than 0, got {margin}")
    if not anchor._data.ndim == positive._data.ndim == negative._data.ndim:
        raise ShapeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            "anchor "
            f"{anchor._data.ndim}D, positive {positive._data.ndim}D, and negative {negative._data.ndim}D inputs"
        )
    swapped = pairwise_distance(positive, negative, p, eps) if swap else None
    return _triplet(
        pairwise_distance(anchor, positive, p, eps),
        pairwise_distance(anchor, negative, p, eps),
        swapped,
        margin,
        swap,
        reduction,
    )


@public(**F_ONLY)
def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """``triplet_margin_loss`` with a distance function of the caller's (the Euclidean one if None).

    >>> import chainrule as torch
    >>> near = lambda a, b: (a - b).abs().sum(-1)
    >>> torch.nn.functional.triplet_margin_with_distance_loss(torch.zeros(1, 2), torch.ones(1, 2), torch.zeros(1,
    ...     2), distance_function=near)
    tensor(3.)
    """
    reduction = _reduction(reduction, None, None)
    distance = pairwise_distance if distance_function is None else distance_function
    if margin <= 0:
        raise ArgumentValueError(f"margin must be greater than 0, got {margin}")
    ranks = (anchor._data.ndim, positive._data.ndim, negative._data.ndim)
    if len(set(ranks)) != 1:
        raise ShapeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            "anchor "
            f"{ranks[0]}D, positive {ranks[1]}D, and negative {ranks[2]}D inputs"
        )
    swapped = distance(positive, negative) if swap else None
    return _triplet(distance(anchor, positive), distance(anchor, negative), swapped, margin, swap, reduction)


@public(**F_ONLY)
def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """``log(1 + exp(-target input))`` for targets 1 and -1.

    >>> import chainrule as torch
    >>> torch.nn.functional.soft_margin_loss(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    check_tensors("soft_margin_loss", input=input, target=target)
    reduction = _reduction(reduction, size_average, reduce)
    z = -target * input
    return reduced(recorded.log1p(recorded.exp(-abs(z))) + recorded.clamp_min(z, 0.0), reduction)


@public(**F_ONLY)
def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """The mean over classes of the binary cross entropy of each, from logits: input and target (*, C).

    >>> import chainrule as torch
    >>> torch.nn.functional.multilabel_soft_margin_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    check_tensors("multilabel_soft_margin_loss", input=input, target=target, weight=weight)
    reduction = _reduction(reduction, size_average, reduce)
    loss = recorded.binary_cross_entropy_with_logits(input, target)
    if weight is not None:
        loss = loss * weight
    return reduced(recorded.mean(loss, dim=(-1,), keepdim=False), reduction)


def _rows(operator, input, target):
    """Input as (N, C) and whether it had a batch; target must be class numbers."""
    if not input._data.ndim:
        input = reshape_p(input, shape=(1,))
    if input._data.ndim not in (1, 2) or input._data.size == 0 and input._data.shape[-1] == 0:
        raise ShapeError(
            f"{operator}(): Expected non-empty vector or matrix with optional 0-dim batch size, but "
            f"got: {list(input._data.shape)}"
        )
    if target._data.dtype != np.int64:
        raise DTypeError(
            f"{operator}(): expected scalar type Long but found {target._data.dtype}; convert the target with .long()"
        )
    single = input._data.ndim == 1
    return (reshape_p(input, shape=(1, input._data.shape[0])) if single else input), single


@public(**F_ONLY)
def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
    """``sum over i != t of max(0, margin - x[t] + x[i]) ** p / C``:

    input (N, C) or (C), target class numbers (N) or ().

    >>> import chainrule as torch
    >>> torch.nn.functional.multi_margin_loss(torch.tensor([[0.1, 0.2, 0.9]]), torch.tensor([2]))
    tensor(0.1667)
    """
    operator = "multi_margin_loss"
    check_tensors(operator, input=input, target=target, weight=weight)
    reduction = _reduction(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ArgumentValueError(f"only p == 1 and p == 2 supported, got {p}")
    x, single = _rows(operator, input, target)
    n, classes = x._data.shape
    if weight is not None and weight._data.shape != (classes,):
        raise ArgumentValueError("weight must be one-dimensional and have one element per class")
    if target._data.size != n:
        raise ShapeError(
            f"{operator}(): inconsistent target size: {list(target._data.shape)} for input {list(input._data.shape)}"
        )
    t = reshape_p(target, shape=(n, 1))
    text = f"{operator}(): target out of range: classes are numbered from 0 to {classes - 1}"
    refuse((t._data < 0) | (t._data >= classes), ShapeError, text)
    z = recorded.clamp_min(margin - x.gather(1, t) + x, 0.0)
    if p == 2:
        z = z * z
    if weight is not None:
        z = z * weight[target.reshape(n)].unsqueeze(1)
    own = wrap(np.arange(classes) == t._data)
    loss = recorded.sum(recorded.where(own, 0.0, z), dim=(-1,), keepdim=False) * (1 / classes)
    return reduced(reshape_p(loss, shape=()) if single else loss, reduction)


def _label_table(target, shape):
    """The labels of each row, 0 after its end; and which pairs of a label and another class count."""
    t = target.reshape(shape)
    listed = np.logical_and.accumulate(t >= 0, axis=1)
    labels = np.where(listed, t, 0)
    is_label = np.zeros(shape, bool)
    rows = np.broadcast_to(np.arange(shape[0])[:, None], shape)
    is_label[rows[listed], labels[listed]] = True
    return labels, listed[:, :, None] & ~is_label[:, None, :]


label_table_p = primitive("label_table", _label_table, outputs=2)


@public(**F_ONLY)
def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """``sum over labels j and others i of max(0, 1 - (x[j] - x[i])) / C``: input and target (N, C) or (C).

    A row of target lists its labels first and ends them with -1.

    >>> import chainrule as torch
    >>> torch.nn.functional.multilabel_margin_loss(torch.tensor([[0.1, 0.2, 0.4]]), torch.tensor([[2, -1, -1]]))
    tensor(0.5000)
    """
    operator = "multilabel_margin_loss"
    check_tensors(operator, input=input, target=target)
    reduction = _reduction(reduction, size_average, reduce)
    if input._data.shape != target._data.shape:
        raise ShapeError(
            f"{operator}(): inconsistent target size: {list(target._data.shape)} for input of size: "
            f"{list(input._data.shape)}"
        )
    x, single = _rows(operator, input, target)
    n, classes = x._data.shape
    t = target._data.reshape(n, classes)
    text = f"{operator}(): target elements must be -1 or class numbers up to {classes - 1}"
    if type(t) is not np.ndarray:
        refuse((t < -1) | (t >= classes), ShapeError, text)
    elif t.size and (t.min() < -1 or t.max() >= classes):
        raise ShapeError(f"{text}, got {t.min()} to {t.max()}")
    labels, counts = label_table_p(target, shape=(n, classes))
    own = x.gather(1, labels).unsqueeze(2)
    z = recorded.clamp_min(1.0 - own + x.unsqueeze(1), 0.0)
    loss = recorded.sum(recorded.where(counts, z, 0.0), dim=(-2, -1), keepdim=False) * (1 / classes)
    return reduced(reshape_p(loss, shape=()) if single else loss, reduction)
