"""Copies of an operand in the order in which the micro-kernels read it."""

from chainrule.compiler.products.text import NAMES, SIZES, Text, vector


def _header(name, target):
    t = Text(target)
    t.lines.append(f"define internal void @{name}(ptr %from, ptr %to, i64 %k, i64 %left) noinline nounwind {{")
    t.block("start")
    return t


def _footer(t):
    t.emit("ret void")
    t.lines.append("}")
    return "\n".join(t.lines), t.declared


def copy_rows(name, dtype, width, lanes, masked, row, target):
    """``k`` rows of ``width`` vectors, ``row`` elements apart, behind each other; lanes outside the matrix become 0."""
    t = _header(name, target)
    scalar, size, kind = NAMES[dtype], SIZES[dtype], vector(NAMES[dtype], lanes)
    on = t.mask(lanes, "%left") if masked else None
    with t.loop(0, "%k") as k:
        source = t.at("%from", scalar, t.mul(k, row))
        target_ = t.at("%to", scalar, t.mul(k, width * lanes))
        for v in range(width):
            place = t.at(source, scalar, v * lanes)
            value = t.load(kind, place, size, on if v == width - 1 else None, scalar, lanes)
            t.store(kind, value, t.at(target_, scalar, v * lanes), size * lanes)
    return _footer(t)


