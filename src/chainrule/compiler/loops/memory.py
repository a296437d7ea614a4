"""Loads and stores at the current point of the loops: neighbouring elements, spread ones, computed addresses, masks."""

from .expression import convert, emit
from .text import SIZES, memory, number, stored, suffix, vector


def address(nest, a, u):
    """``(pointer, vector of offsets or None, stride between lanes)`` of an access for copy ``u`` of the vector."""
    w = nest.w
    p = nest.find(("p", id(a)))
    v = nest.space.vec
    s = a.strides[v] if v is not None and v in nest.bound else 0
    if s:
        i = 0 if a.local else nest.times(nest.idx[v], s)
        if i != 0:
            at = nest.find(("at", id(a)))
            p = at or nest.put(("at", id(a)), w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {i}"))
        if u:
            p = w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {u * nest.lanes * s}")
    if a.index is None:
        return p, None, s
    n = a.index
    lanes = nest.lanes if nest.is_vector(n) else 1
    x = convert(w, nest.get(n, u), n.dtype, "int64", lanes)
    t = vector("int64", lanes)
    if not n.dtype.startswith("u"):
        below = w.op(f"icmp slt {t} {x}, {number(0, 'int64', lanes)}")
        up = w.op(f"add {t} {x}, {number(a.limit, 'int64', lanes)}")
        x = w.op(f"select {vector('bool', lanes)} {below}, {t} {up}, {t} {x}")
    # whoever made the program reports an index out of range; here it must only not leave the buffer
    x = w.op(f"call {t} @llvm.umin.{suffix('int64', lanes)}({t} {x}, {t} {number(a.limit - 1, 'int64', lanes)})")
    if a.step != 1:
        x = w.op(f"mul {t} {x}, {number(a.step, 'int64', lanes)}")
    if lanes == 1:
        return w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {x}"), None, s
    return p, x, s


def load(nest, a, n, u):
    """The value of node ``n`` from its access: a vector if the node varies along the vector dim."""
    return read(nest, a, u, nest.lanes if nest.is_vector(n) else 1)


def read(nest, a, u, lanes):
    w = nest.w
    p, offsets, s = address(nest, a, u)
    t, align = memory(a.dtype, lanes), SIZES[a.dtype]
    if lanes == 1 or (offsets is None and s == 1 and nest.mask is None):
        x = w.op(f"load {t}, ptr {p}, align {align}")
    elif offsets is None and s == 1:
        x = masked_load(w, a.dtype, lanes, p, nest.mask)
    elif offsets is None and 2 <= s <= 4 and nest.valid is not None and lanes >= 4:
        x = spread(nest, a, p, s)
    else:
        x = w.op(
            f"call {t} @llvm.masked.gather.{short(a.dtype, lanes)}.v{lanes}p0(<{lanes} x ptr> align {align} "
            f"{pointers(nest, a, p, offsets, s)}, <{lanes} x i1> {on(nest)}, {t} zeroinitializer)"
        )
    if a.dtype == "bool":
        x = w.op(f"icmp ne {t} {x}, {'0' if lanes == 1 else 'zeroinitializer'}")
    return x


def masked_load(w, dtype, lanes, p, mask):
    t = memory(dtype, lanes)
    return w.op(
        f"call {t} @llvm.masked.load.{short(dtype, lanes)}.p0(ptr align {SIZES[dtype]} {p}, "
        f"<{lanes} x i1> {mask}, {t} zeroinitializer)"
    )


def spread(nest, a, p, s):
    """Every second, third or fourth element: neighbouring vectors, of which the wanted lanes are put together."""
    w, lanes, valid = nest.w, nest.lanes, nest.valid
    t, last = memory(a.dtype, lanes), s * (valid - 1)
    result = None
    for k in range(s):
        # the last vector ends at the last wanted element
        start = min(k * lanes, last - lanes + 1) if valid == lanes else k * lanes
        if start > last:
            break
        q = w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {start}") if start else p
        if start + lanes <= last + 1:
            x = w.op(f"load {t}, ptr {q}, align {SIZES[a.dtype]}")
        else:
            bits = ", ".join(f"i1 {'true' if start + j <= last else 'false'}" for j in range(lanes))
            x = masked_load(w, a.dtype, lanes, q, f"<{bits}>")
        base = result or x
        order = [lanes + s * j - start if k * lanes <= s * j < (k + 1) * lanes else j for j in range(lanes)]
        mask = ", ".join(f"i32 {o}" for o in order)
        result = w.op(f"shufflevector {t} {base}, {t} {x}, <{lanes} x i32> <{mask}>")
    return result


def pointers(nest, a, p, offsets, s):
    """A vector of pointers, one per lane."""
    w, lanes = nest.w, nest.lanes
    if s:
        numbers = "<" + ", ".join(f"i64 {k * s}" for k in range(lanes)) + ">"
        offsets = numbers if offsets is None else w.op(f"add {vector('int64', lanes)} {offsets}, {numbers}")
    return w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, {vector('int64', lanes)} {offsets}")


def on(nest):
    return nest.mask or number(True, "bool", nest.lanes)


def store_all(nest, stores):
    """All values before the first store: an output may lie in an input's memory."""
    v = nest.space.vec
    jobs = []
    for st in stores:
        a, n = st.access, st.node
        along = v is not None and v in nest.bound
        along = along and bool(a.strides[v] or (a.index is not None and nest.is_vector(a.index)))
        for u in range(nest.unroll if along else 1):
            x = nest.wide(n, u) if along else nest.get(n, u)
            jobs.append((st, x, u, nest.lanes if along else 1))
    for job in jobs:
        store(nest, *job)


def store(nest, st, x, u, lanes):
    w, a = nest.w, st.access
    if st.mode == "add":
        old = read(nest, a, u, lanes)
        x = emit(w, "add", lanes, [old, x], [a.dtype, a.dtype], a.dtype, nest.target)
    p, offsets, s = address(nest, a, u)
    t, align = memory(a.dtype, lanes), SIZES[a.dtype]
    if a.dtype == "bool":
        x = w.op(f"zext {vector('bool', lanes)} {x} to {t}")
    if lanes == 1 or (offsets is None and s == 1 and nest.mask is None):
        w.do(f"store {t} {x}, ptr {p}, align {align}")
    elif offsets is None and s == 1:
        w.do(
            f"call void @llvm.masked.store.{short(a.dtype, lanes)}.p0({t} {x}, ptr align {align} {p}, "
            f"<{lanes} x i1> {nest.mask})"
        )
    elif offsets is None and 2 <= s <= 4 and nest.valid is not None and lanes >= 4 and nest.target.vector_bytes > 16:
        store_spread(nest, a, p, s, x)
    else:
        w.do(
            f"call void @llvm.masked.scatter.{short(a.dtype, lanes)}.v{lanes}p0({t} {x}, <{lanes} x ptr> align {align} "
            f"{pointers(nest, a, p, offsets, s)}, <{lanes} x i1> {on(nest)})"
        )


def store_spread(nest, a, p, s, x):
    """To every second, third or fourth element: neighbouring vectors, of which only the wanted lanes are stored."""
    w, lanes = nest.w, nest.lanes
    t = memory(a.dtype, lanes)
    for k in range(s):
        places = range(k * lanes, (k + 1) * lanes)
        wanted = [e % s == 0 and e // s < nest.valid for e in places]
        if not any(wanted):
            break
        order = ", ".join(f"i32 {e // s}" if ok else "i32 poison" for e, ok in zip(places, wanted, strict=True))
        bits = ", ".join(f"i1 {'true' if ok else 'false'}" for ok in wanted)
        y = w.op(f"shufflevector {t} {x}, {t} poison, <{lanes} x i32> <{order}>")
        q = w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {k * lanes}") if k else p
        w.do(
            f"call void @llvm.masked.store.{short(a.dtype, lanes)}.p0({t} {y}, ptr align {SIZES[a.dtype]} {q}, "
            f"<{lanes} x i1> <{bits}>)"
        )


def short(dtype, lanes):
    """How intrinsics name a type in memory."""
    return suffix("int8" if dtype == "bool" else dtype, lanes)
