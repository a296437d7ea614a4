"""The order of the loops: which dims are one, which is the vector dim, how the work is cut into chunks."""

from math import prod

from .expression import COSTLY
from .text import SIZES, is_float
from .tile import tile_dim

SMALL = 150_000  # cost units that one thread does before a second one is worth waking
CHUNK = 75_000
EVEN = 4  # few chunks are shared fairly if their number is a multiple of this


class Space:
    """The dims of a graph in the order of the loops, and how they are cut."""

    def __init__(self, graph, target):
        self.graph = graph
        self.target = target
        self.ragged = {}  # dim -> ([(dim of its blocks, their size)], total size): the last block is shorter
        self.flush = None  # the dim after whose every index running sums are put aside
        self.chunk_dims = []
        self.vec = None
        self.lanes = self.unroll = 1
        self.tile, self.tiled = None, ()  # the dim along which transposed reads are contiguous, and those reads
        self.partial = None  # the block dim of a reduction in two stages
        drop_ones(graph)
        par, red = ordered(graph)
        self.par, self.red = collapse(graph, par, red)
        graph.finish()
        self.cost = sum(node_cost(n) for n in graph.nodes) + len(graph.stores)
        self.choose_vector()
        self.cut()
        self.put_aside()

    def size(self, d):
        return self.graph.sizes[d]

    # ---- the vector dim

    def choose_vector(self):
        g = self.graph
        width = dominant(g)
        loads = [n for n in g.nodes if n.access is not None]
        reduces = sum(n.kind == "reduce" for n in g.nodes)
        best = None
        for d in self.par + self.red:
            n = g.sizes[d]
            if (
                n < 2
                or d in g.serial
                or any(s.mode == "add" and not s.access.strides[d] and d in g.red for s in g.stores)
            ):
                continue
            lanes = min(self.target.lanes(width), 1 << (n - 1).bit_length())
            useful = n / -(-n // lanes)  # lanes that do something, on average
            cost = self.cost / useful + sum(_stride_cost(x.access.strides[d], useful) for x in loads)
            cost += sum(1.5 * _stride_cost(x.access.strides[d], useful) for x in g.stores)
            if d in g.red:
                cost += 2 * reduces * lanes.bit_length() / prod(g.sizes[k] for k in self.red)
            if best is None or cost < best[0]:
                best = (cost, d, lanes)
        if best is None:
            return
        _, self.vec, self.lanes = best
        n = g.sizes[self.vec]
        # along a reduced dim each pass has its own number of copies
        weight = 0 if self.vec in g.red else sum(node_cost(x) for x in g.nodes if self.vec in x.dims)
        most = copies(weight, reduces > 0)
        while most > 1 and n < self.lanes * most:
            most //= 2
        self.unroll = most
        home = self.par if self.vec in self.par else self.red
        home.remove(self.vec)
        self.tile, self.tiled = tile_dim(g, self.vec, self.lanes, home if home is self.par else ())
        if self.tile is not None:
            home.remove(self.tile)
            home.append(self.tile)
            self.unroll = 1
        home.append(self.vec)

    # ---- chunks

    def cut(self):
        g = self.graph
        total = prod(g.sizes) * self.cost
        if total <= SMALL or 0 in g.sizes:
            return
        wanted = -(-total // (CHUNK * EVEN)) * EVEN
        have = 1
        for at, d in enumerate(list(self.par)):
            n = g.sizes[d]
            if have * n >= wanted:
                self.block(d, have, wanted, self.par, at)
                return
            if d != self.vec:
                self.chunk_dims.append(d)
                have *= n
        long = prod(g.sizes[d] for d in self.red)
        if wanted // max(have, 1) >= 2 and long >= 64 and self.two_stage_possible():
            d = self.red[0]
            if g.sizes[d] < 8 and len(self.red) > 1:
                d = max(self.red, key=lambda k: g.sizes[k])
            before = list(self.chunk_dims)
            self.block(d, have, wanted, self.red, 0)
            if len(self.chunk_dims) > len(before):
                b = self.chunk_dims[-1]
                self.partial = b
                self.red.remove(b)
                g.red.discard(b)
                self.par.insert(0, b)
        if prod(g.sizes[d] for d in self.chunk_dims) == 1:
            self.chunk_dims = []

    def two_stage_possible(self):
        g = self.graph
        return (
            any(n.kind == "reduce" for n in g.nodes)
            and not any(
                n.kind == "reduce" and (n.fn.startswith("arg") or any(a.stage for a in n.args)) for n in g.nodes
            )
            and not any(s.node.stage and s.node.dims & g.red for s in g.stores)
            and not g.serial
        )

    def block(self, d, have, wanted, order, at):
        """Cut dim ``d`` in blocks; the dim of the blocks is the last of the chunk dims."""
        g, n = self.graph, self.graph.sizes[d]
        blocks = max(1, min(n, wanted // have))
        size = -(-n // blocks)
        if d == self.vec:
            step = self.lanes * self.unroll
            size = -(-size // step) * step
        if d in g.red:
            unit = (self.lanes * self.unroll if d == self.vec else 1) * 32
            size = -(-size // unit) * unit if n > 4 * unit else size
        if d == self.tile:
            size = -(-size // self.lanes) * self.lanes
        blocks = -(-n // size)
        if size == 1:
            self.chunk_dims.append(d)
            return
        if blocks == 1:
            return
        self.chunk_dims.append(self.blocks(d, size, order, at))

    def blocks(self, d, size, order, at):
        """Make ``d`` a dim of ``size`` and a new one of its blocks, which stands at ``order[at]``; returns that."""
        g, n = self.graph, self.graph.sizes[d]
        b = len(g.sizes)
        g.sizes.append(-(-n // size))
        g.sizes[d] = size
        for strides in all_strides(g):
            strides.append(strides[d] * size)
        if d in g.red:
            g.red.add(b)
        if d in self.ragged:
            self.ragged[d][0].append((b, size))
        elif n % size:
            self.ragged[d] = ([(b, size)], n)
        order.insert(at, b)
        g.finish()
        return b

    def put_aside(self):
        """Long sums: about the square root of the terms in a row, then into a longer-lived sum."""
        g = self.graph
        if not any(n.kind == "reduce" and n.fn == "sum" and is_float(n.dtype) for n in g.nodes):
            return
        step = self.lanes * self.unroll
        trips = {d: -(-g.sizes[d] // step) if d == self.vec else g.sizes[d] for d in self.red}
        total = prod(trips.values())
        if total < 256:
            return
        goal, inner = total**0.5, 1
        for at in reversed(range(len(self.red))):
            d = self.red[at]
            if inner * trips[d] <= goal * 2:
                inner *= trips[d]
                continue
            size = 1 << int(goal / inner).bit_length()
            if d in self.ragged:  # blocks of blocks must fit
                while size > 1 and g.sizes[d] % (size * (step if d == self.vec else 1)):
                    size //= 2
            self.flush = self.blocks(d, size * (step if d == self.vec else 1), self.red, at) if size > 1 else d
            return


def _stride_cost(s, useful):
    """What an access costs per element beyond that of one with neighbouring elements."""
    if s in (0, 1):
        return 0.0
    return 2 * s / useful if 2 <= s <= 4 and useful > 2 else 1.0


def copies(weight, reduces):
    """How often the body of the vector loop stands there: running results wait for each other, heavy bodies hide it."""
    if reduces:
        return 4 if weight <= 8 else 2 if weight <= 20 else 1
    return 2 if weight <= 12 else 1


def node_cost(n):
    if n.kind == "map":
        c = COSTLY.get(n.fn, 1)
        return 2 * c if n.dtype == "float64" and c > 1 else c
    return 1 if n.kind in ("load", "reduce", "iota") else 0


def dominant(g):
    """The item size that decides the number of lanes: the most frequent among what is computed."""
    votes = {}
    for n in g.nodes:
        if n.kind in ("map", "reduce", "load") and n.dtype != "bool":
            weight = (4 if is_float(n.dtype) else 1) * (2 if n.kind == "reduce" else 1)
            size = max(2, SIZES[n.dtype])
            votes[size] = votes.get(size, 0) + weight
    for s in g.stores:
        if s.node.dtype != "bool":
            size = SIZES[s.node.dtype]
            votes[size] = votes.get(size, 0) + 1
    best = max(votes, key=lambda k: (votes[k], k), default=1)
    return max(best, max(votes, default=1) // 4)


def all_strides(g):
    for a in g.accesses():
        yield a.strides
    for n in g.nodes:
        if n.kind == "iota":
            yield n.strides
        elif n.kind == "reduce" and n.value is not None:
            yield n.value


def drop_ones(g):
    keep = [d for d, n in enumerate(g.sizes) if n != 1]
    if len(keep) == len(g.sizes):
        return
    new = {d: k for k, d in enumerate(keep)}
    for strides in all_strides(g):
        strides[:] = [strides[d] for d in keep]
    g.sizes[:] = [g.sizes[d] for d in keep]
    g.red = {new[d] for d in g.red if d in new}
    g.serial = {new[d] for d in g.serial if d in new}


def ordered(g):
    """The kept and the reduced dims, each from the longest to the shortest strides."""

    def weight(d):
        seen = [abs(a.strides[d]) for a in g.accesses() if a.strides[d]]
        stores = [abs(s.access.strides[d]) for s in g.stores if s.access.strides[d]]
        mean = lambda xs: sum(x.bit_length() for x in xs) / len(xs) if xs else 0  # noqa: E731
        return (-mean(seen), -mean(stores), d)

    copied = len(g.nodes) == 1 and g.nodes[0].kind == "load"
    if g.serial:
        key = lambda d: d  # noqa: E731  the order of the piece
    elif copied:  # as it lies where it comes from, so that a thread goes on with what it made itself
        key = lambda d: -abs(g.nodes[0].access.strides[d])  # noqa: E731
    else:
        key = weight
    dims = range(len(g.sizes))
    return sorted((d for d in dims if d not in g.red), key=key), sorted((d for d in dims if d in g.red), key=key)


def collapse(g, par, red):
    """Make one of neighbouring dims wherever every access runs through both as through one."""
    strides = list(all_strides(g))
    gone = {}
    for order in (par, red):
        k = len(order) - 2
        while k >= 0:
            a, b = order[k], order[k + 1]
            n = g.sizes[b]
            if (a in g.serial) == (b in g.serial) and all(s[a] == s[b] * n for s in strides):
                g.sizes[b] *= g.sizes[a]
                g.sizes[a] = 1
                for s in strides:
                    s[a] = 0
                gone[a] = b
                del order[k]
            k -= 1
    return par, red
