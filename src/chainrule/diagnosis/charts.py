"""Curves and heat maps as SVG text. Colours come from the page's style sheet."""

from __future__ import annotations

import math
from html import escape
from typing import Any

import numpy as np

WIDTH = 860
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 30
_POINTS = 600
# Viridis at nine places (Smith and van der Walt, 2015): even to the eye and to the colour-blind.
_VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")


def number(x: float) -> str:
    """A number as short as an axis needs it."""
    if x == 0:
        return "0"
    size = abs(x)
    if 1e-3 <= size < 1e5:
        return f"{x:.4g}"
    return f"{x:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two bounds."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(k * power for k in (1, 2, 2.5, 5, 10) if k * power >= raw)
    first = math.ceil(low / step - 1e-9)
    found = [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]
    return [0.0 if abs(v) < step * 1e-9 else v for v in found] or [low]


def thin(points: list[tuple[int, float]]) -> list[tuple[float, float]]:
    """Not more points than pixels: neighbours become their smallest and largest, so that peaks stay."""
    known = [(float(s), float(v)) for s, v in points if v is not None and math.isfinite(v)]
    if len(known) <= _POINTS:
        return known
    found: list[tuple[float, float]] = []
    k = -(-len(known) // (_POINTS // 2))
    for i in range(0, len(known), k):
        part = known[i : i + k]
        found += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return found


class Frame:
    """Axes: steps to the right, values up, on a logarithmic scale if asked for."""

    def __init__(self, curves: list[list[tuple[float, float]]], height: int, log: bool, floor: float | None = None):
        values = [v for c in curves for _, v in c if not log or v > 0]
        steps = [s for c in curves for s, _ in c]
        self.height, self.log = height, log
        self.x0, self.x1 = (min(steps), max(steps)) if steps else (0.0, 1.0)
        if self.x1 <= self.x0:
            self.x1 = self.x0 + 1
        low, high = (min(values), max(values)) if values else (0.1, 1.0)
        if log:
            low, high = math.log10(low), math.log10(high)
        elif floor is not None:
            low = min(low, floor)
        if high - low < (0.3 if log else 1e-9 * (abs(high) + 1e-30)):
            low, high = low - 0.15 - (0 if log else abs(low) * 0.05), high + 0.15 + (0 if log else abs(high) * 0.05)
        pad = (high - low) * 0.04
        self.low, self.high = (low if floor == low else low - pad), high + pad

    def x(self, step: float) -> float:
        return LEFT + (step - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        v = (math.log10(value) if value > 0 else self.low) if self.log else value
        v = min(max(v, self.low), self.high)
        return self.height - BOTTOM - (v - self.low) / (self.high - self.low) * (self.height - TOP - BOTTOM)

    def axes(self) -> list[str]:
        out = []
        if self.log:
            first, last = math.ceil(self.low), math.floor(self.high)
            every = max(1, -(-(last - first + 1) // 6))
            marks = [10.0**k for k in range(first, last + 1, every)]
            if len(marks) < 2:
                marks = [v for v in ticks(10**self.low, 10**self.high, 4) if v > 0]
        else:
            marks = ticks(self.low, self.high)
        for v in marks:
            y = self.y(v)
            out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            out.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(v)}</text>')
        out += step_axis(self.x0, self.x1, self.x, self.height)
        return out


def step_axis(first: float, last: float, x: Any, height: int) -> list[str]:
    return [
        f'<text class="tick" x="{x(v):.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{v:g}</text>'
        for v in ticks(first, last, 8)
        if v == int(v)
    ]


def curves(
    named: dict[str, list[tuple[int, float]]],
    height: int = 240,
    log: bool = False,
    band: tuple[float, float] | None = None,
    marks: list[tuple[int, str]] | None = None,
    floor: float | None = None,
) -> str:
    """Lines over steps. band: a range that is shaded.  marks: ``(step, text)``, vertical lines."""
    thinned = {name: thin(points) for name, points in named.items()}
    thinned = {name: [p for p in c if not log or p[1] > 0] for name, c in thinned.items()}
    thinned = {name: c for name, c in thinned.items() if c}
    if not thinned:
        return '<p class="none">Nothing recorded.</p>'
    frame = Frame(list(thinned.values()), height, log, floor)
    out = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img">']
    if band is not None:
        a, b = frame.y(band[1]), frame.y(band[0])
        if b - a > 0.5:
            out.append(
                f'<rect class="band" x="{LEFT}" y="{a:.1f}" width="{WIDTH - LEFT - RIGHT}" height="{b - a:.1f}"/>'
            )
    out += frame.axes()
    for step, text in marks or []:
        if frame.x0 <= step <= frame.x1:
            x = frame.x(step)
            out.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}">')
            out.append(f"<title>{escape(text)}</title></line>")
    for k, (name, points) in enumerate(thinned.items()):
        path = " ".join(f"{frame.x(s):.1f},{frame.y(v):.1f}" for s, v in points)
        out.append(f'<g class="c{k % 8}"><title>{escape(name)}</title>')
        if len(points) == 1:
            s, v = points[0]
            out.append(f'<circle class="dot" cx="{frame.x(s):.1f}" cy="{frame.y(v):.1f}" r="3"/></g>')
        else:
            out.append(f'<polyline class="line" points="{path}"/></g>')
    out.append("</svg>")
    if len(thinned) > 1:
        keys = "".join(f'<li><i class="c{k % 8}"></i>{escape(n)}</li>' for k, n in enumerate(list(thinned)[:24]))
        more = len(thinned) - 24
        out.append(f'<ul class="key">{keys}{f"<li>and {more} more</li>" if more > 0 else ""}</ul>')
    return "".join(out)


def heat_map(named: dict[str, list[tuple[int, float]]], columns: int = 120) -> str:
    """Rows of places, columns of steps; the colour is the logarithm of the value (the median of a cell)."""
    rows = {n: [(s, v) for s, v in p if v is not None and math.isfinite(v)] for n, p in named.items()}
    rows = {n: p for n, p in rows.items() if p}
    if not rows:
        return '<p class="none">Nothing recorded.</p>'
    steps = [s for p in rows.values() for s, _ in p]
    first, last = min(steps), max(steps)
    count = max(1, min(columns, len(set(steps))))
    known = [v for p in rows.values() for _, v in p if v > 0]
    low, high = (math.log10(min(known)), math.log10(max(known))) if known else (-1.0, 0.0)
    if high - low < 1:
        low, high = (low + high) / 2 - 0.5, (low + high) / 2 + 0.5
    tall = 18 if len(rows) <= 24 else 10 if len(rows) <= 60 else 5
    label = min(248, max(64, 8 + 7.6 * max(len(n) for n in rows)))
    height = len(rows) * tall + 44
    wide = (WIDTH - label - RIGHT) / count
    out = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img">']
    for r, (name, points) in enumerate(rows.items()):
        y = r * tall
        if tall > 10 or r % (2 if tall == 10 else 4) == 0:
            text = name if len(name) <= 33 else "…" + name[-32:]
            out.append(
                f'<text class="row" x="{label - 6}" y="{y + tall / 2 + 4:.1f}" text-anchor="end">{escape(text)}</text>'
            )
        cells: dict[int, list[float]] = {}
        for s, v in points:
            cells.setdefault(min(count - 1, (s - first) * count // max(last - first + 1, 1)), []).append(v)
        held = None
        for c in range(count):
            held = cells.get(c, held if held is not None else None)
            if held is None:
                continue
            v = float(np.median(held))
            shade = color((math.log10(v) - low) / (high - low)) if v > 0 else "#000000"
            title = f"{name}, step {first + c * (last - first + 1) // count}: {number(v)}"
            out.append(
                f'<rect x="{label + c * wide:.2f}" y="{y}" width="{wide + 0.3:.2f}" height="{tall - 1}" fill="{shade}">'
                f"<title>{escape(title)}</title></rect>"
            )
    base = len(rows) * tall
    span = WIDTH - label - RIGHT
    for v in ticks(first, last, 8):
        if v == int(v):
            x = label + (v - first) / max(last - first, 1) * span
            out.append(f'<text class="tick" x="{x:.1f}" y="{base + 14}" text-anchor="middle">{v:g}</text>')
    for k in range(60):
        out.append(f'<rect x="{label + k * 4}" y="{base + 24}" width="4.3" height="10" fill="{color(k / 59)}"/>')
    out.append(f'<text class="tick" x="{label - 6}" y="{base + 33}" text-anchor="end">{number(10**low)}</text>')
    out.append(f'<text class="tick" x="{label + 246}" y="{base + 33}">{number(10**high)}</text>')
    out.append("</svg>")
    return "".join(out)


def color(share: float) -> str:
    """Viridis between its nine places."""
    t = min(max(share, 0.0), 1.0) * (len(_VIRIDIS) - 1)
    k = min(int(t), len(_VIRIDIS) - 2)
    a, b = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (_VIRIDIS[k], _VIRIDIS[k + 1])]
    return "#" + "".join(f"{round(p + (q - p) * (t - k)):02x}" for p, q in zip(a, b, strict=True))
