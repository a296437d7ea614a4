"""A picture in Unicode for the terminal: boxes and lines where it fits, a listing where it does not.

Kinds are told apart by their frames: input ╭╮, parameter ┏┓, constant ┌╌┐, operator ┌┐, output ╔╗, module ╓╖.
"""

import shutil
from collections import Counter
from itertools import product

from .collapse import READABLE, collapse
from .layout import Extent, arrange
from .picture import Box, Picture
from .theme import LEGEND, brief, cells, clean, dual, has_own_name, short, symbol
from .tracks import Canvas, assign, character

_MOST_NODES = 120  # beyond that a drawing in characters helps nobody
_MOST, _LEAST = 22, 12  # cells of a text in a box; what is tried where the first is too wide
_FRAMES = {
    "input": "╭─╮│╰─╯", "parameter": "┏━┓┃┗━┛", "constant": "┌╌┐╎└╌┘", "operator": "┌─┐│└─┘", "output": "╔═╗║╚═╝",
    "module": "╓─╖║╙─╜",
}  # fmt: skip


def _lines(box: Box, most: int) -> list[str]:
    """What stands in a box: its name or sign, its value, its gradient."""
    computed = box.kind in ("operator", "output") and bool(box.operator)
    head = symbol(box.operator, box.label) if computed else box.label
    if computed and has_own_name(box.label, box.operator):
        head = f"{box.label}: {head}"
    value = "" if box.kind == "constant" and box.value == box.label else box.value
    gradient = f"∂ {brief(box.gradient, most - 2)}" if box.gradient else ""
    tangent = dual(box.tangent, most).strip() if not value else ""
    if value and box.tangent:
        both = brief(value, most) + dual(box.tangent, most)
        value, tangent = (both, "") if cells(both) <= most else (value, dual(box.tangent, most - 2).strip())
    return [line for line in (short(head, most), brief(value, most), short(tangent, most), gradient) if line] or [""]


