"""A group as a graph of nodes over its iteration space: what is loaded, computed, reduced and stored, and along which
dims each node varies."""

from ..ir import contiguous
from .access import forms, source, through
from .text import SHORT_FLOATS


class Access:
    """One pointer of the kernel with its strides along the space; ``index`` and ``step`` add a computed part."""

    __slots__ = ("dtype", "index", "limit", "local", "offset", "pointer", "step", "strides")

    def __init__(self, pointer, dtype, strides, offset, index=None, step=0, limit=0):
        self.pointer = pointer
        self.dtype = dtype
        self.strides = list(strides)
        self.offset = offset
        self.index = index  # node: + value * step, negative values count from ``limit``
        self.step = step
        self.limit = limit
        self.local = False  # scratch: along the vector dim counted from the start of the block of vectors


class Node:
    """One value per point of the dims it varies along."""

    __slots__ = ("access", "args", "cost", "dims", "dtype", "fn", "id", "kind", "stage", "strides", "value")

    def __init__(self, id, kind, dtype, fn=None, args=(), access=None, strides=(), value=None):
        self.id = id
        self.kind = kind  # load, const, iota, map, reduce
        self.dtype = dtype
        self.fn = fn
        self.args = args
        self.access = access
        self.strides = list(strides)  # iota: coefficients
        self.value = value  # const: the number; iota: the constant part; reduce: the strides that number the elements
        self.dims = frozenset()
        self.stage = 0
        self.cost = 1


class Store:
    """A node that goes to memory; ``mode`` is set or add (read, add, write)."""

    __slots__ = ("access", "mode", "node")

    def __init__(self, node, access, mode="set"):
        self.node = node
        self.access = access
        self.mode = mode


class Graph:
    """The nodes of a group, in order, its stores, and its operands."""

    def __init__(self, sizes, red):
        self.sizes = list(sizes)
        self.red = set(red)
        self.serial = set()  # dims whose order matters: never a vector, never cut
        self.nodes = []
        self.stores = []
        self.operands = []  # values or ("work", bytes), one per pointer
        self.dtypes = []
        self.pointers = {}
        self.known = {}

    def pointer(self, operand, dtype, key=None):
        key = operand if key is None else key
        if key not in self.pointers:
            self.pointers[key] = len(self.operands)
            self.operands.append(operand)
            self.dtypes.append(dtype)
        return self.pointers[key]

    def node(self, kind, dtype, key=None, **more):
        """A node; equal keys give the same node."""
        if key is not None and (kind, key) in self.known:
            return self.known[kind, key]
        n = Node(len(self.nodes), kind, dtype, **more)
        self.nodes.append(n)
        if key is not None:
            self.known[kind, key] = n
        return n

    def load(self, value, place, index=None, step=0, limit=0):
        p = self.pointer(value, value.dtype)
        key = (p, place, index.id if index else None, step)
        a = Access(p, value.dtype, place.strides, place.offset, index, step, limit)
        return self.node("load", value.dtype, key, access=a)

    def const(self, number, dtype):
        return self.node("const", dtype, (repr(number), dtype), value=number)

    def accesses(self):
        return [n.access for n in self.nodes if n.access is not None] + [s.access for s in self.stores]

    def finish(self):
        """Find the dims, stages and costs."""
        moving = lambda strides: frozenset(d for d, s in enumerate(strides) if s and self.sizes[d] > 1)  # noqa: E731
        for n in self.nodes:
            dims, stage = frozenset(), 0
            if n.kind == "load":
                dims = moving(n.access.strides)
                if n.access.index is not None:
                    dims |= n.access.index.dims
                    stage = n.access.index.stage
            elif n.kind == "iota":
                dims = moving(n.strides)
            for a in n.args:
                dims |= a.dims
                stage = max(stage, a.stage)
            if n.kind == "reduce":
                dims, stage = dims - self.red, stage + 1
            n.dims, n.stage = dims, stage
        return self


def build(group):
    """The graph of a group of kind loops."""
    g = Graph(group.sizes, group.red)
    made = {}
    for i in group.instrs:
        member(g, group, i, made)
    for v in group.outputs:
        p = g.pointer(v, v.dtype, ("out", v))
        place = group.places[v]
        g.stores.append(Store(made[v], Access(p, v.dtype, place.strides, place.offset)))
    return divisions(g.finish())


def divisions(g):
    """Divide by what stands still along a dim by multiplying with its reciprocal, found once."""
    nodes = []
    for n in g.nodes:
        if n.kind == "map" and n.fn == "div" and n.dtype in ("float32", "float64") and n.args[1].dims < n.args[0].dims:
            a, b = n.args
            if b.kind == "const":
                lowest = 1e-37 if n.dtype == "float32" else 1e-300
                if not lowest < abs(b.value) < 1 / lowest:
                    nodes.append(n)
                    continue
                r = Node(-n.id - 1, "const", n.dtype, value=1 / b.value)
            else:
                r = Node(-n.id - 1, "map", n.dtype, fn="reciprocal", args=(b,))
            nodes.append(r)
            n.fn, n.args = "mul", (a, r)
        nodes.append(n)
    g.nodes = nodes
    return g.finish()


def read(g, operand, index, made):
    """The node of an operand at the given index forms."""
    base, strides, offset = source(operand)
    place = through(index, len(g.sizes), operand.shape, strides, offset)
    return at(g, base, place, made)


