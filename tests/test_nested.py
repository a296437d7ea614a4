"""Boxes in boxes: frames hold what is theirs and nothing else, and no edge runs over a box on its way through them."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
import chainrule.nn as nn
from chainrule.graphs.collapse import collapse
from chainrule.graphs.layout import Extent
from chainrule.graphs.nested import Frame, nested
from chainrule.graphs.svg import svg
from test_collapse import modular
from test_layout import inside, samples

SVG = "{http://www.w3.org/2000/svg}"
BOX = Extent(40.0, 12.0, 14.0, 8.0)


def lay(picture, labelled=False):
    """The nested layout of a picture with frames, with boxes of one size."""
    number = {box.id: i for i, box in enumerate(picture.nodes)}
    edges = [(number[a.source], number[a.target]) for a in picture.edges]
    frames = [
        Frame([number[k] for k in g.members], g.parent, (10.0, 20.0), (10.0, 8.0), (30.0, 0.0)) for g in picture.groups
    ]
    labels = [Extent(20.0, 8.0, 2.0) if labelled else None for _ in edges]
    placed = nested(
        [BOX] * len(number), edges, labels, frames, reach=lambda v, o: BOX.main / 2,
        rank_gap=20.0, node_gap=10.0, edge_gap=12.0,
    )  # fmt: skip
    return edges, frames, placed


def rectangle(centre, extent):
    (m, c), half = centre, extent.main / 2
    return m - half, c - extent.before, m + half, c + extent.after


def within(box, frame):
    (low, high) = frame
    return low[0] <= box[0] and low[1] <= box[1] and box[2] <= high[0] and box[3] <= high[1]


def apart(a, b):
    return a[2] <= b[0] + 1e-6 or b[2] <= a[0] + 1e-6 or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6


def all_around(f, frames):
    found = []
    while f >= 0:
        found.append(f)
        f = frames[f].parent
    return found


@given(modular(), st.booleans(), st.integers(1, 2))
@settings(deadline=None, max_examples=120)
def test_frames_hold_what_is_theirs_and_nothing_else(picture, labelled, depth):
    small = collapse(picture, None, depth=depth)
    edges, frames, placed = lay(small, labelled)
    home = {v: f for f, frame in enumerate(frames) for v in frame.members}
    boxes = [rectangle(p, BOX) for p in placed.nodes]
    labels = [None if p is None else rectangle(p, Extent(20.0, 8.0, 2.0)) for p in placed.labels]
    for v, box in enumerate(boxes):
        mine = all_around(home.get(v, -1), frames)
        for f, corners in enumerate(placed.frames):
            flat = (*corners[0], *corners[1])
            assert within(box, corners) if f in mine else apart(box, flat)
        assert all(apart(box, other) for other in boxes[:v])
        assert all(label is None or apart(box, label) for label in labels)
    for f, corners in enumerate(placed.frames):
        for k in range(f):
            other = placed.frames[k]
            if k in all_around(f, frames):
                assert within((*corners[0], *corners[1]), other)
            elif f not in all_around(k, frames):
                assert apart((*corners[0], *corners[1]), (*other[0], *other[1]))
    for e, (u, v) in enumerate(edges):
        curve = placed.curves[e]
        if u == v:
            continue
        assert curve[0] == (placed.nodes[u][0] + 20.0, placed.nodes[u][1])
        assert abs(curve[-1][0] - (placed.nodes[v][0] - 20.0)) < 1e-6
        for w, box in enumerate(boxes):
            if w not in (u, v):
                assert not any(inside(p, box) for p in samples(curve)), "an edge runs over a foreign box"


def test_a_chain_through_a_frame_is_straight():
    frames = [Frame([1, 2], -1, (10.0, 20.0), (10.0, 8.0), (0.0, 0.0))]
    edges = [(0, 1), (1, 2), (2, 3)]
    placed = nested([BOX] * 4, edges, [None] * 3, frames, reach=lambda v, o: 20.0)
    assert len({y for _, y in placed.nodes}) == 1
    assert {y for curve in placed.curves for _, y in curve} == {placed.nodes[0][1]}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(4, 4), nn.Tanh())

    def forward(self, x):
        return x + self.mlp(x)


@pytest.fixture(scope="module")
def model():
    net = nn.Sequential(*[Block() for _ in range(12)])
    return cr.graph(lambda x: net(x).sum(), cr.ones(2, 4)).backward()


@pytest.mark.parametrize("direction", ["LR", "TB"])
def test_a_model_opened_on_demand(model, direction):
    text = model.svg(open=["net.3.mlp"], most=20, direction=direction)
    root = ET.fromstring(text)
    frames = [g.find(f"{SVG}text").text for g in root.findall(f"{SVG}g[@class='cr-module-frame']")]
    assert frames == ["net", "net.3", "net.3.mlp"]
    shown = [t.text for t in root.iter(f"{SVG}text")]
    assert {"net.0…2 ×3", "net.4…11 ×8", "net.3.mlp.0", "net.3.mlp.1"} <= set(shown)
    assert len(root.findall(f"{SVG}g[@data-id]")) <= 60
    for name in ("png", "pdf"):
        assert getattr(model, name)(open="net.3.mlp", most=20, direction=direction)[1:4] in (b"PNG", b"PDF")
    assert model.svg(open=["net.3.mlp"], most=20, direction=direction) == text


def test_blocks_of_a_model_inside_a_function_fold_under_the_models_name(model):
    assert {n.module for n in model.nodes if n.operator == "tanh"} == {f"net.{i}.mlp.1" for i in range(12)}
    assert [b.label for b in collapse(model.picture(), 20).nodes] == ["x", "net.0…11 ×12", "sum"]


def test_frames_are_named_and_hover_says_all(model):
    picture = collapse(model.picture(), None, depth=1)
    (group,) = picture.groups
    long = collapse(model.picture(), None, depth=1)
    object.__setattr__(long.groups[0], "label", "a." * 60 + "z")
    root = ET.fromstring(svg(long))
    frame = root.find(f"{SVG}g[@class='cr-module-frame']")
    assert frame.find(f"{SVG}title").text == "a." * 60 + "z" and frame.find(f"{SVG}text").text.endswith("…")
    assert group.label == "net"
