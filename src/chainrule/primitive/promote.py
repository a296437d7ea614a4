"""Which dtype an operator computes in: PyTorch's promotion, and casts that are recorded as operators of their own."""

import numpy as np

from .. import dtypes
from ..config import defaults
from ..dtypes import from_numpy_dtype, promote_types
from ..errors import ArgumentError, UnsupportedError
from ..handle import Tensor, wrap
from .registry import recorded

ndarray = np.ndarray
NUMBERS = (bool, int, float)


def number_dtype(x):
    """The dtype of a Python (or NumPy) number, as weak as it comes."""
    if isinstance(x, (bool, np.bool_)):
        return dtypes.bool
    if isinstance(x, (int, np.integer)):
        return dtypes.int64
    if isinstance(x, (float, np.floating)):
        return defaults.dtype
    if isinstance(x, complex):
        raise UnsupportedError("complex numbers are not supported; keep real and imaginary parts in two tensors")
    return None


def result_type(*operands):
    """The dtype PyTorch computes in, for tensors and Python numbers (``torch.result_type``)."""
    dims = zeros = numbers = None
    for x in operands:
        if isinstance(x, Tensor):
            d = from_numpy_dtype(x._data.dtype)
            if x._data.ndim:
                dims = d if dims is None else promote_types(dims, d)
            else:
                zeros = d if zeros is None else promote_types(zeros, d)
        else:
            d = number_dtype(x)
            numbers = d if numbers is None else promote_types(numbers, d)
    result = dims
    for lower in (zeros, numbers):
        if lower is None:
            continue
        if result is None:
            result = lower
        elif lower.kind > result.kind:
            # A weak operand of a higher kind brings its own dtype; a number brings the default one.
            result = lower
    return result


def as_operand(x, name, position):
    """Take tensors, numbers and NumPy arrays as operands; anything else is an error (None: not an operand)."""
    if isinstance(x, (Tensor, *NUMBERS)):
        return x
    if isinstance(x, np.generic):
        return wrap(np.asarray(x))
    if isinstance(x, ndarray):
        return wrap(x)
    if isinstance(x, complex):
        raise UnsupportedError(
            f"{name}(): complex numbers are not supported; keep real and imaginary parts in two tensors"
        )
    raise ArgumentError(
        f"{name}(): argument {position} must be Tensor or number, not {type(x).__name__}; make one with "
        "torch.tensor(...)"
    )


def cast(x, d):
    """``x`` in dtype ``d``; a recorded cast if needed."""
    return x if x._data.dtype == d.np else recorded.cast(x, d)


def number_array(x, d):
    """A Python number as a 0-d array of dtype ``d``, wrapping integers around as PyTorch does."""
    if d.kind == 1 and isinstance(x, int):
        bits = d.itemsize * 8
        x &= (1 << bits) - 1
        if d.is_signed and x >> (bits - 1):
            x -= 1 << bits
    return np.asarray(x, d.np)
