"""Which layer each node of a drawing stands in, and the graph made proper: every edge cut into steps between layers.

Layers follow the longest path (Sugiyama, Tagawa, Toda 1981), then nodes move next to the neighbours that most of their
edges go to, which is what network simplex would do to single nodes (Gansner et al., "A technique for drawing directed
graphs", 1993). Edges of one source share one chain of stand-ins: a weight used in a thousand steps costs one chain, not
a thousand.
"""

from dataclasses import dataclass, field

# How many stand-ins a drawing may have per node; what is longer travels in a lane outside the drawing.
_PER_NODE, _ANYWAY = 6, 6000
# The same for the steps of all edges, where a chain counts for every edge that shares it.
_STEPS_PER_NODE, _STEPS_ANYWAY = 100, 200_000


def topological(n: int, edges: list[tuple[int, int]]) -> tuple[list[int], list[tuple[int, int]]]:
    """An order of the nodes and the edges turned so that all point forward in it; ties go by number.

    An edge that closes a cycle (modules that call each other, once collapsed) is turned round. Loops are dropped.
    """
    after: list[list[int]] = [[] for _ in range(n)]
    waiting = [0] * n
    for u, v in edges:
        if u != v:
            after[u].append(v)
            waiting[v] += 1
    place, order = [-1] * n, []
    ready = [v for v in range(n - 1, -1, -1) if not waiting[v]]
    forced = 0
    while len(order) < n:
        if not ready:  # a cycle: open it at its first node
            while place[forced] >= 0:
                forced += 1
            waiting[forced] = 0
            ready.append(forced)
        u = ready.pop()
        place[u] = len(order)
        order.append(u)
        for v in reversed(after[u]):
            waiting[v] -= 1
            if waiting[v] == 0 and place[v] < 0:
                ready.append(v)
    return order, [(u, v) if place[u] < place[v] else (v, u) for u, v in edges if u != v]


def layers(n: int, edges: list[tuple[int, int]], first=(), last=()) -> list[int]:
    """The layer of each node, from 0; every edge (but those that close a cycle) goes to a later layer.

    first, last: nodes that stand alone before (behind) all others; nothing leads into (out of) them.

    >>> layers(5, [(0, 3), (1, 3), (3, 4), (2, 4)])
    [0, 0, 1, 1, 2]
    """
    order, forward = topological(n, edges)
    before: list[list[int]] = [[] for _ in range(n)]
    after: list[list[int]] = [[] for _ in range(n)]
    for u, v in forward:
        before[v].append(u)
        after[u].append(v)
    layer = [0] * n
    for v in order:
        if before[v]:
            layer[v] = 1 + max([layer[u] for u in before[v]])
    # From the ends back: each node as late as its users allow, so that inputs stand beside what uses them.
    for u in reversed(order):
        if after[u]:
            layer[u] = min([layer[v] for v in after[u]]) - 1
    # A node with more inputs than users (a result nobody asked for) goes back to its inputs.
    for v in order:
        if len(before[v]) > len(after[v]):
            layer[v] = 1 + max([layer[u] for u in before[v]])
    if first or last:
        ends = {*first, *last}
        inner = [layer[v] for v in range(n) if v not in ends] or [0]
        for v in first:
            layer[v] = min(inner) - 1
        for v in last:
            layer[v] = max(inner) + 1
    low = min(layer, default=0)
    return [x - low for x in layer]


@dataclass
class Proper:
    """The items of a drawing, by number: first the nodes, then stand-ins and labels, with rank and neighbours."""

    nodes: int
    rank: list[int]
    up: list[list[int]] = field(default_factory=list)
    down: list[list[int]] = field(default_factory=list)
    chains: list[list[int]] = field(default_factory=list)  # per edge: the items it runs through; empty for a loop
    far: set[int] = field(default_factory=set)  # edges that leave their source for a lane outside
    label: dict[int, int] = field(default_factory=dict)  # edge -> the item that keeps room for its label
    spine: dict[int, int] = field(default_factory=dict)  # stand-in -> the next one of the same chain
    turned: set[int] = field(default_factory=set)  # edges whose chain runs from target to source

    def ranks(self) -> list[list[int]]:
        """The items of each rank, in the order of their numbers."""
        rows: list[list[int]] = [[] for _ in range(max(self.rank, default=-1) + 1)]
        for item, r in enumerate(self.rank):
            rows[r].append(item)
        return rows


def proper(n: int, edges: list[tuple[int, int]], labelled: list[bool], carriers=None, first=(), last=()) -> Proper:
    """Cut every edge at every rank it crosses. Labels get ranks of their own, between the layers, before the target.

    carriers: per edge, what it carries; edges of one node that carry the same share a chain. All, if not given.
    first, last: see ``layers``.
    """
    double = 2 if any(labelled) else 1
    rank = [double * x for x in layers(n, edges, first, last)]
    g = Proper(n, rank, [[] for _ in range(n)], [[] for _ in range(n)])

    def item(r: int) -> int:
        rank.append(r)
        g.up.append([])
        g.down.append([])
        return len(rank) - 1

    def join(a: int, b: int) -> None:
        g.down[a].append(b)
        g.up[b].append(a)

    ends, need, longest = [], [], [0] * n
    for e, (u, v) in enumerate(edges):
        if u != v and rank[u] > rank[v]:
            u, v = v, u
            g.turned.add(e)
        steps = rank[v] - rank[u] - (2 if labelled[e] else 1)
        ends.append((u, v))
        need.append(steps)
        longest[u] = max(longest[u], steps)
    limit, budget = max(longest, default=0), _PER_NODE * n + _ANYWAY
    while limit > 2 and sum([min(x, limit) for x in longest]) > budget:
        limit //= 2
    while limit > 2 and sum([min(x, limit) for x in need]) > _STEPS_PER_NODE * n + _STEPS_ANYWAY:
        limit //= 2

    chain: dict[tuple, list[int]] = {}
    for e, (u, v) in enumerate(ends):
        if u == v:
            g.chains.append([])
            continue
        if need[e] > limit:
            g.far.add(e)
            path = [u]
        else:
            mine = chain.setdefault((u, carriers and carriers[e]), [])
            while len(mine) < need[e]:
                new = item(rank[u] + len(mine) + 1)
                join(mine[-1] if mine else u, new)
                if mine:
                    g.spine[mine[-1]] = new
                mine.append(new)
            path = [u, *mine[: need[e]]]
        if labelled[e]:
            g.label[e] = item(rank[v] - 1)
            if e not in g.far:
                join(path[-1], g.label[e])
            path.append(g.label[e])
        if e not in g.far or labelled[e]:
            join(path[-1], v)
        path.append(v)
        g.chains.append(path)
    return g
