"""Steps, queries, forward mode beside reverse mode, cost, comparison and exports."""

import json

import numpy as np
import pytest

import chainrule as cr
from chainrule.graphs import picture
from chainrule.graphs.export import SCHEMA


def example():
    return cr.graph("c = a + b; d = b + 1; e = c * d", a=2, b=1)


def names(nodes):
    return [n.name for n in nodes]


def test_steps_forward_and_backward():
    g = cr.graph("q = x + y; f = q * z", x=2, y=3, z=-4)
    assert [str(s) for s in g.forward_steps()] == ["q = x + y = 2 + 3 = 5", "f = q·z = 5·(-4) = -20"]
    steps = list(g.backward_steps())
    assert [str(s) for s in steps] == [
        "∂f/∂f = 1",
        "∂f/∂q = ∂f/∂f · z = 1·(-4) = -4",
        "∂f/∂z = ∂f/∂f · q = 1·5 = 5",
        "∂f/∂x = ∂f/∂q · 1 = (-4)·1 = -4",
        "∂f/∂y = ∂f/∂q · 1 = (-4)·1 = -4",
    ]
    assert [s.rule for s in steps[1:4]] == ["∂(a·b)/∂a = b", "∂(a·b)/∂b = a", "∂(a + b)/∂a = 1"]
    assert [s.number for s in steps] == [1, 2, 3, 4, 5] and steps[2].input is g["z"]


def test_a_gradient_that_comes_in_parts():
    g = example()
    parts = [s for s in g.backward_steps() if s.input is g["b"]]
    assert [(s.contribution.item(), s.total.item(), s.first) for s in parts] == [(3, 3, True), (2, 5, False)]
    assert str(parts[1]) == "∂e/∂b += ∂e/∂c · 1 = 2·1 = 2, in all 5"


@pytest.mark.parametrize(
    ("expression", "rules"),
    [
        ("x / y", ["∂(a / b)/∂a = 1 / b", "∂(a / b)/∂b = -a / b / b"]),
        ("tanh(x * y)", ["∂tanh(x)/∂x = 1 - y·y, y = tanh(x)"]),
        ("exp(x) + y", ["∂exp(x)/∂x = y, y = exp(x)"]),
        ("log(x) + y", ["∂log(x)/∂x = 1 / x"]),
        (
            "where(x > 2, x, y)",
            ["∂where(a, b, c)/∂b = 1 where a, else 0", "∂where(a, b, c)/∂c = 1 where not a, else 0"],
        ),
        ("clamp(x, -1, 3) * y", ["∂clamp(a, b, c)/∂a = 1 where a ≥ b and a ≤ c, else 0"]),
        ("sum([x, y])", ["sum is linear: its transpose, applied to the gradient"]),
    ],
)
def test_rules_are_read_off_the_operators(expression, rules):
    found = [s.rule for s in cr.graph(expression, x=2, y=3).backward_steps()]
    assert set(rules) <= set(found), found


def test_queries():
    g = example()
    assert names(g.ancestors("c")) == ["a", "b"] and names(g.descendants("b")) == ["c", "d", "e"]
    assert names(g.between("a", "e")) == ["a", "c", "e"] and g.between("a", "d") == []
    assert names(g.find("add")) == ["c", "d"] and names(g.find("m?l", name="e*")) == ["e"]
    assert names(g.find(kind="input")) == ["a", "b"] and names(g.find("add", source=7)) == ["c"]
    assert names(g.largest_gradients(2)) == ["b", "d"] and names(g.smallest_gradients(1)) == ["e"]
    assert g["b"].users == [g["c"], g["d"]] and g["e"].inputs == [g["c"], g["d"]]
    assert "b" in g and "w" not in g and g[0] is g["a"] and len(list(g)) == 6
    with pytest.raises(cr.errors.ArgumentValueError, match="there is no node 9: the graph has 6 nodes"):
        g[9]


def test_a_subgraph_is_a_graph():
    g = example().backward()
    part = g.subgraph(["d", "e"])
    assert names(part.nodes) == ["b", "c", "1", "d", "e"] and names(part.inputs) == ["b", "c"]
    assert part.backward()["c"].gradient == 2 and part.set(c=10)["e"].value == 20
    assert g["e"].value == 6 and g["c"].gradient == 2


