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
    x, y = curve[-1]
    if x != to[0] or y != to[1]:
        curve += [((2 * x + to[0]) / 3, (2 * y + to[1]) / 3), ((x + 2 * to[0]) / 3, (y + 2 * to[1]) / 3), to]


def _bend(curve: list[Point], to: Point) -> None:
    """From level to level: an S within the space between two ranks."""
    x, y = curve[-1]
    if y == to[1]:
        straight(curve, to)
    else:
        half = (x + to[0]) / 2
        curve += [(half, y), (half, to[1]), to]


def _lanes(g: Proper, lowest: float, apart: float) -> dict[int, float]:
    """A lane beyond the drawing for each far edge; edges whose stretches do not overlap share one."""
    lanes: dict[int, float] = {}
    free_from: list[int] = []
    for e in sorted(g.far, key=lambda e: (g.rank[g.chains[e][0]], e)):
        first, last = g.rank[g.chains[e][0]], g.rank[g.chains[e][1]]
        lane = next((i for i, end in enumerate(free_from[:200]) if end <= first), len(free_from))
        if lane == len(free_from):
            free_from.append(last)
        free_from[lane] = last
        lanes[e] = lowest + apart * (lane + 1)
    return lanes


def curves(
    g: Proper,
    stretch: list[Point],
    cross: list[float],
    offset: list[float],
    centre: list[float],
    reach: Callable[[int, float], float],
    lowest: float,
    leave: dict[int, float] | None = None,
) -> list[list[Point]]:
    """The curve of every edge, from shape to shape. ``reach(v, offset)``: from node v's centre to its outline.

    leave: per edge how far from its node's centre line it starts, where that is not at the line.
    """
    lanes = _lanes(g, lowest, 8.0)
    drawn, starts = [], leave or {}
    for e, path in enumerate(g.chains):
        if not path:
            drawn.append([])
            continue
        u, v = path[0], path[-1]
        start = starts.get(e, 0.0)
        curve = [(centre[u] + reach(u, start), cross[u] + start)]
        for i in range(len(path) - 1):
            a, b = path[i], path[i + 1]
            out, into = stretch[g.rank[a]][1], stretch[g.rank[b]][0]
            y = cross[b] + (offset[e] if i == len(path) - 2 else 0.0)
            straight(curve, (out, cross[a] + (0.0 if i else start)))
            if i == 0 and e in lanes:
                leave, arrive = stretch[g.rank[a] + 1][0], stretch[g.rank[b] - 1][1]
                half = min((leave - out) / 2, (into - arrive) / 2)
                for to in ((out + half, lanes[e]), (into - half, lanes[e]), (into, y)):
                    (straight if to[1] == curve[-1][1] else _bend)(curve, to)
            else:
                _bend(curve, (into, y))
        straight(curve, (centre[v] - reach(v, offset[e]), cross[v] + offset[e]))
        if e in g.turned:
            curve.reverse()
        drawn.append(curve)
    return drawn
