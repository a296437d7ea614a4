"""Rows looked up in a table: one_hot, embedding, embedding_bag."""

import numpy as np

from ..dtypes import from_numpy_dtype
from ..errors import ArgumentValueError, DTypeError, ShapeError, UnsupportedError
from ..handle import Tensor, wrap
from ..primitive import linear, public, recorded
from ..primitive.arguments import tensor_argument
from ..primitive.view import move
from .accumulate import add_rows
from .arithmetic import mul_p
from .axes import unsqueeze_p
from .gathering import BOTH, check_bounds, gather_p
from .shape import reshape
from .views import int_argument


@public(namespaces=("nn.functional",), method=False)
def one_hot(tensor, num_classes=-1):
    """Vectors with a 1 at the place each number names; ``num_classes`` long (-1: the largest number + 1). int64.

    >>> import chainrule as torch
    >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    a = tensor_argument(tensor, "one_hot", "tensor")._data
    if a.dtype != np.int64:
        raise DTypeError(
            f"one_hot is only applicable to index tensor of type LongTensor, got {tensor.dtype}; use .long()"
        )
    n = int_argument(num_classes, "one_hot", "num_classes")
    if a.size == 0:
        if n <= 0:
            raise ShapeError("Can not infer total number of classes from empty tensor.")
        return wrap(np.zeros((*a.shape, n), np.int64))
    if a.min() < 0:
        raise ShapeError("Class values must be non-negative.")
    if n == -1:
        n = int(a.max()) + 1
    elif n < 1:
        raise ShapeError("num_classes should be positive")
    elif a.max() >= n:
        raise ShapeError(f"Class values must be smaller than num_classes. Got {int(a.max())} and num_classes={n}")
    return wrap((a[..., None] == np.arange(n)).astype(np.int64))


# ---- embedding: the transpose leaves out the padding row, so the transpose of that blanks it (dual=True)


def _counts(ids, rows):
    return np.bincount(ids.reshape(-1), minlength=rows)


def _embedding(weight, ids, padding_idx=None, by_count=False, dual=False):
    out = weight.take(ids, axis=0)
    if dual:
        if by_count:
            out = out / _counts(ids, weight.shape[0])[ids][..., None].astype(weight.dtype)
        if padding_idx is not None:
            out = np.where((ids == padding_idx)[..., None], weight.dtype.type(0), out)
    return out


def _unembed(g, ids, rows, padding_idx, by_count):
    flat = ids.reshape(-1)
    g = g.reshape(flat.size, g.shape[-1])
    if by_count:
        g = g / _counts(flat, rows)[flat][:, None].astype(g.dtype)
    out = add_rows(rows, flat, g)
    if padding_idx is not None:
        out[padding_idx] = 0
    return out


embedding_p = move(
    "embedding",
    _embedding,
    lambda o, g, s, ids, *, padding_idx=None, by_count=False, dual=False: o.unembed(
        g, ids, rows=s[0][0], padding_idx=padding_idx, by_count=by_count
    ),
    selecting=True,
)
linear(
    "unembed",
    _unembed,
    lambda o, g, s, ids, *, rows, padding_idx, by_count: o.embedding(
        g, ids, padding_idx=padding_idx, by_count=by_count, dual=True
    ),
    node_name="EmbeddingDenseBackward0",
)


def _renormalise(weight, ids, max_norm, norm_type):
    """Scale the rows in use down to ``max_norm``, in place and unrecorded, as PyTorch does."""
    rows = np.unique(ids)
    used = weight._data[rows]
    norms = np.linalg.norm(used, norm_type, axis=1)
    large = norms > max_norm
    if large.any():
        weight._data[rows[large]] = used[large] * (max_norm / (norms[large] + 1e-7))[:, None].astype(used.dtype)
        weight._bump()


def _table(ids, weight, padding_idx, sparse, operator):
    """Checked arguments: the index array and the padding row's number (None: there is none)."""
    a = tensor_argument(ids, operator)._data
    w = tensor_argument(weight, operator, "weight")._data
    if sparse:
        raise UnsupportedError(f"{operator}(): sparse=True is not supported, gradients are dense here; leave it out")
    if a.dtype not in BOTH:
        raise DTypeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"{from_numpy_dtype(a.dtype)} instead (while checking arguments for {operator})"
        )
    if w.ndim != 2:
        raise ShapeError(f"'weight' must be 2-D, got shape {list(w.shape)}")
    if padding_idx is not None:
        if not -w.shape[0] <= padding_idx < w.shape[0]:
            raise ArgumentValueError(
                f"Padding_idx must be within num_embeddings: got {padding_idx} for {w.shape[0]} rows"
            )
        padding_idx %= w.shape[0]
    check_bounds(a, w.shape[0], "index out of range in self: {i} for a table of {n} rows")
    return a, padding_idx


