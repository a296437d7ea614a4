"""The innermost loop: a tile of C in registers, one broadcast of A per row and step, vectors of B."""

from dataclasses import dataclass

from chainrule.compiler.products.text import FLAGS, NAMES, SIZES, Text, vector


@dataclass(frozen=True)
class Micro:
    """The shape of one micro-kernel: ``rows`` x ``vectors`` accumulators of ``lanes`` elements."""

    rows: int
    vectors: int
    lanes: int
    masked: bool  # the last vector is partly outside the matrix


@dataclass(frozen=True)
class Access:
    """Where the micro-kernel finds its operands: strides in elements, and what it does at the end."""

    dtype: str
    a_row: int
    a_col: int
    b_row: int
    b_whole: bool  # B is padded: no mask needed for reading
    b_align: int
    c_row: int
    k_step: int  # unrolled steps
    k_rest: bool  # the number of steps may not divide by k_step
    ways: int  # independent sums per element, for tiles too small to hide the latency
    add: bool  # C += (always)
    add_from: bool  # C += when the argument ``more`` says so


def signature():
    """The arguments of every micro-kernel."""
    return "ptr %a, ptr %b, ptr %c, i64 %k, i64 %left, i1 %more"


def micro_kernel(name, micro, access, target):
    """The text of one micro-kernel, and what it declares."""
    scalar, size = NAMES[access.dtype], SIZES[access.dtype]
    rows, vectors, lanes = micro.rows, micro.vectors, micro.lanes
    kind = vector(scalar, lanes)
    t = Text(target)
    t.lines.append(f"define internal void @{name}({signature()}) noinline nounwind {{")
    t.block("start")
    # Masks stay wide integers outside the loop: AVX2 has no registers for <n x i1>.
    wide = None
    if micro.masked:
        on = t.mask(lanes, "%left")
        if target.vector_bytes == 64:
            wide = on
        else:
            wide = t.let(f"sext <{lanes} x i1> {on} to <{lanes} x i{8 * size}>")

    def mask(v):
        if not micro.masked or v < vectors - 1:
            return None
        if target.vector_bytes == 64:
            return wide
        return t.let(f"icmp slt <{lanes} x i{8 * size}> {wide}, zeroinitializer")

    sums = [[["zeroinitializer" if lanes > 1 else "0.0"] * vectors for _ in range(rows)] for _ in range(access.ways)]

    def step(sums, a, b, k):
        """Multiply-adds of step k (an int) from the pointers a and b."""
        held = []
        for v in range(vectors):
            place = t.at(b, scalar, k * access.b_row + v * lanes)
            on = None if access.b_whole else mask(v)
            held.append(t.load(kind, place, access.b_align, on, scalar, lanes))
        way = sums[k % access.ways]
        for r in range(rows):
            one = t.load(scalar, t.at(a, scalar, r * access.a_row + k * access.a_col), size)
            many = t.splat(scalar, lanes, one)
            for v in range(vectors):
                way[r][v] = t.multiply_add(kind, scalar, lanes, many, held[v], way[r][v])

    def steps(sums, a, b, count, stride):
        """A loop of ``count`` rounds of ``stride`` steps."""
        head, body, done = (t.fresh(stem) for stem in ("head", "body", "done"))
        before = t.fresh("before")
        t.emit(f"br label %{before}")
        t.block(before)
        t.emit(f"br label %{head}")
        t.block(head)
        index, following, pa, pb, na, nb = ("%" + t.fresh("p") for _ in range(6))
        t.emit(f"{index} = phi i64 [ 0, %{before} ], [ {following}, %{body} ]")
        t.emit(f"{pa} = phi ptr [ {a}, %{before} ], [ {na}, %{body} ]")
        t.emit(f"{pb} = phi ptr [ {b}, %{before} ], [ {nb}, %{body} ]")
        slot = len(t.lines)
        ways = range(min(access.ways, stride))
        carried = [row[:] for w in ways for row in sums[w]]
        names = [["%" + t.fresh("s") for _ in row] for row in carried]
        more = t.let(f"icmp slt i64 {index}, {count}")
        t.emit(f"br i1 {more}, label %{body}, label %{done}")
        t.block(body)
        inner = [[row[:] for row in names[w * rows : (w + 1) * rows]] for w in ways]
        for k in range(stride):
            step(inner, pa, pb, k)
        t.emit(f"{following} = add nsw i64 {index}, 1")
        t.emit(f"{na} = getelementptr inbounds {scalar}, ptr {pa}, i64 {stride * access.a_col}")
        t.emit(f"{nb} = getelementptr inbounds {scalar}, ptr {pb}, i64 {stride * access.b_row}")
        t.emit(f"br label %{head}")
        after = [row for w in ways for row in inner[w]]
        phis = [
            f"  {n} = phi {kind} [ {o}, %{before} ], [ {x}, %{body} ]"
            for ns, os, xs in zip(names, carried, after, strict=True)
            for n, o, x in zip(ns, os, xs, strict=True)
        ]
        t.lines[slot:slot] = phis
        t.block(done)
        out = [names[w * rows : (w + 1) * rows] for w in ways]
        return [*out, *sums[len(out) :]], pa, pb

    rounds = t.let(f"udiv i64 %k, {access.k_step}") if access.k_step > 1 else "%k"
    sums, a, b = steps(sums, "%a", "%b", rounds, access.k_step)
    if access.k_rest:
        sums, a, b = steps(sums, a, b, t.let(f"urem i64 %k, {access.k_step}"), 1)
    total = sums[0]
    for way in sums[1:]:
        total = [
            [t.let(f"fadd {FLAGS} {kind} {x}, {y}") for x, y in zip(p, q, strict=True)]
            for p, q in zip(total, way, strict=True)
        ]

    def each(act):
        return [
            [act(r, v, t.at("%c", scalar, r * access.c_row + v * lanes), mask(v)) for v in range(vectors)]
            for r in range(rows)
        ]

    def plus_old(r, v, place, on):
        old = t.load(kind, place, size, on, scalar, lanes)
        return t.let(f"fadd {FLAGS} {kind} {total[r][v]}, {old}")

    if access.add:
        total = each(plus_old)
    if access.add_from:
        # The first part of K sets C, the later ones add what the earlier have left.
        old, new, end = (t.fresh(stem) for stem in ("old", "new", "end"))
        t.emit(f"br i1 %more, label %{old}, label %{new}")
        t.block(old)
        added = each(plus_old)
        t.emit(f"br label %{end}")
        t.block(new)
        t.emit(f"br label %{end}")
        t.block(end)
        total = [
            [t.let(f"phi {kind} [ {x}, %{old} ], [ {y}, %{new} ]") for x, y in zip(p, q, strict=True)]
            for p, q in zip(added, total, strict=True)
        ]
    each(lambda r, v, place, on: t.store(kind, total[r][v], place, size, on, scalar, lanes))
    t.emit("ret void")
    t.lines.append("}")
    return "\n".join(t.lines), t.declared
