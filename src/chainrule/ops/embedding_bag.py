"""Rows looked up in a table and reduced bag by bag: embedding_bag."""

import numpy as np

from ..errors import ArgumentValueError, ShapeError, UnsupportedError
from ..handle import Tensor, wrap
from ..primitive import primitive, public, recorded
from .arithmetic import mul_p
from .axes import unsqueeze_p
from .embedding import embedding_p, embedding_table, renormalise
from .gathering import gather_p
from .refusal import refuse
from .shape import reshape


def _bags(input, offsets, include_last_offset):
    """``(number of bags, bag of each index)`` for flat indices and their bags' starts."""
    o, n = offsets._data, input._data.size
    if o.ndim != 1:
        raise ArgumentValueError(f"offsets has to be a 1D Tensor but got a {o.ndim}-D tensor")
    if o.size == 0 and include_last_offset:
        raise ShapeError("include_last_offset: number of offsets should be at least 1")
    first = "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0."
    last = f"offsets[-1] can not be greater than input's length {n}"
    falling = "embedding_bag(): offsets must not decrease"
    count = o.size - 1 if include_last_offset else o.size
    if type(o) is not np.ndarray:
        refuse(o[:1] != 0, ShapeError, first)
        refuse(o[-1:] > n, ShapeError, last)
        refuse(o[1:] < o[:-1], ShapeError, falling)
        return count, *bag_of_place_p(offsets, count=count, size=n)
    if o.size and o[0] != 0:
        raise ShapeError(f"{first} However, got {o[0]}")
    if o.size and o[-1] > n:
        raise ShapeError(f"{last} but got offsets[-1] of {o[-1]}")
    ends = o[1:] if include_last_offset else np.append(o[1:], n)
    sizes = ends - o[:count]
    if sizes.size and sizes.min() < 0:
        raise ShapeError(falling)
    return count, wrap(np.repeat(np.arange(count), sizes)), None


def _bag_of_place(offsets, count, size):
    """The bag of every index, and whether it is in one (there is a last offset that ends the last bag)."""
    place = np.arange(size)
    bag = np.searchsorted(offsets[:count], place, side="right") - 1
    return np.maximum(bag, 0), place < (offsets[-1] if len(offsets) > count else size if count else 0)


bag_of_place_p = primitive("bag_of_place", _bag_of_place, outputs=2)


def _share(bag, keep=None, *, count, dtype):
    """One over the number of each bag's indices, as a column."""
    sizes = np.bincount(bag, None if keep is None else keep.astype(np.float64), count)
    return (1 / np.maximum(sizes, 1)).astype(dtype)[:, None]


def _best(rows, bag, keep=None, *, count):
    """For every bag and column: the first row that has the maximum; and which bags have rows."""
    if keep is not None:
        kept = np.flatnonzero(keep)
        rows, bag = rows[kept], bag[kept]
    sizes = np.bincount(bag, minlength=count)
    longest = int(sizes.max(initial=0))
    if longest == 0:
        return np.zeros((count, rows.shape[-1]), np.int64), sizes > 0
    starts = np.cumsum(sizes) - sizes
    order = np.argsort(bag, kind="stable")
    place = np.minimum(starts[:, None] + np.arange(longest), len(bag) - 1)
    table = rows[order][place]
    table[np.arange(longest) >= sizes[:, None]] = -np.inf
    best = order[np.minimum(starts[:, None] + table.argmax(1), len(bag) - 1)]
    return best if keep is None else kept[best], sizes > 0


share_p = primitive("bag_share", _share)
best_p = primitive("bag_best", _best, outputs=2)


