"""PNG and PDF: read back by other programs where there are any, and checked pixel by pixel where not."""

import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentValueError
from chainrule.graphs.letters import known, letter, measure
from chainrule.graphs.paint.png import rgb
from chainrule.graphs.paint.raster import coverage, edges_of, flatten, stroke
from chainrule.graphs.paint.scene import Path as Outline
from chainrule.graphs.paint.scene import Text, scene
from chainrule.graphs.theme import DARK, LIGHT, style, text_width


@pytest.fixture(scope="module")
def graph():
    return cr.graph("c = a + b; d = b + 1; e = c * d; e", a=2, b=1).backward()


def decode(data):
    """The pixels of a PNG file, by the standard alone; checks of its parts' sums."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, {}
    while at < len(data):
        (n,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + n]
        assert struct.unpack(">I", data[at + 8 + n : at + 12 + n])[0] == zlib.crc32(kind + body)
        parts[kind] = body
        at += 12 + n
    w, h, depth, colour, *_ = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert (depth, colour) == (8, 2) and list(parts)[-1] == b"IEND"
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(h, 1 + 3 * w)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(h, w, 3)


def test_a_png_shows_what_the_svg_says(graph):
    pixels = decode(graph.png(scale=2))
    found = scene(graph.svg())
    left, top, width, height = found.box
    assert pixels.shape == (np.ceil(height * 2), np.ceil(width * 2), 3)
    colours = {tuple(p) for p in pixels.reshape(-1, 3).tolist()}
    for name in ("ground", "edge", "value", "gradient", "ink"):
        assert rgb(LIGHT[name]) in colours, name
    for kind in ("input", "constant", "operator", "output"):
        assert rgb(LIGHT[kind][0]) in colours, kind
    # Inside a box its own colour, in every corner of the picture the ground.
    (box,) = [i for i in found.items if isinstance(i, Outline) and i.dash and i.steps[2][1] - i.steps[0][1] > 20]
    x, y = box.steps[0][1:]
    assert pixels[round((y - top + 4) * 2), round((x - left + 4) * 2)].tolist() == list(rgb(LIGHT["constant"][0]))
    assert all(pixels[i, j].tolist() == [255, 255, 255] for i in (0, -1) for j in (0, -1))
    assert graph.png(scale=2) == graph.png(scale=2)


def test_themes_of_a_png(graph):
    assert decode(graph.png(1))[0, 0].tolist() == list(rgb(LIGHT["ground"]))
    assert decode(graph.png(1, theme="dark"))[0, 0].tolist() == list(rgb(DARK["ground"]))


def test_pngs_are_bounded(graph):
    with pytest.raises(ArgumentValueError, match=r"pixels are too many; give a smaller scale= \(it is 5000\)"):
        graph.png(5000)
    for scale in (0, -1, float("nan"), "2"):
        with pytest.raises(ArgumentValueError, match="scale: expected a positive number"):
            graph.png(scale)


def dense(edges, width=200, height=200):
    """The shares of all pixels."""
    place, share = coverage(edges, width, height)
    assert len(set(place.tolist())) == len(place)
    found = np.zeros(width * height)
    found[place] = share
    return found.reshape(height, width)


def area(steps):
    return dense(edges_of(flatten(steps, 1.0, 0.0, 0.0)))


def test_shares_of_pixels_are_exact():
    share = area([("M", 1.25, 1.5), ("L", 3.5, 1.5), ("L", 3.5, 2.75), ("L", 1.25, 2.75), ("Z",)])
    np.testing.assert_allclose(share[1:3, 1:4], [[0.375, 0.5, 0.25], [0.5625, 0.75, 0.375]])
    triangle = [("M", 0, 0), ("L", 7, 3), ("L", 2, 9), ("Z",)]
    assert abs(area(triangle).sum() - 28.5) < 1e-9
    k = 0.5522847498 * 40
    circle = [("M", 90, 50), ("C", 90, 50 + k, 50 + k, 90, 50, 90), ("C", 50 - k, 90, 10, 50 + k, 10, 50)]
    circle += [("C", 10, 50 - k, 50 - k, 10, 50, 10), ("C", 50 + k, 10, 90, 50 - k, 90, 50), ("Z",)]
    assert abs(area(circle).sum() / (np.pi * 1600) - 1) < 5e-3
    ring = [
        *circle,
        *[
            (s[0], *[50 + (v - 50) / -2 if i % 2 == 0 else 50 + (v - 50) / 2 for i, v in enumerate(s[1:])])
            for s in circle
        ],
    ]
    assert abs(area(ring).sum() / (np.pi * 1200) - 1) < 5e-3  # turned the other way, the inner one is a hole


def test_a_shape_beyond_the_picture_is_cut():
    edges = edges_of(flatten([("M", -5, -5), ("L", 4, -5), ("L", 4, 4), ("L", -5, 4), ("Z",)], 1.0, 0.0, 0.0))
    assert dense(edges, 3, 2).tolist() == [[1, 1, 1], [1, 1, 1]]
    assert dense(edges, 9, 7).tolist() == [[1] * 4 + [0] * 5] * 4 + [[0] * 9] * 3
    assert len(coverage(edges + 50, 3, 2)[0]) == 0


def test_pens():
    lines = flatten([("M", 2, 5), ("L", 12, 5)], 1.0, 0.0, 0.0)
    assert abs(dense(stroke(lines, 2.0)).sum() - 20) < 1e-9
    assert abs(dense(stroke(lines, 2.0, [3.0, 2.0])).sum() - 12) < 1e-9


def test_letters():
    for c in "aZ09∂ΣΠ√αβγδεζ×÷−≤≥≠→…²ʸᵀ·«é":
        assert known(c), c
    advance, outline = letter("漢")
    assert advance > 0 and len([s for s in outline if s[0] == "M"]) == 2  # a hollow box
    assert measure("ab", 10) == pytest.approx(measure("a", 10) + measure("b", 10))
    assert text_width("hidden.weight = −0.25", 12) >= measure("hidden.weight = −0.25", 12)


def test_every_class_of_the_style_sheet_is_painted(graph):
    """The colours that the SVG's style sheet gives are those of the painter."""
    text = style("light")
    items = scene(graph.svg(forward="b", theme="light")).items
    used = {i.fill for i in items} | {i.stroke for i in items if isinstance(i, Outline)}
    assert {c for c in used if c} <= set(re.findall("#[0-9a-f]{6}", text))
    assert {i.fill for i in items if isinstance(i, Text) and i.italic} == {LIGHT["gradient"], LIGHT["tangent"]}
    assert {"2", " + 0ε", "e = 6", " + 5ε"} <= {i.text for i in items if isinstance(i, Text)}


