"""A picture as SVG: one file, no script, no fonts of its own; exact numbers appear where the mouse rests.

Forward values stand above a node, gradients below it; drawn downwards, to the right of it, the value over the gradient.
"""

import re

from .collapse import READABLE, collapse
from .layout import Extent, layout
from .nested import Frame, nested
from .picture import Arrow, Box, Group, Picture
from .shapes import Shape, outline, reach
from .theme import LEGEND, THEMES, brief, clean, dual, has_own_name, short, style, symbol, text_width

_USELESS = re.compile(r"\.0(?!\d)")
_SMALL, _NAME = 12.0, 14.0  # font sizes: numbers, what stands inside a shape
_LINE = 17.0  # room for a line of numbers above or below a shape
_TIP = 7.0  # length of an arrow head
_MARGIN = 14.0
_EXACT = 400  # characters of a line that appears on hovering: all of any number, the start of a large array
_FRAME_NAME = 40  # characters of a module's name on its frame
_MOST = 26  # characters of a name or number before it is cut; all of it is in the hover text


def escape(text: str) -> str:
    """A text as XML character data or attribute value; what XML cannot hold becomes a replacement mark."""
    safe = "\n".join(clean(line) for line in text.split("\n"))
    for plain, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        safe = safe.replace(plain, entity)
    return safe


def _n(x: float) -> str:
    """A coordinate with one decimal, without a useless one."""
    text = f"{x:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")


def _bare(d: str) -> str:
    """A path's coordinates, of one decimal each, without the useless ones."""
    return _USELESS.sub("", d)


def _text(
    x: float, y: float, content: str, kind: str, size: float = _SMALL, anchor: str = "middle", dual: str = ""
) -> str:
    """A text; ``dual``: what follows it in the tangents' colour."""
    place = f'x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" text-anchor="{anchor}"'
    more = f'<tspan class="cr-tangent">{escape(dual)}</tspan>' if dual else ""
    return f'<text class="cr-{kind}" {place}>{escape(content)}{more}</text>'


def _inside(box: Box) -> str:
    leaf = box.kind not in ("operator", "output") or not box.operator
    return short(box.label if leaf else symbol(box.operator, box.label), _MOST)


def _above(box: Box) -> str:
    """The value, with the name of a computed one before it."""
    value = brief(box.value, _MOST) if box.kind != "constant" or box.value != box.label else ""
    if box.operator and box.kind in ("operator", "output") and has_own_name(box.label, box.operator):
        name = short(box.label, _MOST)
        return f"{name} = {value}" if value else name
    return value


def _hover(box: Box) -> str:
    """All that is known of a node, a line each."""
    head = box.label if not box.operator or box.label == box.operator else f"{box.label}: {box.operator}"
    lines = [f"{head} ({box.kind})"]
    for name, exact, shown in (
        ("value", box.exact_value, box.value),
        ("tangent", box.exact_tangent, box.tangent),
        ("gradient", box.exact_gradient, box.gradient),
        ("module", box.module, ""),
        ("source", box.source, ""),
    ):
        if exact or shown:
            lines.append(short(f"{name}: {exact or shown}", _EXACT))
    return "\n".join(lines)


