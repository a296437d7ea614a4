"""Indexing by brackets, and index_put: the operators. What an index means is in index_parts."""

import numpy as np

from ..dtypes import from_numpy_dtype
from ..errors import IndexRangeError, ShapeError
from ..handle import Tensor, wrap
from ..primitive import linear, public
from ..primitive.arguments import tensor_argument
from ..primitive.view import move
from .accumulate import add_at
from .arithmetic import add_p
from .cast import alias_p, to_dtype
from .index_parts import ALL, check_broadcast, is_basic, masks_as_ints, plain_slice, take_apart
from .mask_writes import WHERE, put_mask, unknown_mask
from .refusal import needs_values
from .shape import FULL, expand_p
from .views import slices

__all__ = ["getitem", "index_assign", "index_p", "index_put", "is_basic", "put", "slices_put"]
ndarray = np.ndarray

# ---- operators: x at arrays of ints in the dimensions `dims` (negative, ascending), or at one mask from dims[0] on


def key_of(x, ix, dims):
    """The NumPy index."""
    if len(ix) == 1:
        return (*FULL[x.ndim + dims[0]], ix[0])
    key = [ALL] * (x.ndim + dims[-1] + 1)
    for i, d in zip(ix, dims, strict=True):
        key[x.ndim + d] = i
    return tuple(key)


def out_of_range(error):
    """NumPy's IndexError in PyTorch's words."""
    return IndexRangeError(str(error).replace(" for axis ", " for dimension "))


def _index(x, *ix, dims, by=None):
    try:
        if len(ix) == 1 and ix[0].dtype.kind != "b":
            return x.take(ix[0], dims[0])  # several times quicker than x[...]
        return x[key_of(x, ix, dims)]
    except IndexError as error:
        raise out_of_range(error) from error


def _unindex(g, *ix, shape, dims):
    if ix[0].dtype == bool:
        out = np.zeros(shape, g.dtype)
        out[key_of(out, ix, dims)] = g
        return out
    key = [ALL] * len(shape)
    for i, d in zip(ix, dims, strict=True):
        key[d] = i
    return add_at(shape, key, g)


def _index_zero(x, *ix, dims):
    out = x.copy()
    out[key_of(x, ix, dims)] = 0
    return out


def _index_put(x, value, *ix, dims, accumulate=False):
    try:
        if accumulate:
            key = [*key_of(x, ix, dims)]
            key += [ALL] * (x.ndim - len(key))
            region = x[tuple(key)].shape
            return x + add_at(x.shape, key, np.broadcast_to(value, region))
        out = x.copy()
        out[key_of(x, ix, dims)] = value
        return out
    except IndexError as error:
        raise out_of_range(error) from error


def _index_put_transpose(o, g, s, *ix, dims, accumulate=False):
    value = o.index(g, *ix, dims=dims)
    if value.shape != s[1]:
        value = o.sum_to(value, shape=s[1])
    return (g if accumulate else o.index_zero(g, *ix, dims=dims)), value


index_p = move(
    "index",
    _index,
    lambda o, g, s, *ix, dims, by=None: o.unindex(g, *ix, shape=s[0], dims=dims),
    selecting=True,
    node_name=lambda arrays, params: params.get("by", "IndexBackward0"),
)
linear(
    "unindex",
    _unindex,
    lambda o, g, s, *ix, shape, dims: o.index(g, *ix, dims=dims),
    node_name="IndexBackward0Backward0",
)
linear(
    "index_zero",
    _index_zero,
    lambda o, g, s, *ix, dims: o.index_zero(g, *ix, dims=dims),
    selecting=True,
)
index_put_p = linear("index_put", _index_put, _index_put_transpose, linear_in=(0, 1), selecting=True)


def _slices_put(x, value, index):
    out = x.copy()
    out[index] = value
    return out


def _slices_put_transpose(o, g, s, *, index, name=None):
    value = o.slices(g, index=index)
    return o.slices_zero(g, index=index), value if value.shape == s[1] else o.sum_to(value, shape=s[1])


