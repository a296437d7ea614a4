"""Indices of symbols: parts, integer arrays, masks with a number; and writing to what an index names."""

import numpy as np

from .builder import Unlowered
from .ir import contiguous


def layout(shape, function):
    """``(shape, strides, offset)`` of what ``function`` gives of a contiguous array, or None if that is a copy."""
    size = max(int(np.prod(shape)), 1)
    memory = np.empty(size, np.int8)
    out = function(memory[: int(np.prod(shape))].reshape(shape))
    place = out.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
    if out.size and not 0 <= place < size:
        return None
    return out.shape, out.strides, place if out.size else 0


def is_basic(index):
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or isinstance(p, (int, np.integer, slice)) for p in parts) and not any(
        isinstance(p, (bool, np.bool_)) for p in parts
    )


def read(symbol, index):
    """``symbol[index]``."""
    if is_basic(index):
        part = lambda a: a[index]  # noqa: E731
        out = symbol.viewed(lambda a: np.asarray(part(a)) if np.isscalar(part(a)) else _kept(a, index))
        return out
    b = symbol.builder
    flat, places, shape, order = places_of(symbol, index)
    taken = b.emit("take", (flat, places), {"dim": 0}, ((*places.shape, *flat.shape[1:]), flat.dtype))
    return symbol.like(b.transpose(b.reshape(taken, shape), order))


def _kept(a, index):
    """The part as an array even where NumPy gives a number."""
    parts = index if isinstance(index, tuple) else (index,)
    return a[(*parts, Ellipsis)] if Ellipsis not in parts else a[parts]


def places_of(symbol, index):
    """An index with integer arrays as one: ``(x as rows, the number of the row for each place, shape of the taken rows
    with the places first, the order of dimensions that NumPy gives them)``."""
    b = symbol.builder
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(p is None for p in parts):
        raise Unlowered("an index with None and arrays")
    if Ellipsis in [p for p in parts if not hasattr(p, "shape")]:
        k = next(i for i, p in enumerate(parts) if p is Ellipsis)
        parts[k : k + 1] = [slice(None)] * (symbol.ndim - len(parts) + 1)
    parts += [slice(None)] * (symbol.ndim - len(parts))
    arrays, rest = [], []
    x = symbol
    for d, p in enumerate(parts):
        if isinstance(p, slice):
            if p != slice(None):
                x = x[(slice(None),) * d + (p,)]
            rest.append(d)
        else:
            arrays.append(d)
    values = []
    for d in arrays:
        p = parts[d]
        v = p.value if hasattr(p, "builder") else b.constant(np.asarray(p))
        if v.dtype == "bool":
            raise Unlowered("an index that is a mask")
        v = b.convert(v, "int64")
        n = x.shape[d]
        symbol.like(v).within(-n, n, f"an index is out of bounds for dimension {d} with size {n}")
        v = b.map("where", b.map("lt", v, b.scalar(0, "int64"), dtype="bool"), b.map("add", v, b.scalar(n, "int64")), v)
        values.append(inside(b, v, n))
    x = b.transpose(x.value, (*arrays, *rest))
    sizes = x.shape[: len(arrays)]
    places = None
    for v, stride in zip(values, contiguous(sizes), strict=True):
        v = b.map("mul", v, b.scalar(stride, "int64"))
        places = v if places is None else b.map("add", places, v)
    flat = b.dense(b.reshape(x, (int(np.prod(sizes)), *x.shape[len(arrays) :])))
    k = len(places.shape)
    # Side by side the places stand where the arrays were, otherwise in front.
    at = arrays[0] if arrays == list(range(arrays[0], arrays[-1] + 1)) else 0
    order = (*range(k, k + at), *range(k), *range(k + at, k + len(rest)))
    return flat, places, (*places.shape, *x.shape[len(arrays) :]), order


def inside(b, v, n):
    """An index brought into range: compiled code never reads outside. That it was in range is checked apart."""
    top = b.scalar(max(n - 1, 0), v.dtype)
    return b.map("max", b.map("min", v, top), b.scalar(0, v.dtype))


def write(root, part, value):
    """Make ``value`` the part of ``root`` that ``part`` (an index, or a function of an array) names."""
    b = root.builder
    if callable(part) or is_basic(part):
        found = layout(root.shape, part if callable(part) else lambda a: _kept(a, part))
        if found is None:
            raise Unlowered("writing to a part that is a copy")
        shape, strides, offset = found
        value = b.expand(b.convert(value, root.dtype.name), shape)
        root.assign(b.update(root.value, value, strides, offset))
        return
    if getattr(part, "dtype", None) == np.bool_ and part.shape == root.shape and value.shape == ():
        mask = part.value if hasattr(part, "builder") else b.constant(part)
        root.assign(b.map("where", mask, b.convert(value, root.dtype.name), root.value))
        return
    root.assign(scattered(root, part, value, "set"))


def scattered(root, index, value, fn):
    """``root`` with ``value`` written to (or added at) an index with integer arrays."""
    b = root.builder
    flat, places, shape, order = places_of(root, index)
    target = tuple(shape[i] for i in order)
    piece = b.expand(b.convert(value, root.dtype.name), target)
    if not piece.size:
        return root.value
    piece = b.reshape(b.transpose(piece, tuple(int(i) for i in np.argsort(order))), (*places.shape, *flat.shape[1:]))
    params = {"dim": 0, "fn": fn, "along": False}
    rows = b.emit("scatter", (flat, places, piece), params, (flat.shape, flat.dtype))
    parts = index if isinstance(index, tuple) else (index,)
    whole = [p for p in parts if isinstance(p, slice) and p != slice(None)]
    if whole:
        raise Unlowered("writing to an index with arrays and slices")
    arrays = [d for d, p in enumerate(_filled(parts, root.ndim)) if not isinstance(p, slice)]
    rest = [d for d in range(root.ndim) if d not in arrays]
    moved = b.reshape(rows, tuple(root.shape[d] for d in (*arrays, *rest)))
    return b.transpose(moved, tuple(int(i) for i in np.argsort((*arrays, *rest))))


def _filled(parts, ndim):
    parts = list(parts)
    if any(p is Ellipsis for p in parts):
        k = next(i for i, p in enumerate(parts) if p is Ellipsis)
        parts[k : k + 1] = [slice(None)] * (ndim - len(parts) + 1)
    return parts + [slice(None)] * (ndim - len(parts))
