"""Large pictures: modules close, repeated blocks fold, nothing is lost and no cycle appears."""

import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
import chainrule.nn as nn
from chainrule.graphs.collapse import collapse
from chainrule.graphs.picture import Arrow, Box, Picture
from chainrule.graphs.svg import svg
from chainrule.graphs.terminal import draw


def blocks(count, shared=False):
    """x → ``count`` blocks of matmul, add, tanh with parameters of their own → y."""
    boxes, arrows = [Box(0, "input", "x")], []
    if shared:
        boxes.append(Box(1, "parameter", "w"))
    at = 0
    for i in range(count):
        path = f"net.blocks.{i}"
        first = len(boxes)
        names = [] if shared else [Box(first, "parameter", f"{path}.w", module=path)]
        boxes += names
        w = 1 if shared else first
        for k, operator in enumerate(("matmul", "add", "tanh")):
            me = len(boxes)
            boxes.append(Box(me, "operator", operator, operator, value=f"{i}.{k}", module=path))
            arrows.append(Arrow(at, me, "1"))
            if k == 0:
                arrows.append(Arrow(w, me, "1", argument=1))
            at = me
    boxes.append(Box(len(boxes), "output", "y", "sum"))
    return Picture(boxes, [*arrows, Arrow(at, len(boxes) - 1, "1")])


def test_repeated_blocks_fold():
    small = collapse(blocks(20), 10)
    assert [(b.kind, b.label) for b in small.nodes] == [
        ("input", "x"),
        ("module", "net.blocks.0…19 ×20"),
        ("output", "y"),
    ]
    module = small.nodes[1]
    assert module.value == "19.2"
    assert module.module == "net.blocks.0: matmul ×20, add ×20, tanh ×20; 20 parameters"
    assert [(a.source, a.target) for a in small.edges] == [(0, module.id), (module.id, small.nodes[2].id)]


def test_blocks_that_differ_do_not_fold():
    picture = blocks(20)
    boxes = [Box(b.id, b.kind, b.label, "relu", module=b.module) if b.value == "7.2" else b for b in picture.nodes]
    labels = [b.label for b in collapse(Picture(boxes, picture.edges), 10).nodes]
    assert labels == ["x", "net.blocks.0…6 ×7", "net.blocks.7", "net.blocks.8…19 ×12", "y"]


def test_what_two_modules_read_stays_outside():
    picture = blocks(20, shared=True)
    boxes = [Box(b.id, b.kind, b.label, "relu", module=b.module) if b.value == "7.2" else b for b in picture.nodes]
    assert [b.label for b in collapse(Picture(boxes, picture.edges), 10).nodes][:2] == ["x", "w"]


def test_small_pictures_and_pictures_without_modules_stay():
    picture = blocks(3)
    assert collapse(picture, 60) is picture
    plain = Picture([Box(i, "operator", "exp", "exp") for i in range(9)], [Arrow(i, i + 1) for i in range(8)])
    assert collapse(plain, 3) == plain


def test_only_as_much_is_closed_as_needed():
    boxes = [Box(i, "operator", "exp", "exp", module=("a.p", "a.p", "a.q", "b")[i // 3]) for i in range(12)]
    picture = Picture(boxes, [Arrow(i, i + 1) for i in range(11)])
    assert [b.label for b in collapse(picture, 5).nodes] == ["a.p", "a.q", "exp", "exp", "exp"]
    assert [b.label for b in collapse(picture, 4).nodes] == ["a", "b"]


@st.composite
def modular(draw):
    n = draw(st.integers(1, 14))
    paths = st.sampled_from(["", "a", "a.0", "a.1", "a.2", "b", "b.0"])
    boxes = []
    for i in range(n):
        kind = draw(st.sampled_from(["input", "parameter", "constant", "operator", "operator", "operator", "output"]))
        operator = draw(st.sampled_from(["add", "exp"])) if kind in ("operator", "output") else ""
        boxes.append(Box(i, kind, f"n{i}", operator, module=draw(paths)))
    makes = [i for i in range(1, n) if boxes[i].operator]
    arrows = []
    for _ in range(draw(st.integers(0, 20)) if makes else 0):
        target = draw(st.sampled_from(makes))
        arrows.append(Arrow(draw(st.integers(0, target - 1)), target))
    return Picture(boxes, arrows)


@given(modular(), st.integers(0, 8))
@settings(deadline=None, max_examples=150)
def test_arrows_keep_pointing_forward_and_join_what_is_there(picture, most):
    small = collapse(picture, most)
    place = {box.id: i for i, box in enumerate(small.nodes)}
    assert len(place) == len(small.nodes) <= len(picture.nodes)
    assert all(place[a.source] < place[a.target] for a in small.edges)
    kept = {box.id for box in small.nodes if box.kind in ("input", "output")}
    assert kept == {box.id for box in picture.nodes if box.kind in ("input", "output")}
    ET.fromstring(svg(picture, most=most).encode())
    draw(picture, 80, most=most)


def test_a_deep_model_is_readable_by_default():
    layer = nn.TransformerEncoderLayer(4, 2, 4, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
    graph = cr.graph(model, cr.zeros(1, 2, 4))
    assert len(graph) > 200
    nodes = ET.fromstring(graph.svg()).findall("{http://www.w3.org/2000/svg}g[@data-id]")
    assert 2 <= len(nodes) <= 60
    assert len(ET.fromstring(graph.svg(most=None)).findall("{http://www.w3.org/2000/svg}g[@data-id]")) == len(graph)
    assert "module" in graph.draw(100)