slices_put = linear(
    "slices_put",
    lambda x, value, index, name=None: _slices_put(x, value, index),
    _slices_put_transpose,
    linear_in=None,
    selecting=True,
    node_name=lambda arrays, params: params.get("name", "CopySlices"),
)
linear(
    "slices_zero",
    lambda x, index: _slices_put(x, 0, index),
    lambda o, g, s, *, index: o.slices_zero(g, index=index),
    selecting=True,
    front=True,
)

# ---- x[index], and x with x[index] = value


def getitem(input, index):
    """``input[index]``: a view for ints, slices, None and Ellipsis; a copy if the index holds arrays, lists or masks.

    Raises IndexError for an index out of range or too many of them, ValueError for a slice with a step below 1.

    >>> import chainrule as torch
    >>> x = torch.tensor([[1, 2, 3], [4, 5, 6]])
    >>> x[:, 1:]
    tensor([[2, 3],
            [5, 6]])
    >>> x[x > 4]
    tensor([5, 6])
    """
    shape = input._data.shape
    kind = index.__class__
    if kind is int:
        n = shape[0] if shape else 0
        if -n <= index < n:
            return slices(input, index=(..., index, *FULL[len(shape) - 1]), name="SelectBackward0")
    elif kind is slice:
        if shape:
            return slices(input, index=(..., plain_slice(index), *FULL[len(shape) - 1]), name="SliceBackward0")
    elif kind is tuple:
        key, named, ellipsis = [...], 0, 0
        for e in index:
            kind = e.__class__
            if kind is int:
                if ellipsis or named >= len(shape) or not -shape[named] <= e < shape[named]:
                    break
                named += 1
            elif kind is slice:
                start, stop = e.start, e.stop
                if e.step is not None or not (start is None or type(start) is int):
                    break
                if not (stop is None or type(stop) is int):
                    break
                named += 1
            elif e is not None:
                break
            key.append(e)
        else:
            if named <= len(shape):
                key += FULL[len(shape) - named]
                return slices(input, index=tuple(key))
    elif isinstance(index, Tensor) and type(index._data) is ndarray and shape:
        a = index._data
        if a.ndim and (a.dtype == np.int64 or a.dtype.kind == "b" and a.shape == shape[: a.ndim]):
            return index_p(input, index, dims=(-len(shape),))
    key, arrays, dims = take_apart(index, shape)
    if not arrays:
        return alias_p(input) if key is None else slices(input, index=key)
    if unknown_mask(arrays[0]._data):
        needs_values(arrays[0]._data, "x[mask]", "the shape of its result", WHERE)
    if key is not None:
        input = slices(input, index=key)
    return index_p(input, *arrays, dims=dims)


def _fit(value, shape):
    """``value`` without leading dimensions of size 1 that the region does not have; an error if it does not fit."""
    s = value._data.shape
    while len(s) > len(shape) and s[0] == 1:
        value = slices(value, index=(..., 0, *FULL[len(s) - 1]))
        s = s[1:]
    if s != shape and (len(s) > len(shape) or any(a not in (b, 1) for a, b in zip(s[::-1], shape[::-1], strict=False))):
        raise ShapeError(
            f"shape mismatch: value tensor of shape {list(s)} cannot be broadcast to indexing result of shape "
            f"{list(shape)}"
        )
    return value


def index_assign(input, value, index):
    """A copy of ``input`` with ``input[index]`` set to ``value`` (a tensor, broadcast and cast); both get gradients.

    >>> import chainrule as torch
    >>> from chainrule.ops.indexing import index_assign
    >>> index_assign(torch.zeros(3), torch.tensor([1.0, 2.0]), slice(0, 2))
    tensor([1., 2., 0.])
    """
    value = to_dtype(tensor_argument(value, "index_assign", "value"), from_numpy_dtype(input._data.dtype))
    key, arrays, dims = take_apart(index, input._data.shape)
    if not arrays:
        key = (..., *FULL[input._data.ndim]) if key is None else key
        region = input._data[key].shape
        return slices_put(input, _fit(value, region), index=key)
    part = input if key is None else slices(input, index=key)
    part = put(part, value, arrays, dims, False)
    return part if key is None else slices_put(input, part, index=key)


