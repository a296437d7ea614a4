"""The outlines that tell the kinds of nodes apart: rectangle, hexagon, dashed rectangle, ellipse, double ellipse,
and for a closed module a rectangle with a second line on either side."""

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True, slots=True)
class Shape:
    """A node's outline: ``kind`` as in a picture, ``width`` and ``height`` of the whole of it."""

    kind: str
    width: float
    height: float


def _cut(shape: Shape) -> float:
    """How far a hexagon's points stand out."""
    return min(shape.height / 3, shape.width / 4)


def reach(shape: Shape, offset: float, along: bool = True) -> float:
    """How far the outline is from the centre, measured along x (or along y) at ``offset`` off the centre line."""
    half, side = shape.width / 2, shape.height / 2
    if not along:
        half, side = side, half
    off = min(abs(offset), side)
    if shape.kind in ("operator", "output"):
        return half * sqrt(1 - (off / side) ** 2)
    if shape.kind == "parameter":
        cut = _cut(shape)
        if along:
            return half - cut * off / side
        slope = off - (side - cut)
        return half if slope <= 0 else half * (1 - slope / cut)
    return half


def outline(shape: Shape, x: float, y: float) -> str:
    """The outline as SVG, centred at (x, y)."""
    w, h = shape.width / 2, shape.height / 2
    if shape.kind in ("operator", "output"):
        text = f'<ellipse class="cr-shape" cx="{x:.1f}" cy="{y:.1f}" rx="{w:.1f}" ry="{h:.1f}"/>'
        if shape.kind == "output":
            ring = min(3.5, h / 3)
            w, h = w - ring, h - ring
            text += f'<ellipse class="cr-shape cr-inner" cx="{x:.1f}" cy="{y:.1f}" rx="{w:.1f}" ry="{h:.1f}"/>'
        return text
    if shape.kind == "parameter":
        cut = _cut(shape)
        corners = ((-w, 0), (cut - w, -h), (w - cut, -h), (w, 0), (w - cut, h), (cut - w, h))
        points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
        return f'<polygon class="cr-shape" points="{points}"/>'
    rounding = 7.0 if shape.kind == "input" else 0.0
    text = (
        f'<rect class="cr-shape" x="{x - w:.1f}" y="{y - h:.1f}" width="{2 * w:.1f}" height="{2 * h:.1f}" '
        f'rx="{min(rounding, h / 2):.1f}"/>'
    )
    if shape.kind == "module":
        bar = min(5.0, w / 3)
        left, right, top, low = x - w + bar, x + w - bar, y - h, y + h
        text += f'<path class="cr-shape" d="M{left:.1f} {top:.1f}V{low:.1f}M{right:.1f} {top:.1f}V{low:.1f}"/>'
    return text
