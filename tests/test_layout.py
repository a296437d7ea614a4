"""The layered layout: nothing overlaps, no edge touches a foreign box, few crossings, straight, stable, no recursion."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.graphs import layering
from chainrule.graphs.crossings import crossings, order
from chainrule.graphs.layering import layers, proper
from chainrule.graphs.layout import Extent, layout

BOX = Extent(40, 12, 12, 10)


@st.composite
def dags(draw, most=12, labels=True):
    """``(extents, edges, labels)`` of a random graph: several edges between two nodes, lone nodes, boxes of any size."""
    n = draw(st.integers(1, most))
    size = st.integers(1, 60)
    extents = [Extent(draw(size), draw(size), draw(size), draw(st.integers(0, 2))) for _ in range(n)]
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] < p[1])
    edges = draw(st.lists(pairs, max_size=2 * n)) if n > 1 else []
    kept = st.one_of(st.none(), st.builds(Extent, size, size, size)) if labels else st.none()
    return extents, edges, [draw(kept) for _ in edges]


def rectangle(centre, extent):
    (x, y), half = centre, extent.main / 2
    return x - half, y - extent.before, x + half, y + extent.after


def overlap(a, b):
    return min(a[2], b[2]) - max(a[0], b[0]) > 1e-6 and min(a[3], b[3]) - max(a[1], b[1]) > 1e-6


def samples(curve, steps=12):
    """Points along a curve of Bézier pieces."""
    for k in range(1, len(curve), 3):
        a, b, c, d = curve[k - 1 : k + 3]
        for i in range(steps + 1):
            t = i / steps
            s = 1 - t
            yield tuple(s**3 * p + 3 * s * s * t * q + 3 * s * t * t * r + t**3 * u for p, q, r, u in zip(a, b, c, d))


def inside(point, box):
    return box[0] + 1e-6 < point[0] < box[2] - 1e-6 and box[1] + 1e-6 < point[1] < box[3] - 1e-6


def check(extents, edges, labels, placed):
    boxes = {("node", v): rectangle(placed.nodes[v], extents[v]) for v in range(len(extents))}
    boxes |= {("label", e): rectangle(placed.labels[e], x) for e, x in enumerate(labels) if x and placed.labels[e]}
    names = list(boxes)
    for i, a in enumerate(names):
        for b in names[:i]:
            assert not overlap(boxes[a], boxes[b]), (a, b)
    for e, (u, v) in enumerate(edges):
        own = {("node", u), ("node", v), ("label", e)}
        curve = placed.curves[e]
        if u == v:
            assert curve == []
            continue
        assert len(curve) % 3 == 1
        assert abs(curve[0][0] - placed.nodes[u][0]) == pytest.approx(extents[u].main / 2)
        assert abs(curve[-1][0] - placed.nodes[v][0]) == pytest.approx(extents[v].main / 2)
        for point in samples(curve):
            for name, box in boxes.items():
                assert name in own or not inside(point, box), (e, name)
            assert all(a - 1e-6 <= p <= b + 1e-6 for a, p, b in zip(placed.low, point, placed.high))
        if placed.labels[e]:
            assert any(abs(y - placed.labels[e][1]) < 1e-6 for _, y in curve), "the label is not on its edge"


@given(dags())
@settings(deadline=None, max_examples=120)
def test_nothing_overlaps_and_no_edge_touches_a_foreign_box(graph):
    extents, edges, labels = graph
    check(extents, edges, labels, layout(extents, edges, labels))


@given(dags())
@settings(deadline=None, max_examples=40)
def test_long_edges_in_lanes_outside_touch_nothing_either(graph):
    extents, edges, labels = graph
    before = layering._PER_NODE, layering._ANYWAY
    layering._PER_NODE = layering._ANYWAY = 0
    try:
        placed = layout(extents, edges, labels)
    finally:
        layering._PER_NODE, layering._ANYWAY = before
    check(extents, edges, labels, placed)


def test_lanes_are_used_when_a_drawing_would_need_too_many_stand_ins():
    n = 1200
    edges = [(v - 1, v) for v in range(1, n)] + [(v, n - 1 - v) for v in range(n // 2 - 1)]
    g = proper(n, edges, [False] * len(edges))
    assert g.far and len(g.rank) < 10 * n + 6000
    placed = layout([BOX] * n, edges)
    floor = max(y for _, y in placed.nodes)
    assert max(y for _, y in placed.curves[max(g.far)]) > floor


@given(dags(), st.permutations(range(12)))
@settings(deadline=None, max_examples=40)
def test_cycles_and_loops_are_drawn(graph, renamed):
    extents, edges, labels = graph
    edges = [(renamed[u] % len(extents), renamed[v] % len(extents)) for u, v in edges]
    check(extents, edges, labels, layout(extents, edges, labels))


@given(dags(labels=False))
@settings(deadline=None, max_examples=60)
def test_edges_go_to_later_layers(graph):
    extents, edges, _ = graph
    found = layers(len(extents), edges)
    assert min(found) == 0
    assert all(found[u] < found[v] for u, v in edges)


def test_inputs_stand_beside_what_uses_them():
    # A chain 0 → 1 → 2 → 3; input 4 is used by the last, 5 by the second and the last.
    assert layers(6, [(0, 1), (1, 2), (2, 3), (4, 3), (5, 1), (5, 3)]) == [0, 1, 2, 3, 2, 0]
    # A by-product that nobody uses stays beside its input.
    assert layers(5, [(0, 1), (1, 2), (2, 3), (0, 4)])[4] == 1


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=25))
@settings(deadline=None, max_examples=60)
def test_a_tree_has_no_crossings(parents):
    edges = [(i + 1, p % (i + 1)) for i, p in enumerate(parents)]
    g = proper(len(parents) + 1, edges, [False] * len(edges))
    orders = order(g)
    assert crossings(orders, g, positions(orders, g)) == 0


def positions(orders, g):
    found = [0] * len(g.rank)
    for row in orders:
        for i, v in enumerate(row):
            found[v] = i
    return found


@given(dags(labels=False))
@settings(deadline=None, max_examples=60)
def test_crossings_are_counted_and_sweeps_never_add_any(graph):
    extents, edges, _ = graph
    g = proper(len(extents), edges, [False] * len(edges))
    first, best = g.ranks(), order(g)
    for orders in (first, best):
        at = positions(orders, g)
        plain = 0
        for row in orders:
            steps = [(at[v], at[w]) for v in row for w in g.down[v]]
            plain += sum(a < c and b > d for a, b in steps for c, d in steps)
        assert crossings(orders, g, at) == plain
    assert [sorted(row) for row in best] == first


def test_sweeps_undo_a_tangle():
    n = 12  # i of the first layer is joined with 5 i mod 12 of the second: a permutation that can be undone
    edges = [(i, n + 5 * i % n) for i in range(n)]
    g = proper(2 * n, edges, [False] * n)
    orders = order(g)
    assert crossings(orders, g, positions(orders, g)) == 0


def test_a_chain_is_straight_and_so_is_a_value_used_at_every_step():
    placed = layout([BOX] * 6, [(v - 1, v) for v in range(1, 6)])
    assert len({y for _, y in placed.nodes}) == 1
    # Node 0 feeds every step of the chain 1 → 2 → … → 7.
    edges = [(v - 1, v) for v in range(2, 8)] + [(0, v) for v in range(2, 8)]
    placed = layout([BOX] * 8, edges)
    long = placed.curves[-1]
    assert len({y for _, y in long[: -3 * 2]}) == 1, "the shared stretch bends"
    assert len({y for _, y in placed.nodes[1:7]}) == 1


def test_edges_of_one_value_share_their_stand_ins():
    n = 200
    edges = [(v - 1, v) for v in range(2, n)] + [(0, v) for v in range(1, n)]
    assert len(proper(n, edges, [False] * len(edges)).rank) <= 2 * n


@given(dags())
@settings(deadline=None, max_examples=30)
def test_the_same_graph_gives_the_same_layout(graph):
    assert layout(*graph) == layout(*graph)


TEXTBOOK = {
    "e=(a+b)(b+1)": [(0, 3), (1, 3), (1, 4), (2, 4), (3, 5), (4, 5)],
    "neuron": [(0, 5), (1, 5), (2, 6), (3, 6), (5, 7), (6, 7), (7, 8), (4, 8), (8, 9)],
    "network": [(0, 3), (1, 3), (2, 3), (3, 4), (4, 7), (5, 7), (6, 7), (7, 9), (8, 9)],
    "recurrent": [(0, 4), (2, 4), (1, 5), (3, 5), (4, 6), (5, 6), (6, 7), (0, 9), (8, 9), (1, 10), (7, 10), (9, 11), (10, 11)],
}  # fmt: skip


def swapped(before, after):
    """Pairs of nodes that two drawings put into one layer each, in different orders."""
    found = 0
    for row in before:
        for later in after:
            common = [later.index(v) for v in row if v in later]
            found += sum(a > b for i, a in enumerate(common) for b in common[i + 1 :])
    return found


@pytest.mark.parametrize("name", TEXTBOOK)
def test_an_added_node_leaves_the_order_of_the_others(name):
    edges = TEXTBOOK[name]
    n = 1 + max(max(e) for e in edges)
    before = layout([BOX] * n, edges).layers
    for u in range(n):
        after = layout([BOX] * (n + 1), [*edges, (u, n)]).layers
        # Going on from the result changes nothing; a new user in the middle may swap one pair, to avoid a crossing.
        assert swapped(before, after) <= (u < n - 1), f"a user of node {u}"
        after = layout([BOX] * (n + 1), [*edges, (n, u)]).layers
        assert swapped(before, after) <= 1, f"another input of node {u}"


def test_arriving_edges_are_spread_and_leaving_ones_are_not():
    placed = layout([BOX] * 4, [(0, 3), (1, 3), (2, 3)])
    ends = sorted(curve[-1][1] - placed.nodes[3][1] for curve in placed.curves)
    assert ends == pytest.approx([-5, 0, 5])
    placed = layout([BOX] * 3, [(0, 1), (0, 2)])
    assert {curve[0] for curve in placed.curves} == {(placed.nodes[0][0] + 20, placed.nodes[0][1])}


def test_outlines_decide_where_edges_end():
    placed = layout([BOX] * 2, [(0, 1)], reach=lambda v, offset: 7.0 + v)
    assert placed.curves[0][0][0] == placed.nodes[0][0] + 7
    assert placed.curves[0][-1][0] == placed.nodes[1][0] - 8


def test_deep_graphs_need_no_recursion():
    n = 3 * sys.getrecursionlimit()
    placed = layout([BOX] * n, [(v - 1, v) for v in range(1, n)])
    assert len({y for _, y in placed.nodes}) == 1 and placed.nodes[-1][0] > placed.nodes[0][0]


def test_an_empty_graph():
    placed = layout([], [])
    assert (placed.nodes, placed.curves, placed.layers) == ([], [], [])


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"layout: edges: edge 1 joins 0 and 5, but there are only the nodes 0 to 1"):
        layout([BOX] * 2, [(0, 1), (0, 5)])
    with pytest.raises(ValueError, match=r"layout: labels: expected one entry \(or None\) per edge, 1, got 2"):
        layout([BOX] * 2, [(0, 1)], [None, None])
