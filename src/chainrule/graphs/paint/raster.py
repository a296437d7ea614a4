"""Shapes as pixels: the exact share of every pixel that a shape covers, by sums of signed areas.

Every piece of outline adds, to the pixels of its row, how much of them lies to its right; summed along the row that is
the share covered (the accumulation buffer of FreeType's smooth rasteriser, spelled in arrays).
"""

import math

import numpy as np

_BEND = 0.12  # pixels that a curve may be off its chords


def flatten(steps, scale, left, top):
    """Closed and open lines ``[(points, closed)]``, in pixels, of a path's steps."""
    lines, points = [], []
    for step in steps:
        verb = step[0]
        if verb == "Z":
            lines.append((np.array(points), True))
            points = points[:1]
            continue
        p = [((step[i] - left) * scale, (step[i + 1] - top) * scale) for i in range(1, len(step), 2)]
        if verb == "M":
            if len(points) > 1:
                lines.append((np.array(points), False))
            points = p
        elif verb == "L":
            points = points + p
        else:
            points = points + _curve(points[-1], *p)
    if len(points) > 1:
        lines.append((np.array(points), False))
    return lines


def _curve(*given):
    """Points of a quadratic or cubic curve after its first."""
    ends = given if len(given) == 4 else (given[0], *_raised(*given), given[2])
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = ends
    off = max(math.hypot(ax - 2 * bx + cx, ay - 2 * by + cy), math.hypot(bx - 2 * cx + dx, by - 2 * cy + dy))
    n = min(200, max(1, math.ceil(math.sqrt(0.75 * off / _BEND))))
    t = np.arange(1, n + 1) / n
    s = 1 - t
    k = (s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t)
    x = k[0] * ax + k[1] * bx + k[2] * cx + k[3] * dx
    y = k[0] * ay + k[1] * by + k[2] * cy + k[3] * dy
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _raised(p, q, r):
    return [((a[0] + 2 * q[0]) / 3, (a[1] + 2 * q[1]) / 3) for a in (p, r)]


def edges_of(lines):
    """The outlines of filled lines as an array of edges ``(x0, y0, x1, y1)``."""
    found = [np.hstack([p, np.roll(p, -1, axis=0)]) for p, _ in lines if len(p) > 1]
    return np.vstack(found) if found else np.zeros((0, 4))


def stroke(lines, width, dash=()):
    """The outline of lines drawn with a pen: a rectangle per piece, a disc at sharp corners, all turned one way."""
    found, half = [], width / 2
    for points, closed in lines:
        p = np.vstack([points, points[:1]]) if closed else points
        for q in _dashes(p, dash) if dash else [p]:
            step = np.diff(q, axis=0)
            length = np.hypot(step[:, 0], step[:, 1])
            keep = length > 1e-9
            a, b, u = q[:-1][keep], q[1:][keep], step[keep] / length[keep, None]
            if not len(u):
                continue
            side = np.stack([-u[:, 1], u[:, 0]], axis=1) * half
            ring = [a - side, b - side, b + side, a + side]
            found += [np.hstack([ring[i], ring[(i + 1) % 4]]) for i in range(4)]
            turn = np.abs(u[1:, 0] * u[:-1, 1] - u[1:, 1] * u[:-1, 0]) > 0.15
            corners = b[:-1][turn]
            if closed and not dash:
                corners = np.vstack([corners, b[-1:]])
            found += _discs(corners, half)
    return np.vstack(found) if found else np.zeros((0, 4))


def _discs(centres, radius):
    if not len(centres):
        return []
    angle = np.arange(13) * (2 * math.pi / 12)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius
    return [np.hstack([centres + ring[i], centres + ring[i + 1]]) for i in range(12)]


def _dashes(p, dash):
    """The pieces of a line that a dashed pen draws."""
    step = np.diff(p, axis=0)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(step[:, 0], step[:, 1]))])
    found, at, total = [], 0.0, along[-1]
    while at < total:
        end = min(at + dash[0], total)
        inner = p[(along > at) & (along < end)]
        ends = [[np.interp(x, along, p[:, 0]), np.interp(x, along, p[:, 1])] for x in (at, end)]
        found.append(np.vstack([ends[:1], inner, ends[1:]]))
        at += sum(dash)
    return found


def coverage(edges, width, height):
    """``(pixels, share)``: the numbers, row by row, of the pixels that a shape covers, and how much of each, up to 1.

    Shapes may overlap themselves as long as all of their outlines turn the same way. Only the pixels at outlines are
    computed; what lies between two of them is a run of equal ones.
    """
    nothing = np.zeros(0, np.int64), np.zeros(0)
    if not len(edges):
        return nothing
    low, high = edges.reshape(-1, 2).min(0), edges.reshape(-1, 2).max(0)
    left, top = max(0, math.floor(low[0])), max(0, math.floor(low[1]))
    right, bottom = min(width, math.ceil(high[0]) + 1), min(height, math.ceil(high[1]) + 1)
    w, h = right - left, bottom - top
    if w <= 0 or h <= 0:
        return nothing
    x0, y0, x1, y1 = (edges - [left, top, left, top]).T
    keep = y0 != y1
    x0, y0, x1, y1 = x0[keep], y0[keep], x1[keep], y1[keep]
    sign = np.where(y1 > y0, 1.0, -1.0)
    up = sign < 0
    x0, x1, y0, y1 = np.where(up, x1, x0), np.where(up, x0, x1), np.where(up, y1, y0), np.where(up, y0, y1)
    slope = (x1 - x0) / (y1 - y0)
    # One piece per row that an edge passes …
    first, last = np.floor(y0), np.maximum(np.ceil(y1), np.floor(y0) + 1)
    i, k = _repeat((last - first).astype(int))
    row = first[i] + k
    a, b = np.maximum(y0[i], row), np.minimum(y1[i], row + 1)
    keep = (b > a) & (row >= 0) & (row < h)
    i, row, a, b = i[keep], row[keep], a[keep], b[keep]
    xa, xb = x0[i] + (a - y0[i]) * slope[i], x0[i] + (b - y0[i]) * slope[i]
    rise = (b - a) * sign[i]
    lo, hi = np.clip(np.minimum(xa, xb), 0, w), np.clip(np.maximum(xa, xb), 0, w)
    # … and per pixel of that row.
    first, last = np.floor(lo), np.maximum(np.ceil(hi), np.floor(lo) + 1)
    j, k = _repeat((last - first).astype(int))
    column = first[j] + k
    c, d = np.maximum(lo[j], column), np.minimum(hi[j], column + 1)
    run = hi[j] - lo[j]
    part = np.divide(d - c, run, out=np.ones_like(run), where=run > 1e-12) * rise[j]
    mean = (c + d) / 2 - column
    cell = (row[j] * (w + 2) + column).astype(np.int64)
    keys, place = np.unique(np.concatenate([cell, cell + 1]), return_inverse=True)
    if not len(keys):
        return nothing
    # Every row adds up to nothing, so one sum runs through them all.
    share = np.minimum(np.abs(np.cumsum(np.bincount(place, np.concatenate([part * (1 - mean), part * mean])))), 1.0)
    row, column = np.divmod(keys, w + 2)
    length = np.minimum(np.append(np.where(row[1:] == row[:-1], np.diff(keys), 1), 1), w - column)
    keep = (share > 1e-3) & (length > 0)
    i, k = _repeat(length[keep])
    return (row[keep][i] + top) * width + column[keep][i] + left + k, share[keep][i]


def _repeat(counts):
    """``(which, number)``: item i counts[i] times, numbered from 0."""
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
