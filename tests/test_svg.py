"""SVG pictures: valid whatever the names, nothing on top of anything else, exact on hover, kinds told apart twice."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.graphs.picture import KINDS, Arrow, Box, Picture
from chainrule.graphs.svg import svg
from chainrule.graphs.theme import DARK, LEGEND, LIGHT, clean, short, text_width

NS = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert(1)</script>",
    "\"' onload='x",
    "]]>",
    "&amp;",
    "\x00\x1b[31m",
    "\ud800",
    "\u202egnp",
    "line\nbreak",
    "名前" * 30,
    "--><!--",
]


def example():
    """e = (a + b) · (b + 1) at 2, 1."""
    boxes = [
        Box(0, "input", "a", value="2", gradient="2"),
        Box(1, "parameter", "b", value="1", gradient="5", exact_value="1.0000001", exact_gradient="5.0000001"),
        Box(2, "constant", "1", value="1"),
        Box(3, "operator", "c", "add", value="3", gradient="2", module="net.first", source="train.py:7"),
        Box(4, "operator", "add", "add", value="2", gradient="3"),
        Box(5, "output", "e", "mul", value="6", gradient="1"),
    ]
    arrows = [Arrow(0, 3, "1"), Arrow(1, 3, "1"), Arrow(1, 4, "1"), Arrow(2, 4, "1")]
    return Picture(boxes, [*arrows, Arrow(3, 5, "2", "2.0000001"), Arrow(4, 5, "3")], "e = (a + b) · (b + 1)")


texts = st.one_of(st.sampled_from([*HOSTILE, "", "x", "0.25", "add"]), st.text(max_size=12))


@st.composite
def pictures(draw, most=9):
    n = draw(st.integers(0, most))
    boxes = [
        Box(10 + i, draw(st.sampled_from(KINDS)), *[draw(texts) for _ in range(4)], *[draw(texts) for _ in range(2)])
        for i in range(n)
    ]
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] < p[1])
    joined = draw(st.lists(pairs, max_size=2 * n)) if n > 1 else []
    arrows = [Arrow(10 + u, 10 + v, draw(texts), draw(texts), k) for k, (u, v) in enumerate(joined)]
    return Picture(boxes, arrows, draw(texts))


@given(pictures(), st.sampled_from(["LR", "TB"]), st.sampled_from(["auto", "light", "dark"]))
@settings(deadline=None, max_examples=60)
def test_any_picture_is_valid_xml_and_names_stay_text(picture, direction, theme):
    text = svg(picture, direction=direction, theme=theme)
    root = ET.fromstring(text.encode())
    allowed = {"svg", "style", "rect", "g", "title", "path", "text", "ellipse", "polygon"}
    assert {x.tag.removeprefix(NS) for x in root.iter()} <= allowed
    assert not [key for x in root.iter() for key in x.attrib if key.startswith("on")]
    assert len(root.findall(f"{NS}g[@data-id]")) == len(picture.nodes)
    shown = [x.text for x in root.iter(f"{NS}text")]
    for box in picture.nodes:
        if box.kind == "input" and clean(box.label).strip():
            assert short(box.label, 26) in shown


def text_box(element):
    x, y, size = (float(element.get(k)) for k in ("x", "y", "font-size"))
    width = text_width(element.text, size)
    left = x - width / 2 if element.get("text-anchor") == "middle" else x
    return left, y - 0.75 * size, left + width, y + 0.2 * size


def shape_box(element):
    get = {k: float(v) for k, v in element.attrib.items() if re.fullmatch(r"-?[\d.]+", v)}
    if element.tag == f"{NS}ellipse":
        return get["cx"] - get["rx"], get["cy"] - get["ry"], get["cx"] + get["rx"], get["cy"] + get["ry"]
    if element.tag == f"{NS}rect":
        return get["x"], get["y"], get["x"] + get["width"], get["y"] + get["height"]
    xs, ys = zip(*[map(float, p.split(",")) for p in element.get("points").split()])
    return min(xs), min(ys), max(xs), max(ys)


def overlap(a, b):
    return min(a[2], b[2]) - max(a[0], b[0]) > 0.3 and min(a[3], b[3]) - max(a[1], b[1]) > 0.3


@given(pictures(), st.sampled_from(["LR", "TB"]))
@settings(deadline=None, max_examples=60)
def test_no_text_lies_on_another_or_on_a_shape(picture, direction):
    root = ET.fromstring(svg(picture, direction=direction).encode())
    around = [float(x) for x in root.get("viewBox").split()]
    page = around[0], around[1], around[0] + around[2], around[1] + around[3]
    boxes = []  # (what may hold it, rectangle)
    for group in root.iter(f"{NS}g"):
        for x in group:
            if x.tag == f"{NS}text" and x.text:
                boxes.append((id(group) if x.get("class") == "cr-ink" else None, text_box(x)))
            elif "cr-shape" in x.get("class", ""):
                boxes.append((id(group), shape_box(x)))
    for i, (group, a) in enumerate(boxes):
        assert page[0] <= a[0] and a[2] <= page[2] and page[1] <= a[1] and a[3] <= page[3]
        for other, b in boxes[:i]:
            assert (group is not None and group == other) or not overlap(a, b)


def test_values_stand_above_gradients_below_and_derivatives_on_the_edges():
    root = ET.fromstring(svg(example()))
    node = root.find(f"{NS}g[@data-id='3']")
    place = {x.get("class"): (x.text, float(x.get("y"))) for x in node.findall(f"{NS}text")}
    centre = float(node.find(f"{NS}ellipse").get("cy"))
    assert place["cr-value"][0] == "c = 3" and place["cr-value"][1] < centre - 17
    assert place["cr-gradient"][0] == "2" and place["cr-gradient"][1] > centre + 17
    assert place["cr-ink"][0] == "+"
    edges = root.findall(f"{NS}g[@class='cr-edge']")
    assert [x.find(f"{NS}text").text for x in edges] == ["1", "1", "1", "1", "2", "3"]
    root = ET.fromstring(svg(example(), direction="TB"))
    node = root.find(f"{NS}g[@data-id='3']")
    value, gradient = (node.find(f"{NS}text[@class='cr-{k}']") for k in ("value", "gradient"))
    assert float(value.get("y")) < float(gradient.get("y")) and value.get("x") == gradient.get("x")


def test_what_hovering_shows_is_exact():
    root = ET.fromstring(svg(example()))
    titles = {x.get("data-id"): x.find(f"{NS}title").text for x in root.findall(f"{NS}g[@data-id]")}
    assert titles["1"] == "b (parameter)\nvalue: 1.0000001\ngradient: 5.0000001"
    assert titles["3"] == "c: add (operator)\nvalue: 3\ngradient: 2\nmodule: net.first\nsource: train.py:7"
    edges = root.findall(f"{NS}g[@class='cr-edge']")
    assert edges[4].find(f"{NS}title").text == "local derivative: 2.0000001"


def test_large_arrays_show_shape_and_mean_and_the_rest_on_hovering():
    value = "[5×3] mean -0.2392, in -1.53 … 1.315"
    text = svg(Picture([Box(0, "input", "x", value=value, exact_value="7" * 9999)]))
    assert ">[5×3] mean -0.2392</text>" in text
    assert f"value: {'7' * 392}…" in text and len(text) < 8000


def test_kinds_differ_by_shape_not_only_by_colour():
    picture = Picture([*example().nodes, Box(6, "module", "net")], example().edges)
    root = ET.fromstring(svg(picture))
    shapes = {}
    for box in picture.nodes:
        found = [x for x in root.find(f"{NS}g[@data-id='{box.id}']") if "cr-shape" in x.get("class", "")]
        shapes[box.kind] = tuple((x.tag.removeprefix(NS), x.get("rx") if x.tag == f"{NS}rect" else "") for x in found)
    assert len(set(shapes.values())) == len(LEGEND) == len(KINDS) + 1, shapes


def test_the_legend_names_what_is_there_and_only_that():
    words = [x.text for x in ET.fromstring(svg(example())).find(f"{NS}g[@class='cr-legend']").iter(f"{NS}text")]
    assert words == [*KINDS, "above: value", "below: gradient", "on the arrows: local derivative"]
    plain = Picture([Box(0, "input", "x"), Box(1, "output", "y", "exp")], [Arrow(0, 1)])
    words = [x.text for x in ET.fromstring(svg(plain)).find(f"{NS}g[@class='cr-legend']").iter(f"{NS}text")]
    assert words == ["input", "output"]


def test_themes():
    auto, light, dark = (svg(example(), theme=t) for t in ("auto", "light", "dark"))
    assert "prefers-color-scheme:dark" in auto and "@media print" in auto
    assert "@media" not in light and "@media" not in dark
    assert LIGHT["ground"] in light and DARK["ground"] not in light
    assert DARK["ground"] in dark and LIGHT["ground"] not in dark
    assert 'class="cr-picture cr-dark"' in dark
    for text in (auto, light, dark):  # rules bound to the drawing: nothing leaks into the page it is put on
        rules = re.sub(r"@media [^{]*\{", "", re.search("<style>(.*)</style>", text)[1])
        assert all(rule.startswith(".cr-picture") for rule in rules.replace("}}", "}").split("}") if rule)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_texts_have_contrast(theme):
    def contrast(a, b):
        low, high = sorted((luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)

    for name in ("ink", "local", "value", "gradient"):
        assert contrast(theme[name], theme["ground"]) >= 4.5, name
    assert contrast(theme["edge"], theme["ground"]) >= 3
    for kind in LEGEND:
        assert contrast(theme["ink"], theme[kind][0]) >= 4.5 and contrast(theme[kind][1], theme["ground"]) >= 3, kind


def test_a_shared_stretch_is_drawn_once():
    boxes = [Box(0, "parameter", "w"), *[Box(i, "operator", "tanh", "tanh") for i in range(1, 6)]]
    chain = [Arrow(i, i + 1) for i in range(1, 5)]
    root = ET.fromstring(svg(Picture(boxes, [*chain, *[Arrow(0, i) for i in range(2, 6)]])))
    lines = [x.get("d") for x in root.iter(f"{NS}path") if x.get("class") == "cr-line"]
    pieces = [p for line in lines for p in re.findall(r"(?:(?<=[\d])|(?<=M))[^MLC]*[LC][^MLC]*", line)]
    assert len(pieces) == len(set(pieces))


def test_the_same_picture_gives_the_same_text():
    assert svg(example()) == svg(example())


def test_an_empty_picture_is_valid():
    assert ET.fromstring(svg(Picture())).get("aria-label") == "graph of a computation: 0 nodes, 0 edges"


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"svg: direction: expected 'LR' or 'TB', got 'RL'"):
        svg(example(), direction="RL")
    with pytest.raises(ValueError, match=r"svg: theme: expected 'auto', 'light' or 'dark', got 'sepia'"):
        svg(example(), theme="sepia")
    with pytest.raises(ValueError, match=r"svg: picture: an arrow joins 0 and 7, not both are nodes"):
        svg(Picture([Box(0, "input", "x")], [Arrow(0, 7)]))
