"""What an index in brackets means: PyTorch's rules, without any tensor operator.

An index is taken apart into a basic part (ints, slices, None: a view) and an advanced part (arrays of ints or one
mask), applied one after the other, as PyTorch does. NumPy applies both at once and counts an int beside an array as an
array, which changes where the result's dimensions go.
"""

import numpy as np

from ..dtypes import from_numpy_dtype
from ..errors import ArgumentError, ArgumentValueError, IndexRangeError
from ..handle import Tensor, wrap
from .shape import FULL

ndarray = np.ndarray
ALL = slice(None)


def as_index_array(x, operator="index"):
    """A list, range or array in an index, as a tensor of ints or bools."""
    if isinstance(x, ndarray):
        return wrap(x)
    a = np.asarray(_numbers(x))
    if a.size == 0 and a.dtype.kind == "f":
        a = a.astype(np.int64)
    if a.dtype.kind not in "iubf":
        raise ArgumentError(f"{operator}: a sequence in an index must hold ints or bools, not {a.dtype}")
    return wrap(a if a.dtype.kind == "b" else a.astype(np.int64, copy=False))


def _numbers(x):
    if isinstance(x, (list, tuple, range)):
        return [_numbers(e) for e in x]
    if isinstance(x, Tensor):
        return x._data.tolist()
    return x


def _is_tuple_in_disguise(x):
    """PyTorch reads a short list that holds sequences, slices, tensors, None or ... as a tuple."""
    return len(x) < 32 and any(
        isinstance(e, (Tensor, list, tuple, range, ndarray, slice)) or e is None or e is Ellipsis for e in x
    )


def plain_slice(s):
    """A slice with ints for bounds; PyTorch has no negative steps."""
    start, stop, step = s.start, s.stop, s.step
    if not all(k is None or type(k) is int for k in (start, stop, step)):
        try:
            start, stop, step = [None if k is None else k.__index__() for k in (start, stop, step)]
        except AttributeError:
            raise ArgumentError("slice indices must be integers or None or have an __index__ method") from None
    if step is not None and step <= 0:
        raise ArgumentValueError(
            "slice step cannot be zero" if step == 0 else "step must be greater than zero; use flip()"
        )
    return slice(start, stop, step)


_INDEX_DTYPES = (np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.uint8))


def _classify(e):
    """One element of an index: an int, a slice, None, Ellipsis, a bool, or a tensor."""
    kind = type(e)
    if kind is int or e is None or e is Ellipsis or kind is bool:
        return e
    if kind is slice:
        return plain_slice(e)
    if isinstance(e, np.bool_):
        return bool(e)
    if isinstance(e, np.integer):
        return int(e)
    if not isinstance(e, Tensor):
        if isinstance(e, (list, tuple, range, ndarray)):
            e = as_index_array(e)
        elif hasattr(e, "__index__"):
            return e.__index__()
        else:
            raise IndexRangeError(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices "
                f"(got {type(e).__name__})"
            )
    a = e._data
    d = a.dtype
    if d.kind != "b" and d not in _INDEX_DTYPES:
        raise IndexRangeError(
            f"tensors used as indices must be long, int, byte or bool tensors, got {from_numpy_dtype(d)}"
        )
    if d.kind == "u":
        e, d = wrap(a != 0), np.dtype(bool)
    if a.ndim == 0 and type(a) is ndarray:
        return bool(a) if d.kind == "b" else int(a)
    return e


def is_basic(index):
    """Whether an index holds only ints, slices, None and Ellipsis, so that it gives a view."""
    index = index if type(index) is tuple else (index,)
    for e in index:
        kind = type(e)
        if kind is int or kind is slice or e is None or e is Ellipsis:
            continue
        if isinstance(e, np.integer):
            continue
        if isinstance(e, (Tensor, ndarray)):
            a = e._data if isinstance(e, Tensor) else e
            if a.ndim == 0 and type(a) is ndarray and a.dtype.kind == "i":
                continue
        return False
    return True


def take_apart(index, shape):
    """``(key, arrays, dims)``: the basic part as a full NumPy index (None if it changes nothing); the advanced part, as
    arrays of ints (or one mask) and the negative dimensions of the basic result that they index."""
    if type(index) is not tuple:
        index = tuple(index) if isinstance(index, (list, range)) and _is_tuple_in_disguise(index) else (index,)
    parts = [_classify(e) for e in index]
    ndim = len(shape)
    named = 0
    for p in parts:
        if isinstance(p, Tensor):
            named += p._data.ndim if p._data.dtype.kind == "b" else 1
        elif type(p) is int or type(p) is slice:
            named += 1
    if named > ndim:
        _too_many(index, ndim)
    key, arrays, places, trivial, dim, at, ellipsis = [Ellipsis], [], [], True, 0, 0, False
    for p in parts:
        if p is Ellipsis:
            if not ellipsis:
                skip = ndim - named
                key += FULL[skip]
                dim += skip
                at += skip
                ellipsis = True
        elif p is None:
            key.append(None)
            at += 1
            trivial = False
        elif type(p) is bool:  # a new dimension of size 1 or 0
            key.append(None)
            arrays.append(wrap(np.zeros(int(p), np.int64)))
            places.append(at)
            at += 1
            trivial = False
        elif type(p) is int:
            n = shape[dim]
            if not -n <= p < n:
                raise IndexRangeError(f"index {p} is out of bounds for dimension {dim} with size {n}")
            key.append(p)
            dim += 1
            trivial = False
        elif type(p) is slice:
            key.append(p)
            trivial = trivial and p == ALL
            dim += 1
            at += 1
        else:
            a = p._data
            k = 1
            if a.dtype.kind == "b":
                k = a.ndim
                for j in range(k):
                    if a.shape[j] != shape[dim + j]:
                        raise IndexRangeError(
                            f"The shape of the mask {list(a.shape)} at index {j} does not match the shape of the "
                            f"indexed tensor {list(shape)} at index {dim + j}"
                        )
            key += FULL[k]
            arrays.append(p)
            places.append(at)
            dim += k
            at += k
    key += FULL[ndim - dim]
    at += ndim - dim
    if len(arrays) > 1 and any(a._data.dtype.kind == "b" for a in arrays):
        arrays, places = masks_as_ints(arrays, places)
    if len(arrays) > 1:
        check_broadcast(arrays)
    return None if trivial else tuple(key), arrays, tuple([p - at for p in places])


def masks_as_ints(arrays, places):
    out, where = [], []
    for a, p in zip(arrays, places, strict=True):
        if a._data.dtype.kind == "b":
            for j, i in enumerate(a._data.nonzero()):
                out.append(wrap(i))
                where.append(p + j)
        else:
            out.append(a)
            where.append(p)
    return out, where


def check_broadcast(arrays):
    shapes = [a._data.shape for a in arrays]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        text = ", ".join([str(list(s)) for s in shapes])
        raise IndexRangeError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {text}"
        ) from None


def _too_many(index, ndim):
    if ndim == 0:
        if type(index[0]) is slice:
            raise IndexRangeError("slice() cannot be applied to a 0-dim tensor.")
        if len(index) == 1 and type(index[0]) is int:
            raise IndexRangeError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python to convert a 0-dim tensor to a number"
            )
    raise IndexRangeError(f"too many indices for tensor of dimension {ndim}")