class _Drawing:
    """A picture laid out in one direction; ``point`` turns the layout's coordinates into the page's."""

    def __init__(self, picture: Picture, direction: str):
        self.right = direction == "LR"
        self.boxes, number = picture.nodes, {box.id: i for i, box in enumerate(picture.nodes)}
        self.arrows = picture.edges
        arriving = [0] * len(self.boxes)
        edges = []
        for arrow in self.arrows:
            if arrow.source not in number or arrow.target not in number:
                raise ValueError(f"svg: picture: an arrow joins {arrow.source} and {arrow.target}, not both are nodes")
            edges.append((number[arrow.source], number[arrow.target]))
            arriving[edges[-1][1]] += 1
        self.shapes = [self._shape(box, arriving[i]) for i, box in enumerate(self.boxes)]
        lines = [any(_above(b) or b.tangent for b in self.boxes), any(b.gradient for b in self.boxes)]
        extents = [
            self._extent(box, shape, k, lines) for box, shape, k in zip(self.boxes, self.shapes, arriving, strict=True)
        ]
        labels = [self._label(arrow) for arrow in self.arrows]
        self.drawn: set[tuple] = set()  # stretches that edges of one source share are drawn once
        self.groups = picture.groups
        gaps = {"rank_gap": 20.0 if any(labels) else 34.0, "node_gap": 14.0 if self.right else 26.0}
        if self.groups:
            frames = [self._frame(g, number) for g in self.groups]
            self.placed = nested(extents, edges, labels, frames, reach=self._reach, **gaps)
        else:
            self.placed = layout(extents, edges, labels, reach=self._reach, **gaps)

    def _reach(self, v: int, offset: float) -> float:
        return reach(self.shapes[v], offset, self.right)

    def _frame(self, group: Group, number: dict[int, int]) -> Frame:
        """The room that a frame takes; its name stands at the top, or, drawn downwards, at the left."""
        wide = text_width(short(group.label, _FRAME_NAME), _SMALL)
        members = [number[k] for k in group.members]
        if self.right:
            return Frame(members, group.parent, (16.0, 26.0), (16.0, 12.0), (wide + 20.0, 0.0))
        return Frame(members, group.parent, (16.0, wide + 22.0), (16.0, 12.0), (0.0, 0.0))

    def frame(self, i: int) -> str:
        """A frame with the name of the module whose contents it holds."""
        (left, top), (right, low) = [self.point(p) for p in self.placed.frames[i]]
        name, size = self.groups[i].label, f'width="{_n(right - left)}" height="{_n(low - top)}"'
        return (
            f'<g class="cr-module-frame"><title>{escape(name)}</title>'
            f'<rect class="cr-group" x="{_n(left)}" y="{_n(top)}" {size} rx="8"/>'
            f"{_text(left + 9, top + 16, short(name, _FRAME_NAME), 'frame', _SMALL, 'start')}</g>"
        )

    def _shape(self, box: Box, arriving: int) -> Shape:
        width = text_width(_inside(box), _NAME)
        room = max(0, arriving - 4) * 7.0  # many arrows need a longer side
        kind = box.kind if box.kind in LEGEND else "operator"
        if kind in ("operator", "output"):
            width = max(34.0, width + 20.0)
            return Shape(kind, width + (0 if self.right else room), 34.0 + (room if self.right else 0))
        return Shape(kind, max(36.0, width + (34.0 if kind in ("parameter", "module") else 20.0)), 30.0)

    def _extent(self, box: Box, shape: Shape, arriving: int, lines: list[bool]) -> Extent:
        texts = max(text_width(_above(box) + dual(box.tangent), _SMALL), text_width(brief(box.gradient, _MOST), _SMALL))
        side = shape.height if self.right else shape.width
        span = min(0.7 * side, 9.0 * (arriving - 1) + 5.0)
        if self.right:
            half = shape.height / 2
            return Extent(max(shape.width + 2 * _TIP, texts), half + _LINE * lines[0], half + _LINE * lines[1], span)
        half = shape.width / 2
        return Extent(shape.height + 2 * _TIP, half, half + (texts + 6.0 if texts else 0.0), span)

    def _label(self, arrow: Arrow) -> Extent | None:
        if not arrow.label:
            return None
        width = text_width(short(arrow.label, _MOST), _SMALL)
        return Extent(width + 6.0, 16.0, 3.0) if self.right else Extent(18.0, 3.0, width + 7.0)

    def point(self, p: tuple[float, float]) -> tuple[float, float]:
        return (p[0], p[1]) if self.right else (p[1], p[0])

    def edge(self, i: int) -> str:
        arrow, curve = self.arrows[i], self.placed.curves[i][self.placed.fresh[i] :]
        if not self.right:
            curve = [(y, x) for x, y in curve]
        if not curve:
            return ""
        (x, y), last = curve[-1], curve[-2]
        dx, dy = (1, 0) if self.right else (0, 1)
        if (x - last[0]) * dx + (y - last[1]) * dy < 0:  # an edge that was turned round to break a cycle
            dx, dy = -dx, -dy
        bx, by = x - _TIP * dx, y - _TIP * dy
        tip = f"M{x:.1f} {y:.1f}L{bx - 3.4 * dy:.1f} {by - 3.4 * dx:.1f}L{bx + 3.4 * dy:.1f} {by + 3.4 * dx:.1f}Z"
        curve[-1] = (x - _TIP / 2 * dx, y - _TIP / 2 * dy)
        before, drawn = curve[0], self.drawn
        d = [f"M{before[0]:.1f} {before[1]:.1f}"]
        for k in range(1, len(curve), 3):
            p, q, to = curve[k : k + 3]
            if (before, to) in drawn:
                d.append(f"M{to[0]:.1f} {to[1]:.1f}")
            else:
                drawn.add((before, to))
                if before[0] == to[0] or before[1] == to[1]:
                    d.append(f"L{to[0]:.1f} {to[1]:.1f}")
                else:
                    d.append(f"C{p[0]:.1f} {p[1]:.1f} {q[0]:.1f} {q[1]:.1f} {to[0]:.1f} {to[1]:.1f}")
            before = to
        parts = ['<g class="cr-edge">']
        if arrow.exact or arrow.label:
            parts.append(f"<title>local derivative: {escape(arrow.exact or arrow.label)}</title>")
        parts.append(f'<path class="cr-line" d="{_bare("".join(d))}"/><path class="cr-tip" d="{_bare(tip)}"/>')
        place = self.placed.labels[i]
        if place is not None:
            x, y = self.point(place)
            text = short(arrow.label, _MOST)
            parts.append(
                _text(x, y - 4, text, "local") if self.right else _text(x + 5, y + 4, text, "local", anchor="start")
            )
        return "".join(parts) + "</g>"

    def node(self, i: int) -> str:
        box, shape = self.boxes[i], self.shapes[i]
        x, y = self.point(self.placed.nodes[i])
        parts = [
            f'<g class="cr-node cr-{shape.kind}" data-id="{escape(str(box.id))}"><title>{escape(_hover(box))}</title>'
        ]
        parts.append(outline(shape, x, y))
        inside, above, below = _inside(box), _above(box), brief(box.gradient, _MOST)
        if inside:
            parts.append(_text(x, y + 0.35 * _NAME, inside, "ink", _NAME))
        half = shape.height / 2
        if above or box.tangent:
            more = dual(box.tangent)
            parts.append(
                _text(x, y - half - 5, above, "value", dual=more)
                if self.right
                else _text(x + shape.width / 2 + 5, y - 3, above, "value", anchor="start", dual=more)
            )
        if below:
            parts.append(
                _text(x, y + half + 14, below, "gradient")
                if self.right
                else _text(x + shape.width / 2 + 5, y + 12, below, "gradient", anchor="start")
            )
        return "".join(parts) + "</g>"


