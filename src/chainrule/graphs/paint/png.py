"""A drawing as PNG."""

import math
import struct
import zlib

import numpy as np

from ...errors import ArgumentValueError
from ..letters import SLANT, letter, units
from .raster import coverage, edges_of, flatten, stroke
from .scene import Path, scene

_MOST = 100_000_000  # pixels


def png(svg: str, scale: float = 2.0, dark: bool = False) -> bytes:
    """The PNG file of a drawing's SVG text. scale: pixels per unit of the SVG. dark: see ``scene``.

    Raises ArgumentValueError where the picture would have more than 10^8 pixels.
    """
    if not isinstance(scale, (int, float)) or not 0 < scale < math.inf:
        raise ArgumentValueError(f"png: scale: expected a positive number, got {scale!r}")
    found = scene(svg, dark)
    left, top, width, height = found.box
    w, h = max(1, math.ceil(width * scale)), max(1, math.ceil(height * scale))
    if w * h > _MOST:
        raise ArgumentValueError(
            f"png: {w} × {h} pixels are too many; give a smaller scale= (it is {scale:g}), draw less (most=), "
            "or save as .svg or .pdf"
        )
    pixels = np.empty((h, w, 3), np.uint8)
    pixels[...] = rgb(found.ground)  # to the last pixel, of which the drawing may cover a part
    for item in found.items:
        if isinstance(item, Path) and item.fill == found.ground and not item.stroke:
            continue
        if isinstance(item, Path):
            lines = flatten(item.steps, scale, left, top)
            if item.fill:
                _blend(pixels, edges_of(lines), item.fill)
            if item.stroke:
                pen = max(item.width * scale, 0.7)
                _blend(pixels, stroke(lines, pen, [d * scale for d in item.dash]), item.stroke)
        else:
            _blend(pixels, _written(item, scale, left, top), item.fill)
    return encode(pixels, scale)


def _blend(pixels, edges, colour):
    place, share = coverage(edges, pixels.shape[1], pixels.shape[0])
    flat = pixels.reshape(-1, 3)
    under = flat[place].astype(np.float32)
    flat[place] = np.rint(under + share[:, None] * (np.array(rgb(colour), np.float32) - under)).astype(np.uint8)


def rgb(colour: str) -> tuple[int, int, int]:
    """``(255, 255, 255)`` of "#ffffff"."""
    return tuple([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def _written(text, scale, left, top):
    """The outlines of a text's letters as edges."""
    size = text.size / units()
    lean = SLANT if text.italic else 0.0
    steps, at = [], 0.0
    for c in text.text:
        advance, outline = letter(c)
        for step in outline:
            p = step[1:]
            moved = [
                v
                for k in range(0, len(p), 2)
                for v in (text.x + size * (at + p[k] + lean * p[k + 1]), text.y - size * p[k + 1])
            ]
            steps.append((step[0], *moved))
        at += advance
    return edges_of([line for line in flatten(steps, scale, left, top) if line[1]])


def encode(pixels: np.ndarray, scale: float = 1.0) -> bytes:
    """A PNG file of red, green and blue bytes (height, width, 3)."""
    h, w, _ = pixels.shape
    rows = np.zeros((h, 1 + 3 * w), np.uint8)  # a filter's number, 0 for none, stands before each row
    rows[:, 1:] = pixels.reshape(h, -1)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    per_metre = round(96 * scale / 0.0254)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)),
            chunk(b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)),
            chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)),
            chunk(b"IEND", b""),
        ]
    )