def test_comparing():
    g = example()
    assert not g.compare(example()) and str(g.compare(example())) == "no difference"
    other = cr.graph("c = a + b; d = b - 1; h = tanh(d); e = c * h", a=2, b=5)
    found = g.compare(other)
    assert names(found.added) == ["h"] and found.removed == []
    assert {a.name: what for a, _, what in found.changed} == {
        "b": ["value"], "c": ["value"], "d": ["operator", "value"], "e": ["value", "inputs"],
    }  # fmt: skip


def test_forward_mode_beside_reverse_mode():
    g = example().backward()
    for name in "ab":
        assert g.forward_mode(name)["e"] == g[name].gradient
    assert [n.name for n in g.forward_mode("a").tangents] == ["a", "c", "e"]
    assert (g.forward_mode("a").operations, g.forward_mode("b").operations, g.reverse_operations()) == (2, 5, 6)
    g = cr.graph("softmax(W @ x)", W=[[1, 2], [3, 4], [0, 1]], x=[1, 2])
    v = np.array([0.5, -1.0])
    jacobian = cr.func.jacrev(lambda x: cr.softmax(cr.tensor([[1.0, 2], [3, 4], [0, 1]]).double() @ x, -1))
    wanted = jacobian(cr.tensor([1.0, 2.0]).double()).numpy() @ v
    np.testing.assert_allclose(g.forward_mode("x", v)["f"], wanted)
    with pytest.raises(cr.errors.ArgumentValueError, match=r"'x' has shape \(2,\); give direction="):
        g.forward_mode("x")


def test_cost():
    g = cr.graph(lambda x, w: (x @ w).tanh().sum(), cr.ones(4, 3), cr.ones(3, 5))
    c = g.cost()
    assert {k.node.operator: k.operations for k in c.nodes} == {"matmul": 2 * 4 * 3 * 5, "tanh": 20, "sum": 20}
    assert c.saved == 4 * (12 + 15 + 20) and c.bytes == 4 * (12 + 15 + 20 + 20 + 1)
    assert c.saved < c.peak <= c.saved + 4 * 50
    assert "peak of backward" in str(c)


def test_json_follows_its_schema():
    g = cr.graph("where(x > 0, log(x), y)", x=0, y=[1, 2]).backward([1, 1])
    text = g.to_json()
    found = json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} is no JSON"))
    assert set(SCHEMA["properties"]) == set(found)
    node, edge = (SCHEMA["properties"][k]["items"]["properties"] for k in ("nodes", "edges"))
    assert all(set(n) == set(node) for n in found["nodes"]) and all(set(e) == set(edge) for e in found["edges"])
    by_name = {n["name"]: n for n in found["nodes"]}
    assert by_name["log"]["value"] == "-Infinity" and by_name["y"]["gradient"] == [1, 1]
    assert by_name["f"]["kind"] == "output" and found["outputs"] == [by_name["f"]["id"]]


def test_other_forms(tmp_path):
    g = example().backward()
    dot = g.to_dot()
    assert dot.startswith("digraph {") and dot.count("->") == len(g.edges) and 'label="3"' in dot
    listing = str(g).splitlines()
    assert listing[0] == "graph 'c = a + b; d = b + 1; e = c * d': 6 nodes, 6 edges"
    assert listing[-1].split() == ["5", "e", "mul(c,", "d)", "6", "1", "expression:29"]
    for ending in ("svg", "png", "pdf", "html", "dot", "json", "txt"):
        g.save(tmp_path / f"g.{ending}")
        assert (tmp_path / f"g.{ending}").stat().st_size > 100
    with pytest.raises(
        cr.errors.ArgumentValueError, match=r"expected a file ending in .svg, .png, .pdf, .html, .txt, .dot"
    ):
        g.save(tmp_path / "g.bmp")


def test_networkx():
    networkx = pytest.importorskip("networkx")
    g = example().backward()
    found = g.to_networkx()
    assert networkx.is_directed_acyclic_graph(found) and found.nodes[g["b"].id]["gradient"] == 5
    assert found.number_of_edges() == 6


def test_the_picture_says_all_that_is_drawn():
    p = picture(cr.graph("q = x + y; f = q * z", x=2, y=3, z=-4).backward())
    assert [(b.label, b.kind, b.value, b.gradient) for b in p.nodes] == [
        ("x", "input", "2", "-4"), ("y", "input", "3", "-4"), ("z", "input", "-4", "5"),
        ("q", "operator", "5", "-4"), ("f", "output", "-20", "1"),
    ]  # fmt: skip
    assert [(a.source, a.target, a.label) for a in p.edges] == [(0, 3, "1"), (1, 3, "1"), (3, 4, "-4"), (2, 4, "5")]
