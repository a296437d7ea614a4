"""Arrays without values: what the eager kernels and the tensors compute with while a program is captured.

A ``Symbol`` follows NumPy's protocols, so that the same kernel text that runs eagerly on arrays makes instructions
when it is run on symbols. As arrays it can be written to (``out=``, ``x[...] =``); each write makes a new value.
"""

import math
import threading

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..config import hold
from ..errors import CaptureError, IndexRangeError
from ..node import call_site, site_text
from .array_places import FUNCTIONS
from .builder import Unlowered, as_dtype, elsewhere
from .indexing import read, write
from .ir import contiguous
from .ufuncs import call_ufunc

_DTYPES = {}


def marked(name):
    """A dtype equal to NumPy's but another object, so that the spelled-out calls for plain arrays let symbols pass."""
    d = _DTYPES.get(name)
    if d is None:
        d = as_dtype(name)
        d = _DTYPES[name] = np.dtype(d, metadata={"symbol": True}) if d.kind != "V" else d
    return d


class Symbol(NDArrayOperatorsMixin):
    """One array of the program being captured. ``weak``: it stands for a Python number."""

    __slots__ = ("__weakref__", "_seen", "_value", "builder", "memory", "moved", "part", "root", "weak")
    base = None
    shares = True  # the tensors of one symbol and its views are relatives, as those of one array

    def __init__(self, builder, value, weak=False, root=None, part=None):
        self.builder = builder
        self._value = value
        self.weak = weak
        self.root = root  # for a part of a symbol that kernels may write to: that symbol,
        self.part = part  # and the function that gives the part of its array
        self._seen = None  # for which value of the root, and after which undone attempt, ``_value`` is right
        self.moved = None  # after an in-place operator: what the memory holds now
        self.memory = None  # of an input: a weak reference to the array, which is what other threads see

    # ---- values

    @property
    def value(self):
        if self.root is None:
            return self._value
        b, whole = self.builder, self.root.value
        if self._seen is None or self._seen[0] is not whole or self._seen[1] != b.undone:
            self._value, self._seen = b.viewed(whole, self.part), (whole, b.undone)
        return self._value

    def assign(self, value):
        """The symbol is another value from now on; a part changes the symbol it is part of."""
        value = self.builder.convert(value, self._value.dtype)
        value = self.builder.expand(value, self.shape)
        if self.root is None:
            self._value = value
        else:
            write(self.root, self.part, value)

    def like(self, value, weak=False):
        return Symbol(self.builder, value, weak)

    def overwritten(self, array):
        """The memory holds ``array`` from now on: the symbol for it, which all tensors on this memory find. What was
        saved of the old value stays as it is."""
        if self.builder.thread != threading.get_ident():
            raise elsewhere()
        self.moved = Symbol(self.builder, array.value)
        self.moved.memory = self.memory
        return self.moved

    # ---- what can be known

    @property
    def shape(self):
        return self.value.shape

    @property
    def ndim(self):
        return len(self.value.shape)

    @property
    def size(self):
        return self.value.size

    @property
    def dtype(self):
        return marked(self._value.dtype)

    @property
    def itemsize(self):
        return self.dtype.itemsize

    @property
    def nbytes(self):
        return self.value.nbytes

    @property
    def strides(self):
        """In bytes, of the symbol as an array of its own."""
        return tuple([s * self.itemsize for s in contiguous(self.shape)])

    @property
    def T(self):
        value = self.value
        return self.viewed(lambda a: a.T, self.builder.transpose(value, range(len(value.shape))[::-1]))

    @property
    def flags(self):
        return _Flags

    def __len__(self):
        return self.shape[0]

    # ---- moving

    def viewed(self, function, value=None):
        """A part that shares memory with this symbol, or a copy where NumPy would copy. ``value``: the part's, if it is
        known."""
        b, whole = self.builder, self.value
        part = Symbol(b, b.viewed(whole, function) if value is None else value, root=self, part=function)
        part._seen = whole, b.undone
        return part

    def reshape(self, *shape, **kw):
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
        return self.viewed(lambda a: a.reshape(shape))

    def transpose(self, *axes):
        return self.viewed(lambda a: a.transpose(*axes))

    def swapaxes(self, a, b):
        return self.viewed(lambda x: x.swapaxes(a, b))

    def squeeze(self, axis=None):
        return self.viewed(lambda a: a.squeeze(axis))

    def diagonal(self, offset=0, axis1=0, axis2=1):
        return self.viewed(lambda a: a.diagonal(offset, axis1, axis2))

    def ravel(self, order="C"):
        return self.like(self.builder.reshape(self.value, (self.size,)))

    flatten = ravel

    def copy(self, order="C"):
        return self.like(self.value)

    def astype(self, dtype, *args, **kw):
        return self.like(self.builder.convert(self.value, np.dtype(dtype)))

    def rounded(self, dtype):
        """A number as ``dtype`` would hold it."""
        b = self.builder
        return self.like(b.convert(b.convert(self.value, np.dtype(dtype)), self.dtype.name), self.weak)

    def within(self, low, high, message, error=IndexRangeError, again=None):
        """Check, when the compiled step runs, that all elements lie in [low, high).

        ``again``: a function that raises the eager error for the array.
        """
        if self.size and not known_valid(self.value, low, high):
            wrong = np.any((self < low) | (self >= high))
            self.builder.check(wrong, message, error, again and (again, (self,)))

    def look_up(self, table):
        """``table[self]`` of an array."""
        return np.take(self.like(self.builder.constant(table)), self)

    def refuse(self, error, message):
        """Raise ``error(message)``, when the compiled step runs, if an element is true."""
        if self.size:
            self.builder.check(np.any(self), message, error)

    def view(self, dtype):
        if np.dtype(dtype) == self.dtype:
            return self.like(self.value)
        self.values_needed("its bits")

    def fill(self, value):
        self.assign(value.value if isinstance(value, Symbol) else self.builder.scalar(value, self.dtype.name))

    def ones(self):
        """Ones of this kind; what a gradient starts with."""
        return self.like(self.builder.full(self.shape, 1, self.dtype.name))

    def __getitem__(self, index):
        return read(self, index)

    def __setitem__(self, index, value):
        if isinstance(index, Symbol) and index.dtype.kind == "b":
            write(self, index, operand(self, value, self.dtype))
            return
        part = self[index] if index is not Ellipsis else self
        if part.root is not None or part is self:
            part.assign(operand(self, value, self.dtype))
        else:
            write(self, index, operand(self, value, self.dtype))

    # ---- computing

    def __array_ufunc__(self, ufunc, method, *inputs, **kw):
        return call_ufunc(self, ufunc, method, inputs, kw)

    def __array_function__(self, function, types, args, kw):
        rule = FUNCTIONS.get(function)
        if rule is None:
            self.values_needed(f"numpy.{function.__name__}")
        return rule(self, *args, **kw)

    def take(self, indices, axis=None, out=None, mode="raise"):
        return np.take(self, indices, axis)

    def sum(self, axis=None, dtype=None, out=None, keepdims=False):
        return np.add.reduce(self, axis=axis, dtype=dtype, keepdims=keepdims)

    def max(self, axis=None, out=None, keepdims=False):
        return np.maximum.reduce(self, axis=axis, keepdims=keepdims)

    def min(self, axis=None, out=None, keepdims=False):
        return np.minimum.reduce(self, axis=axis, keepdims=keepdims)

    def any(self, axis=None, out=None, keepdims=False):
        return np.logical_or.reduce(self, axis=axis, keepdims=keepdims)

    def all(self, axis=None, out=None, keepdims=False):
        return np.logical_and.reduce(self, axis=axis, keepdims=keepdims)

    def mean(self, axis=None, dtype=None, out=None, keepdims=False):
        return np.mean(self, axis=axis, keepdims=keepdims)

    def dot(self, other):
        return np.dot(self, other)

    def bind(self, primitive, arrays, params):
        """Run a primitive on arrays of which at least one is a symbol: the binder's call."""
        outer = _outer(arrays)
        return self.builder.bind(primitive, arrays, params) if outer is None else outer.bind(primitive, arrays, params)

    def prepare(self, inputs):
        if self.builder.thread != threading.get_ident():
            hold(inputs)
            return inputs
        outer = _outer([getattr(t, "_data", None) for t in inputs])
        return inputs if outer is None else outer.prepare(inputs)

    # ---- what can't be known

    def values_needed(self, what):
        if self.builder.thread != threading.get_ident():
            return self.builder.original(self)
        raise values_needed(self.builder, what)

    def _no(what, name=None):
        def method(self, *args, **kw):
            array = self.values_needed(what)
            return getattr(array, name)(*args, **kw)

        return method

    __bool__ = _no("bool(): a branch on it, `if`, `while`, `and`, `assert`", "__bool__")
    __float__ = _no("float(), .item()", "__float__")
    __int__ = _no("int(), .item(), as an index or a size", "__int__")
    __index__ = _no("int(), .item(), as an index or a size", "__index__")
    __array__ = _no("its values", "__array__")
    __array_interface__ = property(lambda self: self.values_needed("its memory").__array_interface__)
    item = _no(".item(), .tolist()", "item")
    tolist = _no(".item(), .tolist()", "tolist")

    def nonzero(self):
        raise shape_unknown(self.builder, "nonzero")

    tobytes = _no(".tobytes()", "tobytes")

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return f"Symbol({self.value.type_text()})"

    def __getattr__(self, name):
        if name[:2] == "__":
            raise AttributeError(name)
        return getattr(self.values_needed(f"its .{name}"), name)


