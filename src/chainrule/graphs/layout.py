"""A layered drawing of any directed graph, in plain Python: positions, curves, room for the edges' labels.

The steps (Sugiyama's): layers, order within the layers, straightening, curves; each stands in its own file. Everything
is deterministic and iterative. All of it works in (main, cross) coordinates: main runs from inputs to results, cross
within a layer; who draws from left to right reads them as (x, y), who draws downwards as (y, x).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from .crossings import order
from .layering import proper
from .routing import Point, bands, curves, ports
from .straightening import straighten


@dataclass(frozen=True, slots=True)
class Extent:
    """The room that a box or label takes: ``main`` in all along the layers; ``before`` and ``after`` its centre line.

    ``span`` is the part of a node's side, around the centre line, over which arriving edges are spread.
    """

    main: float
    before: float
    after: float
    span: float = 0.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is, in (main, cross) coordinates.

    nodes: the centre of each node, on its centre line. labels: the same of each edge's label, None without one.
    curves: per edge a start point and triples of Bézier points, in the edge's direction; empty for a loop.
    fresh: per edge the number of the point from which on its curve is not that of an earlier edge.
    layers: the nodes of each layer in drawing order. low, high: the corners of the smallest rectangle around it all.
    """

    nodes: list[Point]
    labels: list[Point | None]
    curves: list[list[Point]]
    fresh: list[int]
    layers: list[list[int]]
    low: Point
    high: Point


@dataclass(frozen=True, slots=True)
class Ends:
    """How edges meet nodes that are frames around other drawings (see ``nested``).

    carriers: per edge, what it carries: edges of one node that carry the same share their way. leave, enter: per edge,
    where it starts and ends, off the node's centre line. first, last: nodes that stand before, and behind, all others.
    """

    carriers: list | None = None
    leave: dict[int, float] = field(default_factory=dict)
    enter: dict[int, float] = field(default_factory=dict)
    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()


PLAIN = Ends()


def arrange(
    extents: list[Extent],
    edges: list[tuple[int, int]],
    labels: list[Extent | None],
    node_gap: float,
    edge_gap: float,
    ends: Ends = PLAIN,
):
    """The part of a layout before curves: ``(proper graph, items of each rank in order, main, before, after, cross)``.

    The last four are per item; ``before`` and ``after`` include half of the gaps, and ``cross`` counts from their edge.
    """
    n = len(extents)
    if len(labels) != len(edges):
        raise ValueError(f"layout: labels: expected one entry (or None) per edge, {len(edges)}, got {len(labels)}")
    for e, (u, v) in enumerate(edges):
        if not (0 <= u < n and 0 <= v < n):
            raise ValueError(f"layout: edges: edge {e} joins {u} and {v}, but there are only the nodes 0 to {n - 1}")
    g = proper(n, edges, [label is not None for label in labels], ends.carriers, ends.first, ends.last)
    orders = order(g)
    main, before, after = [0.0] * len(g.rank), [edge_gap / 2] * len(g.rank), [edge_gap / 2] * len(g.rank)
    for v, box in enumerate(extents):
        main[v], before[v], after[v] = box.main, box.before + node_gap / 2, box.after + node_gap / 2
    for e, item in g.label.items():
        box = labels[e]
        main[item], before[item], after[item] = box.main, box.before + edge_gap / 4, box.after + edge_gap / 4
    cross = straighten(orders, g, before, after)
    least = min([x - b for x, b in zip(cross, before, strict=True)], default=0.0)
    return g, orders, main, before, after, [x - least for x in cross]


def layout(
    extents: list[Extent],
    edges: list[tuple[int, int]],
    labels: list[Extent | None] | None = None,
    *,
    rank_gap: float = 26.0,
    node_gap: float = 22.0,
    edge_gap: float = 12.0,
    reach: Callable[[int, float], float] | None = None,
    ends: Ends = PLAIN,
) -> Layout:
    """Lay out a graph.

    extents: the room of each node. edges: pairs of node numbers; repeated ones and cycles are fine. labels: the room of
    each edge's label, or None. rank_gap, node_gap, edge_gap: least distance between ranks, between neighbours in a
    rank, and between parallel edges. reach(v, offset): distance from node v's centre to its outline along the layers,
    ``offset`` off its centre line; half of ``main`` if not given. ends: see ``Ends``.

    >>> box = Extent(40, 10, 10)
    >>> placed = layout([box] * 3, [(0, 2), (1, 2)])
    >>> placed.layers, placed.nodes
    ([[0, 1], [2]], [(20.0, 21.0), (20.0, 63.0), (86.0, 42.0)])
    """
    labels = labels or [None] * len(edges)
    g, orders, main, before, after, cross = arrange(extents, edges, labels, node_gap, edge_gap, ends)
    stretch = bands(orders, g, main, cross, rank_gap)
    centre = [(stretch[r][0] + stretch[r][1]) / 2 for r in g.rank]
    lowest = max([x + a for x, a in zip(cross, after, strict=True)], default=0.0)
    drawn, fresh = curves(
        g,
        stretch,
        cross,
        ports(g, cross, [box.span for box in extents], ends.enter),
        centre,
        reach or (lambda v, offset: extents[v].main / 2),
        lowest,
        ends.leave,
    )
    xs = [stretch[0][0], stretch[-1][1]] if stretch else [0.0]
    ys = [0.0, lowest] + [y for curve, k in zip(drawn, fresh, strict=True) for _, y in curve[k:]]
    return Layout(
        nodes=[(centre[v], cross[v]) for v in range(g.nodes)],
        labels=[(centre[g.label[e]], cross[g.label[e]]) if e in g.label else None for e in range(len(edges))],
        curves=drawn,
        fresh=fresh,
        layers=[row for row in ([v for v in row if v < g.nodes] for row in orders) if row],
        low=(min(xs), min(ys)),
        high=(max(xs), max(ys)),
    )