def at(g, base, place, made):
    if base in made:
        return made[base]
    i = base.instr
    if i is not None and i.op == "scalar":
        return g.const(i.params["value"], base.dtype)
    index = forms(base.shape, place, g.sizes) if i is not None and i.op == "iota" else None
    if isinstance(index, list):
        coefs, const = index[i.params["dim"]]
        return g.node("iota", base.dtype, (coefs, const, base.dtype), strides=coefs, value=const)
    return g.load(base, place)


def member(g, group, i, made):
    """Add the node of one instruction of a group."""
    v = i.output
    place, n = group.places[v], len(g.sizes)
    if i.op == "scalar":
        made[v] = g.const(i.params["value"], v.dtype)
        return
    if v.size == 0:
        made[v] = g.const(0, v.dtype)
        return
    index = forms(v.shape, place, g.sizes)
    if i.op == "iota":
        coefs, const = index[i.params["dim"]]
        made[v] = g.node("iota", v.dtype, strides=coefs, value=const)
    elif i.op == "view":
        p = through(index, n, v.shape, i.params["strides"], i.params["offset"])
        made[v] = g.node("map", v.dtype, fn="id", args=(at(g, i.inputs[0], p, made),))
    elif i.op == "reduce":
        made[v] = _reduce(g, group, i, index, made)
    elif i.op == "take":
        made[v] = _take(g, i, index, made)
    elif i.op == "scatter":
        made[v] = _one_hot(g, i, index, made)
    elif i.op == "gather":
        made[v] = _gather(g, i, index, made)
    else:
        args = tuple(read(g, u, index, made) for u in i.inputs)
        made[v] = g.node("map", v.dtype, fn=i.params["fn"], args=args)


def _reduce(g, group, i, index, made):
    v, x = i.output, i.inputs[0]
    along = group.along.get(v) or [((0,) * len(g.sizes), 0)] * len(i.params["dims"])
    if x.size == 0:
        return g.const(IDENTITY_OF_NOTHING[i.params["fn"]], v.dtype)
    kept, dims = iter(index), dict(zip(i.params["dims"], along, strict=True))
    full = [dims[d] if d in dims else next(kept) for d in range(len(x.shape))]
    arg = read(g, x, full, made)
    fn, kind, numbers = i.params["fn"], v.dtype, None
    if fn in ("argmax", "argmin"):
        lengths = [x.shape[d] for d in i.params["dims"]]
        numbers = list(through(along, len(g.sizes), lengths, contiguous(lengths), 0).strides)
        if arg.dtype in SHORT_FLOATS:
            arg = g.node("map", "float32", fn="convert", args=(arg,))
    else:
        # 16-bit floats are rounded once, at the end
        kind = "float32" if kind in SHORT_FLOATS else kind
        if arg.dtype != kind:
            arg = g.node("map", kind, fn="convert", args=(arg,))
    if x.size == v.size:
        r = g.const(0, v.dtype) if numbers is not None else g.node("map", kind, fn="id", args=(arg,))
    else:
        r = g.node("reduce", kind, fn=fn, args=(arg,), value=numbers)
    return r if r.dtype == v.dtype else g.node("map", v.dtype, fn="convert", args=(r,))


IDENTITY_OF_NOTHING = {"sum": 0, "prod": 1, "any": 0, "all": 1, "max": 0, "min": 0, "argmax": 0, "argmin": 0}


def _take(g, i, index, made):
    x, at_ = i.inputs
    base, strides, offset = source(x)
    d, k = i.params["dim"], len(at_.shape)
    which = read(g, at_, index[d : d + k], made)
    rest = index[:d] + index[d + k :]
    left = (*x.shape[:d], *x.shape[d + 1 :])
    place = through(rest, len(g.sizes), left, (*strides[:d], *strides[d + 1 :]), offset)
    return g.load(base, place, which, strides[d], x.shape[d])


def _one_hot(g, i, index, made):
    """A scatter of one element per row into a constant."""
    v, d = i.output, i.params["dim"]
    base, at_, piece = (read(g, u, index, made) for u in i.inputs)
    kind = "int32" if v.shape[d] < 1 << 31 and at_.dtype not in ("int8", "uint8", "int16", "uint16") else "int64"
    which = g.node("map", kind, fn="convert", args=(at_,))
    zero, size = g.const(0, kind), g.const(v.shape[d], kind)
    below = g.node("map", "bool", fn="lt", args=(which, zero))
    up = g.node("map", kind, fn="add", args=(which, size))
    which = g.node("map", kind, fn="where", args=(below, up, which))
    here = g.node("iota", kind, strides=index[d][0], value=index[d][1])
    same = g.node("map", "bool", fn="eq", args=(here, which))
    if i.params["fn"] == "add":
        piece = g.node("map", v.dtype, fn="add", args=(base, piece))
    return g.node("map", v.dtype, fn="where", args=(same, piece, base))


def _gather(g, i, index, made):
    x, at_ = i.inputs
    base, strides, offset = source(x)
    d = i.params["dim"]
    which = read(g, at_, index, made)
    zeroed = [s if k != d else 0 for k, s in enumerate(strides)]
    place = through(index, len(g.sizes), x.shape, zeroed, offset)
    return g.load(base, place, which, strides[d], x.shape[d])
