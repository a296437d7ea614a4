"""What becomes one kernel: instructions, their iteration space, and where each value stands in it."""

from .loops.access import Place, source, split

LEAVES = ("scalar", "iota")  # no arrays: part of whatever reads them
MOST_INSTRS = 60
MOST_POINTERS = 14


class Group:
    """Instructions that become one kernel, or one product, or one call."""

    def __init__(self, kind, sizes=(), red=()):
        self.kind = kind  # loops, update, scatter, dot, call
        self.sizes = list(sizes)
        self.red = frozenset(red)
        self.members = []  # last first, while groups are built
        self.roots = []  # of an update or scatter: the writes into the array, last first
        self.places = {}  # value -> Place
        self.along = {}  # a reduction's value -> [(coefficients, constant)], the index along each reduced dim
        self.store = {}  # values that go to memory, in order
        self.base = None  # of an update or scatter: the array as it was before, if any of that is left
        self.key = 0.0
        self.reads = set()  # bases read from memory
        self.alive = True
        self.graph = None  # kept by loops.may_alias
        self.instrs, self.inputs, self.outputs = [], (), ()

    def __repr__(self):
        what = ", ".join(i.op + ("." + i.params["fn"] if "fn" in i.params else "") for i in self.instrs)
        return f"{self.kind}{self.sizes}[{what}] {list(self.inputs)} -> {list(self.outputs)}"

    def refine(self, dim, inner):
        """Make two dims of one."""
        n = self.sizes[dim]
        self.sizes[dim : dim + 1] = [n // inner, inner]
        self.red = frozenset(d + (d > dim) for d in self.red) | ({dim + 1} if dim in self.red else set())
        for v, p in self.places.items():
            self.places[v] = Place(split(p.strides, dim, inner), p.offset)
        for v, index in self.along.items():
            self.along[v] = [(split(c, dim, inner), k) for c, k in index]


def one_hot(i):
    """A scatter of one element per row into a constant: a map that compares the index with where it stands."""
    if i.op != "scatter" or not i.params["along"]:
        return False
    base, index = i.inputs[:2]
    below = source(base)[0].instr
    rows = [1 if d == i.params["dim"] else n for d, n in enumerate(base.shape)]
    return below is not None and below.op == "scalar" and list(index.shape) == rows and base.shape != index.shape


def along_of(g, i):
    """The index forms of a reduction's reduced dims; one over dims of size 1 only is no reduction."""
    zero = ((0,) * len(g.sizes), 0)
    return g.along.get(i.output) or [zero] * len(i.params["dims"])


def reduced_index(i, index, along):
    """The index forms of a reduction's input, from those of its result and of the reduced dims."""
    kept, dims = iter(index), dict(zip(i.params["dims"], along, strict=True))
    return [dims[d] if d in dims else next(kept) for d in range(len(i.inputs[0].shape))]
