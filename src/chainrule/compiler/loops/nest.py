"""The text of one kernel: loops over the chunks, the kept dims, and the passes over the reduced dims."""

from functools import partial
from math import prod

from . import tile
from .accumulate import Accumulators
from .expression import convert, emit
from .memory import load, store_all
from .space import node_cost
from .stages import SCRATCH, plan
from .text import Writer, number, stored, vector

SHORT = 25  # elements of a reduction up to which it is written out
BODY = 150  # instructions of a body that is written out


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
        long = prod(graph.sizes[d] for d in self.red)
        body = sum(node_cost(n) + 1 for s in self.stages for n in (*s.nodes, *s.reduces)) * space.unroll
        self.short = space.vec not in graph.red and long <= SHORT and long * body <= BODY
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
        blocks, n = self.space.ragged[d]
        size = self.g.sizes[d]
        key = ("high", d)
        if self.find(key) is None:
            left = str(n)
            for b, width in blocks:
                left = self.w.op(f"sub i64 {left}, {self.times(self.idx[b], width)}")
            left = self.w.op(f"call i64 @llvm.smin.i64(i64 {left}, i64 {size})")
            if len(blocks) > 1:
                left = self.w.op(f"call i64 @llvm.smax.i64(i64 {left}, i64 0)")
            self.put(key, left)
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
        if self.accumulators is not None:
            unroll = min(unroll, self.accumulators.stage.unroll)
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
        store_all(self, self.last)

    def one_stage(self, number_, stage):
        if not self.red:
            for r in stage.reduces:
                for u in range(self.copies(r)):
                    x = self.get(r.args[0], u if self.is_vector(r.args[0]) else 0)
                    self.put(
                        (r, u),
                        number(0, r.dtype, self.lanes if self.is_vector(r) else 1) if r.fn.startswith("arg") else x,
                    )
            store_all(self, stage.stores)
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
        self.w.loop(0, self.high(d), 1, lambda i: self.inside(self.red_step, d, i, rest), guard=self.guard(d))
        return None

    def guard(self, d):
        """Whether the loop may run not at all."""
        return self.g.sizes[d] == 0 or (d in self.space.ragged and len(self.space.ragged[d][0]) > 1)

    def red_step(self, d, i, rest):
        self.bind(d, i)
        self.red_loops(rest)
        if d == self.space.flush:
            self.accumulators.flush()

    def element(self):
        stage = self.accumulators.stage
        for u in range(self.unroll):
            for r in stage.reduces:
                self.accumulators.add(r, u)
        store_all(self, stage.stores)

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
            return load(self, kept, n, u)
        vec = self.is_vector(n)
        lanes = self.lanes if vec else 1
        if n.kind == "load":
            return load(self, n.access, n, u)
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
