"""The curves of the edges. Along a rank an edge runs level, where the layout kept room for it; between ranks it bends.

So no edge can touch a box that is not its own, whatever the graph. Coordinates are (main, cross): main runs along the
layers, cross within a layer. A curve is a start point followed by triples of points, one triple per cubic Bézier.
"""

from collections.abc import Callable

from .layering import Proper

Point = tuple[float, float]


def bands(orders: list[list[int]], g: Proper, main: list[float], cross: list[float], gap: float) -> list[Point]:
    """Start and end of each rank; where edges have far to go across, the ranks stand further apart."""
    found, at = [], 0.0
    for r, row in enumerate(orders):
        if r:
            climb = max([abs(cross[u] - cross[v]) for v in row for u in g.up[v]], default=0.0)
            at += min(max(gap, 0.3 * climb), 3.5 * gap)
        deep = max([main[v] for v in row], default=0.0)
        found.append((at, at + deep))
        at += deep
    return found


def ports(g: Proper, cross: list[float], span: list[float], fixed: dict[int, float] | None = None) -> list[float]:
    """Per edge, where it enters its node: the offset from the node's centre line, so that arrow heads stand apart.

    All edges leave a node at its centre line, since they carry the same value. fixed: offsets that are given.
    """
    arriving: list[list[tuple[float, int]]] = [[] for _ in range(g.nodes)]
    for e, path in enumerate(g.chains):
        if path:
            arriving[path[-1]].append((cross[path[-2]], e))
    offset = [0.0] * len(g.chains)
    for v, edges in enumerate(arriving):
        if len(edges) > 1:
            edges.sort()
            step = span[v] / (len(edges) - 1)
            for i, (_, e) in enumerate(edges):
                offset[e] = step * i - span[v] / 2
    for e, given in (fixed or {}).items():
        offset[e] = given
    return offset


def straight(curve: list[Point], to: Point) -> None:
    at = curve[-1]
    if at != to:
        curve += [at, to, to]


def _bend(curve: list[Point], to: Point) -> None:
    """From level to level: an S within the space between two ranks."""
    x, y = curve[-1]
    if y == to[1]:
        straight(curve, to)
    else:
        half = (x + to[0]) / 2
        curve += [(half, y), (half, to[1]), to]


def _lanes(g: Proper, lowest: float, apart: float) -> dict[int, float]:
    """A lane beyond the drawing for each far edge.

    Those of one source share a lane, since they carry the same value, and so do edges whose stretches do not overlap.
    """
    reach: dict[int, int] = {}
    for e in g.far:
        u, v = g.chains[e][0], g.chains[e][-1]
        reach[u] = max(reach.get(u, 0), g.rank[v])
    lane_of: dict[int, int] = {}
    free_from: list[int] = []
    for u in sorted(reach, key=lambda u: (g.rank[u], u)):
        lane = next((i for i, end in enumerate(free_from[:200]) if end <= g.rank[u]), len(free_from))
        if lane == len(free_from):
            free_from.append(reach[u])
        free_from[lane] = reach[u]
        lane_of[u] = lane
    return {e: lowest + apart * (lane_of[g.chains[e][0]] + 1) for e in g.far}


def curves(
    g: Proper,
    stretch: list[Point],
    cross: list[float],
    offset: list[float],
    centre: list[float],
    reach: Callable[[int, float], float],
    lowest: float,
    leave: dict[int, float] | None = None,
) -> tuple[list[list[Point]], list[int]]:
    """The curve of every edge, from shape to shape, and from which of its points on no earlier edge has it.

    reach(v, offset): from node v's centre to its outline. leave: per edge how far from its node's centre line it
    starts, where that is not at the line.
    """
    lanes = _lanes(g, lowest, 8.0)
    drawn, fresh, starts = [], [], leave or {}
    trunks: dict[int, tuple[list[Point], list[int]]] = {}  # first stand-in of a chain -> its curve, its places of items

    def step(curve: list[Point], a: int, b: int, start: float, y: float) -> None:
        straight(curve, (stretch[g.rank[a]][1], cross[a] + start))
        _bend(curve, (stretch[g.rank[b]][0], y))

    for e, path in enumerate(g.chains):
        if not path:
            drawn.append([])
            fresh.append(0)
            continue
        u, v = path[0], path[-1]
        start = starts.get(e, 0.0)
        curve = [(centre[u] + reach(u, start), cross[u] + start)]
        known, shared = 0, 0
        through = len(path) - 2 - (e in g.label)  # stand-ins
        if through > 0 and e not in lanes:
            trunk, places = trunks.setdefault(path[1], (curve, [0]))
            known = min(through, len(places) - 1)
            shared = places[known]
            for i in range(known, through):
                step(trunk, path[i], path[i + 1], 0.0 if i else start, cross[path[i + 1]])
                places.append(len(trunk) - 1)
            curve = trunk[: places[through] + 1]
        for i in range(max(through, 0) if e not in lanes else 0, len(path) - 1):
            a, b = path[i], path[i + 1]
            y = cross[b] + (offset[e] if i == len(path) - 2 else 0.0)
            if i == 0 and e in lanes:
                out, into = stretch[g.rank[a]][1], stretch[g.rank[b]][0]
                straight(curve, (out, cross[a] + start))
                far, arrive = stretch[g.rank[a] + 1][0], stretch[g.rank[b] - 1][1]
                half = min((far - out) / 2, (into - arrive) / 2)
                for to in ((out + half, lanes[e]), (into - half, lanes[e]), (into, y)):
                    (straight if to[1] == curve[-1][1] else _bend)(curve, to)
            else:
                step(curve, a, b, 0.0 if i else start, y)
        straight(curve, (centre[v] - reach(v, offset[e]), cross[v] + offset[e]))
        if e in g.turned:
            curve.reverse()
            shared = 0
        drawn.append(curve)
        fresh.append(shared)
    return drawn, fresh
