"""Writing where a mask is true while a function is compiled: nobody knows yet how many places that are, so every
element asks whether it is one and which element of the value belongs there."""

import numpy as np

from ..errors import ShapeError
from ..primitive import primitive, recorded
from .refusal import refuse

WHERE = "Write torch.where(mask, a, b), or multiply by the mask, so that shapes stay as they are"

# Of every element of a mask: how many true ones are before it.
mask_places_p = primitive("mask_places", lambda mask: np.maximum(np.cumsum(mask.reshape(-1)) - 1, 0))


def unknown_mask(a):
    """Is ``a`` a mask without values?"""
    return type(a) is not np.ndarray and a.dtype.kind == "b" and hasattr(type(a), "values_needed")


def spread(value, mask, dim):
    """Along ``dim`` (negative) of ``value``: its slices in order at the true elements of ``mask``, whose dimensions
    take the place of ``dim``. What stands at the others is of no account."""
    s = value._data.shape
    rows = recorded.index(value, mask_places_p(mask), dims=(dim,))
    return recorded.reshape(rows, shape=(*s[: len(s) + dim], *mask._data.shape, *s[len(s) + dim + 1 :]))


def put_mask(input, value, mask, dim, accumulate):
    """``input`` with ``value`` written (or added) where ``mask`` is true, which stands for the dimensions from ``dim``
    (negative) on."""
    m = mask._data.ndim
    trail = -dim - m
    while value._data.ndim > input._data.ndim - m + 1 and value._data.shape[0] == 1:
        value = recorded.reshape(value, shape=value._data.shape[1:])
    s = value._data.shape
    if len(s) <= trail:
        there = value
    elif s[-trail - 1] == 1:
        there = recorded.reshape(value, shape=(*s[: -trail - 1], *[1] * m, *s[len(s) - trail :]))
    else:
        text = f"shape mismatch: value tensor of shape {list(s)} does not have as many elements as the mask picks"
        refuse(np.count_nonzero(mask._data) != s[-trail - 1], ShapeError, text)
        there = spread(value, mask, -trail - 1)
    mask = recorded.reshape(mask, shape=(*mask._data.shape, *[1] * trail))
    if accumulate:
        return recorded.add(input, recorded.where(mask, there, 0.0))
    return recorded.where(mask, there, input)