def _outer(arrays):
    """An array of another kind (a batch of vmap), whose business an operator on it and symbols is."""
    return next(
        (a for a in arrays if type(a) is not np.ndarray and not isinstance(a, Symbol) and hasattr(a, "bind")), None
    )


class _Flags:
    writeable = c_contiguous = owndata = contiguous = True
    f_contiguous = False


def values_needed(builder, what):
    """The error for something that only values can answer."""
    if builder.depth:
        return Unlowered(what)
    return CaptureError(
        f"compile: the value of a tensor was asked for while the function was captured ({what}), at "
        f"{site_text(call_site(2))}. A captured function runs without values: write torch.where(condition, a, b) "
        "instead of a branch, return the tensor and read it after the call, or leave this part outside the compiled "
        "function."
    )


def shape_unknown(builder, what):
    """The error for a result whose shape depends on values."""
    if builder.depth:
        return Unlowered(what)
    return CaptureError(unknown_shape(what, site_text(call_site(2))))


def unknown_shape(what, site):
    return (
        f"compile: {what} at {site} can't be captured: the shape of its result depends on values. Write "
        "torch.where(mask, a, b), or multiply by the mask, so that shapes stay as they are; or leave this part outside "
        "the compiled function."
    )


_PLACES = ("_order", "_index", "_place", "_places")  # ends of names of callouts whose results are valid indices


