"""Eager kernels with another NumPy: twins of their functions, in which new arrays are symbols.

A kernel that makes an array and fills it (``out = np.zeros(...); out[place] += g``) could not put symbols into it. Its
twin is the same code with other globals: ``np`` there makes symbols, and the project's functions are twins themselves.
"""

import threading
import types

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..ops import linalg_common
from .builder import Unlowered

_PACKAGE = __name__.split(".")[0]
_globals = {}  # id of a module's globals -> the twins' globals
_functions = {}  # function -> its twin
_local = threading.local()
ruled = {}  # kernel -> the rule that stands for it, also where another kernel calls it


def building(builder):
    """Set the builder for which twins make symbols in this thread; returns the one before."""
    before = getattr(_local, "builder", None)
    _local.builder = builder
    return before


def twin(function):
    """The function with symbols for new arrays."""
    found = _functions.get(function)
    if found is None:
        if not isinstance(function, types.FunctionType) or not (function.__module__ or "").startswith(_PACKAGE):
            return function
        found = types.FunctionType(
            function.__code__,
            _twin_globals(function.__globals__),
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        found.__kwdefaults__ = function.__kwdefaults__
        _functions[function] = found
    return found


def _twin_globals(original):
    found = _globals.get(id(original))
    if found is None:
        found = _globals[id(original)] = {}
        for name, value in list(original.items()):
            found[name] = _replaced(value)
    return found


def _replaced(value):
    if value is np:
        return _numpy
    if value is as_strided:
        return _as_strided
    if value is linalg_common.lapack or value is linalg_common.blas:
        return _no_wrappers
    if isinstance(value, types.FunctionType) and (value.__module__ or "").startswith(f"{_PACKAGE}."):
        return _Late(value)
    if isinstance(value, types.ModuleType) and value.__name__.startswith(f"{_PACKAGE}."):
        return _Module(value)
    return value


def _no_wrappers():
    # SciPy's wrappers must not be handed symbols: before they refuse them they give back a dtype that is not theirs,
    # until NumPy's is gone.
    raise Unlowered("LAPACK and BLAS")


class _Late:
    """A function whose twin is made when it is first called."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *args, **kw):
        rule = ruled.get(self.function)
        if rule is not None and any(_is_symbol(a) for a in args):
            return rule(*args, **kw)
        return twin(self.function)(*args, **kw)

    def __getattr__(self, name):
        return getattr(self.function, name)


class _Module:
    def __init__(self, module):
        self.module = module

    def __getattr__(self, name):
        return _replaced(getattr(self.module, name))


def _symbol(value):
    return _local.builder.symbol(value)


def _is_symbol(x):
    return hasattr(x, "builder")


class _NumPy:
    """NumPy, in which new arrays are symbols."""

    def __getattr__(self, name):
        found = self.__dict__[name] = getattr(np, name)
        return found

    @staticmethod
    def full(shape, value, dtype=None):
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        b = _local.builder
        if _is_symbol(value):
            v = value.value if dtype is None else b.convert(value.value, np.dtype(dtype))
            return _symbol(b.expand(v, shape))
        return _symbol(b.full(shape, value, np.dtype(dtype or np.asarray(value).dtype).name))

    @classmethod
    def zeros(cls, shape, dtype=float):
        return cls.full(shape, 0, dtype)

    empty = zeros

    @classmethod
    def ones(cls, shape, dtype=float):
        return cls.full(shape, 1, dtype)

    @staticmethod
    def asarray(x, dtype=None):
        if _is_symbol(x):
            return x if dtype is None else x.astype(dtype)
        return np.asarray(x, dtype)

    @staticmethod
    def ascontiguousarray(x, dtype=None):
        return _NumPy.asarray(x, dtype)

    @staticmethod
    def array(x, dtype=None, **kw):
        if _is_symbol(x):
            return x.copy() if dtype is None else x.astype(dtype)
        return np.array(x, dtype, **kw)

    @staticmethod
    def broadcast_arrays(*xs):
        shape = np.broadcast_shapes(*[np.shape(x) for x in xs])
        return [np.broadcast_to(x, shape) for x in xs]

    @staticmethod
    def bincount(index, weights=None, minlength=0):
        """``minlength`` must be the length of the result: indices are below it where kernels use this."""
        b = _local.builder
        if weights is None:
            weights = _NumPy.ones(index.shape, np.int64)
        total = _NumPy.zeros((minlength,), np.float64 if weights.dtype.kind == "f" else np.int64)
        np.add.at(total, index if _is_symbol(index) else np.asarray(index), weights)
        if not _is_symbol(total):
            raise Unlowered("bincount")
        return _symbol(b.dense(total.value))


def _as_strided(x, shape=None, strides=None, writeable=True, **kw):
    if not _is_symbol(x):
        return as_strided(x, shape, strides, writeable=writeable)
    b = _local.builder
    base, _, offset = b.access(b.dense(x.value))
    return _symbol(b.view(base, shape, [s // x.itemsize for s in strides], offset))


_numpy = _NumPy()
