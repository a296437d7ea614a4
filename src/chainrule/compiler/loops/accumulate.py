"""The running results of one pass over the reduced dims: where they start, how an element is added, how lanes join."""

from .expression import convert, emit
from .reductions import COMBINE, better, first_lane, halves, identity, shuffle
from .text import FAST, is_float, number, vector


class Accumulators:
    """The running results of one pass."""

    def __init__(self, nest, number_, stage):
        self.nest, self.number, self.stage = nest, number_, stage
        self.slots = {}  # (reduce, lanes, copy) -> memory of the value, and of the index or of the longer-lived sum
        self.totals = set()  # the slots that have a longer-lived sum
        self.spot = len(nest.w.lines)
        nest.w.lines.append("")
        self.inner = nest.space.vec in nest.g.red if nest.space.vec is not None else False

    def slot(self, r, lanes, u):
        key = (r, lanes, u)
        if key not in self.slots:
            w = self.nest.w
            value = w.alloca(vector(r.dtype if not r.fn.startswith("arg") else r.args[0].dtype, lanes))
            where = w.alloca(vector("int64", lanes)) if r.fn.startswith("arg") else None
            self.slots[key] = (value, where)
        return self.slots[key]

    def flush(self):
        """Add the running sums to longer-lived ones and start anew: rounding errors grow with the terms in a row."""
        w = self.nest.w
        for (r, lanes, u), (value, where) in list(self.slots.items()):
            if r.fn != "sum" or not is_float(r.dtype):
                continue
            t = vector(r.dtype, lanes)
            if where is None:
                where = w.alloca(t)
                self.slots[r, lanes, u] = (value, where)
                self.totals.add((r, lanes, u))
            both = w.op(f"fadd {FAST} {t} {w.op(f'load {t}, ptr {where}')}, {w.op(f'load {t}, ptr {value}')}")
            w.do(f"store {t} {both}, ptr {where}")
            w.do(f"store {t} {number(0, r.dtype, lanes)}, ptr {value}")

    def kind(self, r):
        return r.args[0].dtype if r.fn.startswith("arg") else r.dtype

    def add(self, r, u):
        """One more element (a vector of them)."""
        nest, w = self.nest, self.nest.w
        across = self.inner  # lanes hold different elements of one reduction
        if across:
            lanes, x = nest.lanes, nest.wide(r.args[0], u)
        else:
            vec = nest.is_vector(r)
            if not vec and u:
                return
            lanes = nest.lanes if vec else 1
            x = nest.wide(r.args[0], u) if vec else nest.get(r.args[0], u)
        value, where = self.slot(r, lanes, u)
        where = where if r.fn.startswith("arg") else None
        kind = self.kind(r)
        t = vector(kind, lanes)
        old = w.op(f"load {t}, ptr {value}")
        mask = nest.mask if across else None
        if where is None:
            new = combine(w, r.fn, kind, lanes, old, x, nest.target)
            if mask:
                new = w.op(f"select <{lanes} x i1> {mask}, {t} {new}, {t} {old}")
            w.do(f"store {t} {new}, ptr {value}")
            return
        n = vector("int64", lanes)
        at = self.position(r, u, lanes, across)
        old_at = w.op(f"load {n}, ptr {where}")
        go = better(w, r.fn, kind, lanes, x, old, at, old_at)
        if mask:
            go = w.op(f"and <{lanes} x i1> {go}, {mask}")
        b = vector("bool", lanes)
        w.do(f"store {t} {w.op(f'select {b} {go}, {t} {x}, {t} {old}')}, ptr {value}")
        w.do(f"store {n} {w.op(f'select {b} {go}, {n} {at}, {n} {old_at}')}, ptr {where}")

    def position(self, r, u, lanes, across):
        nest, w = self.nest, self.nest.w
        x, v = "0", nest.space.vec
        for d, c in enumerate(r.value):
            if c and d in nest.idx and d in nest.g.red and not (across and d == v):
                x = w.op(f"add i64 {x}, {nest.times(nest.idx[d], c)}")
        if not across:
            return nest.splat(x, "int64", lanes) if x.startswith("%") else number(0, "int64", lanes)
        c = r.value[v]
        x = w.op(f"add i64 {x}, {nest.times(nest.idx[v], c)}")
        x = w.op(f"add i64 {x}, {u * nest.lanes * c}")
        x = nest.splat(x, "int64", lanes)
        if lanes > 1:
            x = w.op(f"add {vector('int64', lanes)} {x}, <{', '.join(f'i64 {k * c}' for k in range(lanes))}>")
        return x

    def finish(self):
        """Write the starts before the loops, and join the parts after them."""
        nest, w = self.nest, self.nest.w
        starts = []
        for (r, lanes, u), (value, where) in self.slots.items():
            kind = self.kind(r)
            starts.append(f"  store {vector(kind, lanes)} {number(identity(r.fn, kind), kind, lanes)}, ptr {value}")
            if (r, lanes, u) in self.totals:
                starts.append(f"  store {vector(kind, lanes)} {number(0, kind, lanes)}, ptr {where}")
            elif where:
                starts.append(f"  store {vector('int64', lanes)} {number((1 << 62), 'int64', lanes)}, ptr {where}")
        w.lines[self.spot] = "\n".join(starts)
        for r in self.stage.reduces:
            if self.inner or not nest.is_vector(r):
                name = self.join(r, [k for k in self.slots if k[0] is r])
                nest.put((r, 0), name)
            else:
                for u in range(nest.unroll):
                    nest.put((r, u), self.join(r, [(r, nest.lanes, u)], across=False))

    def join(self, r, keys, across=True):
        w = self.nest.w
        kind = self.kind(r)
        by_lanes = {}
        for k in keys:
            value, where = self.slots[k]
            if k in self.totals:
                value, where = where, None
            x = w.op(f"load {vector(kind, k[1])}, ptr {value}")
            at = w.op(f"load {vector('int64', k[1])}, ptr {where}") if where else None
            by_lanes.setdefault(k[1], []).append((x, at))
        done = []
        for lanes, parts in by_lanes.items():
            while len(parts) > 1:
                pairs = [self.two(r, kind, lanes, *p) for p in zip(parts[::2], parts[1::2], strict=False)]
                parts = pairs + ([parts[-1]] if len(parts) % 2 else [])
            x, at = parts[0]
            if across and lanes > 1:
                for order in halves(lanes):
                    y = shuffle(w, kind, lanes, x, order)
                    y_at = shuffle(w, "int64", lanes, at, order) if at else None
                    x, at = self.two(r, kind, lanes, (x, at), (y, y_at))
                x = first_lane(w, kind, lanes, x)
                at = first_lane(w, "int64", lanes, at) if at else None
                lanes = 1
            done.append((x, at, lanes))
        x, at, lanes = done[0]
        for y, y_at, _ in done[1:]:
            x, at = self.two(r, kind, lanes, (x, at), (y, y_at))
        if at is not None:
            return convert(w, at, "int64", r.dtype, lanes)
        return x

    def two(self, r, kind, lanes, a, b):
        w = self.nest.w
        if a[1] is None:
            return combine(w, r.fn, kind, lanes, a[0], b[0], self.nest.target), None
        go = better(w, r.fn, kind, lanes, b[0], a[0], b[1], a[1])
        t, n, m = vector(kind, lanes), vector("int64", lanes), vector("bool", lanes)
        x = w.op(f"select {m} {go}, {t} {b[0]}, {t} {a[0]}")
        return x, w.op(f"select {m} {go}, {n} {b[1]}, {n} {a[1]}")


def combine(w, fn, kind, lanes, old, x, target):
    name = COMBINE[fn]
    if name in ("or", "and") and kind != "bool":
        raise NotImplementedError(f"loops: {fn} of {kind}; convert to bool first")
    return emit(w, name, lanes, [old, x], [kind, kind], kind, target)