def copy_panels(name, dtype, m, line, lanes, column, panel, target):
    """Panels ``first`` to ``last`` of A with adjacent rows: ``line`` rows each, ``k`` steps of ``line`` elements.

    All panels of a step along K are read together, as their memory is adjacent; they begin ``panel`` elements apart.
    """
    t = Text(target)
    t.lines.append(
        f"define internal void @{name}(ptr %from, ptr %to, i64 %k, i64 %first, i64 %last) noinline nounwind {{"
    )
    t.block("start")
    scalar, size, kind = NAMES[dtype], SIZES[dtype], vector(NAMES[dtype], lanes)
    with t.loop(0, "%k") as k:
        source = t.at("%from", scalar, t.mul(k, column))
        place = t.at("%to", scalar, t.mul(k, line))
        with t.loop("%first", "%last") as p:
            here = t.at(source, scalar, t.mul(p, line))
            there = t.at(place, scalar, t.mul(t.sub(p, "%first"), panel))

            def whole(here=here, there=there):
                for i in range(0, line, lanes):
                    value = t.load(kind, t.at(here, scalar, i), size)
                    t.store(kind, value, t.at(there, scalar, i), size * lanes)

            def some(here=here, there=there):
                with t.loop(0, m % line) as r:
                    t.store(scalar, t.load(scalar, t.at(here, scalar, r), size), t.at(there, scalar, r), size)

            t.either(t.less(p, m // line) if m % line else True, whole, some)
    return _footer(t)


def turn_columns(name, dtype, width, lanes, column, target):
    """Columns that lie along memory (``column`` elements apart) into rows of ``width`` vectors, by blocks in registers.

    ``left`` is how many of the columns exist; the others repeat the last.
    """
    t = _header(name, target)
    scalar, size, kind = NAMES[dtype], SIZES[dtype], vector(NAMES[dtype], lanes)
    line = width * lanes
    last = t.sub("%left", 1)
    if lanes > 1:
        with t.loop(0, line, lanes) as first:
            bases = [t.at("%from", scalar, t.mul(t.least(t.add(first, j), last), column)) for j in range(lanes)]
            to = t.at("%to", scalar, first)

            def block(k):
                rows = [t.load(kind, t.at(base, scalar, k), size) for base in bases]
                out = t.at(to, scalar, t.mul(k, line))
                for j, row in enumerate(transposed(t, rows, kind, lanes, size)):
                    t.store(kind, row, t.at(out, scalar, j * line), size * lanes)

            # The last block may overlap the one before: it writes the same values again.
            whole = t.let(f"icmp sge i64 %k, {lanes}")
            end = t.let(f"select i1 {whole}, i64 %k, i64 0")
            with t.loop(0, end, lanes) as k:
                block(t.least(k, t.sub(end, lanes)))
    few = t.let(f"icmp slt i64 %k, {lanes}") if lanes > 1 else True

    def one_by_one():
        with t.loop(0, "%k") as k, t.loop(0, line) as j:
            source = t.add(t.mul(t.least(j, last), column), k)
            value = t.load(scalar, t.at("%from", scalar, source), size)
            t.store(scalar, value, t.at("%to", scalar, t.add(t.mul(k, line), j)), size)

    t.either(few, one_by_one)
    return _footer(t)


def gather(name, dtype, width, lanes, row, column, target):
    """Any strides, one element after the other, into rows of ``width`` vectors."""
    t = _header(name, target)
    scalar, size = NAMES[dtype], SIZES[dtype]
    line, last = width * lanes, t.sub("%left", 1)
    with t.loop(0, "%k") as k, t.loop(0, line) as j:
        source = t.add(t.mul(t.least(j, last), column), t.mul(k, row))
        value = t.load(scalar, t.at("%from", scalar, source), size)
        t.store(scalar, value, t.at("%to", scalar, t.add(t.mul(k, line), j)), size)
    return _footer(t)


def transposed(t, rows, kind, lanes, size):
    """A square block of registers, turned: first inside 16 bytes by unpacking, then whole 16-byte parts."""

    def shuffle(a, b, order):
        text = ", ".join(f"i32 {i}" for i in order)
        return t.let(f"shufflevector {kind} {a}, {kind} {b}, <{lanes} x i32> <{text}>")

    inside = 16 // size  # elements in 16 bytes
    rows = list(rows)
    step = 1
    while step < inside:  # rows r and r + step: elements in groups of ``step`` alternate
        low, high = [], []
        for part in range(0, lanes, inside):
            for group in range(0, inside // 2, step):
                low += [part + group + i for i in range(step)] + [lanes + part + group + i for i in range(step)]
                half = group + inside // 2
                high += [part + half + i for i in range(step)] + [lanes + part + half + i for i in range(step)]
        out = list(rows)
        # After unpacking neighbours the low result holds elements 0 and 1 of both, the high one 2 and 3.
        for base in range(0, lanes, inside):
            block = rows[base : base + inside]
            if step == 1:
                pairs = [(block[i], block[i + 1]) for i in range(0, inside, 2)]
                mixed = [(shuffle(x, y, low), shuffle(x, y, high)) for x, y in pairs]
                if inside == 2:
                    out[base], out[base + 1] = mixed[0]
                else:
                    out[base : base + 4] = [mixed[0][0], mixed[1][0], mixed[0][1], mixed[1][1]]
            else:
                out[base] = shuffle(block[0], block[1], low)
                out[base + 1] = shuffle(block[0], block[1], high)
                out[base + 2] = shuffle(block[2], block[3], low)
                out[base + 3] = shuffle(block[2], block[3], high)
        rows = out
        step *= 2
    parts = lanes // inside
    if parts == 1:
        return rows

    def pick(which, source):
        return [source * lanes + w * inside + i for w in which for i in range(inside)]

    if parts == 2:
        even, odd = pick([0], 0) + pick([0], 1), pick([1], 0) + pick([1], 1)
        out = list(rows)
        for i in range(inside):
            out[i], out[i + inside] = shuffle(rows[i], rows[i + inside], even), shuffle(rows[i], rows[i + inside], odd)
        return out
    even, odd = pick([0, 2], 0) + pick([0, 2], 1), pick([1, 3], 0) + pick([1, 3], 1)
    out = list(rows)
    for i in range(inside):
        a, b, c, d = (rows[i + inside * part] for part in range(4))
        ab, cd = shuffle(a, b, even), shuffle(c, d, even)
        ab_, cd_ = shuffle(a, b, odd), shuffle(c, d, odd)
        out[i], out[i + 2 * inside] = shuffle(ab, cd, even), shuffle(ab, cd, odd)
        out[i + inside], out[i + 3 * inside] = shuffle(ab_, cd_, even), shuffle(ab_, cd_, odd)
    return out
