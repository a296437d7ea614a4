"""Copies of an operand in the order in which the micro-kernels read it."""

from chainrule.compiler.products.shuffle import turned
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


def turn_columns(name, dtype, width, lanes, masked, column, target):
    """Columns that lie along memory (``column`` elements apart) into rows of ``width`` vectors, by blocks in registers.

    ``k`` is at least ``block_depth``; ``left`` is how many of the columns exist. If ``masked`` the others are the last.
    """
    t = _header(name, target)
    scalar, size, kind = NAMES[dtype], SIZES[dtype], vector(NAMES[dtype], lanes)
    line, depth = width * lanes, block_depth(lanes, size)
    last = t.sub("%left", 1) if masked else None
    with t.loop(0, line, lanes) as first:
        start = t.at("%from", scalar, t.mul(first, column))
        if masked:
            starts = [t.at("%from", scalar, t.mul(t.least(t.add(first, j), last), column)) for j in range(lanes)]
        to = t.at("%to", scalar, first)
        # The last block may overlap the one before: it writes the same values again.
        end = t.sub("%k", depth)
        with t.loop(0, "%k", depth) as step:
            k = t.least(step, end)
            if masked:
                places = [t.at(place, scalar, k) for place in starts]
            else:
                here = t.at(start, scalar, k)
                places = [t.at(here, scalar, j * column) for j in range(lanes)]
            out = t.at(to, scalar, t.mul(k, line))
            for j, row in enumerate(turned(t, places, scalar, size)):
                t.store(kind, row, t.at(out, scalar, j * line), size * lanes)
    return _footer(t)


def block_depth(lanes, size):
    """Steps along K that ``turn_columns`` takes at a time."""
    return min(lanes, 32 // size)


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
