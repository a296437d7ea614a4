"""Which instructions become one kernel.

Instructions are taken from the last to the first. A group has an iteration space; every value in it has a ``Place``
there (see loops/access.py). A producer joins the group of its consumer if all the group's reads of it meet the same
element at the same point; then it never goes through memory for that consumer. ``red`` names the dims of the space over
which the group's reductions run; a row-wise chain (softmax, layer norm and their derivatives) is one group.

Order: every group has a ``key``; a group runs after all groups of higher key. A group reads only what groups of higher
key make, so a producer joins a group only where that stays true.
"""

from .functions import MAPS
from .group import LEAVES, MOST_INSTRS, MOST_POINTERS, Group, along_of, one_hot, reduced_index
from .loops.access import Place, Split, covers, forms, points, source, split, squeeze, still, through
from .merge import merge_all, siblings
from .pieces import filled, root

CHEAP = frozenset(MAPS) - {
    "div", "pow", "floor_divide", "remainder", "fmod", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt",
    "rsqrt", "reciprocal", "tanh", "sigmoid", "erf", "erfc", "erfinv", "sin", "cos", "tan", "asin", "acos", "atan",
    "atan2", "sinh", "cosh", "asinh", "acosh", "atanh", "hypot", "logaddexp",
}  # fmt: skip
ROW_LIMIT = 1 << 15  # a reduction whose result is used again along the row stays in one kernel up to this many elements
DUPLICATES = 4  # how long a chain of cheap maps may be repeated instead of stored


def groups(program):
    """The program's groups in an order in which they can run.

    Every instruction that is needed is in a group, apart from those (scalars, iota, views) that are part of whatever
    reads them. A group has ``kind`` (loops, update, scatter, dot, call), ``instrs``, ``inputs`` (arrays it reads from
    memory) and ``outputs`` (arrays it writes). Linear in the number of instructions.

    >>> from chainrule.compiler import ir
    >>> p = ir.Program()
    >>> x = p.input((8, 16), "float32")
    >>> top = p.reduce("max", x, (1,))
    >>> p.outputs = [p.map("exp", p.map("sub", x, p.view(top, (8, 1), (1, 1))))]
    >>> groups(p)
    [loops[8, 16][reduce.max, map.sub, map.exp] [%0] -> [%4]]
    """
    return _Fuser(program).run()


