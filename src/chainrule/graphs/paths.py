"""Paths through the graph: their number, their products, and how they sum to a gradient."""

import numpy as np

from .linear_map import LinearMap


class Path:
    """A way from one node to a later one, edge by edge.

    edges: in the order of computation.  nodes: the nodes passed, ends included.
    """

    __slots__ = ("edges",)

    def __init__(self, edges):
        self.edges = tuple(edges)

    @property
    def nodes(self):
        return [self.edges[0].source, *[e.target for e in self.edges]] if self.edges else []

    @property
    def product(self):
        """The product of the local derivatives: what this path adds to the gradient of its source.

        A number from a scalar to a scalar, an array of the source's shape if only the target is a scalar, else a
        LinearMap.
        """
        source, target = self.edges[0].source, self.edges[-1].target
        if all(e.scalar for e in self.edges):
            return multiply(self.edges)
        if target.size == 1:
            g = self.pull(np.ones(target.shape, target.np_dtype))
            return float(g.reshape(-1)[0]) if source.size == 1 else g
        return LinearMap(source.shape, target.shape, target.np_dtype, self.push, self.pull)

    def pull(self, g):
        """Reverse mode along this path only."""
        for e in reversed(self.edges):
            g = e.pull(g)
            if g is None:
                return np.zeros(self.edges[0].source.shape, target_dtype(self))
        return g

    def push(self, v):
        """Forward mode along this path only."""
        for e in self.edges:
            v = e.push(v)
            if v is None:
                return np.zeros(self.edges[-1].target.shape, target_dtype(self))
        return v

    def __len__(self):
        return len(self.edges)

    def __repr__(self):
        return f"<Path {' → '.join(n.name for n in self.nodes)}>"


def target_dtype(path):
    return path.edges[-1].target.np_dtype


def multiply(edges):
    """The product of scalar local derivatives, from the target back.

    Where a selecting operator left the path out, the product is 0 even if a derivative further back is infinite.
    """
    product = 1.0
    for e in reversed(edges):
        local = e.local
        if local == 0.0 and (e.target.call.primitive is not None and e.target.call.primitive.selecting):
            return 0.0
        product *= local
    return product


def paths(graph, start, end):
    """Iterate over the paths from ``start`` to ``end``, one at a time; there may be very many."""
    leads = leading(end, start.id)
    if start.id not in leads or start is end:
        return
    trail, stack = [], [iter([e for e in start.outgoing if e.flows and e.target.id in leads])]
    while stack:
        edge = next(stack[-1], None)
        if edge is None:
            stack.pop()
            if trail:
                trail.pop()
            continue
        trail.append(edge)
        if edge.target is end:
            yield Path(trail)
            trail.pop()
        else:
            stack.append(iter([e for e in edge.target.outgoing if e.flows and e.target.id in leads]))


def leading(end, first=0, flows=True):
    """The ids of the nodes from which ``end`` can be reached, itself included; none before ``first``."""
    seen, stack = {end.id}, [end]
    while stack:
        for e in stack.pop().incoming:
            k = e.source.id
            if (e.flows or not flows) and k >= first and k not in seen:
                seen.add(k)
                stack.append(e.source)
    return seen


def following(start, flows=True):
    """The ids of the nodes that ``start`` reaches, itself included."""
    seen, stack = {start.id}, [start]
    while stack:
        for e in stack.pop().outgoing:
            if (e.flows or not flows) and e.target.id not in seen:
                seen.add(e.target.id)
                stack.append(e.target)
    return seen


def path_counts(graph, start, end):
    """``{id: number of paths from start to that node}`` for the nodes between; exact."""
    between = leading(end, start.id)
    if start.id not in between:
        return {}
    counts = {start.id: 1}
    for k in sorted(between & following(start)):
        if k != start.id:
            counts[k] = sum(counts.get(e.source.id, 0) for e in graph.nodes[k].incoming if e.flows)
    return counts


def waists(graph, start, end):
    """The nodes that every path from ``start`` to ``end`` passes, ends included, in order."""
    forward = path_counts(graph, start, end)
    if not forward:
        return []
    backward = {end.id: 1}
    for k in sorted(forward, reverse=True):
        if k != end.id:
            backward[k] = sum(backward.get(e.target.id, 0) for e in graph.nodes[k].outgoing if e.flows)
    total = forward[end.id]
    return [graph.nodes[k] for k in sorted(forward) if forward[k] * backward.get(k, 0) == total]