def _legend(
    picture: Picture, places: tuple[str, str], left: float, top: float, width: float
) -> tuple[str, float, float]:
    """The legend's text, its lower edge and its right edge."""
    entries = []
    for kind in LEGEND:
        if any(box.kind == kind for box in picture.nodes):
            entries.append((24.0, LEGEND[kind], kind))
    if any(box.value for box in picture.nodes):
        entries.append((0.0, f"{places[0]}: value", "value"))
    notes = {name: f" ({note})" for name, note in picture.notes.items()}
    if any(box.tangent for box in picture.nodes):
        entries.append((0.0, f"ε: tangent{notes.get('tangent', '')}", "tangent"))
    if any(box.gradient for box in picture.nodes):
        entries.append((0.0, f"{places[1]}: gradient{notes.get('gradient', '')}", "gradient"))
    if any(arrow.label for arrow in picture.edges):
        entries.append((0.0, "on the arrows: local derivative", "local"))
    parts, x, y, right = ['<g class="cr-legend">'], left, top, left
    for room, text, kind in entries:
        need = room + text_width(text, 11.0) + 16.0
        if x > left and x + need > left + width:
            x, y = left, y + 20.0
        if room:
            parts.append(f'<g class="cr-{kind}">{outline(Shape(kind, 16.0, 12.0), x + 9.0, y)}</g>')
        parts.append(_text(x + room, y + 4, text, kind if not room else "ink", 11.0, "start"))
        x += need
        right = max(right, x)
    return "".join(parts) + "</g>", y + 10.0, right - 12.0


