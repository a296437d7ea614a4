"""Drawings for the terminal: what they look like, that they fit, that no line is mistaken for another."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.graphs.picture import Arrow, Box, Picture
from chainrule.graphs.terminal import _Sheet, draw
from chainrule.graphs.theme import cells, short
from chainrule.graphs.tracks import Canvas, assign, character
from test_svg import example, pictures


def product(values=True):
    """f = (x + y) · z at 2, 3, −4."""
    numbers = [("2", "-4"), ("3", "-4"), ("-4", "5"), ("5", "-4"), ("-20", "1")] if values else [("", "")] * 5
    kinds = [
        ("input", "x", ""),
        ("input", "y", ""),
        ("input", "z", ""),
        ("operator", "q", "add"),
        ("output", "f", "mul"),
    ]
    boxes = [Box(i, *kind, *number) for i, (kind, number) in enumerate(zip(kinds, numbers))]
    return Picture(boxes, [Arrow(0, 3, "1"), Arrow(1, 3, "1"), Arrow(3, 4, "-4"), Arrow(2, 4, "5")])


RIGHT = """\
╭──────╮
│  x   │
│  2   │──1──╮
│ ∂ -4 │     │  ┌──────┐
╰──────╯     ╰─▶│ q: + │
                │  5   │──-4──╮
╭──────╮     ╭─▶│ ∂ -4 │      │  ╔══════╗
│  y   │     │  └──────┘      ╰─▶║ f: × ║
│  3   │──1──╯                   ║ -20  ║
│ ∂ -4 │        ╭─────╮       ╭─▶║ ∂ 1  ║
╰──────╯        │  z  │       │  ╚══════╝
                │ -4  │───5───╯
                │ ∂ 5 │
                ╰─────╯
"""
LISTING = """\
x  [input]  = 2  ∂ -4
y  [input]  = 3  ∂ -4
z  [input]  = -4  ∂ 5
q: +  = 5  ∂ -4
    ← x  · 1
    ← y  · 1