class _Sheet:
    """A picture on a grid; ``right``: from left to right, else downwards. ``fits`` says whether it could be drawn."""

    def __init__(self, picture: Picture, right: bool, labelled: bool, width: int, most: int):
        self.right, self.canvas, self.fits = right, Canvas(), False
        number = {box.id: i for i, box in enumerate(picture.nodes)}
        self.boxes = picture.nodes
        self.lines = [_lines(box, most) for box in picture.nodes]
        self.wide = [max([cells(line) for line in lines]) + 4 for lines in self.lines]
        edges = [(number[arrow.source], number[arrow.target]) for arrow in picture.edges]
        arriving = [0] * len(number)
        for _, v in edges:
            arriving[v] += 1
        self.size = []  # (along main, along cross) of each box
        for lines, wide, k in zip(self.lines, self.wide, arriving, strict=True):
            high = len(lines) + 2
            self.size.append((wide, max(high, 2 * k + 1)) if right else (high, max(wide, 2 * k + 3)))
        extents = [Extent(m, (c - 1) // 2, c // 2) for m, c in self.size]
        self.texts = [short(arrow.label, most) if labelled else "" for arrow in picture.edges]
        labels = [self._label(text) for text in self.texts]
        g, orders, self.main, _, _, cross = arrange(extents, edges, labels, 2.0 if right else 3.0, 1.0)
        if g.far or g.turned or not all(g.chains):
            return
        self.g, self.cross = g, [int(x) for x in cross]
        self._route(orders)
        self.fits = self._width() <= width

    def _label(self, text: str) -> Extent | None:
        if not text:
            return None
        n = cells(text)
        return Extent(n + 2, 0.25, 0.25) if self.right else Extent(1, n // 2 + 0.75, (n + 1) // 2 + 0.25)

    def _ports(self) -> list[int]:
        """The row (or column) at which each edge arrives."""
        arriving: dict[int, list[tuple[int, int]]] = {}
        for e, path in enumerate(self.g.chains):
            arriving.setdefault(path[-1], []).append((self.cross[path[-2]], e))
        at = [0] * len(self.g.chains)
        for v, found in arriving.items():
            found.sort()
            k = len(found)
            for i, (_, e) in enumerate(found):
                at[e] = self.cross[v] + (2 * i - (k - 1) if k % 2 or k > 2 else (-1, 1)[i])
        return at

    def _route(self, orders: list[list[int]]) -> None:
        g, cross, canvas = self.g, self.cross, self.canvas
        ports = self._ports()
        gaps: list[dict[int, tuple[int, list[int]]]] = [{} for _ in orders]
        for e, path in enumerate(g.chains):
            for a, b in zip(path, path[1:], strict=False):
                row = ports[e] if b == path[-1] else cross[b]
                gaps[g.rank[a]].setdefault(a, (cross[a], []))[1].append(row)
        owner = list(range(len(g.rank)))  # the value that a line carries: its source
        for path in g.chains:
            for item in path[1:-1]:
                owner[item] = path[0]
        self.start, at = [0] * len(orders), 0
        deep = [int(max([self.main[v] for v in row])) for row in orders]
        for r in range(len(orders)):
            self.start[r] = at
            trunks, straight, tracks = assign(gaps[r])
            bare = not any(v < g.nodes for row in orders[r + 1 : r + 2] for v in row)
            room = tracks + (1 if bare else 3 if self.right else 2)
            for t in trunks:
                t.net = owner[t.net]
            canvas.trunks(at + deep[r], room, trunks, [(owner[net], row) for net, row in straight])
            at += deep[r] + (room if r < len(orders) - 1 else 0)
        for item, r in enumerate(g.rank):
            if item >= g.nodes:
                canvas.level(self.start[r], self.start[r] + deep[r], cross[item], owner[item])
        for v in range(g.nodes):
            r = g.rank[v]
            low = self.start[r] + (deep[r] - self.size[v][0]) // 2
            if g.down[v]:
                canvas.level(low + self.size[v][0], self.start[r] + deep[r], cross[v], v)
            for e, path in ((e, path) for e, path in enumerate(g.chains) if path[-1] == v):
                canvas.level(self.start[r], low, ports[e], path[0])
                canvas.texts[low - 1, ports[e]] = "▶" if self.right else "▼"
            self._frame(v, low, cross[v] - (self.size[v][1] - 1) // 2)
        for e, item in g.label.items():
            text, r = self.texts[e], g.rank[item]
            n = cells(text)
            if self.right:
                self._write(self.start[r] + (deep[r] - n) // 2, cross[item], text)
            else:
                self._write(cross[item] - n // 2, self.start[r], text)

    def _write(self, x: int, y: int, text: str) -> None:
        """A text from column x of row y; a wide character takes two cells, a combining one none."""
        for c in text:
            n = cells(c)
            if n == 0:
                x -= 1
                self.canvas.texts[self._at(x, y)] += c
                x += 1
                continue
            self.canvas.texts[self._at(x, y)] = c
            for extra in range(1, n):
                self.canvas.texts[self._at(x + extra, y)] = ""
            x += n

    def _at(self, x: int, y: int) -> tuple[int, int]:
        return (x, y) if self.right else (y, x)

    def _frame(self, v: int, main: int, cross: int) -> None:
        wide, high = self.size[v] if self.right else self.size[v][::-1]
        x, y = (main, cross) if self.right else (cross, main)
        left, top, right, side, under, bottom, end = _FRAMES.get(self.boxes[v].kind, _FRAMES["operator"])
        self._write(x, y, left + top * (wide - 2) + right)
        lines = self.lines[v]
        first = (high - 2 - len(lines)) // 2
        for i in range(high - 2):
            text = lines[i - first] if 0 <= i - first < len(lines) else ""
            room = wide - 2 - cells(text)
            self._write(x, y + 1 + i, side + " " * (room // 2) + text + " " * (room - room // 2) + side)
        self._write(x, y + high - 1, under + bottom * (wide - 2) + end)

    def _width(self) -> int:
        places = [self._at(*p)[0] for p in (*self.canvas.lines, *self.canvas.texts)]
        return max(places, default=-1) + 1

    def text(self) -> str:
        """The drawing, without blanks at the ends of its lines."""
        found = {self._at(*p): character(cell, not self.right) for p, cell in self.canvas.lines.items()}
        found.update({self._at(*p): c for p, c in self.canvas.texts.items()})
        rows: dict[int, dict[int, str]] = {}
        for (x, y), c in found.items():
            rows.setdefault(y, {})[x] = c
        out = []
        for y in range(min(rows), max(rows) + 1):
            row = rows.get(y, {})
            out.append("".join([row.get(x, " ") for x in range(max(row, default=-1) + 1)]).rstrip())
        return "\n".join(out)


def _listing(picture: Picture, width: int) -> str:
    """A line per node, and under it, indented, a line per input with the local derivative."""
    names = {box.id: short(box.label or box.operator, _MOST) for box in picture.nodes}
    often = Counter(names.values())
    names = {key: f"{name} #{key}" if often[name] > 1 else name for key, name in names.items()}
    into: dict[int, list] = {}
    for arrow in picture.edges:
        into.setdefault(arrow.target, []).append(arrow)
    lines = []
    for box in picture.nodes:
        head = names[box.id]
        if box.operator and has_own_name(box.label, box.operator):
            head += f": {symbol(box.operator)}"
        parts = [
            head,
            f"[{box.kind}]" if box.kind != "operator" else "",
            f"= {box.value}{dual(box.tangent)}" if box.value else "",
        ]
        lines.append("  ".join([p for p in (*parts, f"∂ {box.gradient}" if box.gradient else "") if p]))
        for arrow in sorted(into.get(box.id, ()), key=lambda a: a.argument):
            lines.append(f"    ← {names[arrow.source]}" + (f"  · {arrow.label}" if arrow.label else ""))
    return "\n".join([short(line, width) for line in lines])


def _legend(picture: Picture, width: int) -> str:
    kinds = [kind for kind in LEGEND if any(box.kind == kind for box in picture.nodes)]
    entries = [f"{_FRAMES[kind][0]}{_FRAMES[kind][2]} {LEGEND[kind]}" for kind in kinds]
    notes = {name: f" ({note})" for name, note in picture.notes.items()}
    if any(box.tangent for box in picture.nodes):
        entries.append(f"ε tangent{notes.get('tangent', '')}")
    if any(box.gradient for box in picture.nodes):
        entries.append(f"∂ gradient{notes.get('gradient', '')}")
    if any(arrow.label for arrow in picture.edges):
        entries.append("on the lines: local derivative")
    lines = [""]
    for entry in entries:
        joined = f"{lines[-1]}   {entry}" if lines[-1] else entry
        if cells(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(entry)
    return "\n".join([short(line, width) for line in lines if line])


def draw(
    picture: Picture,
    width: int | None = None,
    *,
    most: int | None = READABLE,
    open: str | list[str] = (),
    depth: int | None = None,
) -> str:
    """The picture as text that is at most ``width`` cells wide, the terminal's width if not given.

    From left to right if that fits, else downwards, else with texts cut shorter, else without the local derivatives;
    if nothing fits, or with more than 120 nodes, a listing: every node, and indented under it its inputs.
    most, open, depth: which modules are closed, as of ``svg``; no frames are drawn around the open ones.

    >>> from chainrule.graphs.picture import Arrow, Box, Picture
    >>> boxes = [Box(0, "input", "x", value="3"), Box(1, "output", "y", "square", value="9")]
    >>> print(draw(Picture(boxes, [Arrow(0, 1, "6")]), 60))
    ╭───╮       ╔═══════╗
    │ x │──6───▶║ y: x² ║
    │ 3 │       ║   9   ║
    ╰───╯       ╚═══════╝
    <BLANKLINE>
    ╭╮ input   ╔╗ output   on the lines: local derivative
    """
    if width is None:
        width = shutil.get_terminal_size().columns
    if not isinstance(width, int) or width < 1:
        raise ValueError(f"draw: width: expected a positive number of columns, got {width!r}")
    if not picture.groups:
        picture = collapse(picture, most, open=open, depth=depth)
    title = short(picture.title, width)
    parts = [title] if clean(title).strip() else []
    if 0 < len(picture.nodes) <= _MOST_NODES:
        labelled = any(arrow.label for arrow in picture.edges)
        for labels in (True, False) if labelled else (False,):
            for most, right in product((_MOST, _LEAST), (True, False)):
                sheet = _Sheet(picture, right, labels, width, most)
                if sheet.fits:
                    return "\n\n".join([*parts, sheet.text(), _legend(picture, width)])
    return "\n\n".join([*parts, _listing(picture, width)])
