"""Adding rows at repeated indices: what the gradient of every kind of indexing comes down to. Plain NumPy, used by
kernels.

Three ways, each the quickest in its range: ``np.bincount`` for rows of one element, ``np.add.at`` on flat positions
for a few numbers, and the product with a sparse 0/1 matrix for many (SciPy, imported when first needed).
"""

import numpy as np

_MANY = 8192


def add_rows(n, index, rows):
    """An array of ``n`` rows in which row k is the sum of ``rows[i]`` over all i with ``index[i] == k``.

    index: 1-d ints in [0, n).   rows: shape (len(index), ...).
    """
    rest = rows.shape[1:]
    if rows.size == 0:
        return np.zeros((n, *rest), rows.dtype)
    if type(rows) is not np.ndarray and rows.dtype.itemsize >= 4:  # a function is being compiled
        out = np.zeros((n, *rest), rows.dtype)
        np.add.at(out, index, rows)
        return out
    width = rows.size // rows.shape[0]
    if rows.dtype.kind == "f" and rows.dtype.itemsize >= 4:
        if width == 1:
            return np.bincount(index, rows.reshape(-1), n).astype(rows.dtype, copy=False).reshape((n, *rest))
        if rows.size > _MANY:
            return _sparse_product(n, index, rows.reshape(rows.shape[0], width)).reshape((n, *rest))
    out = np.zeros(n * width, rows.dtype)
    flat = index if width == 1 else (index[:, None] * width + np.arange(width)).reshape(-1)
    if rows.dtype.kind == "b":
        np.logical_or.at(out, flat, rows.reshape(-1))
    elif rows.dtype.kind == "V" or rows.dtype.itemsize < 4 and rows.dtype.kind == "f":  # half precision: sum in single
        wide = np.zeros(n * width, np.float32)
        np.add.at(wide, flat, rows.reshape(-1).astype(np.float32))
        out = wide.astype(rows.dtype)
    else:
        np.add.at(out, flat, rows.reshape(-1))
    return out.reshape((n, *rest))


def _sparse_product(n, index, rows):
    from scipy.sparse import csc_matrix

    m = rows.shape[0]
    ones = np.ones(m, rows.dtype)
    return csc_matrix((ones, index, np.arange(m + 1)), shape=(n, m)) @ rows


def _from_the_front(index, n):
    """Negative places count from the end."""
    if type(index) is np.ndarray and not (index.size and index.min() < 0):
        return index
    return np.where(index < 0, index + n, index)


def add_at(shape, key, values):
    """Zeros of ``shape`` with ``values`` added at an index of ints arrays and full slices (values: as ``x[key]`` is
    shaped)."""
    axes = [i for i, k in enumerate(key) if not isinstance(k, slice)]
    arrays = [key[i] for i in axes]
    if len(arrays) == 1:
        index, span = arrays[0], shape[axes[0]]
        steps = index.ndim
        index = index.reshape(-1)
        index = _from_the_front(index, span)
    else:
        arrays = np.broadcast_arrays(*arrays)
        steps, span, index = arrays[0].ndim, 1, 0
        for i, a in zip(axes, arrays, strict=True):
            a = _from_the_front(a.reshape(-1), shape[i])
            index = index * shape[i] + a
            span *= shape[i]
    together = axes[-1] - axes[0] == len(axes) - 1
    at = axes[0] if together else 0  # NumPy puts the index's dimensions first if the indexed ones are apart
    if at:
        values = np.moveaxis(values, range(at, at + steps), range(steps))
    rest = tuple([n for i, n in enumerate(shape) if i not in axes])
    rows = np.ascontiguousarray(values).reshape((index.size, *rest))
    out = add_rows(span, index, rows).reshape(tuple([shape[i] for i in axes]) + rest)
    return np.moveaxis(out, range(len(axes)), axes) if axes != list(range(len(axes))) else out
