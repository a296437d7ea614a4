"""The core instructions: the few forms to which every captured operator is brought before code is made.

A ``Program`` is a list of instructions in order. Values are arrays of a fixed shape and dtype, made once and never
changed. Shapes are plain ints, dtypes NumPy's names.

| op | inputs | params | result |
|---|---|---|---|
| ``map`` | any number | ``fn`` (a name in ``functions.MAPS``) ``apart`` (not to be computed where it is read) | element by element; inputs broadcast as in NumPy; all operands of one dtype, unless ``fn`` says otherwise (where, convert, comparisons) |
| ``scalar`` | - | ``value`` | a 0-d constant |
| ``iota`` | - | ``dim`` | the index along ``dim`` |
| ``view`` | base | ``strides`` ``offset`` | elements of the base's buffer, in elements; the base is never itself a view |
| ``reduce`` | x | ``fn`` (sum prod max min any all argmax argmin) ``dims`` | without the reduced dims; max and min hand on NaN; argmax is the first |
| ``dot`` | a ``[*batch, m, k]``, b ``[*batch, k, n]``, maybe c | - | ``[*batch, m, n]``, added to c if there is one, whose memory it takes: another dot's result that nobody else reads |
| ``take`` | x, index | ``dim`` | ``x[..., index, ...]``: the dims of ``index`` stand for ``dim`` (NumPy's take); negative indices count from the end |
| ``gather`` | x, index | ``dim`` | NumPy's take_along_axis |
| ``update`` | base, piece | ``strides`` ``offset`` ``fn`` (set, add) ``fresh`` | the base with one strided region replaced or added to; ``fresh`` promises that later updates replace all the rest before anybody reads it |
| ``scatter`` | base, index, piece | ``dim`` ``fn`` (set, add) ``along`` | the inverse of take (or, ``along=True``, of gather), in the order of the piece |
| ``call`` | any | ``function`` ``name`` | opaque: ``function(*arrays)`` returns the arrays; runs in Python |
"""  # noqa: E501

from functools import cache, lru_cache
from math import prod

import numpy as np

SHORT = {
    "float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16", "int64": "i64", "int32": "i32",
    "int16": "i16", "int8": "i8", "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "bool": "b1",
}  # fmt: skip
OPS = ("map", "scalar", "iota", "view", "reduce", "dot", "take", "gather", "update", "scatter", "call")


@cache
def itemsize(dtype):
    """Bytes of an element."""
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


class Value:
    """One array of the program. ``instr`` is what makes it; None for the program's inputs and constants."""

    __slots__ = ("dtype", "id", "instr", "name", "nr", "shape", "size")

    def __init__(self, id, shape, dtype, instr=None, nr=0, name=None):
        self.id = id
        self.shape = tuple(shape)
        self.size = prod(self.shape)
        self.dtype = dtype
        self.instr = instr
        self.nr = nr
        self.name = name

    @property
    def itemsize(self):
        return itemsize(self.dtype)

    @property
    def nbytes(self):
        return self.size * itemsize(self.dtype)

    def type_text(self):
        return f"{SHORT.get(self.dtype, self.dtype)}[{','.join(map(str, self.shape))}]"

    def __repr__(self):
        return f"%{self.id}"


class Instr:
    """One instruction."""

    __slots__ = ("inputs", "op", "outputs", "params", "site")

    def __init__(self, op, inputs, params, outputs=(), site=None):
        self.op = op
        self.inputs = tuple(inputs)
        self.params = params
        self.outputs = tuple(outputs)
        self.site = site

    @property
    def output(self):
        return self.outputs[0]

    def __repr__(self):
        p = self.params
        head = self.op + ("." + p["fn"] if "fn" in p else "")
        if self.op == "call":
            head = f"call.{p['name']}"
        rest = [str(v) for v in self.inputs]
        rest += [f"{k}={v}" for k, v in p.items() if k not in ("fn", "function", "name")]
        left = ", ".join(f"%{v.id}: {v.type_text()}" for v in self.outputs)
        return f"{left} = {head} {', '.join(rest)}".rstrip()