def known_valid(v, low, high):
    """Does an index lie in [low, high) by its making: the place of a maximum, a count, what was clamped?"""
    i = v.instr
    if i is not None and i.op == "call":
        return i.params["name"].endswith(_PLACES)
    least, most = bounds(v)
    return low <= least and most < high


def bounds(v):
    """The least and the largest that the elements of an integer value can be; infinite if nothing is known."""
    i = v.instr
    unknown = (-np.inf, np.inf)
    if i is None:
        return unknown
    fn = i.params.get("fn")
    if i.op == "scalar":
        return (i.params["value"],) * 2
    if i.op == "iota":
        return 0, v.shape[i.params["dim"]] - 1
    if i.op == "reduce" and fn[:3] == "arg":
        return 0, math.prod(i.inputs[0].shape[d] for d in i.params["dims"]) - 1
    if i.op == "view" or (i.op == "map" and fn in ("id", "convert") and i.inputs[0].dtype[0] in "iu"):
        return bounds(i.inputs[0])
    if i.op != "map":
        return unknown
    if fn == "where":
        (a, b), (c, d) = bounds(i.inputs[1]), bounds(i.inputs[2])
        return min(a, c), max(b, d)
    if fn in ("min", "max", "add"):
        (a, b), (c, d) = map(bounds, i.inputs)
        return (a + c, b + d) if fn == "add" else (min(a, c), min(b, d)) if fn == "min" else (max(a, c), max(b, d))
    if fn == "remainder" and bounds(i.inputs[1])[0] > 0:
        return 0, bounds(i.inputs[1])[1] - 1
    return unknown


def operand(symbol, x, dtype=None):
    """The value behind an operand: a symbol, an array or a number."""
    if isinstance(x, Symbol):
        return x.value
    if isinstance(x, (bool, int, float)) and dtype is not None:
        return symbol.builder.scalar(x, dtype.name)
    return symbol.builder.constant(np.asarray(x))