@public(namespaces=("nn.functional",), method=False)
def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """The rows of ``weight`` at ``input`` (ints of any shape): shape ``(*input.shape, width)``.

    padding_idx: a row that gets no gradient.  max_norm: rows in use are first scaled down to this norm, in place.
    scale_grad_by_freq: a row's gradient is divided by how often it is in ``input``.  sparse=True is an error:
    gradients are dense.

    >>> import chainrule as torch
    >>> torch.nn.functional.embedding(torch.tensor([1, 0]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]])
    """
    a, padding_idx = _table(input, weight, padding_idx, sparse, "embedding")
    if max_norm is not None:
        _renormalise(weight, a, max_norm, norm_type)
    if padding_idx is None and not scale_grad_by_freq:
        return embedding_p(weight, input)
    return embedding_p(weight, input, padding_idx=padding_idx, by_count=bool(scale_grad_by_freq))


def _bags(input, offsets, include_last_offset):
    """``(number of bags, bag of each index)`` for flat indices and their bags' starts."""
    o, n = offsets._data, input._data.size
    if o.ndim != 1:
        raise ArgumentValueError(f"offsets has to be a 1D Tensor but got a {o.ndim}-D tensor")
    if o.size == 0 and include_last_offset:
        raise ShapeError("include_last_offset: number of offsets should be at least 1")
    if o.size and o[0] != 0:
        raise ShapeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. "
            f"However, got {o[0]}"
        )
    if o.size and o[-1] > n:
        raise ShapeError(f"offsets[-1] can not be greater than input's length {n} but got offsets[-1] of {o[-1]}")
    ends = o[1:] if include_last_offset else np.append(o[1:], n)
    starts = o[:-1] if include_last_offset else o
    sizes = ends - starts
    if sizes.size and sizes.min() < 0:
        raise ShapeError("embedding_bag(): offsets must not decrease")
    bag = np.repeat(np.arange(sizes.size), sizes)
    return sizes.size, bag


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
    a, padding_idx = _table(input, weight, padding_idx, sparse, "embedding_bag")
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
        count, bag = a.shape[0], np.repeat(np.arange(a.shape[0]), a.shape[1])
        input = reshape(input, -1)
        if per_sample_weights is not None:
            per_sample_weights = reshape(per_sample_weights, -1)
    elif a.ndim == 1:
        if not isinstance(offsets, Tensor):
            raise ArgumentValueError(f"offsets has to be a 1D Tensor but got {offsets}")
        count, bag = _bags(input, offsets, include_last_offset)
    else:
        raise ArgumentValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {a.ndim}")
    if max_norm is not None:
        _renormalise(weight, a, max_norm, norm_type)
    ids = input._data[: bag.size]
    if padding_idx is not None:
        kept = np.flatnonzero(ids != padding_idx)
        ids, bag = ids[kept], bag[kept]
        if per_sample_weights is not None:
            per_sample_weights = recorded.index(per_sample_weights, wrap(kept), dims=(-1,))
    rows = embedding_p(weight, wrap(ids), padding_idx=padding_idx, by_count=bool(scale_grad_by_freq))
    if mode == "max":
        return _bag_max(rows, bag, count)
    if per_sample_weights is not None:
        rows = mul_p(rows, unsqueeze_p(per_sample_weights, dim=-1))
    width = weight._data.shape[1]
    out = recorded.unselect(rows, wrap(bag), shape=(count, width), dim=-2)
    if mode == "mean":
        share = 1 / np.maximum(np.bincount(bag, minlength=count), 1)
        out = mul_p(out, wrap(share.astype(weight._data.dtype)[:, None]))
    return out


def _bag_max(rows, bag, count):
    """The maximum of each bag: gathered from the first row that has it."""
    sizes = np.bincount(bag, minlength=count)
    longest = int(sizes.max(initial=0))
    width = rows._data.shape[1]
    if longest == 0:
        return wrap(np.zeros((count, width), rows._data.dtype))
    starts = np.cumsum(sizes) - sizes
    order = np.argsort(bag, kind="stable")
    place = np.minimum(starts[:, None] + np.arange(longest), len(bag) - 1)
    table = rows._data[order][place]
    table[np.arange(longest) >= sizes[:, None]] = -np.inf
    best = order[np.minimum(starts[:, None] + table.argmax(1), len(bag) - 1)]
    out = gather_p(rows, wrap(best), dim=-2)
    return out if sizes.all() else mul_p(out, wrap((sizes > 0).astype(rows._data.dtype)[:, None]))