class Program:
    """Inputs, constants, instructions, and what leaves: ``outputs`` (values) and ``writes`` (input number -> value that
    its memory holds afterwards). ``checks``: numbers of the outputs, 0-d bools, that end the program if they are true,
    before anything is written. ``lasting``: numbers of the outputs whose arrays the caller may hold already."""

    def __init__(self):
        self.inputs = []
        self.constants = {}  # value -> array
        self.instrs = []
        self.outputs = []
        self.writes = {}
        self.checks = range(0)
        self.lasting = range(0)
        self.site = None
        self.history = None  # a list: (pass, text of the program after it), for those who want to see
        self._next = 0

    # ---- building

    def value(self, shape, dtype, name=None):
        v = Value(self._next, shape, dtype, None, 0, name)
        self._next += 1
        return v

    def input(self, shape, dtype, name=None):
        v = self.value(shape, dtype, name)
        self.inputs.append(v)
        return v

    def constant(self, array):
        v = self.value(array.shape, array.dtype.name)
        self.constants[v] = array
        return v

    def add(self, op, inputs, params, *types):
        """Append an instruction; ``types`` are the (shape, dtype) of its results. Returns the value, or a tuple."""
        instr = Instr(op, inputs, params, site=self.site)
        outs = []
        for nr, (shape, dtype) in enumerate(types):
            v = self.value(shape, dtype)
            v.instr, v.nr = instr, nr
            outs.append(v)
        instr.outputs = tuple(outs)
        self.instrs.append(instr)
        return outs[0] if len(outs) == 1 else tuple(outs)

    def map(self, fn, *inputs, dtype=None):
        shape = np.broadcast_shapes(*[v.shape for v in inputs])
        return self.add("map", inputs, {"fn": fn}, (shape, dtype or inputs[-1].dtype))

    def scalar(self, value, dtype):
        return self.add("scalar", (), {"value": np.dtype(dtype).type(value).item()}, ((), dtype))

    def iota(self, shape, dim, dtype):
        return self.add("iota", (), {"dim": dim}, (shape, dtype))

    def view(self, base, shape, strides, offset=0):
        if base.instr is not None and base.instr.op == "view":
            raise ValueError("view(): the base is itself a view; compose them first")
        return self.add("view", (base,), {"strides": tuple(strides), "offset": offset}, (shape, base.dtype))

    def reduce(self, fn, x, dims, dtype=None):
        shape = [n for i, n in enumerate(x.shape) if i not in dims]
        return self.add("reduce", (x,), {"fn": fn, "dims": tuple(dims)}, (shape, dtype or x.dtype))

    def dot(self, a, b):
        return self.add("dot", (a, b), {}, ((*a.shape[:-1], b.shape[-1]), a.dtype))

    # ---- reading

    def uses(self):
        """Value -> the instructions that read it."""
        uses = {}
        for i in self.instrs:
            for v in i.inputs:
                uses.setdefault(v, []).append(i)
        return uses

    def __repr__(self):
        lines = [f"input %{v.id}: {v.type_text()}" + (f"  # {v.name}" if v.name else "") for v in self.inputs]
        lines += [f"constant %{v.id}: {v.type_text()}" for v in self.constants]
        lines += [repr(i) for i in self.instrs]
        lines += [f"write %{self.inputs[k].id} <- %{v.id}" for k, v in self.writes.items()]
        lines.append("return " + ", ".join(f"%{v.id}" for v in self.outputs))
        return "\n".join(lines)


def contiguous(shape):
    """The strides, in elements, of a C-contiguous array of ``shape``."""
    return _contiguous(tuple(shape))


@lru_cache(1 << 12)
def _contiguous(shape):
    strides, n = [], 1
    for size in reversed(shape):
        strides.append(n)
        n *= size
    return tuple(reversed(strides))


def verify(program):
    """Raise ValueError at the first instruction that is not well-formed: the check between passes."""
    known = set(program.inputs) | set(program.constants)
    for i in program.instrs:
        if i.op not in OPS:
            raise ValueError(f"verify: unknown op in {i!r}")
        for v in i.inputs:
            if v not in known:
                raise ValueError(f"verify: {v!r} is read before it is made, in {i!r}")
        known.update(i.outputs)
        if i.op == "map":
            shapes = {v.shape for v in i.inputs} - {()}
            if shapes != {i.output.shape} and np.broadcast_shapes(*shapes) != i.output.shape:
                raise ValueError(f"verify: shapes of {[v.shape for v in i.inputs]} in {i!r}")
        if i.op in ("view", "update"):
            base = i.inputs[0]
            shape = i.output.shape if i.op == "view" else i.inputs[1].shape
            reach = [i.params["offset"]] * 2
            for n, s in zip(shape, i.params["strides"], strict=True):
                reach[s > 0] += (n - 1) * s if n else 0
            if 0 not in shape and not (reach[0] >= 0 and reach[1] < base.size):
                raise ValueError(f"verify: {i!r} reaches outside its base of {base.size} elements")
        if i.op == "view" and base.instr is not None and base.instr.op == "view":
            raise ValueError(f"verify: view of a view in {i!r}")
        if i.op == "dot" and (i.inputs[0].shape[:-2] != i.inputs[1].shape[:-2]):
            raise ValueError(f"verify: batch shapes differ in {i!r}")
    for v in (*program.outputs, *program.writes.values()):
        if v not in known:
            raise ValueError(f"verify: the result {v!r} is never made")
