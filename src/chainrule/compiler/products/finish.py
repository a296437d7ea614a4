"""The last step of some products: partial results added up, or written to where C's columns are not adjacent."""

from math import ceil

from chainrule.compiler.products.frame import Frame
from chainrule.compiler.products.names import name_of
from chainrule.compiler.products.text import FLAGS, NAMES, SIZES, vector


def finish(q, parts, target):
    """C (+)= the sum of ``parts`` results that lie C-contiguous behind each other. Operands: c, work."""
    name = name_of(f"mm_sum_{q.m}x{q.n}_{parts}", (q, parts, target.cpu, target.vector_bytes))
    scalar, size = NAMES[q.dtype], SIZES[q.dtype]
    lanes = target.lanes(size) if q.c_col == 1 else 1
    lines = q.batches * q.m
    per_chunk = max(1, min(lines, ceil(32768 / (max(q.n, 1) * parts))))
    frame = Frame(name, q, ("c", "work"), target)
    t, pointers = frame.text, frame.pointers
    whole = q.n - q.n % lanes
    with t.loop("%begin", "%end") as chunk:
        first = t.mul(chunk, per_chunk)
        last = t.least(t.add(first, per_chunk), lines)
        with t.loop(first, last) as line:
            row, index = t.rem(line, q.m), t.div(line, q.m)
            c = frame.within(index)[2]
            out, work = t.at(c, scalar, t.mul(row, q.c_row)), t.at(pointers["work"], scalar, t.mul(line, q.n))

            def some(column, width, out=out, work=work):
                kind = vector(scalar, width)
                source = t.at(work, scalar, column)
                value = t.load(kind, source, size)
                for part in range(1, parts):
                    more = t.load(kind, t.at(source, scalar, part * lines * q.n), size)
                    value = t.let(f"fadd {FLAGS} {kind} {value}, {more}")
                place = t.at(out, scalar, t.mul(column, q.c_col))
                if q.accumulate:
                    value = t.let(f"fadd {FLAGS} {kind} {value}, {t.load(kind, place, size)}")
                t.store(kind, value, place, size)

            if whole:
                with t.loop(0, whole, lanes) as column:
                    some(column, lanes)
            if whole < q.n:
                with t.loop(whole, q.n) as column:
                    some(column, 1)
    return frame.kernel(
        [],
        set(),
        chunks=ceil(lines / per_chunk),
        flops=lines * q.n * (parts - 1),
        bytes=lines * q.n * size * (parts + 1),
        title=f"sum of {parts} matmul parts" if parts > 1 else "matmul copy",
    )
