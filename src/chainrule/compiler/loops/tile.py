"""Transposed reads in square tiles: vectors are loaded along the dim in which the read is contiguous and turned in
registers, so that a tile of the loop then goes on along the other dim."""

from .text import SIZES, memory, stored


def tile_dim(graph, vec, lanes, par):
    """The dim along which strided reads are contiguous, if tiles can be used, and the reads; else ``(None, ())``."""
    if vec is None or lanes < 4 or graph.sizes[vec] < lanes or graph.red:
        return None, ()
    reads = [
        n for n in graph.nodes if n.kind == "load" and n.access.index is None and n.access.strides[vec] not in (0, 1)
    ]
    if not reads or len(reads) > 2 or any(s.access.strides[vec] != 1 for s in graph.stores):
        return None, ()
    for d in par:
        if d != vec and graph.sizes[d] >= lanes and all(n.access.strides[d] == 1 for n in reads):
            return d, reads
    return None, ()


def loops(nest, d, vec):
    """Write the loops over the tile dim ``d`` and the vector dim, which is the last."""
    w, lanes = nest.w, nest.space.lanes
    high, across = nest.high(d), nest.high(vec)
    if isinstance(high, int):
        stop = high // lanes * lanes
    else:
        stop = w.op(f"and i64 {high}, {-lanes}")
    if isinstance(across, int):
        whole = across // lanes * lanes
    else:
        whole = w.op(f"and i64 {across}, {-lanes}")

    def rows(i):
        w.loop(0, whole, lanes, lambda k: nest.inside(tile, nest, d, vec, i, k), guard=True)
        if not (isinstance(across, int) and whole == across):
            w.loop(0, lanes, 1, lambda j: nest.inside(edge, nest, d, vec, (w.op(f"add i64 {i}, {j}"), whole, across)))

    def rest(i):
        edge(nest, d, vec, (i, 0, across))

    w.loop(0, stop, lanes, lambda i: nest.inside(rows, i), guard=True)
    if not (isinstance(high, int) and stop == high):
        w.loop(stop, high, 1, lambda i: nest.inside(rest, i), guard=True)


def edge(nest, d, vec, at):
    """One row of the part that no tile covers."""
    i, low, high = at
    nest.bind(d, i)
    nest.vector_range(vec, nest.point, low, high)


def tile(nest, d, vec, i, k):
    """One tile: ``lanes`` rows from ``i`` along ``d``, one vector from ``k`` along ``vec``."""
    w, lanes = nest.w, nest.space.lanes
    nest.lanes, nest.unroll, nest.mask = lanes, 1, None
    turned = {}
    for n in nest.tiled:
        a = n.access
        p = nest.find(("p", id(a)))
        s = a.strides[vec]
        off = w.op(f"add i64 {nest.times(k, s)}, {i}")
        p = w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {off}")
        t = memory(a.dtype, lanes)
        rows = []
        for j in range(lanes):
            q = w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {j * s}") if j else p
            rows.append(w.op(f"load {t}, ptr {q}, align {SIZES[a.dtype]}"))
        rows = transpose(w, rows, t, lanes)
        if a.dtype == "bool":
            rows = [w.op(f"icmp ne {t} {r}, zeroinitializer") for r in rows]
        turned[n] = rows
    moving = [a for a in nest.moving() if a.strides[d]]
    starts = {}
    for a in moving:
        off = nest.times(i, a.strides[d])
        starts[id(a)] = w.op(f"getelementptr {stored(a.dtype)}, ptr {nest.find(('p', id(a)))}, i64 {off}")
    for j in range(lanes):
        nest.inside(row, nest, d, vec, (i, k, j, moving, starts, turned))


def row(nest, d, vec, at):
    i, k, j, moving, starts, turned = at
    w = nest.w
    for a in moving:
        p = starts[id(a)]
        if j:
            p = w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {j * a.strides[d]}")
        nest.put(("p", id(a)), p)
    nest.idx[d] = w.op(f"add i64 {i}, {j}")
    nest.bound.add(d)
    for n, rows in turned.items():
        nest.put((n, 0), rows[j])
    nest.hoist(nest.wanted())
    nest.idx[vec] = k
    nest.bound.add(vec)
    nest.point()


def transpose(w, rows, t, lanes):
    """Vectors that hold the columns: in each round neighbours are interleaved with those half a matrix away."""
    half = lanes // 2
    low = [x for k in range(half) for x in (k, k + lanes)]
    high = [x + half for x in low]
    step = 1
    while step < lanes:
        new = []
        for k in range(half):
            a, b = rows[k], rows[k + half]
            for order in (low, high):
                mask = ", ".join(f"i32 {x}" for x in order)
                new.append(w.op(f"shufflevector {t} {a}, {t} {b}, <{lanes} x i32> <{mask}>"))
        rows = new
        step *= 2
    return rows
