"""The SVG of a drawing as paths and texts with colours: what the PNG and the PDF are made from.

It reads what ``graphs.svg`` writes (rectangles, ellipses, polygons, paths of M L H V C Z, texts, and classes in place
of colours), not any SVG.
"""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from ..letters import measure
from ..theme import DARK, LIGHT, italic, paints

_ROUND = 0.5522847498  # control points of a quarter circle: 4/3 (√2 − 1)
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_TOKEN = re.compile(r"[MLHVCZ]|-?\d+\.?\d*(?:e-?\d+)?")


@dataclass(slots=True)
class Path:
    """``steps``: ("M", x, y), ("L", x, y), ("C", six numbers), ("Z",). Colours are "#rrggbb", or "" for none."""

    steps: list[tuple]
    fill: str
    stroke: str
    width: float
    dash: tuple[float, ...]


@dataclass(slots=True)
class Text:
    """A text that starts at (x, y) on its base line."""

    x: float
    y: float
    text: str
    size: float
    fill: str
    italic: bool


@dataclass(slots=True)
class Scene:
    """What a drawing consists of, in the order of painting; ``box``: left, top, width, height."""

    box: tuple[float, float, float, float]
    items: list
    title: str
    ground: str


def scene(svg: str, dark: bool = False) -> Scene:
    """Read a drawing. dark: the dark colours, where the drawing leaves the choice to its reader."""
    root = ElementTree.fromstring(svg)
    classes = root.get("class", "").split()
    colours = DARK if "cr-dark" in classes or (dark and "cr-light" not in classes) else LIGHT
    box = tuple([float(x) for x in root.get("viewBox").split()])
    items = []
    stack = [(child, ()) for child in reversed(root)]
    while stack:
        element, around = stack.pop()
        tag = element.tag.removeprefix(_NAMESPACE)
        mine = (*around, *[c.removeprefix("cr-") for c in element.get("class", "").split()])
        if tag == "g":
            stack += [(child, mine) for child in reversed(element)]
        elif tag == "text":
            items += _text(element, mine, colours)
        elif tag in _SHAPES:
            fill, stroke, width, dash = paints(mine, colours)
            items.append(Path(_SHAPES[tag](element), fill, stroke, width, dash))
    return Scene(box, items, root.get("aria-label", ""), colours["ground"])


def _numbers(element, *names):
    return [float(element.get(name, 0)) for name in names]


def _text(element, classes, colours):
    """A text, and the parts of it (tspan) that have colours of their own."""
    x, y, size = _numbers(element, "x", "y", "font-size")
    parts = [(element.text or "", classes)]
    for part in element:
        inner = (*classes, *[c.removeprefix("cr-") for c in part.get("class", "").split()])
        parts += [(part.text or "", inner), (part.tail or "", classes)]
    if element.get("text-anchor") == "middle":
        x -= sum([measure(text, size) for text, _ in parts]) / 2
    found = []
    for text, mine in parts:
        if text:
            found.append(Text(x, y, text, size, paints(mine, colours)[0], italic(mine)))
            x += measure(text, size)
    return found


def _rectangle(element):
    x, y, w, h, r = _numbers(element, "x", "y", "width", "height", "rx")
    if not r:
        return [("M", x, y), ("L", x + w, y), ("L", x + w, y + h), ("L", x, y + h), ("Z",)]
    k = r * (1 - _ROUND)
    return [
        ("M", x + r, y),
        ("L", x + w - r, y),
        ("C", x + w - k, y, x + w, y + k, x + w, y + r),
        ("L", x + w, y + h - r),
        ("C", x + w, y + h - k, x + w - k, y + h, x + w - r, y + h),
        ("L", x + r, y + h),
        ("C", x + k, y + h, x, y + h - k, x, y + h - r),
        ("L", x, y + r),
        ("C", x, y + k, x + k, y, x + r, y),
        ("Z",),
    ]


def _ellipse(element):
    x, y, a, b = _numbers(element, "cx", "cy", "rx", "ry")
    p, q = a * _ROUND, b * _ROUND
    return [
        ("M", x + a, y),
        ("C", x + a, y + q, x + p, y + b, x, y + b),
        ("C", x - p, y + b, x - a, y + q, x - a, y),
        ("C", x - a, y - q, x - p, y - b, x, y - b),
        ("C", x + p, y - b, x + a, y - q, x + a, y),
        ("Z",),
    ]


def _polygon(element):
    corners = [tuple(map(float, p.split(","))) for p in element.get("points").split()]
    return [("L" if i else "M", *p) for i, p in enumerate(corners)] + [("Z",)]


def _path(element):
    steps, here, start, verb, given = [], (0.0, 0.0), (0.0, 0.0), "", []
    for token in _TOKEN.findall(element.get("d")):
        if token.isalpha():
            verb, given = token, []
            if verb == "Z":
                steps.append(("Z",))
                here = start
            continue
        given.append(float(token))
        if len(given) < {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6}[verb]:
            continue
        if verb == "H":
            given = [given[0], here[1]]
        elif verb == "V":
            given = [here[0], given[0]]
        steps.append((verb if verb in "MC" else "L", *given))
        here, given = (steps[-1][-2], steps[-1][-1]), []
        if verb == "M":
            start, verb = here, "L"
    return steps


_SHAPES = {"rect": _rectangle, "ellipse": _ellipse, "polygon": _polygon, "path": _path}