def put(input, value, arrays, dims, accumulate):
    """``input`` with ``value`` written (or added) at arrays of ints or one mask."""
    if len(arrays) == 1 and unknown_mask(arrays[0]._data):
        return put_mask(input, value, arrays[0], dims[0], accumulate)
    if accumulate and arrays[0]._data.dtype.kind == "b":
        arrays, places = masks_as_ints(arrays, dims)
        dims = tuple(places)
    region = result_shape(input._data.shape, [a._data for a in arrays], dims)
    value = _fit(value, region)
    if accumulate:
        return index_put_p(input, value, *arrays, dims=dims, accumulate=True)
    return index_put_p(input, value, *arrays, dims=dims)


def result_shape(shape, arrays, dims):
    """The shape of ``x[index]``."""
    n = len(shape)
    if arrays[0].dtype.kind == "b":
        at = n + dims[0]
        return (*shape[:at], int(np.count_nonzero(arrays[0])), *shape[at + arrays[0].ndim :])
    index = np.broadcast_shapes(*[a.shape for a in arrays])
    axes = [n + d for d in dims]
    rest = [k for i, k in enumerate(shape) if i not in axes]
    at = axes[0] if axes[-1] - axes[0] == len(axes) - 1 else 0
    return (*rest[:at], *index, *rest[at:])


@public(inplace=True)
def index_put(input, indices, values, accumulate=False):
    """A copy of ``input`` with ``values`` at ``input[indices]`` (a tuple of tensors; None means all), or added there.

    >>> import chainrule as torch
    >>> torch.index_put(torch.zeros(3), (torch.tensor([0, 0, 2]),), torch.ones(3), accumulate=True)
    tensor([2., 0., 1.])
    """
    tensor_argument(input, "index_put")
    tensor_argument(values, "index_put", "values")
    if values._data.dtype != input._data.dtype:
        raise ShapeError(
            "Index put requires the source and destination dtypes match, got "
            f"{from_numpy_dtype(input._data.dtype)} for the destination and {from_numpy_dtype(values._data.dtype)} "
            "for the source."
        )
    index = tuple([ALL if i is None else tensor_argument(i, "index_put", "indices") for i in indices])
    shape = input._data.shape
    parts, dims = [], []
    named = 0
    for e in index:
        if e is ALL:
            named += 1
            continue
        a = e._data
        if a.dtype.kind not in "iub":
            raise IndexRangeError("tensors used as indices must be long, int, byte or bool tensors")
        if a.dtype.kind == "b" or a.dtype == np.uint8:
            mask = a if a.dtype.kind == "b" else a != 0
            if mask.shape != shape[named : named + mask.ndim]:
                raise IndexRangeError(
                    f"The shape of the mask {list(mask.shape)} at index 0 does not match the shape of the indexed "
                    f"tensor {list(shape)} at index {named}"
                )
            if unknown_mask(mask) and sum(i is not ALL for i in index) == 1:
                return put(input, values, [wrap(mask)], (named - len(shape),), accumulate)
            for j, i in enumerate(mask.nonzero()):
                parts.append(wrap(i))
                dims.append(named + j)
            named += mask.ndim
        else:
            parts.append(e)
            dims.append(named)
            named += 1
    if named > len(shape):
        raise IndexRangeError(f"too many indices for tensor of dimension {len(shape)} (got {named})")
    if not parts:
        region = expand_p(values, shape=shape)
        return add_p(input, region) if accumulate else alias_p(region)
    check_broadcast(parts)
    return put(input, values, parts, tuple([d - len(shape) for d in dims]), accumulate)
