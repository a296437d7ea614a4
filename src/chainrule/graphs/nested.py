"""Boxes in boxes: the contents of every frame are laid out alone, then the frame is a box in the drawing around it.

An edge that crosses a frame is laid out in pieces. Where it passes the frame there is a port, a node without extent in
the first (or last) rank of the contents; the drawing around lets the edge arrive at just that height.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .layout import Ends, Extent, layout
from .routing import Point, straight

_PORT = Extent(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame around nodes: those that stand directly in it, and the frame that it stands in (-1: none).

    before, after: room between the frame and its contents, (main, cross). least: its least size, (main, cross).
    """

    members: list[int]
    parent: int
    before: Point
    after: Point
    least: Point


@dataclass(frozen=True, slots=True)
class Nested:
    """As ``Layout``; ``frames``: per frame its low and its high corner."""

    nodes: list[Point]
    labels: list[Point | None]
    curves: list[list[Point]]
    fresh: list[int]
    frames: list[tuple[Point, Point]]
    low: Point
    high: Point


class _Level:
    """One frame's contents (or all of the drawing): its items, its pieces of edges, its layout."""

    def __init__(self):
        self.items: dict[tuple, int] = {}  # ("node", v), ("frame", f), ("in", source), ("out", source) -> number
        self.extents: list[Extent] = []
        self.pieces: dict[tuple, int] = {}  # (item, carrier, item, what enters) -> number
        self.labels: list[Extent | None] = []
        self.size: Point = (0.0, 0.0)
        self.line = (
            0.0  # where the frame's centre line lies across: at its first port, so that the main way is straight
        )
        self.shift: Point = (0.0, 0.0)  # from the contents' coordinates to the frame's low corner
        self.at: Point = (0.0, 0.0)  # the frame's low corner in the whole drawing
        self.placed = None

    def item(self, key: tuple, extent: Extent = _PORT) -> int:
        if key not in self.items:
            self.items[key] = len(self.extents)
            self.extents.append(extent)
        return self.items[key]

    def piece(self, start: tuple, end: tuple, carrier: int, label: Extent | None, single: int) -> int:
        """A piece of edge. Those that carry the same value between the same two items are one, but at the target."""
        key = (start, carrier, end, single)
        if key not in self.pieces:
            self.pieces[key] = len(self.labels)
            self.labels.append(label)
        return self.pieces[key]


def nested(
    extents: list[Extent],
    edges: list[tuple[int, int]],
    labels: list[Extent | None],
    frames: list[Frame],
    *,
    reach: Callable[[int, float], float],
    **gaps: float,
) -> Nested:
    """Lay out a graph with frames; no way may lead out of a frame and back into it. Arguments as of ``layout``."""
    home = [-1] * len(extents)
    for f, frame in enumerate(frames):
        for v in frame.members:
            home[v] = f
    levels = {f: _Level() for f in range(-1, len(frames))}
    depth = {-1: 0}
    inside: dict[int, list[int]] = {f: [] for f in levels}
    for f in range(len(frames)):
        chain = _around(f, frames)
        depth[f] = len(chain) - 1
        inside[frames[f].parent].append(f)
    for v, f in enumerate(home):
        levels[f].item(("node", v), extents[v])
    routes = [_route(e, u, v, home, frames, levels, labels[e]) for e, (u, v) in enumerate(edges)]
    for f in sorted(levels, key=lambda f: -depth[f]):  # innermost first
        _lay(f, levels, inside[f], frames, reach, gaps)
    for f in sorted(levels, key=lambda f: depth[f]):
        if f >= 0:
            _hang(levels[f], levels[frames[f].parent], f)
    root = levels[-1]
    nodes = [_moved(levels[f], levels[f].placed.nodes[levels[f].items["node", v]]) for v, f in enumerate(home)]
    curves, at = [], []
    for e, route in enumerate(routes):
        curves.append(_joined([[_moved(levels[f], p) for p in levels[f].placed.curves[k]] for f, k in route]))
        f, k = route[-1] if route else (-1, 0)
        place = levels[f].placed.labels[k] if labels[e] is not None and route else None
        at.append(None if place is None else _moved(levels[f], place))
    corners = [(levels[f].at, _plus(levels[f].at, levels[f].size)) for f in range(len(frames))]
    return Nested(nodes, at, curves, [0] * len(curves), corners, root.placed.low, root.placed.high)


