"""Products of local derivatives along paths sum to the gradient: on random graphs, and on the examples of the textbook."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.graphs.paths import multiply

UNARY = ("tanh", "sin", "exp", "sigmoid", "neg", "square")
BINARY = ("add", "sub", "mul", "maximum")


@st.composite
def programs(draw):
    """A list of calls ``(operator, indices)``; indices name the inputs 0..2 or earlier results."""
    calls = []
    for i in range(draw(st.integers(1, 9))):
        name = draw(st.sampled_from(UNARY + BINARY))
        places = st.integers(0, 2 + i)
        calls.append((name, [draw(places) for _ in range(1 if name in UNARY else 2)]))
    return calls


def run(calls, leaves):
    values = list(leaves)
    for name, places in calls:
        values.append(getattr(cr, name)(*[values[k] for k in places]))
    return values[-1]


@given(programs(), st.lists(st.floats(-1.5, 1.5).map(lambda x: round(x, 3)), min_size=3, max_size=3, unique=True))
@settings(max_examples=80, deadline=None)
def test_products_of_paths_sum_to_the_gradient(calls, numbers):
    leaves = [cr.tensor(x, dtype=cr.float64, requires_grad=True) for x in numbers]
    out = run(calls, leaves)
    g = cr.graph(out).backward()
    wanted = cr.autograd.grad(out, leaves, allow_unused=True)
    for leaf, gradient in zip(leaves, wanted):
        if gradient is None:
            assert leaf not in g or g.path_count(leaf) == 0
            continue
        ways = list(g.paths(leaf))
        assert len(ways) == g.path_count(leaf)
        np.testing.assert_allclose(sum(w.product for w in ways), gradient.item(), rtol=1e-9, atol=1e-9)
        assert g[leaf].gradient == gradient.item()
        for by in ("paths", "steps"):
            np.testing.assert_allclose(g.explain(leaf, by=by).value, gradient.item(), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(g.forward_mode(leaf)[g.output], gradient.item(), rtol=1e-9, atol=1e-9)


@given(programs())
@settings(max_examples=30, deadline=None)
def test_products_of_tensor_paths_sum_to_the_gradient(calls):
    leaves = [cr.linspace(-1.0, 1.0, 3, dtype=cr.float64).requires_grad_() for _ in range(3)]
    out = run(calls, leaves).sum()
    g = cr.graph(out)
    for leaf, gradient in zip(leaves, cr.autograd.grad(out, leaves, allow_unused=True)):
        if gradient is not None:
            total = sum(w.product for w in g.paths(leaf))
            np.testing.assert_allclose(total, gradient.numpy(), rtol=1e-9, atol=1e-9)


def test_the_textbook_example():
    a = cr.tensor([2.0], requires_grad=True)
    b = cr.tensor([1.0], requires_grad=True)
    c = a + b
    d = b + 1
    e = c * d
    g = cr.graph(e)
    found = g.explain(b)
    assert str(found) == "∂e/∂b = ∂e/∂c·∂c/∂b + ∂e/∂d·∂d/∂b = 2·1 + 3·1 = 5"
    assert found.latex() == (
        r"\frac{\partial e}{\partial b} = \frac{\partial e}{\partial c} \cdot \frac{\partial c}{\partial b} + "
        r"\frac{\partial e}{\partial d} \cdot \frac{\partial d}{\partial b} = 2 \cdot 1 + 3 \cdot 1 = 5"
    )
    assert found.table().splitlines()[1].split() == ["e", "←", "c", "←", "b", "∂e/∂c·∂c/∂b", "2·1", "2"]
    assert [[e.source.name for e in p.edges] for p in g.paths("b", "e")] == [["b", "c"], ["b", "d"]]
    assert [str(s) for s in g.forward_steps()] == [
        "c = a + b = 2 + 1 = 3",
        "d = b + 1 = 1 + 1 = 2",
        "e = c·d = 3·2 = 6",
    ]


def test_nine_paths_factor():
    names = {"x": 1, "α": 1, "β": 2, "γ": 3, "δ": 4, "ε": 5, "ζ": 6}
    g = cr.graph("y = α*x + β*x + γ*x; z = δ*y + ε*y + ζ*y", **names)
    ways = list(g.paths("x"))
    assert len(ways) == g.path_count("x") == 9
    assert sorted(w.product for w in ways) == sorted(a * d for a in (1, 2, 3) for d in (4, 5, 6))
    assert g.explain("x").factored() == "∂z/∂x = (δ + ε + ζ)·(α + β + γ) = (4 + 5 + 6)·(1 + 2 + 3) = 90"
    assert g.explain("x", by="paths").value == g.backward()["x"].gradient == 90
    assert g.explain("x").by == "steps" and "a sum over 9 paths" in str(g.explain("x"))


def test_counting_needs_no_walking():
    def f(x):
        for _ in range(110):
            x = x + x.sin()
        return x

    g = cr.graph(f, 0.1)
    assert g.path_count("x") == 2**110 > 10**30
    assert next(g.paths("x")).nodes[0].name == "x"
    assert g.explain("x").value == pytest.approx(g.backward()["x"].gradient.item(), rel=1e-5)


def test_an_argument_used_twice_is_two_paths():
    g = cr.graph("x * x", x=3)
    assert str(g.explain("x")) == "∂f/∂x = ∂₁f/∂x + ∂₂f/∂x = 3 + 3 = 6"
    assert g.path_count("x") == 2


def test_a_masked_path_has_product_zero():
    g = cr.graph("where(x > 0, sqrt(x), 0)", x=0)
    (way,) = g.paths("x")
    assert way.edges[0].local == np.inf
    assert multiply(way.edges) == way.product == 0 == g.backward()["x"].gradient


def test_products_to_a_tensor_are_maps():
    g = cr.graph("tanh(W @ x)", W=[[1, 2], [3, 4]], x=[0.1, 0.2])
    (way,) = g.paths("x")
    w, y = np.array([[1.0, 2], [3, 4]]), g["f"].value
    jacobian = (1 - y**2)[:, None] * w
    np.testing.assert_allclose(way.product.dense(), jacobian)
    np.testing.assert_allclose(way.product.apply([1, 0]), jacobian[:, 0])
    np.testing.assert_allclose(way.product.transpose([0, 1]), jacobian[1])
    np.testing.assert_allclose(way.product.norm(), np.linalg.norm(jacobian))
    np.testing.assert_allclose(way.product.norm(2), np.linalg.norm(jacobian, 2))
    np.testing.assert_allclose(way.edges[1].local @ way.edges[0].local, jacobian)
    np.testing.assert_allclose(g.explain("x").value, jacobian)
    with pytest.raises(cr.errors.ShapeError, match=r"LinearMap.apply: expected an array of shape \(2,\), got \(3,\)"):
        way.product.apply([1, 2, 3])


def test_no_path():
    g = cr.graph(lambda x, y: x.detach() * y, 2.0, 3.0)
    assert g.path_count("x") == 0 and list(g.paths("x")) == []
    assert str(g.explain("x")) == "∂mul/∂x = 0 (no path)"
    assert [n.name for n in g.unreached()] == ["x"]
    with pytest.raises(cr.errors.ArgumentValueError, match="there is no node called 'w'; some that there are: x"):
        g.path_count("w")


def test_a_shared_weight_is_a_sum_over_the_steps():
    steps = "; ".join(f"h{t} = tanh(w*h{t - 1} + u*x{t})" for t in (1, 2, 3, 4))
    g = cr.graph(f"{steps}; h4**2", w=0.5, u=0.3, h0=0.1, x1=1, x2=2, x3=3, x4=4).backward()
    assert g.path_count("w") == 4 and g.path_count("h0") == 1
    ways = list(g.paths("w"))
    assert sum(w.product for w in ways) == pytest.approx(g["w"].gradient.item(), rel=1e-12)
    assert g.explain("w").factored().startswith("∂f/∂w = 2·h4·(1 - h4·h4)·(")
    h, grown = 0.1, 0.0
    for x in (1, 2, 3, 4):
        new = np.tanh(0.5 * h + 0.3 * x)
        grown = (1 - new**2) * (h + 0.5 * grown)
        h = new
    assert g["w"].gradient == pytest.approx(2 * h * grown, rel=1e-12)


def test_long_sums_are_shortened_and_take_no_square_of_the_time():
    x = cr.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(3000):
        y = y * 0.5 + x
    found = cr.graph(y).explain("x")
    assert found.count == 3001 == len(found.terms) and abs(found.value - 2) < 1e-6
    text = str(found)
    assert len(text) < 1000 and " + … + " in text and text.endswith("= 2  (a sum over 3001 paths)")
    assert r" + \cdots + " in found.latex() and "… 2989 more" in found.table()