def test_a_pdf_is_whole(graph):
    data = graph.pdf()
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF\n$", data)[1])
    assert data[start : start + 5] == b"xref\n"
    places = [int(line[:10]) for line in data[start:].split(b"\n")[3:] if line.endswith(b" n ")]
    for number, at in enumerate(places, 1):
        assert data[at:].startswith(f"{number} 0 obj\n".encode())
    for body in re.findall(rb"/Length (\d+)/Filter/FlateDecode>>stream\n", data):
        assert int(body) > 0
    assert data == graph.pdf()


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs pdftotext")
def test_text_of_a_pdf_can_be_searched(graph, tmp_path):
    graph.title = "∂e/∂b — «漢»"
    try:
        graph.save(tmp_path / "g.pdf")
    finally:
        graph.title = ""
    done = subprocess.run(["pdftotext", tmp_path / "g.pdf", "-"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert (
        "∂e/∂b — «漢»" in done.stdout
        and "e=6" in done.stdout.replace(" ", "")
        and "on the arrows: local derivative" in done.stdout
    )


def test_the_fonts_licence_comes_with_it():
    folder = Path(cr.__file__).parent / "graphs" / "font"
    assert "Bitstream Vera" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert (folder / "DejaVuSans.npz").stat().st_size < 120_000


def test_saving(graph, tmp_path):
    graph.save(tmp_path / "g.png", scale=1, theme="dark")
    assert (tmp_path / "g.png").read_bytes() == graph.png(1, theme="dark")
    graph.save(tmp_path / "g.PDF", direction="TB")
    assert (tmp_path / "g.PDF").read_bytes() == graph.pdf(direction="TB")
