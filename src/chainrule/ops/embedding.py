"""Rows looked up in a table: one_hot, embedding."""

import numpy as np

from ..config import switches
from ..dtypes import from_numpy_dtype
from ..errors import ArgumentValueError, DTypeError, ShapeError, UnsupportedError
from ..handle import wrap
from ..primitive import linear, primitive, public
from ..primitive.arguments import tensor_argument
from ..primitive.view import move
from .accumulate import add_rows
from .gathering import BOTH, check_bounds
from .refusal import needs_values, refuse
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
    negative, large = "Class values must be non-negative.", "Class values must be smaller than num_classes."
    if type(a) is not np.ndarray:
        if n == -1:
            needs_values(a, "one_hot", "the number of classes", "Pass num_classes=")
        refuse(a < 0, ShapeError, negative)
        refuse(a >= n, ShapeError, large)
    elif a.min() < 0:
        raise ShapeError(negative)
    elif n == -1:
        n = int(a.max()) + 1
    elif n >= 1 and a.max() >= n:
        raise ShapeError(f"{large} Got {int(a.max())} and num_classes={n}")
    if n < 1:
        raise ShapeError("num_classes should be positive")
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


def _shrunk(weight, ids, max_norm, norm_type):
    """Of the rows in use those with a larger norm than ``max_norm``, and what they are scaled down to."""
    rows = np.unique(ids)
    used = weight[rows]
    norms = np.linalg.norm(used, norm_type, axis=1)
    large = norms > max_norm
    if not large.any():
        return rows[:0], used[:0]
    return rows[large], used[large] * (max_norm / (norms[large] + 1e-7))[:, None].astype(used.dtype)


def _renormalised(weight, ids, max_norm, norm_type):
    out = weight.copy()
    rows, smaller = _shrunk(weight, ids, max_norm, norm_type)
    out[rows] = smaller
    return out


renormalised_p = primitive("renormalised", _renormalised)


def renormalise(weight, ids, max_norm, norm_type):
    """Scale the rows in use down to ``max_norm``, in place and unrecorded, as PyTorch does."""
    if switches.tracer is not None:
        switches.tracer.lift((weight,))
    if hasattr(type(weight._data), "overwritten"):  # a function is being compiled
        whole = renormalised_p(weight, ids, max_norm=max_norm, norm_type=norm_type)
        weight._data = weight._data.overwritten(whole._data)
        weight._bump()
        return
    rows, smaller = _shrunk(weight._data, ids._data, max_norm, norm_type)
    if rows.size:
        weight._data[rows] = smaller
        weight._bump()


def embedding_table(ids, weight, padding_idx, sparse, operator):
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
    _, padding_idx = embedding_table(input, weight, padding_idx, sparse, "embedding")
    if max_norm is not None:
        renormalise(weight, input, max_norm, norm_type)
    if padding_idx is None and not scale_grad_by_freq:
        return embedding_p(weight, input)
    return embedding_p(weight, input, padding_idx=padding_idx, by_count=bool(scale_grad_by_freq))
