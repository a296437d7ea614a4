"""Data types: PyTorch's names over NumPy's types, and PyTorch's promotion rules.

Promotion (PyTorch, "Tensor Attributes", type promotion): operands are ranked by kind (bool < integer < float). Tensors
with dimensions decide; a 0-dimensional tensor counts only if it is of a higher kind than those, and a Python number
only if it is of a higher kind than both.
"""

import builtins

import numpy as np

from .errors import DTypeError, UnsupportedError


class dtype:
    """A tensor's element type, e.g. ``torch.float32``."""

    __slots__ = ("_np", "is_complex", "is_floating_point", "itemsize", "kind", "name")

    def __init__(self, name, itemsize, kind, np_name):
        self.name = name
        self.itemsize = itemsize
        self.kind = kind  # 0 bool, 1 integer, 2 floating point
        self.is_floating_point = kind == 2
        self.is_complex = False
        self._np = np_name

    @property
    def np(self):
        """The NumPy dtype that stores it."""
        if type(self._np) is str:
            self._np = _bfloat16() if self._np == "bfloat16" else np.dtype(self._np)
            _FROM_NUMPY[self._np] = self
        return self._np

    @property
    def is_signed(self):
        return self.name not in ("bool", "uint8", "uint16", "uint32", "uint64")

    def __repr__(self):
        return "torch." + self.name

    def __reduce__(self):
        return _by_name, (self.name,)

    def to_real(self):
        return self


def _bfloat16():
    try:
        import ml_dtypes
    except ImportError:
        raise UnsupportedError(
            "bfloat16 needs the package ml_dtypes; install it with: pip install 'chainrule[bfloat16]'"
        ) from None
    return np.dtype(ml_dtypes.bfloat16)


_FROM_NUMPY = {}
_ALL = {}


def _define(name, itemsize, kind, np_name):
    d = _ALL[name] = dtype(name, itemsize, kind, np_name)
    if np_name != "bfloat16":
        d.np  # noqa: B018  (fills _FROM_NUMPY)
    return d


bool = _define("bool", 1, 0, "bool")
uint8 = _define("uint8", 1, 1, "uint8")
int8 = _define("int8", 1, 1, "int8")
int16 = _define("int16", 2, 1, "int16")
int32 = _define("int32", 4, 1, "int32")
int64 = _define("int64", 8, 1, "int64")
uint16 = _define("uint16", 2, 1, "uint16")
uint32 = _define("uint32", 4, 1, "uint32")
uint64 = _define("uint64", 8, 1, "uint64")
float16 = _define("float16", 2, 2, "float16")
bfloat16 = _define("bfloat16", 2, 2, "bfloat16")
float32 = _define("float32", 4, 2, "float32")
float64 = _define("float64", 8, 2, "float64")

ALIASES = {"half": float16, "float": float32, "double": float64, "short": int16, "int": int32, "long": int64}


def _by_name(name):
    return _ALL[name]


def from_numpy_dtype(np_dtype):
    """The chainrule dtype for a NumPy dtype."""
    d = _FROM_NUMPY.get(np_dtype)
    if d is not None:
        return d
    np_dtype = np.dtype(np_dtype)
    if not np_dtype.isnative:
        return from_numpy_dtype(np_dtype.newbyteorder("="))
    if np_dtype.name == "bfloat16":
        bfloat16.np  # noqa: B018
        return bfloat16
    if np_dtype.kind == "c":
        raise UnsupportedError(
            f"complex numbers ({np_dtype.name}) are not supported; keep real and imaginary parts in two tensors"
        )
    raise DTypeError(
        f"can't convert a NumPy array of type {np_dtype}; expected one of bool, integers, float16, float32, float64, "
        "bfloat16"
    )


def as_dtype(d, name="dtype"):
    """Accept a chainrule dtype, a NumPy dtype or the builtins float, int, bool."""
    if type(d) is dtype:
        return d
    if d is float:
        return float64
    if d is int:
        return int64
    if d is _builtin_bool:
        return bool
    if d is complex or str(d).startswith(("torch.complex", "complex")):
        raise UnsupportedError("complex numbers are not supported; keep real and imaginary parts in two tensors")
    try:
        return from_numpy_dtype(np.dtype(d))
    except TypeError:
        raise DTypeError(f"{name}: expected a dtype such as torch.float32, got {d!r}") from None


_builtin_bool = builtins.bool

# Same-kind promotion; symmetric. Integers: the wider one, and uint8 with a signed type of the same size goes one size
# up.
_INT_ORDER = {int8: 1, int16: 2, int32: 3, int64: 4}


def promote_types(a, b):
    """The smallest dtype that holds both, as ``torch.promote_types``."""
    if a is b:
        return a
    if a.kind != b.kind:
        return a if a.kind > b.kind else b
    if a.kind == 2:
        if a.itemsize == b.itemsize:  # float16 with bfloat16
            return float32
        return a if a.itemsize > b.itemsize else b
    if a in _INT_ORDER and b in _INT_ORDER:
        return a if _INT_ORDER[a] > _INT_ORDER[b] else b
    if a is uint8 or b is uint8:
        other = b if a is uint8 else a
        return int16 if other is int8 else other
    raise DTypeError(f"promotion of {a} with {b} is not defined; convert one of them with .to(dtype)")
