"""What is done to a product's elements before they leave the cache: any element-wise text, with further operands.

It runs over the rows of a tile as soon as they are complete, so C and what belongs to it is read and written once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from chainrule.compiler.loops.text import SIZES as BYTES
from chainrule.compiler.loops.text import Writer, memory, stored, suffix, vector


@dataclass(frozen=True)
class Operand:
    """An array that the epilogue reads or writes at the place of each element of C; a stride of 0 repeats it."""

    dtype: str
    strides: tuple  # (*batch, row, column), in elements


@dataclass(frozen=True)
class Epilogue:
    """``emit(w, lanes, value, reads)`` writes the text for ``lanes`` neighbouring elements.

    ``w`` is a ``loops.text.Writer`` with the ``target``; ``value`` names the product's elements (C accumulated, the
    bias added), ``reads`` the elements of the operands read, all vectors of ``lanes`` (scalars if that is 1; a bool is
    ``i1``). It returns the names of C's elements (None: C is left undefined) and then of each operand written.
    """

    key: object  # equal keys mean equal text; its repr is part of kernels' names
    emit: Callable = field(compare=False, repr=False)
    reads: tuple = ()
    writes: tuple = ()
    flops: int = 1  # per element

    @property
    def operands(self):
        return (*self.reads, *self.writes)

    def names(self):
        """What the operands are called in a step."""
        return (*(f"x{i}" for i in range(len(self.reads))), *(f"y{i}" for i in range(len(self.writes))))


def ending(name, q, target):
    """``void @name(ptr %extras, ptr %c, i64 %row, i64 %rows, i64 %first, i64 %last)`` for a product with an epilogue.

    It does the rows from ``row`` on and the columns from ``first`` to before ``last``; ``extras`` holds the operands'
    addresses, which like ``c`` are those of the batch's first element. Returns the text, the lines and functions it
    needs, and the functions' texts.
    """
    e = q.epilogue
    w = Writer(half="+f16c" in target.features or not target.triple.startswith("x86"))
    w.target = target
    c_access = (q.dtype, q.c_row, q.c_col)
    accesses = [c_access, *((o.dtype, row, col) for o, (row, col) in zip(e.operands, q.extras, strict=True))]
    plain = all(col in (0, 1) for _, _, col in accesses[1:]) and q.c_col == 1
    lanes = target.lanes(BYTES[q.dtype]) if plain else 1
    masked = lanes > 1 and q.n % lanes and target.vector_bytes >= 32
    bases = ["%c"]
    for i in range(len(e.operands)):
        slot = w.op(f"getelementptr ptr, ptr %extras, i64 {i}")
        bases.append(w.op(f"load ptr, ptr {slot}, align 8"))
    end = w.op("add i64 %row, %rows")

    def step(pointer, dtype, count, stride):
        if stride == 0:
            return pointer
        offset = count if stride == 1 else w.op(f"mul i64 {count}, {stride}")
        return w.op(f"getelementptr {stored(dtype)}, ptr {pointer}, i64 {offset}")

    def line(row):
        lines = [step(b, dtype, row, stride) for b, (dtype, stride, _) in zip(bases, accesses, strict=True)]

        def some(width, on=None):
            def body(column):
                part(lines, column, width, on)

            return body

        if masked:
            w.loop("%first", "%last", lanes, lambda column: part(lines, column, lanes, mask(column)), guard=True)
            return
        if lanes == 1:
            w.loop("%first", "%last", 1, some(1), guard=True)
            return
        # Whole vectors, and what remains one by one.
        count = w.op("sub i64 %last, %first")
        over = w.op(f"urem i64 {count}, {lanes}")
        middle = w.op(f"sub i64 %last, {over}")
        w.loop("%first", middle, lanes, some(lanes), guard=True)
        if q.n % lanes:
            w.loop(middle, "%last", 1, some(1), guard=True)

    def mask(column):
        left = w.op(f"trunc i64 {w.op(f'sub i64 %last, {column}')} to i32")
        one = w.op(f"insertelement <{lanes} x i32> poison, i32 {left}, i64 0")
        many = w.op(f"shufflevector <{lanes} x i32> {one}, <{lanes} x i32> poison, <{lanes} x i32> zeroinitializer")
        order = ", ".join(f"i32 {i}" for i in range(lanes))
        return w.op(f"icmp ult <{lanes} x i32> <{order}>, {many}")

    def part(lines, column, width, on):
        places = [step(p, dtype, column, stride) for p, (dtype, _, stride) in zip(lines, accesses, strict=True)]
        read = range(1 + len(e.reads))
        values = [_load(w, places[i], accesses[i], width, on) for i in read]
        results = e.emit(w, width, values[0], values[1:])
        goals = [0, *range(len(e.reads) + 1, len(accesses))]
        if len(results) != len(goals):
            raise ValueError(
                f"products: the epilogue {e.key!r} must return {len(goals)} names (of C and of each operand written), "
                f"got {results!r}"
            )
        for value, i in zip(results, goals, strict=True):
            if value is not None:
                _store(w, value, places[i], accesses[i][0], width, on)

    w.loop("%row", end, 1, line, guard=True)
    w.do("ret void")
    head = f"define internal void @{name}(ptr %extras, ptr %c, i64 %row, i64 %rows, i64 %first, i64 %last) "
    text = head + "noinline nounwind {\nentry:\n" + "\n".join(w.head + w.lines) + "\n}"
    texts = {symbol.lstrip("@"): text.strip() for symbol, text in w.support.items() if not symbol.startswith("@llvm.")}
    declares = sorted(line for line in texts.values() if line.startswith("declare"))
    support = tuple(sorted((s, x) for s, x in texts.items() if not x.startswith("declare")))
    return text, (*(s for s, _ in support), *declares), support


def _load(w, pointer, access, width, on):
    dtype, _, stride = access
    lanes = 1 if stride == 0 else width
    kind, align = memory(dtype, lanes), BYTES[dtype]
    if lanes == 1 or on is None:
        x = w.op(f"load {kind}, ptr {pointer}, align {align}")
    else:
        x = w.op(
            f"call {kind} @llvm.masked.load.{_short(dtype, lanes)}.p0(ptr align {align} {pointer}, "
            f"<{lanes} x i1> {on}, {kind} zeroinitializer)"
        )
    if dtype == "bool":
        x = w.op(f"icmp ne {kind} {x}, {'0' if lanes == 1 else 'zeroinitializer'}")
    if lanes < width:
        kind = vector(dtype, width)
        one = w.op(f"insertelement {kind} poison, {vector(dtype, 1)} {x}, i64 0")
        x = w.op(f"shufflevector {kind} {one}, {kind} poison, <{width} x i32> zeroinitializer")
    return x


def _store(w, value, pointer, dtype, width, on):
    kind, align = memory(dtype, width), BYTES[dtype]
    if dtype == "bool":
        value = w.op(f"zext {vector(dtype, width)} {value} to {kind}")
    if width == 1 or on is None:
        w.do(f"store {kind} {value}, ptr {pointer}, align {align}")
        return
    w.do(
        f"call void @llvm.masked.store.{_short(dtype, width)}.p0({kind} {value}, ptr align {align} {pointer}, "
        f"<{width} x i1> {on})"
    )


def _short(dtype, lanes):
    """How a masked load or store names the type in memory."""
    return suffix("uint8" if dtype == "bool" else dtype, lanes)