class _Fuser:
    def __init__(self, program):
        self.program = program
        self.uses = {}  # base value -> {group: set of Place or None}
        self.needed = set()  # values that must be in memory
        self.results = set()  # those among them that leave the program
        self.checks = set()  # those among them that may end it
        self.groups = []
        self.top = 0.0
        self.copies = {}  # value -> how long a chain of repeated maps hangs on it
        self.origin = {}  # value -> number of elements of the reduction from which it comes by maps of the same size
        self.home = {}  # value -> the group that stores it

    def run(self):
        p = self.program
        for i in p.instrs:
            if i.op == "reduce":
                self.origin[i.output] = i.inputs[0].size
            elif i.op in ("map", "view"):
                for v in i.inputs:
                    if v in self.origin and i.output.size == v.size:
                        self.origin[i.output] = self.origin[v]
        for v in (*p.outputs, *p.writes.values()):
            if v.instr is not None:
                self.needed.add(v)
        self.results = set(self.needed)
        self.checks = {p.outputs[n] for n in p.checks}
        for i in reversed(p.instrs):
            self.take(i)
        siblings(self)
        alive = sorted((g for g in self.groups if g.alive), key=lambda g: -g.key)
        for g in alive:
            self.close(g)
        return alive

    # ---- one instruction

    def take(self, i):
        if i.op in ("dot", "call"):
            if i.op == "call" or self.wanted(i.output):
                self.opaque(i)
            return
        v = i.output
        if not self.wanted(v):
            return
        if i.op in ("update", "scatter") and not one_hot(i):
            root(self, i)
        elif i.op == "reduce" and v.size != i.inputs[0].size:
            self.reduction(i)
        elif i.op in ("map", "take", "gather", "reduce", "scatter"):
            self.pointwise(i)
        elif v in self.needed:  # a scalar, iota or view that has to be in memory
            self.alone(i)

    def wanted(self, v):
        return v in self.needed or v in self.uses

    def new(self, kind, sizes=(), red=()):
        g = Group(kind, sizes, red)
        self.top += 1.0
        g.key = self.top
        self.groups.append(g)
        return g

    def use(self, group, operand, place, memory=False):
        """Note that ``group`` reads ``operand``'s base at ``place`` (None: from memory, whatever the group makes)."""
        self.uses.setdefault(operand, {}).setdefault(group, set()).add(None if memory else place)
        if operand not in group.places and (operand.instr is None or operand.instr.op not in LEAVES):
            group.reads.add(operand)
        if memory and operand.instr is not None:
            self.needed.add(operand)
        if place is not None and operand.instr is not None and operand.instr.op == "iota":
            if not isinstance(forms(operand.shape, place, group.sizes), list):  # no linear function of the indices
                self.needed.add(operand)

    def opaque(self, i):
        g = self.new(i.op)
        g.members.append(i)
        for v in i.outputs:
            g.store[v] = None
            self.home[v] = g
        for v in i.inputs:
            # a product takes a view as it is, a call wants an array
            base = source(v)[0] if i.op == "dot" else v
            if base.instr is not None and base.instr.op in (*LEAVES, "view"):
                self.needed.add(base)
            self.use(g, base, None, memory=True)

    def read(self, g, operand, index, whole=False):
        base, strides, offset = source(operand)
        place = through(index, len(g.sizes), operand.shape, strides, offset)
        self.use(g, base, place, memory=whole and base.instr is not None and base.instr.op not in LEAVES)

    def split_forms(self, g, shape, place_of):
        """``forms`` at a place given by a function (the place changes as dims are split); None if there are none."""
        while True:
            index = forms(shape, place_of(), g.sizes)
            if not isinstance(index, Split):
                return index
            if len(g.sizes) > 12:
                return None
            g.refine(index.dim, index.inner)
            # places noted for values still to come are split too
            for uses in self.pending(g):
                uses[g] = {p and Place(split(p.strides, index.dim, index.inner), p.offset) for p in uses[g]}

    def pending(self, g):
        return [self.uses[v] for v in g.reads if v in self.uses and g in self.uses[v]]

    # ---- placing

    def alone(self, i):
        v = i.output
        sizes, place = squeeze(v.shape)
        g = self.new("loops", sizes)
        g.places[v] = place
        g.members.append(i)
        self.keep(g, v)
        if i.op == "view":
            self.inputs(g, i)

    def keep(self, g, v):
        g.store[v] = None
        self.home[v] = g

    def pointwise(self, i):
        v = i.output
        uses = self.uses.get(v, {})
        if v.size == 0 or any(u.size == 0 for u in i.inputs) or i.params.get("apart"):
            self.needed.add(v)
            return self.alone_with_inputs(i)
        stored = v in self.needed
        takers = [g for g, places in uses.items() if len(places) == 1 and None not in places and g.alive]
        if not stored and len(takers) == len(uses) and (len(uses) == 1 or self.repeatable(i)):
            if all(self.fits(g, i, stored=False) for g in takers):
                for g in takers:
                    self.join(g, i)
                if len(takers) > 1:
                    self.copies[v] = 1 + max((self.copies.get(u, 0) for u in (v,)), default=0)
                    for u in i.inputs:
                        base = source(u)[0]
                        self.copies[base] = max(self.copies.get(base, 0), self.copies[v])
                return None
        if len(takers) > 1:
            takers = merge_all(self, takers, v)
        uses = self.uses.get(v, {})
        others = stored or len(uses) > 1
        for g in sorted(takers, key=lambda g: (-len(g.red), -g.key)):
            if self.first(g, uses) and self.fits(g, i, stored=others):
                self.join(g, i)
                if others:
                    self.keep(g, v)
                return None
        self.alone_with_inputs(i)
        return None

    def repeatable(self, i):
        """Whether repeating a map in several groups is better than storing its result."""
        if i.op != "map" or i.params["fn"] not in CHEAP or self.copies.get(i.output, 0) >= DUPLICATES:
            return False
        full = [v for v in i.inputs if v.size > 1 and source(v)[0].size * 2 > i.output.size]
        made = [
            v for v in full if source(v)[0].instr is not None and source(v)[0].instr.op in ("map", "take", "gather")
        ]
        return len({source(v)[0] for v in made}) <= (1 if len({source(v)[0] for v in full}) <= 1 else 0)

    def alone_with_inputs(self, i):
        v = i.output
        sizes, place = squeeze(v.shape)
        g = self.new("loops", sizes)
        g.places[v] = place
        if v in self.needed or v in self.uses:
            self.keep(g, v)
        g.members.append(i)
        self.inputs(g, i)

    def first(self, g, uses):
        """Whether ``g`` runs, or can be made to run, before the other groups that read the value."""
        others = [h.key for h in uses if h is not g]
        low = max(others, default=0.0)
        if g.key > low:
            return True
        high = min((self.home[u].key for u in g.reads if u in self.home and self.home[u] is not g), default=None)
        if high is None:
            self.top += 1.0
            g.key = self.top
            return True
        if high - low > 1e-6:
            g.key = (low + high) / 2
            return True
        return False

    def fits(self, g, i, stored):
        """Whether the instruction can be computed in the group, at the one place where the group reads its value."""
        v = i.output
        if g.kind not in ("loops", "update", "scatter") or len(g.members) >= MOST_INSTRS:
            return False
        extra = sum(source(u)[0] not in g.reads for u in i.inputs) - 1 + stored
        if len(g.reads) + len(g.store) + extra > MOST_POINTERS:
            return False
        (place,) = self.uses[v][g]
        if i.op == "view":
            return False
        rest = still(place, g.sizes)
        if not covers(place, g.sizes, v.size) and (stored or not self.partly(g, place, v)):
            return False
        if rest and rest != g.red:
            cheap = i.op == "map" and i.params["fn"] in CHEAP
            if not g.red and g.kind == "loops" and self.origin.get(v) == points(g.sizes) <= ROW_LIMIT * v.size:
                g.red = rest
            elif stored or not cheap or self.origin.get(v):
                return False
        index = self.split_forms(g, v.shape, lambda: self.only_place(v, g))
        return index is not None

    def only_place(self, v, g):
        (place,) = self.uses[v][g]
        return place

    def partly(self, g, place, v):
        """A part of the value suffices, each element once."""
        moving = [n for n, s in zip(g.sizes, place.strides, strict=True) if s]
        return points(moving) <= v.size

    def join(self, g, i):
        v = i.output
        g.places[v] = self.only_place(v, g)
        g.members.append(i)
        g.reads.discard(v)
        self.inputs(g, i)

    def inputs(self, g, i):
        """Note what a member reads, at which places."""
        v = i.output
        index = self.split_forms(g, v.shape, lambda: g.places[v]) if v.size else None
        n = len(g.sizes)
        for nr, u in enumerate(i.inputs):
            base, strides, offset = source(u)
            if index is None:
                self.use(g, base, Place((0,) * n, 0), memory=base.instr is not None and base.instr.op not in LEAVES)
            elif i.op == "view":
                self.use(g, u, through(index, n, v.shape, i.params["strides"], i.params["offset"]))
            elif i.op == "reduce":
                self.use(g, base, through(reduced_index(i, index, along_of(g, i)), n, u.shape, strides, offset))
            elif i.op in ("take", "gather") and nr == 0:
                if base.instr is not None and base.instr.op in LEAVES:
                    self.needed.add(base)
                self.use(g, base, None, memory=True)
            elif i.op == "take":
                d = i.params["dim"]
                self.read(g, u, index[d : d + len(u.shape)])
            else:
                self.read(g, u, index)

    # ---- reductions

    def reduction(self, i):
        v, x = i.output, i.inputs[0]
        uses = self.uses.get(v, {})
        if v.size and x.size:
            stored = v in self.needed
            takers = [g for g, places in uses.items() if len(places) == 1 and None not in places and g.alive]
            if len(takers) > 1:
                takers = merge_all(self, takers, v)
            uses = self.uses.get(v, {})
            stored = stored or len(uses) > 1
            for g in sorted(takers, key=lambda g: (-points(g.sizes), -g.key)):
                if self.first(g, uses) and self.takes_reduction(g, i, stored):
                    g.members.append(i)
                    g.places[v] = self.only_place(v, g)
                    g.reads.discard(v)
                    if stored:
                        self.keep(g, v)
                    self.inputs(g, i)
                    return
        sizes = [n for n in x.shape if n != 1]
        dims = [d for d, n in enumerate(x.shape) if n != 1]
        red = frozenset(k for k, d in enumerate(dims) if d in i.params["dims"])
        g = self.new("loops", sizes, red)
        strides, n = [0] * len(sizes), 1
        for k in reversed(range(len(sizes))):
            if k not in red:
                strides[k] = n
                n *= sizes[k]
        g.places[v] = Place(tuple(strides), 0)
        unit = [tuple(int(k == m) for m in range(len(sizes))) for k in range(len(sizes))]
        zero = (0,) * len(sizes)
        g.along[v] = [(unit[dims.index(d)] if d in dims else zero, 0) for d in i.params["dims"]]
        self.keep(g, v)
        g.members.append(i)
        self.inputs(g, i)

    def takes_reduction(self, g, i, stored):
        v, x = i.output, i.inputs[0]
        if g.kind != "loops" or len(g.members) >= MOST_INSTRS or len(g.reads) + len(g.store) + stored > MOST_POINTERS:
            return False
        if not covers(self.only_place(v, g), g.sizes, v.size):
            return False
        lengths = [x.shape[d] for d in i.params["dims"]]
        rest = still(self.only_place(v, g), g.sizes)
        if not rest:
            if g.red or any(self.origin_in(g)):
                return False
            n = len(g.sizes)
            g.sizes += lengths
            for u, p in g.places.items():
                g.places[u] = Place((*p.strides, *[0] * len(lengths)), p.offset)
            for uses in self.pending(g):
                uses[g] = {p and Place((*p.strides, *[0] * len(lengths)), p.offset) for p in uses[g]}
            g.red = frozenset(range(n, n + len(lengths)))
            g.along[v] = [(tuple(int(k == n + m) for k in range(len(g.sizes))), 0) for m in range(len(lengths))]
        else:
            if g.red and g.red != rest:
                return False
            count = points([g.sizes[d] for d in rest])
            if count != points(lengths) or count > ROW_LIMIT:
                return False
            g.red = rest
            g.along[v] = []

            def virtual():
                # the reduced dims as a buffer of their own, which the still dims run through in order
                strides, n = [0] * len(g.sizes), 1
                for d in sorted(still(self.only_place(v, g), g.sizes), reverse=True):
                    strides[d] = n
                    n *= g.sizes[d]
                return Place(tuple(strides), 0)

            index = self.split_forms(g, lengths, virtual)
            del g.along[v]
            if index is None:
                return False
            g.along[v] = index
        if self.split_forms(g, v.shape, lambda: self.only_place(v, g)) is None:
            del g.along[v]
            return False
        return True

    def origin_in(self, g):
        return (i.op == "reduce" for i in g.members)

    # ---- the end

    def close(self, g):
        g.instrs = g.members[::-1]
        inputs = {}
        inside = {i.output for i in g.roots[1:]}  # results that exist only on the way
        g.base = None if filled(g) or not g.roots else g.roots[-1].inputs[0]
        for i in g.instrs:
            for nr, u in enumerate(i.inputs):
                if nr == 0 and i in g.roots and (g.base is None or u in inside):
                    continue
                base = source(u)[0] if i.op != "call" and not (i.op in ("update", "scatter") and nr == 0) else u
                if i.op == "view":
                    base = u
                if (base not in g.places or i.op in ("dot", "call")) and (
                    base.instr is None or base.instr.op not in LEAVES or self.home.get(base) not in (None, g)
                ):
                    inputs[base] = None
        g.inputs = tuple(inputs)
        g.outputs = tuple(sorted(g.store, key=lambda v: v.id))
