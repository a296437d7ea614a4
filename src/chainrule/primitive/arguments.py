"""Normalising arguments: dimensions become negative ints, so that a leading batch dimension changes nothing."""

from operator import index as as_int

from ..errors import ArgumentError, ArgumentValueError, IndexRangeError
from ..handle import Tensor


def tensor_argument(x, operator, name="input"):
    """``x`` if it is a tensor, else an error that says so."""
    if not isinstance(x, Tensor):
        raise ArgumentError(
            f"{operator}(): argument '{name}' must be Tensor, not {type(x).__name__}; make one with torch.tensor(...)"
        )
    return x


def one_dim(dim, ndim, operator="", wrap_scalar=True):
    """A dimension as a negative int; for a 0-d tensor, 0 and -1 are accepted and give -1."""
    try:
        d = as_int(dim)
    except TypeError:
        raise ArgumentError(f"{operator}(): argument 'dim' must be int, not {type(dim).__name__}") from None
    n = ndim
    if n == 0:
        if not wrap_scalar:
            raise IndexRangeError(f"{operator}(): dimension specified as {d} but tensor has no dimensions")
        n = 1
    if not -n <= d < n:
        raise IndexRangeError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})")
    return d if d < 0 else d - n


def many_dims(dim, ndim, operator=""):
    """Dimensions as a tuple of distinct negative ints; None or () means all."""
    if dim is None:
        return tuple(range(-ndim, 0))
    if not isinstance(dim, (tuple, list)):
        return () if ndim == 0 and -1 <= as_int(dim) <= 0 else (one_dim(dim, ndim, operator),)
    if len(dim) == 0:
        return tuple(range(-ndim, 0))
    dims = tuple(one_dim(d, ndim, operator) for d in dim)
    if len(set(dims)) != len(dims):
        raise ArgumentValueError(f"{operator}(): dim {tuple(dim)} appears multiple times in the list of dims")
    return () if ndim == 0 else dims


def size_tuple(args, operator=""):
    """Sizes given as separate ints or as one sequence."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = args[0]
    try:
        return tuple([as_int(n) for n in args])
    except TypeError:
        bad = next(n for n in args if not hasattr(n, "__index__"))
        raise ArgumentError(f"{operator}(): sizes must be ints, got {type(bad).__name__}") from None
