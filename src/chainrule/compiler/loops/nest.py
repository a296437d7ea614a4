"""The text of one kernel: loops over the chunks, the kept dims, and the passes over the reduced dims."""

from functools import partial
from math import prod

from . import tile
from .expression import convert, emit
from .reductions import COMBINE, better, first_lane, halves, identity, shuffle
from .stages import SCRATCH, plan
from .text import SIZES, Writer, memory, number, stored, suffix, vector


SHORT = 25


class Nest:
    """Writes the body of a kernel from a graph and its space."""

    def __init__(self, graph, space, target):
        self.g, self.space, self.target = graph, space, target
        self.w = Writer(half="+f16c" in target.features or not target.triple.startswith("x86"))
        self.red = list(space.red)
        self.scopes = [{}]
        self.idx = {}
        self.bound = set()
        self.lanes = self.unroll = 1
        self.mask = None
        self.valid = 1  # how many lanes the mask lets through, if known
        self.stages, self.last, self.scratch = plan(graph, space)
        self.accumulators = None
        self.tiled = space.tiled
        # short reductions stand there written out
        self.short = space.vec not in graph.red and prod(graph.sizes[d] for d in self.red) <= SHORT
        self.masks = target.vector_bytes == 64

    # ---- names in scope

    def find(self, key):
        for scope in reversed(self.scopes):
            if key in scope:
                return scope[key]
        return None

    def put(self, key, name):
        self.scopes[-1][key] = name
        return name

    def inside(self, body, *args):
        """Run a body in a scope of its own."""
        self.scopes.append({})
        state = (self.lanes, self.unroll, self.mask, self.valid, dict(self.idx), set(self.bound))
        body(*args)
        self.lanes, self.unroll, self.mask, self.valid, self.idx, self.bound = state
        self.scopes.pop()

    # ---- the kernel

    def text(self, name, in_place=False):
        """The function; with ``in_place`` it returns at once if its first and last pointers are equal."""
        w = self.w
        if in_place and len(self.g.operands) > 1:
            self.leave_if_same()
        accesses = {id(a): a for a in self.g.accesses()}
        for s in self.stages:
            accesses |= {id(x.access): x.access for x in s.stores}
        bases = {}
        for a in accesses.values():
            if a.pointer not in bases:
                bases[a.pointer] = self.base(a.pointer)
            p = bases[a.pointer]
            if a.offset:
                p = w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {a.offset}")
            self.put(("p", id(a)), p)
        self.hoist(self.g.nodes)
        if self.space.chunk_dims:
            w.loop("%begin", "%end", 1, lambda c: self.inside(self.chunk, c), guard=True)
        else:
            c = w.op("icmp slt i64 %begin, %end")
            go, out = w.new_label(), w.new_label()
            w.do(f"br i1 {c}, label %{go}, label %{out}")
            w.label(go)
            self.inside(self.par_loops, self.space.par)
            w.jump(out)
            w.label(out)
        w.do("ret void")
        head = f"define void @{name}(ptr %args, i64 %begin, i64 %end, ptr %scratch) nounwind {{\nentry:\n"
        return head + "\n".join(w.head + w.lines) + "\n}\n"

    def base(self, pointer):
        if pointer == SCRATCH:
            return "%scratch"
        slot = self.w.op(f"getelementptr ptr, ptr %args, i64 {pointer}") if pointer else "%args"
        return self.w.op(f"load ptr, ptr {slot}")

    def leave_if_same(self):
        w = self.w
        same = w.op(f"icmp eq ptr {self.base(0)}, {self.base(len(self.g.operands) - 1)}")
        leave, go = w.new_label(), w.new_label()
        w.do(f"br i1 {same}, label %{leave}, label %{go}")
        w.label(leave)
        w.do("ret void")
        w.label(go)

    def chunk(self, c):
        """Decode the chunk's number into the indices of the chunk dims."""
        w, dims = self.w, self.space.chunk_dims
        left = c
        for k, d in reversed(list(enumerate(dims))):
            n = self.g.sizes[d]
            if k == 0:
                i = left
            else:
                i = w.op(f"urem i64 {left}, {n}")
                left = w.op(f"udiv i64 {left}, {n}")
            self.bind(d, i)
        self.par_loops([d for d in self.space.par if d not in dims])

    def par_loops(self, dims):
        if not dims:
            return self.point()
        d, rest = dims[0], dims[1:]
        if d == self.space.vec:
            return self.vector_loop(d, self.point)
        if d == self.space.tile:
            return tile.loops(self, d, self.space.vec)
        self.w.loop(0, self.high(d), 1, lambda i: self.inside(self.par_step, d, i, rest), guard=self.g.sizes[d] == 0)
        return None

    def par_step(self, d, i, rest):
        self.bind(d, i)
        self.par_loops(rest)

    def high(self, d):
        """The end of a dim's loop: shorter in the last block of a ragged dim."""
        if d not in self.space.ragged:
            return self.g.sizes[d]
        block, n = self.space.ragged[d]
        size = self.g.sizes[d]
        key = ("high", d)
        if self.find(key) is None:
            done = self.times(self.idx[block], size)
            left = self.w.op(f"sub i64 {n}, {done}")
            self.put(key, self.w.op(f"call i64 @llvm.smin.i64(i64 {left}, i64 {size})"))
        return self.find(key)

    def times(self, i, k):
        if isinstance(i, int):
            return i * k
        return i if k == 1 else self.w.op(f"mul nsw i64 {i}, {k}")

    def bind(self, d, i):
        """Enter a dim: advance the pointers that move along it, compute what now varies no more."""
        self.idx[d] = i
        self.bound.add(d)
        if i != 0:
            offsets = {}
            for a in self.moving():
                s = a.strides[d]
                if s:
                    if s not in offsets:
                        offsets[s] = self.times(i, s)
                    p = self.find(("p", id(a)))
                    self.put(("p", id(a)), self.w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {offsets[s]}"))
        self.hoist(self.wanted())

    def moving(self):
        """The accesses of the pass being written, or of all."""
        s = self.accumulators
        if s is None:
            found = {id(a): a for a in self.g.accesses()}
            for t in self.stages:
                found |= {id(x.access): x.access for x in t.stores}
        else:
            found = {id(n.access): n.access for n in s.stage.nodes if n.access is not None}
            found |= {id(x.access): x.access for x in s.stage.stores}
            found |= {id(a): a for a in s.stage.kept.values()}
        return found.values()

    def wanted(self):
        return self.g.nodes if self.accumulators is None else self.accumulators.stage.nodes

    def hoist(self, nodes):
        """Compute the nodes whose dims are all bound; those after a reduction wait for it."""
        ready = self.accumulators.number if self.accumulators is not None else 0
        for n in nodes:
            if n.kind not in ("const", "reduce") and n.stage <= ready and n.dims <= self.bound:
                if self.space.vec in n.dims and self.space.vec not in self.bound:
                    continue
                if self.kept(n) is None and self.computable(n):
                    for u in range(self.copies(n)):
                        self.get(n, u)

    def computable(self, n):
        return all(a.kind != "reduce" or self.find((a, 0)) is not None for a in n.args)

    def copies(self, n):
        return self.unroll if self.is_vector(n) else 1

    def is_vector(self, n):
        return self.space.vec is not None and self.space.vec in n.dims

    def kept(self, n):
        return None if self.accumulators is None else self.accumulators.stage.kept.get(n)

    # ---- the vector dim

    def vector_loop(self, d, body):
        self.vector_range(d, body, 0, self.high(d))

    def vector_range(self, d, body, start, high):
        """Vectors from ``start``, which is a multiple of the lanes, up to ``high``."""
        w = self.w
        lanes, unroll = self.space.lanes, self.space.unroll
        step = lanes * unroll
        variants = [(lanes, unroll, False)]
        if self.masks:
            variants.append((lanes, 1, True))
        else:
            variants += [(lanes, 1, False)] if unroll > 1 else []
            variants += [(1, 1, False)] if lanes > 1 else []
        fixed = isinstance(high, int) and isinstance(start, int)
        for one, many, masked in variants:
            size = one * many
            if fixed:
                if start >= high:
                    break
                stop = high if masked else start + (high - start) // size * size
                if stop <= start:
                    continue
                w.loop(start, stop, size, partial(self.inside, self.vector_step, (d, one, many, masked, high, body)))
                start = stop
            else:
                stop = high if masked or size == 1 else w.op(f"and i64 {high}, {-size}")
                if isinstance(stop, int) and isinstance(start, int) and start >= stop:
                    break
                if masked and self.total(d) % step == 0:
                    break
                run = partial(self.inside, self.vector_step, (d, one, many, masked, high, body))
                w.loop(start, stop, size, run, guard=True)
                start = stop

    def total(self, d):
        return self.space.ragged[d][1] if d in self.space.ragged else self.g.sizes[d]

    def vector_step(self, how, i):
        d, lanes, unroll, masked, high, body = how
        self.lanes, self.unroll, self.mask, self.valid = lanes, unroll, None, lanes
        self.idx[d] = i
        self.bound.add(d)
        if masked:
            self.valid = None
            if isinstance(i, int) and isinstance(high, int):
                self.valid = min(lanes, high - i)
                on = ", ".join(f"i1 {'true' if k < high - i else 'false'}" for k in range(lanes))
                self.mask = None if high - i >= lanes else f"<{on}>"
            else:
                left = self.w.op(f"sub i64 {high}, {i}")
                t = vector("int32" if lanes > 1 else "int64", lanes)
                short = self.w.op(f"trunc i64 {self.w.op(f'call i64 @llvm.smin.i64(i64 {left}, i64 {lanes})')} to i32")
                wide = self.splat(short, "int32", lanes)
                numbers = "<" + ", ".join(f"i32 {k}" for k in range(lanes)) + ">"
                self.mask = self.w.op(f"icmp ult {t} {numbers}, {wide}")
        body()

    def splat(self, x, dtype, lanes):
        if lanes == 1:
            return x
        if not x.startswith("%"):
            return f"splat ({vector(dtype, 1)} {x})"
        t = vector(dtype, lanes)
        one = self.w.op(f"insertelement {t} poison, {vector(dtype, 1)} {x}, i64 0")
        return self.w.op(f"shufflevector {t} {one}, {t} poison, <{lanes} x i32> zeroinitializer")

    # ---- one point of the kept dims

    def point(self):
        for number_, stage in enumerate(self.stages):
            self.one_stage(number_, stage)
        self.store_all(self.last)

    def one_stage(self, number_, stage):
        if not self.red:
            for r in stage.reduces:
                for u in range(self.copies(r)):
                    x = self.get(r.args[0], u if self.is_vector(r.args[0]) else 0)
                    self.put(
                        (r, u),
                        number(0, r.dtype, self.lanes if self.is_vector(r) else 1) if r.fn.startswith("arg") else x,
                    )
            self.store_all(stage.stores)
            return
        # values of earlier passes that stand still over the reduced dims
        self.accumulators = Accumulators(self, number_, stage)
        for n in stage.nodes:
            if not n.dims & self.g.red and n.dims <= self.bound and n.kind not in ("const", "reduce"):
                for u in range(self.copies(n)):
                    self.get(n, u)
        self.inside(self.red_loops, self.red)
        acc, self.accumulators = self.accumulators, None
        acc.finish()

    def red_loops(self, dims):
        if not dims:
            return self.element()
        d, rest = dims[0], dims[1:]
        if d == self.space.vec:
            return self.vector_loop(d, self.element)
        if self.short and d not in self.space.ragged:
            for i in range(self.g.sizes[d]):
                self.inside(self.red_step, d, i, rest)
            return None
        self.w.loop(0, self.high(d), 1, lambda i: self.inside(self.red_step, d, i, rest), guard=self.g.sizes[d] == 0)
        return None

    def red_step(self, d, i, rest):
        self.bind(d, i)
        self.red_loops(rest)

    def element(self):
        stage = self.accumulators.stage
        for u in range(self.unroll):
            for r in stage.reduces:
                self.accumulators.add(r, u)
        self.store_all(stage.stores)

    # ---- values

    def get(self, n, u=0):
        """The name of a node: a vector if it varies along the vector dim, else a single number."""
        if n.kind == "const":
            return number(n.value, n.dtype)
        key = (n, u if self.is_vector(n) else 0)
        name = self.find(key)
        if name is None:
            name = self.put(key, self.make(n, u))
        return name

    def wide(self, n, u):
        """The node as a vector of the loop's lanes."""
        x = self.get(n, u)
        if self.is_vector(n) or self.lanes == 1:
            return x
        key = ("splat", n, self.lanes)
        found = self.find(key)
        if found is None:
            found = self.put(key, self.splat(x, n.dtype, self.lanes))
        return found

    def make(self, n, u):
        kept = self.kept(n)
        if kept is not None:
            return self.load(kept, n, u)
        vec = self.is_vector(n)
        lanes = self.lanes if vec else 1
        if n.kind == "load":
            return self.load(n.access, n, u)
        if n.kind == "iota":
            return self.iota(n, u, lanes)
        if n.kind == "reduce":
            raise AssertionError("loops: a reduction is read before its pass")
        args = [self.wide(a, u) if vec else self.get(a, u) for a in n.args]
        return emit(self.w, n.fn, lanes, args, [a.dtype for a in n.args], n.dtype, self.target)

    def iota(self, n, u, lanes):
        w, x = self.w, number(n.value, "int64")
        for d, c in enumerate(n.strides):
            if c and d in n.dims and not (self.is_vector(n) and d == self.space.vec):
                x = w.op(f"add i64 {x}, {self.times(self.idx[d], c)}")
        if self.is_vector(n):
            c = n.strides[self.space.vec]
            i = self.times(self.idx[self.space.vec], c)
            x = w.op(f"add i64 {x}, {i}")
            if u:
                x = w.op(f"add i64 {x}, {u * self.lanes * c}")
            x = self.splat(x, "int64", lanes)
            if lanes > 1:
                numbers = ", ".join(f"i64 {k * c}" for k in range(lanes))
                x = w.op(f"add {vector('int64', lanes)} {x}, <{numbers}>")
        return convert(w, x, "int64", n.dtype, lanes)

    # ---- memory

    def address(self, a, u):
        """``(pointer, vector of offsets or None, stride between lanes)`` of an access at the current point."""
        w = self.w
        p = self.find(("p", id(a)))
        v = self.space.vec
        s = a.strides[v] if v is not None and v in self.bound else 0
        if s:
            i = 0 if a.local else self.times(self.idx[v], s)
            if i != 0:
                p = self.cached(("at", id(a)), lambda: w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {i}"))
            if u:
                p = w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {u * self.lanes * s}")
        offsets = None
        if a.index is not None:
            n = a.index
            lanes = self.lanes if self.is_vector(n) else 1
            x = convert(w, self.get(n, u), n.dtype, "int64", lanes)
            t = vector("int64", lanes)
            if not n.dtype.startswith("u"):
                below = w.op(f"icmp slt {t} {x}, {number(0, 'int64', lanes)}")
                up = w.op(f"add {t} {x}, {number(a.limit, 'int64', lanes)}")
                x = w.op(f"select {vector('bool', lanes)} {below}, {t} {up}, {t} {x}")
            if a.step != 1:
                x = w.op(f"mul {t} {x}, {number(a.step, 'int64', lanes)}")
            if lanes == 1:
                p = w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {x}")
            else:
                offsets = x
        return p, offsets, s

    def cached(self, key, make):
        found = self.find(key)
        return found if found is not None else self.put(key, make())

    def many(self, a, p, offsets, s):
        """A vector of pointers."""
        w, lanes = self.w, self.lanes
        if s:
            numbers = "<" + ", ".join(f"i64 {k * s}" for k in range(lanes)) + ">"
            offsets = numbers if offsets is None else w.op(f"add {vector('int64', lanes)} {offsets}, {numbers}")
        return w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, {vector('int64', lanes)} {offsets}")

    def on(self):
        return self.mask or number(True, "bool", self.lanes)

    def load(self, a, n, u):
        w = self.w
        lanes = self.lanes if self.is_vector(n) else 1
        p, offsets, s = self.address(a, u)
        t, align = memory(a.dtype, lanes), SIZES[a.dtype]
        if lanes == 1:
            x = w.op(f"load {t}, ptr {p}, align {align}")
        elif offsets is None and s == 1:
            if self.mask is None:
                x = w.op(f"load {t}, ptr {p}, align {align}")
            else:
                x = w.op(
                    f"call {t} @llvm.masked.load.{_short(a.dtype, lanes)}.p0(ptr align {align} {p}, "
                    f"<{lanes} x i1> {self.mask}, {t} zeroinitializer)"
                )
        elif offsets is None and 2 <= s <= 4 and self.valid is not None and lanes >= 4:
            x = self.spread(a, p, s, t, align)
        else:
            ps = self.many(a, p, offsets, s)
            x = w.op(
                f"call {t} @llvm.masked.gather.{_short(a.dtype, lanes)}.v{lanes}p0(<{lanes} x ptr> align {align} {ps}, "
                f"<{lanes} x i1> {self.on()}, {t} zeroinitializer)"
            )
        if a.dtype == "bool":
            x = w.op(f"icmp ne {t} {x}, {'0' if lanes == 1 else 'zeroinitializer'}")
        return x

    def spread(self, a, p, s, t, align):
        """Every second, third or fourth element: neighbouring vectors, and the lanes that are wanted."""
        w, lanes, last = self.w, self.lanes, s * (self.valid - 1)
        result = None
        for k in range(s):
            start = min(k * lanes, last - lanes + 1) if self.valid == lanes else k * lanes
            if start > last:
                break
            q = w.op(f"getelementptr {stored(a.dtype)}, ptr {p}, i64 {start}") if start else p
            if start + lanes <= last + 1:
                x = w.op(f"load {t}, ptr {q}, align {align}")
            else:
                on = ", ".join(f"i1 {'true' if start + j <= last else 'false'}" for j in range(lanes))
                x = w.op(
                    f"call {t} @llvm.masked.load.{_short(a.dtype, lanes)}.p0(ptr align {align} {q}, "
                    f"<{lanes} x i1> <{on}>, {t} zeroinitializer)"
                )
            order = []
            for j in range(lanes):
                at = s * j - start
                order.append(lanes + at if k * lanes <= s * j < (k + 1) * lanes else j)
            if result is None:
                result, order = x, [o - lanes if o >= lanes else o for o in order]
            mask = ", ".join(f"i32 {o}" for o in order)
            result = w.op(f"shufflevector {t} {result}, {t} {x}, <{lanes} x i32> <{mask}>")
        return result

    def store_all(self, stores):
        """All values before the first store: an output may lie in an input's memory."""
        v = self.space.vec
        todo = []
        for st in stores:
            a, n = st.access, st.node
            along = v is not None and v in self.bound
            along = along and bool(a.strides[v] or (a.index is not None and self.is_vector(a.index)))
            for u in range(self.unroll if along else 1):
                lanes = self.lanes if along else 1
                if lanes > 1:
                    self.wide(n, u)
                else:
                    self.get(n, u)
                todo.append((st, a, n, u, lanes))
        for job in todo:
            self.store_one(*job)

    def store_one(self, st, a, n, u, lanes):
        w = self.w
        x = self.wide(n, u) if lanes > 1 else self.get(n, u)
        if st.mode == "add":
            old = self.load_for_add(a, n, u, lanes)
            x = emit(w, "add", lanes, [old, x], [n.dtype, n.dtype], n.dtype, self.target)
        p, offsets, s = self.address(a, u)
        t, align = memory(a.dtype, lanes), SIZES[a.dtype]
        if a.dtype == "bool":
            x = w.op(f"zext {vector('bool', lanes)} {x} to {t}") if x.startswith("%") or lanes > 1 else _bool_byte(x)
        if lanes == 1:
            w.do(f"store {t} {x}, ptr {p}, align {align}")
        elif offsets is None and s == 1:
            if self.mask is None:
                w.do(f"store {t} {x}, ptr {p}, align {align}")
            else:
                w.do(
                    f"call void @llvm.masked.store.{_short(a.dtype, lanes)}.p0({t} {x}, ptr align {align} {p}, "
                    f"<{lanes} x i1> {self.mask})"
                )
        else:
            ps = self.many(a, p, offsets, s)
            w.do(
                f"call void @llvm.masked.scatter.{_short(a.dtype, lanes)}.v{lanes}p0({t} {x}, "
                f"<{lanes} x ptr> align {align} {ps}, <{lanes} x i1> {self.on()})"
            )

    def load_for_add(self, a, n, u, lanes):
        w = self.w
        p, offsets, s = self.address(a, u)
        t, align = memory(a.dtype, lanes), SIZES[a.dtype]
        if lanes == 1:
            x = w.op(f"load {t}, ptr {p}, align {align}")
        elif offsets is None and s == 1 and self.mask is None:
            x = w.op(f"load {t}, ptr {p}, align {align}")
        else:
            ps = self.many(a, p, offsets, s)
            x = w.op(
                f"call {t} @llvm.masked.gather.{_short(a.dtype, lanes)}.v{lanes}p0(<{lanes} x ptr> align {align} {ps}, "
                f"<{lanes} x i1> {self.on()}, {t} zeroinitializer)"
            )
        if a.dtype == "bool":
            x = w.op(f"icmp ne {t} {x}, {'0' if lanes == 1 else 'zeroinitializer'}")
        return x


def _bool_byte(x):
    return "1" if x == "true" else "0"


def _short(dtype, lanes):
    return suffix("int8" if dtype == "bool" else dtype, lanes)


class Accumulators:
    """The running results of one pass."""

    def __init__(self, nest, number_, stage):
        self.nest, self.number, self.stage = nest, number_, stage
        self.slots = {}  # (reduce, lanes, copy) -> names
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
        for (r, lanes, _), (value, where) in self.slots.items():
            kind = self.kind(r)
            starts.append(f"  store {vector(kind, lanes)} {number(identity(r.fn, kind), kind, lanes)}, ptr {value}")
            if where:
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
        nest, w = self.nest, self.nest.w
        kind = self.kind(r)
        by_lanes = {}
        for k in keys:
            value, where = self.slots[k]
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