f: ×  [output]  = -20  …
    ← q  · -4
    ← z  · 5"""


def test_left_to_right_where_it_fits():
    assert draw(product(), 80).startswith(RIGHT)


def test_downwards_where_it_does_not():
    text = draw(product(values=False), 30)
    assert "▼" in text and "▶" not in text
    assert text.index("x") < text.index("q: +") < text.index("f: ×")


def test_a_listing_where_nothing_fits():
    narrow = Picture([Box(i, "input", f"name{i}", value="0.123456") for i in range(9)] + [Box(9, "output", "s", "cat")])
    narrow = Picture(narrow.nodes, [Arrow(i, 9, argument=i) for i in range(9)])
    text = draw(narrow, 20)
    assert "name3  [input]  = 0…" in text and "    ← name8" in text and "│" not in text


def test_what_a_listing_looks_like():
    many = [Box(100 + i, "operator", "exp", "exp") for i in range(120)]
    text = draw(Picture([*product().nodes, *many], product().edges), 24, most=None)
    assert text.startswith(LISTING + "\nexp #100\nexp #101\n")


@given(pictures(), st.integers(1, 130))
@settings(deadline=None, max_examples=80)
def test_no_line_is_wider_than_asked(picture, width):
    for line in draw(picture, width).split("\n"):
        assert cells(line) <= width
        assert line.isprintable() or not line


@given(pictures(), st.integers(60, 300))
@settings(deadline=None, max_examples=40)
def test_every_box_is_whole(picture, width):
    text = draw(picture, width)
    if "▶" not in text and "▼" not in text:
        return
    drawing = text.split("\n\n")
    corners = [sum(part.count(c) for part in drawing) for c in "╔╗╚╝┏┓┗┛"]
    legend = text.rsplit("\n\n", 1)[1]
    corners = [n - legend.count(c) for n, c in zip(corners, "╔╗╚╝┏┓┗┛")]
    names = "".join(b.label + b.value + b.gradient + b.operator for b in picture.nodes)
    if not any(c in names + picture.title for c in "╔╗╚╝┏┓┗┛"):
        assert corners[:4] == [sum(b.kind == "output" for b in picture.nodes)] * 4
        assert corners[4:] == [sum(b.kind == "parameter" for b in picture.nodes)] * 4


@given(st.lists(st.integers(0, 8), unique=True, max_size=6), st.data())
@settings(deadline=None, max_examples=200)
def test_no_two_lines_share_a_stretch(rows, data):
    """Lines may cross at right angles and do nothing else to each other, also where they wait for one another."""
    free = list(range(9))
    nets = {}
    for net, row in enumerate(rows):
        leaves = data.draw(st.lists(st.sampled_from(free), min_size=1, max_size=3, unique=True)) if free else []
        free = [y for y in free if y not in leaves]
        if leaves:
            nets[net] = (row, leaves)
    trunks, straight, tracks = assign(nets)
    canvas = Canvas()
    canvas.trunks(0, tracks + 2, trunks, straight)
    for place, cell in canvas.lines.items():
        if len(cell) > 1:
            assert sorted(cell.values()) == [3, 12], (place, cell)
    # Each line comes in at its row and goes out at its rows.
    for net, (row, leaves) in nets.items():
        assert canvas.lines[0, row].get(net)
        assert {y for (x, y), cell in canvas.lines.items() if x == tracks + 1 and net in cell} == set(leaves)


@st.composite
def tangles(draw):
    """Random graphs with short plain names."""
    n = draw(st.integers(2, 10))
    kinds, values = (
        st.sampled_from(["input", "parameter", "constant", "operator", "output"]),
        st.sampled_from(["", "12.5"]),
    )
    boxes = [Box(i, draw(kinds), f"n{i}" * draw(st.integers(1, 3)), "exp", draw(values)) for i in range(n)]
    arrows = [
        Arrow(draw(st.integers(0, v - 1)), v, draw(values)) for v in range(1, n) for _ in range(draw(st.integers(0, 3)))
    ]
    return Picture(boxes, arrows)


@given(tangles(), st.booleans())
@settings(deadline=None, max_examples=100)
def test_lines_run_under_no_frame_and_on_no_other_line(picture, right):
    sheet = _Sheet(picture, right, True, 10**6, 22)
    assert sheet.fits
    for place, cell in sheet.canvas.lines.items():
        assert len(cell) == 1 or sorted(cell.values()) == [3, 12], place
        assert sheet.canvas.texts.get(place, "▶") in "▶▼0123456789.", place


def test_two_lines_that_trade_rows_get_around_each_other():
    trunks, straight, tracks = assign({0: (1, [3]), 1: (3, [1])})
    assert len(trunks) == 3 and not straight and tracks == 3


def test_a_crossing_is_not_a_junction():
    assert character({0: 3, 1: 12}, False) == "│" and character({0: 3, 1: 12}, True) == "─"
    assert character({0: 3 | 4}, False) == "┴" and character({0: 15}, False) == "┼"


def test_wide_and_combining_characters_keep_the_frame_straight():
    text = draw(Picture([Box(0, "input", "重み"), Box(1, "output", "e\u0301", "exp")], [Arrow(0, 1)]), 60)
    lines = text.split("\n\n")[0].split("\n")
    assert len({cells(line) for line in lines}) == 1, text
    assert "│ 重み │" in text and "║ e\u0301: exp ║" in text


def test_texts_are_cut_with_an_ellipsis():
    assert [short("abcdef", n) for n in (6, 5, 1, 0)] == ["abcdef", "abcd…", "…", ""]
    assert short("名前名前", 5) == "名前…"


def test_the_terminals_width_is_the_default(monkeypatch):
    monkeypatch.setenv("COLUMNS", "31")
    assert max(cells(line) for line in draw(example()).split("\n")) <= 31
    assert draw(example()) == draw(example(), 31)


def test_an_empty_picture():
    assert draw(Picture(), 10) == ""


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"draw: width: expected a positive number of columns, got 0"):
        draw(example(), 0)
