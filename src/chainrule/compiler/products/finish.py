"""The last step of some products: partial results added up, or written to where C's columns are not adjacent."""

from math import ceil, prod

from chainrule.compiler.kernel import Kernel
from chainrule.compiler.products.names import name_of
from chainrule.compiler.products.text import FLAGS, NAMES, SIZES, Text, vector


def finish(q, parts, target):
    """C (+)= the sum of ``parts`` results that lie C-contiguous behind each other (+ bias). Operands: c, work, bias."""
    name = name_of(f"mm_sum_{q.m}x{q.n}_{parts}", (q, parts, target.cpu, target.vector_bytes))
    scalar, size = NAMES[q.dtype], SIZES[q.dtype]
    lanes = target.lanes(size) if q.c_col == 1 else 1
    batch = prod(dim[0] for dim in q.batch)
    lines = batch * q.m
    per_chunk = max(1, min(lines, ceil(32768 / (max(q.n, 1) * parts))))
    t = Text(target)
    t.lines.append(f"define void @{name}(ptr %args, i64 %begin, i64 %end, ptr %scratch) nounwind {{")
    t.block("start")
    operands = 3 if q.bias else 2
    pointers = [t.let(f"load ptr, ptr {t.at('%args', 'ptr', i)}, align 8") for i in range(operands)]
    whole = q.n - q.n % lanes
    with t.loop("%begin", "%end") as chunk:
        first = t.mul(chunk, per_chunk)
        last = t.least(t.add(first, per_chunk), lines)
        with t.loop(first, last) as line:
            row, index = t.rem(line, q.m), t.div(line, q.m)
            out = t.mul(row, q.c_row)
            for extent, _, _, step in reversed(q.batch):
                out = t.add(out, t.mul(t.rem(index, extent), step))
                index = t.div(index, extent)
            out, work = t.at(pointers[0], scalar, out), t.at(pointers[1], scalar, t.mul(line, q.n))

            def some(column, width, row=row, out=out, work=work):
                kind = vector(scalar, width)
                source = t.at(work, scalar, column)
                value = t.load(kind, source, size)
                for part in range(1, parts):
                    more = t.load(kind, t.at(source, scalar, part * lines * q.n), size)
                    value = t.let(f"fadd {FLAGS} {kind} {value}, {more}")
                place = t.at(out, scalar, t.mul(column, q.c_col))
                if q.accumulate:
                    value = t.let(f"fadd {FLAGS} {kind} {value}, {t.load(kind, place, size)}")
                if q.bias == "row":
                    value = t.let(
                        f"fadd {FLAGS} {kind} {value}, {t.load(kind, t.at(pointers[2], scalar, column), size)}"
                    )
                elif q.bias == "col":
                    one = t.load(scalar, t.at(pointers[2], scalar, row), size)
                    value = t.let(f"fadd {FLAGS} {kind} {value}, {t.splat(scalar, width, one)}")
                t.store(kind, value, place, size)

            if whole:
                with t.loop(0, whole, lanes) as column:
                    some(column, lanes)
            if whole < q.n:
                with t.loop(whole, q.n) as column:
                    some(column, 1)
    t.emit("ret void")
    t.lines.append("}")
    return Kernel(
        name=name,
        text="\n".join(t.lines),
        operands=operands,
        chunks=ceil(lines / per_chunk),
        flops=lines * q.n * (parts - 1),
        bytes=lines * q.n * size * (parts + 1),
        title=f"sum of {parts} matmul parts" if parts > 1 else "matmul copy",
    )