def svg(
    picture: Picture,
    *,
    direction: str = "LR",
    theme: str = "auto",
    most: int | None = READABLE,
    open: str | list[str] = (),
    depth: int | None = None,
) -> str:
    """The picture as an SVG document.

    direction: ``"LR"`` from left to right, ``"TB"`` downwards. theme: ``"auto"`` follows the reader's light or dark
    setting, ``"light"`` and ``"dark"`` are fixed; ``auto`` prints light.
    most: modules are closed, loops and lines folded, until there are at most that many boxes; None closes none.
    open: modules whose contents are shown in a frame, by path or pattern. depth: how many levels of modules are opened;
    see ``collapse``.

    >>> from chainrule.graphs.picture import Arrow, Box, Picture
    >>> text = svg(Picture([Box(0, "input", "x", value="3"), Box(1, "output", "y", "square")], [Arrow(0, 1, "6")]))
    >>> text[:4], text.count("<path"), ">6</text>" in text
    ('<svg', 2, True)
    """
    if direction not in ("LR", "TB"):
        raise ValueError(f"svg: direction: expected 'LR' or 'TB', got {direction!r}")
    if theme not in THEMES:
        raise ValueError(f"svg: theme: expected 'auto', 'light' or 'dark', got {theme!r}")
    if not picture.groups:  # else it has been done
        picture = collapse(picture, most, open=open, depth=depth)
    drawing = _Drawing(picture, direction)
    (left, top), (right, bottom) = drawing.point(drawing.placed.low), drawing.point(drawing.placed.high)
    title = clean(picture.title)
    head = ""
    if title:
        head = _text(left, top - 8, title, "ink", 15.0, "start")
        right = max(right, left + text_width(title, 15.0))
        top -= 28.0
    legend = ""
    if picture.nodes:
        places = ("above", "below") if drawing.right else ("upper number", "lower number")
        legend, bottom, edge = _legend(picture, places, left, bottom + 22.0, max(right - left, 300.0))
        right = max(right, edge)
    x, y, width, height = left - _MARGIN, top - _MARGIN, right - left + 2 * _MARGIN, bottom - top + 2 * _MARGIN
    count = f"{len(picture.nodes)} nodes, {len(picture.edges)} edges"
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="cr-picture cr-{theme}" role="img" '
            f'aria-label="{escape(title or "graph of a computation")}: {count}" '
            f'width="{_n(width)}" height="{_n(height)}" viewBox="{_n(x)} {_n(y)} {_n(width)} {_n(height)}">',
            f"<style>{style(theme)}</style>",
            f'<rect class="cr-ground" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"/>',
            head,
            *[drawing.frame(i) for i in range(len(drawing.groups))],
            *[drawing.edge(i) for i in range(len(drawing.arrows))],
            *[drawing.node(i) for i in range(len(drawing.boxes))],
            legend,
            "</svg>\n",
        ]
    )
