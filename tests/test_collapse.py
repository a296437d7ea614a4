"""Large pictures: modules close, repeated blocks fold, nothing is lost and no cycle appears."""

import xml.etree.ElementTree as ET

import pytest
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


def test_small_pictures_stay():
    picture = blocks(3)
    assert collapse(picture, 60) is picture
    assert collapse(picture, None) is picture


def chain(operators, sources=None):
    """x → the operators, one after the other → y."""
    boxes = [Box(0, "input", "x")]
    for i, name in enumerate(operators):
        boxes.append(Box(i + 1, "operator", name, name, source=sources[i] if sources else ""))
    boxes.append(Box(len(boxes), "output", "y", "sum"))
    return Picture(boxes, [Arrow(i, i + 1) for i in range(len(boxes) - 1)])


def test_loops_fold_but_for_their_first_turn():
    picture = chain(["exp", *["mul", "add", "tanh"] * 50, "log"])
    labels = ["x", "exp", "mul", "add", "tanh", "mul, add, tanh ×49", "log", "y"]
    assert [b.label for b in collapse(picture, 10).nodes] == labels
    small = collapse(picture, 5)
    assert [b.label for b in small.nodes] == ["x", "exp", "mul, add, tanh ×50", "log", "y"]
    assert [b.kind for b in small.nodes] == ["input", "operator", "module", "operator", "output"]
    assert len(small.edges) == 4


def test_loops_in_loops_fold_as_a_whole():
    picture = chain([*["mul", *["exp", "log"] * 5] * 6])
    assert [b.label for b in collapse(picture, 5).nodes] == ["x", "mul, exp, log ×6", "y"]
    assert [b.label for b in collapse(picture, 14).nodes][-2:] == ["mul, exp, log ×5", "y"]


def test_what_one_line_computed_becomes_a_box():
    sources = [f"net.py:{line}" for line in (3, 3, 3, 4, 5, 5, 5, 5)]
    names = ["exp", "log", "sin", "cos", "mul", "add", "tanh", "abs"]
    assert [b.label for b in collapse(chain(names, sources), 5).nodes] == ["x", "net.py:3", "cos", "net.py:5", "y"]


def test_inputs_of_a_loop_become_one_box():
    boxes, arrows, before = [], [], None
    for i in range(40):
        boxes += [Box(2 * i, "input", f"x[{i}]"), Box(2 * i + 1, "operator", "add", "add")]
        arrows += [Arrow(2 * i, 2 * i + 1)] + ([] if before is None else [Arrow(before, 2 * i + 1)])
        before = 2 * i + 1
    small = collapse(Picture(boxes, arrows), 6)
    assert [b.label for b in small.nodes] == ["x[0]", "add", "x[1] … x[39] (39)", "add ×39"]
    assert small.nodes[2].kind == "input"


@given(st.integers(10, 400), st.integers(5, 60), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_any_picture_becomes_readable(n, most, random):
    """Nothing repeats, no modules, leaves everywhere: at most ``most`` boxes all the same, and no cycle."""
    boxes, arrows = [], []
    for i in range(n):
        leaf = i == 0 or random.random() < 0.4
        kind = random.choice(["input", "parameter", "constant"]) if leaf else random.choice(["operator", "output"])
        boxes.append(Box(i, kind, f"n{i}", "" if leaf else random.choice(["add", "exp", "log", "mul"])))
        if not leaf:
            arrows += [Arrow(random.randrange(i), i) for _ in range(random.randint(1, 3))]
    small = collapse(Picture(boxes, arrows), most)
    place = {box.id: i for i, box in enumerate(small.nodes)}
    assert len(place) == len(small.nodes) <= most
    assert all(place[a.source] < place[a.target] for a in small.edges)


def test_opened_modules_are_shown_in_frames():
    picture = blocks(20)
    small = collapse(picture, 10, open="net.blocks.3")
    labels = ["x", "net.blocks.0…2 ×3", "net.blocks.3.w", "matmul", "add", "tanh", "net.blocks.4…19 ×16", "y"]
    assert [b.label for b in small.nodes] == labels
    assert [(g.label, g.parent, len(g.members)) for g in small.groups] == [
        ("net", -1, 0),
        ("net.blocks", 0, 2),
        ("net.blocks.3", 1, 4),
    ]
    assert [g.label for g in collapse(picture, None, open=["*.1", "*.11"]).groups if g.label.count(".") == 2] == [
        "net.blocks.1",
        "net.blocks.11",
    ]


def test_depth_says_how_many_levels_are_opened():
    boxes = [Box(i, "operator", "exp", "exp", module=("a.p", "a.p", "a.q", "b")[i // 3]) for i in range(12)]
    picture = Picture(boxes, [Arrow(i, i + 1) for i in range(11)])
    assert [b.label for b in collapse(picture, depth=0).nodes] == ["a", "b"]
    one = collapse(picture, depth=1)
    assert [b.label for b in one.nodes] == ["a.p", "a.q", "exp", "exp", "exp"]
    assert [(g.label, len(g.members)) for g in one.groups] == [("a", 2), ("b", 3)]
    assert len(collapse(picture, depth=2).nodes) == 12


def test_errors_say_which_modules_there_are():
    with pytest.raises(cr.errors.ArgumentValueError, match="open: no module called 'nett'.*there are: net, net.blocks"):
        collapse(blocks(3), open="nett")
    with pytest.raises(cr.errors.ArgumentValueError, match="most: expected a positive number of boxes or None, got 0"):
        collapse(blocks(3), 0)
    with pytest.raises(cr.errors.ArgumentValueError, match="depth: expected a number of levels"):
        collapse(blocks(3), depth=-1)


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


@given(modular(), st.integers(0, 3))
@settings(deadline=None, max_examples=150)
def test_arrows_keep_pointing_forward_and_join_what_is_there(picture, depth):
    small = collapse(picture, None, depth=depth)
    place = {box.id: i for i, box in enumerate(small.nodes)}
    assert len(place) == len(small.nodes) <= len(picture.nodes)
    assert all(place[a.source] < place[a.target] for a in small.edges)
    kept = {box.id for box in small.nodes if box.kind in ("input", "output")}
    assert kept == {box.id for box in picture.nodes if box.kind in ("input", "output")}
    assert collapse(picture, 3) is picture or len(collapse(picture, 3).nodes) <= 5
    ET.fromstring(svg(picture, depth=depth).encode())
    draw(picture, 80, depth=depth)


def test_a_deep_model_is_readable_by_default():
    layer = nn.TransformerEncoderLayer(4, 2, 4, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
    graph = cr.graph(model, cr.zeros(1, 2, 4))
    assert len(graph) > 200
    nodes = ET.fromstring(graph.svg()).findall("{http://www.w3.org/2000/svg}g[@data-id]")
    assert 2 <= len(nodes) <= 60
    assert len(ET.fromstring(graph.svg(most=None)).findall("{http://www.w3.org/2000/svg}g[@data-id]")) == len(graph)
    assert "module" in graph.draw(100)