def _around(f: int, frames: list[Frame]) -> list[int]:
    """The frames around (and with) frame f, from the outermost, after -1 for the whole drawing."""
    chain = []
    while f >= 0:
        chain.append(f)
        f = frames[f].parent
    return [-1, *reversed(chain)]


def _route(e, u, v, home, frames, levels, label) -> list[tuple[int, int]]:
    """The pieces ``(level, number)`` of an edge from its source to its target."""
    if u == v:
        return []
    up, down = _around(home[u], frames), _around(home[v], frames)
    shared = 0
    while shared < min(len(up), len(down)) and up[shared] == down[shared]:
        shared += 1
    route, start = [], ("node", u)
    for f in reversed(up[shared:]):  # out of the frames around the source …
        route.append((f, levels[f].piece(start, ("out", u), u, None, -1)))
        levels[f].item(("out", u))
        start = ("frame", f)
    f = up[shared - 1]
    for inner in down[shared:]:  # … and into those around the target
        route.append((f, levels[f].piece(start, ("frame", inner), u, None, -1)))
        levels[inner].item(("in", u))
        f, start = inner, ("in", u)
    route.append((f, levels[f].piece(start, ("node", v), u, label, e)))
    return route


def _lay(f, levels, inner, frames, reach, gaps) -> None:
    """Lay out one level whose inner frames have their sizes."""
    level = levels[f]
    for k in inner:
        (main, cross), line = levels[k].size, levels[k].line
        level.item(("frame", k), Extent(main, line, cross - line, 0.0))
    keys = list(level.items)
    edges, carriers, leave, enter = [], [], {}, {}
    for i, (start, carrier, end, _) in enumerate(level.pieces):
        edges.append((level.items[start], level.items[end]))
        carriers.append(carrier)
        for key, side, into in ((start, "out", leave), (end, "in", enter)):
            if key[0] == "frame":
                port = levels[key[1]]
                into[i] = port.placed.nodes[port.items[side, carrier]][1] + port.shift[1] - port.line

    def outline(item: int, offset: float) -> float:
        kind, number = keys[item]
        return reach(number, offset) if kind == "node" else level.extents[item].main / 2

    ends = Ends(
        carriers,
        leave,
        enter,
        tuple([i for i, key in enumerate(keys) if key[0] == "in"]),
        tuple([i for i, key in enumerate(keys) if key[0] == "out"]),
    )
    level.placed = placed = layout(level.extents, edges, level.labels, reach=outline, ends=ends, **gaps)
    if f >= 0:
        frame = frames[f]
        size = [h - low for low, h in zip(placed.low, placed.high, strict=True)]
        level.size = tuple(
            [max(s + b + a, least) for s, b, a, least in zip(size, frame.before, frame.after, frame.least, strict=True)]
        )
        # Wider than its contents: the ports stay at the frame's sides, reached by straight lines.
        level.shift = (frame.before[0] - placed.low[0], frame.before[1] - placed.low[1])
        port = next((i for side in ("in", "out") for i, key in enumerate(keys) if key[0] == side), None)
        level.line = level.size[1] / 2 if port is None else placed.nodes[port][1] + level.shift[1]


def _hang(level, around, f) -> None:
    """Where a frame lies in the whole drawing."""
    centre = _moved(around, around.placed.nodes[around.items["frame", f]])
    level.at = (centre[0] - level.size[0] / 2, centre[1] - level.line)


def _plus(p: Point, q: Point) -> Point:
    return p[0] + q[0], p[1] + q[1]


def _moved(level, p: Point) -> Point:
    return _plus(_plus(p, level.shift), level.at)


def _joined(pieces: list[list[Point]]) -> list[Point]:
    """One curve of several that follow each other, with level lines across the frames' rims."""
    whole: list[Point] = []
    for piece in pieces:
        if whole and piece:
            straight(whole, piece[0])
            whole += piece[1:]
        elif piece:
            whole = list(piece)
    return whole
