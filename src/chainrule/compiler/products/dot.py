"""Products whose operands both lie along K: sums of vectors along K, added up within the vector at the end.

This needs no copy of B turned around, so it is the way for few rows and a large K, and for a matrix times a vector.
"""

from math import ceil

from chainrule.compiler.products.frame import Frame
from chainrule.compiler.products.names import name_of
from chainrule.compiler.products.shuffle import summed
from chainrule.compiler.products.text import FLAGS, NAMES, SIZES, Text, vector


def suits(q, target):
    """Whether this way is the faster one."""
    if q.a_col != 1 or q.b_row != 1 or (q.b_col == 1 and q.n > 1) or q.k < 2 * target.lanes(SIZES[q.dtype]):
        return False
    return q.k >= 8 * q.m and q.m <= 64


def dots(q, target, threads):
    """The kernel: chunks are groups of columns."""
    name = name_of(f"mm_{q.dtype[0]}{8 * SIZES[q.dtype]}_{q.m}x{q.n}x{q.k}_dot", (q, target.cpu, target.vector_bytes))
    scalar, size = NAMES[q.dtype], SIZES[q.dtype]
    lanes = target.lanes(size)
    high, wide, ways = _tile_shape(q, lanes)
    columns = ceil(q.n / wide)
    wanted = ceil(max(1, min(8 * threads, q.flops / 1.25e5)) / q.batches)
    per_chunk = ceil(columns / min(columns, wanted))
    pieces = ceil(columns / per_chunk)

    frame = Frame(name, q, ("a", "b", "c"), target)
    t = frame.text
    with t.loop("%begin", "%end") as chunk:
        a, b, c = frame.within(t.div(chunk, pieces))
        piece = t.rem(chunk, pieces)
        first = t.mul(piece, per_chunk)
        last = t.least(t.add(first, per_chunk), columns)
        with t.loop(first, last) as tile, t.loop(0, q.m, high) as row:
            column = t.mul(tile, wide)
            here, there = t.at(a, scalar, t.mul(row, q.a_row)), t.at(b, scalar, t.mul(column, q.b_col))
            out = t.at(c, scalar, t.add(t.mul(row, q.c_row), column))
            t.emit(
                f"call void @{name}_tile(ptr {here}, ptr {there}, ptr {out}, i64 {t.sub(q.m, row)}, "
                f"i64 {t.sub(q.n, column)})"
            )
    text, declared = _tile(f"{name}_tile", q, high, wide, ways, target)
    return frame.kernel(
        [text],
        declared,
        chunks=q.batches * pieces,
        flops=q.flops,
        bytes=q.bytes,
        title=f"matmul {q.m}x{q.n}x{q.k}" + (f" x{q.batches}" if q.batches > 1 else ""),
    )


def _tile_shape(q, lanes):
    """Rows and columns of a tile, and sums per element: together they fill one vector."""
    high = 1 if q.m == 1 else min(4 if q.m > 2 else 2, max(lanes // 4, 1))
    # More columns than these would ask the cache for more lines of one set than it holds.
    wide = min(4, lanes // high)
    return high, wide, lanes // (high * wide)


def _tile(name, q, high, wide, ways, target):
    """``high`` rows of A with ``wide`` columns of B; those outside the matrix repeat the last and are not stored."""
    scalar, size = NAMES[q.dtype], SIZES[q.dtype]
    lanes = high * wide * ways
    kind = vector(scalar, lanes)
    t = Text(target)
    t.lines.append(
        f"define internal void @{name}(ptr %a, ptr %b, ptr %c, i64 %rows, i64 %columns) noinline nounwind {{"
    )
    t.block("start")
    last_row, last_column = t.sub("%rows", 1), t.sub("%columns", 1)
    starts_a = [t.at("%a", scalar, t.mul(t.least(last_row, i), q.a_row)) for i in range(high)]
    starts_b = [t.at("%b", scalar, t.mul(t.least(last_column, j), q.b_col)) for j in range(wide)]
    stride = lanes * ways
    whole, rest = q.k - q.k % stride, q.k % lanes

    def step(sums, k, mask=None):
        left = [t.load(kind, t.at(p, scalar, k), size, mask, scalar, lanes) for p in starts_a]
        out = []
        for j, p in enumerate(starts_b):
            right = t.load(kind, t.at(p, scalar, k), size, mask, scalar, lanes)
            out.append([t.multiply_add(kind, scalar, lanes, x, right, sums[j][i]) for i, x in enumerate(left)])
        return out

    sums = [[["zeroinitializer"] * high for _ in range(wide)] for _ in range(ways)]
    if whole:
        t.emit("br label %head")
        t.block("head")
        t.emit("%i = phi i64 [ 0, %start ], [ %next, %head ]")
        slot = len(t.lines)
        sums = [[["%" + t.fresh("s") for _ in range(high)] for _ in range(wide)] for _ in range(ways)]
        after = [step(way, t.add("%i", w * lanes)) for w, way in enumerate(sums)]
        t.emit(f"%next = add nsw i64 %i, {stride}")
        flat = [[x for way in part for column in way for x in column] for part in (sums, after)]
        t.lines[slot:slot] = [
            f"  {n} = phi {kind} [ zeroinitializer, %start ], [ {x}, %head ]" for n, x in zip(*flat, strict=True)
        ]
        t.emit(f"%more = icmp slt i64 %next, {whole}")
        t.emit("br i1 %more, label %head, label %done")
        t.block("done")
        sums = after
    for w, k in enumerate(range(whole, q.k, lanes)):
        sums[w] = step(sums[w], k, None if k + lanes <= q.k else t.mask(lanes, rest))
    total = [sums[0][j][i] for i in range(high) for j in range(wide)]
    for way in sums[1:]:
        more = [way[j][i] for i in range(high) for j in range(wide)]
        total = [t.let(f"fadd {FLAGS} {kind} {x}, {y}") for x, y in zip(total, more, strict=True)]
    # Lane (i * wide + j) of what remains is the sum of the vector of row i and column j.
    _write(t, q, summed(t, total * ways, scalar, size), high, wide, lanes, scalar, size)
    t.emit("ret void")
    t.lines.append("}")
    return "\n".join(t.lines), t.declared


def _write(t, q, total, high, wide, lanes, scalar, size):
    kind, whole = vector(scalar, wide), vector(scalar, lanes)
    masks = t.target.vector_bytes >= 32 and wide > 1

    def line(i):
        part = total
        if wide < lanes:
            order = ", ".join(f"i32 {i * wide + j}" for j in range(wide))
            part = t.let(f"shufflevector {whole} {total}, {whole} poison, <{wide} x i32> <{order}>")
        place = t.at("%c", scalar, i * q.c_row)
        if masks:
            put(part, kind, place, t.mask(wide, "%columns"), wide)
            return
        for j in range(wide):

            def one(j=j, part=part):
                value = t.let(f"extractelement {kind} {part}, i64 {j}")
                put(value, scalar, t.at(place, scalar, j), None, 1)

            t.either(t.less(j, "%columns"), one)

    def put(value, kind, place, mask, width):
        if q.accumulate:
            old = t.load(kind, place, size, mask, scalar, width)
            value = t.let(f"fadd {FLAGS} {kind} {value}, {old}")
        t.store(kind, value, place, size, mask, scalar, width)

    for i in range(high):
        t.either(t.less(i, "%rows"), lambda i=i: line(i))
