"""Making a program instruction by instruction: equal instructions become one, views compose, numbers fold."""

import hashlib
import math
import threading
from functools import cache, lru_cache

import numpy as np

from ..errors import CaptureError
from .ir import Program, contiguous
from .reference import run as run_instruction

_COMMUTES = {"add", "mul", "max", "min", "and", "or", "xor", "eq", "ne"}
_names = {}  # dtype, class or name -> NumPy's name of the dtype, which NumPy itself composes anew each time
_memory = np.empty(1 << 20, np.int8)  # arrays that views are tried on lie here; nobody reads or writes it


def dtype_name(dtype):
    """NumPy's name of a dtype."""
    name = _names.get(dtype)
    if name is None:
        name = _names[dtype] = np.dtype(dtype).name
    return name


@cache
def as_dtype(name):
    """The dtype of a name."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


@lru_cache(1 << 12)
def own_strides(shape):
    """The strides of a contiguous array as a view has them: 0 along dims of size 1."""
    return tuple([0 if n == 1 else s for n, s in zip(shape, contiguous(shape), strict=True)])


def broadcast(shapes):
    """The shape that arrays of these shapes have together."""
    first = shapes[0]
    for shape in shapes:
        if shape != first:
            return np.broadcast_shapes(*shapes)
    return first


class Unlowered(Exception):
    """An operator did something with a symbol that has no core instruction: its eager kernel is called out to."""


def elsewhere():
    """The error for a symbol in a thread that does not capture it."""
    return CaptureError(
        "compile: a tensor was used that has no values, because a function is captured in another thread. A captured "
        "function can't compute in threads of its own; and tensors that it makes belong to it until its first call is "
        "over"
    )


class Builder:
    """A program being made. ``mark`` and ``rollback`` undo an attempt."""

    def __init__(self):
        self.program = Program()
        self.known = {}  # key of an instruction -> its result
        self.keys = []  # the same in order, for rollback
        self.depth = 0  # > 0 inside an operator's kernel: what can't be lowered is no error of the user's
        self.undone = 0  # attempts: what a symbol remembers from before may be gone
        self.thread = threading.get_ident()

    def original(self, symbol):
        """What a symbol of an input is in other threads."""
        array = symbol.memory and symbol.memory()
        if array is None:
            raise elsewhere()
        return array

    # ---- undoing

    def mark(self):
        return len(self.program.instrs), len(self.keys)

    def rollback(self, mark):
        self.undone += 1
        self.forget(mark)

    def forget(self, mark):
        instrs, keys = mark
        del self.program.instrs[instrs:]
        for key in self.keys[keys:]:
            self.known.pop(key, None)
        del self.keys[keys:]

    def emit(self, op, inputs, params, *types, key=None):
        """One instruction, or the earlier one that is the same."""
        if self.thread != threading.get_ident():
            raise elsewhere()
        if key is None and op != "call":
            key = (op, *[v.id for v in inputs], *sorted(params.items()), types)
        if key is not None:
            found = self.known.get(key)
            if found is not None:
                return found
        result = self.program.add(op, inputs, params, *types)
        if key is not None:
            self.known[key] = result
            self.keys.append(key)
        return result

    # ---- leaves

    def scalar(self, value, dtype):
        dtype = dtype_name(dtype)
        value = np.dtype(dtype).type(value).item()
        text = (math.copysign(1, value), repr(value)) if isinstance(value, float) else value
        return self.emit("scalar", (), {"value": value}, ((), dtype), key=("scalar", text, dtype))

    def constant(self, array):
        """A constant array; numbers become scalars, and arrays of one number repeated views of a scalar."""
        array = np.asarray(array)
        name = dtype_name(array.dtype)
        if array.ndim == 0 and name != "bfloat16":
            return self.scalar(array[()], name)
        if array.size and array.dtype.kind in "fiub":
            first = array.flat[0]
            if first == first and (array == first).all() and (first != 0 or not np.signbit(array).any()):
                return self.full(array.shape, first, name)
        if array.ndim == 1 and array.dtype.kind == "i" and len(array) > 1:
            steps = np.arange(len(array), dtype=array.dtype)
            if array[0] == 0 and (array == steps).all():
                return self.iota(array.shape, 0, array.dtype)
        data = array.tobytes()
        key = ("constant", array.shape, name, data if len(data) <= 1 << 10 else hashlib.blake2b(data).digest())
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self.program.constant(np.array(array, order="C"))
            self.keys.append(key)
        return found

    def full(self, shape, value, dtype):
        return self.expand(self.scalar(value, dtype), tuple(shape))

    # ---- views

    def access(self, v):
        """``(base, strides, offset)``: where the elements of a value lie."""
        i = v.instr
        if i is not None and i.op == "view":
            return i.inputs[0], i.params["strides"], i.params["offset"]
        return v, contiguous(v.shape), 0

    def view(self, base, shape, strides, offset=0):
        shape, strides = tuple(shape), tuple([0 if n == 1 else s for n, s in zip(shape, strides, strict=True)])
        if 0 in shape:
            if 0 in base.shape and base.shape == shape:
                return base
            return self.emit("view", (base,), {"strides": (0,) * len(shape), "offset": 0}, (shape, base.dtype))
        if offset == 0 and shape == base.shape and strides == own_strides(shape):
            return base
        return self.emit("view", (base,), {"strides": strides, "offset": offset}, (shape, base.dtype))

    def viewed(self, v, function):
        """What ``function`` (NumPy's reshape, transpose, an index, ...) makes of ``v``, found out by applying it to an
        array laid out like it: if that gives a view, it is a view; if not, ``v`` is copied first."""
        for attempt in (v, None):
            if attempt is None:
                v = self.copy(v)
            base, strides, offset = self.access(v)
            like, start = laid_out(v.shape, strides, offset, base.size)
            out = function(like)
            if out.size == 0 or v.size == 0:
                return self.view(base, out.shape, (0,) * out.ndim)
            place = out.__array_interface__["data"][0] - start
            if 0 <= place < base.size:
                return self.view(base, out.shape, out.strides, place)
        raise Unlowered("a reshape that copies even a contiguous array")

    def reshape(self, v, shape):
        shape = tuple(shape)
        if shape == v.shape:
            return v
        base, strides, offset = self.access(v)
        if 0 not in shape and math.prod(shape) == v.size and (base is v or strides == own_strides(v.shape)):
            return self.view(base, shape, own_strides(shape), offset)
        return self.viewed(v, lambda a: a.reshape(shape))

    def transpose(self, v, dims):
        base, strides, offset = self.access(v)
        if 0 in v.shape or sorted(dims) != list(range(len(v.shape))):
            return self.viewed(v, lambda a: a.transpose(dims))
        return self.view(base, [v.shape[d] for d in dims], [strides[d] for d in dims], offset)

    def expand(self, v, shape):
        shape = tuple(shape)
        if v.shape == shape:
            return v
        if v.shape == () and 0 not in shape:
            base, _, offset = self.access(v)
            return self.view(base, shape, (0,) * len(shape), offset)
        return self.viewed(v, lambda a: np.broadcast_to(a, shape))

    def copy(self, v):
        """The elements in an array of their own."""
        return self.emit("map", (v,), {"fn": "id"}, (v.shape, v.dtype))

    def dense(self, v):
        """The value itself if it is no view, else a copy."""
        return self.copy(v) if v.instr is not None and v.instr.op == "view" else v

    # ---- computing

    def unexpanded(self, v):
        """A view that only repeats a value: the value, which then broadcasts by itself."""
        i = v.instr
        if i is None or i.op != "view" or i.params["offset"] or 0 in v.shape:
            return v
        base = i.inputs[0]
        lead = len(v.shape) - len(base.shape)
        if lead < 0 or any(i.params["strides"][:lead]):
            return v
        own = contiguous(base.shape)
        for n, m, s, t in zip(v.shape[lead:], base.shape, i.params["strides"][lead:], own, strict=True):
            if not ((n == m and (s == t or n == 1)) or (m == 1 and s == 0)):
                return v
        return base

    def map(self, fn, *inputs, dtype=None):
        shape = broadcast([v.shape for v in inputs])
        dtype = dtype_name(dtype or inputs[-1].dtype)
        short = [self.unexpanded(v) for v in inputs]
        small = broadcast([v.shape for v in short])
        if small != shape:  # all of it is repeated: compute once, then repeat
            return self.expand(self.map(fn, *short, dtype=dtype), shape)
        inputs = short
        if shape == () and all(v.instr is not None and v.instr.op == "scalar" for v in inputs):
            return self.fold(fn, inputs, dtype)
        same = self.identity(fn, inputs, dtype)
        if same is not None and same.shape == shape and same.dtype == dtype:
            return same
        ids = [v.id for v in inputs]
        if fn in _COMMUTES:
            ids.sort()
        return self.emit("map", inputs, {"fn": fn}, (shape, dtype), key=("map", fn, dtype, *ids))

    def fold(self, fn, inputs, dtype):
        """A number computed from numbers."""
        mark = Builder.mark(self)
        v = self.emit("map", inputs, {"fn": fn}, ((), dtype))
        if v.instr is not self.program.instrs[-1]:
            return v
        with np.errstate(all="ignore"):
            value = run_instruction(v.instr, [np.asarray(x.instr.params["value"], x.dtype) for x in inputs])
        Builder.forget(self, mark)
        return self.scalar(value[()], dtype)

    def identity(self, fn, inputs, dtype):
        """The input that an instruction would only repeat, or None."""
        if fn == "convert":
            return inputs[0] if inputs[0].dtype == dtype else None
        if fn in ("mul", "div"):
            a, b = inputs
            if number(b) == 1:
                return a
            if fn == "mul" and number(a) == 1:
                return b
            if fn == "mul" and dtype[0] == "f":
                for x, y in ((a, b), (b, a)):
                    if number(y) == -1 and x.shape == np.broadcast_shapes(a.shape, b.shape):
                        return self.map("neg", x)
        if fn == "neg" and inputs[0].instr is not None and inputs[0].instr.params.get("fn") == "neg":
            return inputs[0].instr.inputs[0]
        if fn == "sub" and number(inputs[1]) == 0 and math.copysign(1, number(inputs[1])) > 0:
            return inputs[0]
        if fn == "add" and dtype[0] in "iu":
            for x, y in (inputs, inputs[::-1]):
                if number(y) == 0:
                    return x
        if fn == "where" and number(inputs[0]) is not None:
            return inputs[1] if number(inputs[0]) else inputs[2]
        if fn == "and" and dtype == "bool":
            for x, y in (inputs, inputs[::-1]):
                if number(y) is True:
                    return x
        return None

    def convert(self, v, dtype):
        dtype = dtype_name(dtype)
        return v if v.dtype == dtype else self.map("convert", v, dtype=dtype)

    def reduce(self, fn, x, dims, dtype=None):
        """``dims``: a tuple of non-negative ints. Nothing reduced is the value itself."""
        dims = tuple(sorted(dims))
        if not dims and fn not in ("argmax", "argmin"):
            return self.convert(x, dtype or x.dtype)
        shape = tuple(n for i, n in enumerate(x.shape) if i not in dims)
        dtype = dtype_name(dtype or x.dtype)
        if fn in ("sum", "max", "min", "prod", "any", "all") and all(x.shape[d] == 1 for d in dims):
            return self.convert(self.reshape(x, shape), dtype)
        return self.emit("reduce", (x,), {"fn": fn, "dims": dims}, (shape, dtype))

    def dot(self, a, b):
        """``a @ b``; batch dimensions broadcast."""
        batch = broadcast((a.shape[:-2], b.shape[:-2]))
        if 0 in (*batch, a.shape[-2], a.shape[-1], b.shape[-1]):
            return self.full((*batch, a.shape[-2], b.shape[-1]), 0, a.dtype)
        if batch and b.shape[:-2] in ((), (1,) * (len(b.shape) - 2)):  # one matrix for all: a single product
            base, strides, _ = self.access(a)
            flat = self.reshape(a, (math.prod(a.shape[:-1]), a.shape[-1]))
            y = self.dot(flat, self.reshape(b, b.shape[-2:]))
            return self.reshape(y, (*batch, a.shape[-2], b.shape[-1])) if batch == a.shape[:-2] else y
        a, b = self.expand(a, (*batch, *a.shape[-2:])), self.expand(b, (*batch, *b.shape[-2:]))
        return self.emit("dot", (a, b), {}, ((*batch, a.shape[-2], b.shape[-1]), a.dtype))

    def iota(self, shape, dim, dtype):
        return self.emit("iota", (), {"dim": dim}, (tuple(shape), dtype_name(dtype)))

    def update(self, base, piece, strides, offset, fn="set"):
        """``base`` (dense) with the region of ``piece``'s shape replaced by it, or added to."""
        if piece.size == 0:
            return self.dense(base)
        if number(base) is not None and base.shape:
            # Filled anew for each use: one shared by two could not be written to by either.
            base = self.program.add("map", (base,), {"fn": "id"}, (base.shape, base.dtype))
        else:
            base = self.dense(base)
        if fn == "set" and offset == 0 and piece.size == base.size:
            dense = contiguous(piece.shape)
            if all(n == 1 or s == t for n, s, t in zip(piece.shape, strides, dense, strict=True)):
                return self.reshape(piece, base.shape)
        return self.emit(
            "update", (base, piece), {"strides": tuple(strides), "offset": offset, "fn": fn}, (base.shape, base.dtype)
        )

    def call(self, name, function, inputs, types):
        """Call out: ``function(*arrays)`` gives a tuple of arrays of the ``types``, each (shape, dtype)."""
        result = self.emit("call", inputs, {"function": function, "name": name}, *types)
        return result if isinstance(result, tuple) else (result,)


def laid_out(shape, strides, offset, size):
    """An array of int8 laid out like a part of one of ``size`` elements, and the address of that one's start."""
    global _memory
    memory = _memory
    if size > memory.size:
        memory = _memory = np.empty(2 * size, np.int8)
    start = memory.__array_interface__["data"][0]
    if 0 in shape:
        return memory[:0].reshape(shape), start
    return np.ndarray(shape, np.int8, memory, offset, strides), start


def number(v):
    """The number that a value is, or that all its elements are; None if it is not a known one."""
    i = v.instr
    if i is not None and i.op == "view" and v.size:
        i = i.inputs[0].instr
    return i.params["value"] if i is not None and i.op == "scalar" else None