@public(namespaces=("nn.functional",), method=False)
def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """The sum, mean or maximum of each bag's rows of ``weight``: shape (bags, width). Empty bags give zeros.

    input: (bags, size), or a vector of all indices with ``offsets`` saying where each bag starts.  per_sample_weights:
    factors, for
    mode "sum".  padding_idx: indices that do not count.

    >>> import chainrule as torch
    >>> w = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> torch.nn.functional.embedding_bag(torch.tensor([0, 1, 1]), w, torch.tensor([0, 2]), mode="sum")
    tensor([[4., 6.],
            [3., 4.]])
    """
    if mode not in ("sum", "mean", "max"):
        raise ArgumentValueError(f"mode has to be one of sum, mean or max, got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise ArgumentValueError("max mode does not support scaling the gradient by the frequency")
    if per_sample_weights is not None and mode != "sum":
        raise UnsupportedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}')."
        )
    if input._data.dtype.kind == "f" and weight._data.dtype.kind in "iu":
        input, weight = weight, input  # the argument order of old PyTorch versions
    a, padding_idx = embedding_table(input, weight, padding_idx, sparse, "embedding_bag")
    if per_sample_weights is not None and per_sample_weights._data.shape != a.shape:
        raise ArgumentValueError(
            "embedding_bag: If per_sample_weights is not None, then it must have the same shape as the input, "
            f"got {list(per_sample_weights._data.shape)} and {list(a.shape)}"
        )
    if a.ndim == 2:
        if offsets is not None:
            raise ArgumentValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                "sequences. However, "
                f"found offsets of type {type(offsets)}"
            )
        count, bag, keep = a.shape[0], wrap(np.repeat(np.arange(a.shape[0]), a.shape[1])), None
        input = reshape(input, -1)
        if per_sample_weights is not None:
            per_sample_weights = reshape(per_sample_weights, -1)
    elif a.ndim == 1:
        if not isinstance(offsets, Tensor):
            raise ArgumentValueError(f"offsets has to be a 1D Tensor but got {offsets}")
        count, bag, keep = _bags(input, offsets, include_last_offset)
    else:
        raise ArgumentValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {a.ndim}")
    if max_norm is not None:
        renormalise(weight, input, max_norm, norm_type)
    by_count = bool(scale_grad_by_freq)
    if type(bag._data) is type(input._data) is np.ndarray:
        if bag._data.size < input._data.size:
            input = wrap(input._data[: bag._data.size])
            if per_sample_weights is not None:
                per_sample_weights = per_sample_weights[: bag._data.size]
        if padding_idx is not None:
            kept = np.flatnonzero(input._data != padding_idx)
            input, bag = wrap(input._data[kept]), wrap(bag._data[kept])
            if per_sample_weights is not None:
                per_sample_weights = recorded.index(per_sample_weights, wrap(kept), dims=(-1,))
    elif keep is not None or padding_idx is not None:
        # How many indices count is not known yet: all stay, and those that don't are left out of the sums.
        keep = wrap(np.ones(input._data.shape, bool)) if keep is None else keep
        if padding_idx is not None:
            keep = recorded.logical_and(keep, recorded.ne(input, padding_idx))
        elif by_count:  # nor may they be counted: they stand for a row of their own
            padding_idx = weight._data.shape[0]
            weight = recorded.cat(weight, wrap(np.zeros((1, weight._data.shape[1]), weight._data.dtype.name)), dim=-2)
        if by_count:
            input = recorded.where(keep, input, padding_idx)
    rows = embedding_p(weight, input, padding_idx=padding_idx, by_count=by_count)
    if mode == "max":
        return _bag_max(rows, bag, keep, count)
    if per_sample_weights is not None:
        rows = mul_p(rows, unsqueeze_p(per_sample_weights, dim=-1))
    if keep is not None:
        rows = recorded.where(unsqueeze_p(keep, dim=-1), rows, 0.0)
    out = recorded.unselect(rows, bag, shape=(count, weight._data.shape[1]), dim=-2)
    if mode == "mean":
        how = {"count": count, "dtype": weight._data.dtype.char}
        known = keep is None and type(bag._data) is np.ndarray
        out = mul_p(out, wrap(_share(bag._data, **how)) if known else share_p(bag, keep, **how))
    return out


def _bag_max(rows, bag, keep, count):
    """The maximum of each bag: gathered from the first row that has it."""
    if rows._data.shape[0] == 0:
        return wrap(np.zeros((count, rows._data.shape[-1]), rows._data.dtype.name))
    best, full = best_p(rows, bag, keep, count=count)
    out = gather_p(rows, best, dim=-2)
    if type(full._data) is np.ndarray and full._data.all():
        return out
    return mul_p(out, wrap(full._data.astype(rows._data.dtype.name)[:, None]))
