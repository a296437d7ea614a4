"""Which instructions become one kernel: the usual chains of a training step, order, and time."""

import time

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from chainrule.compiler import fuse, reference
from chainrule.compiler.ir import Program, verify

from native_loops import Native  # isort: skip


def f32(p, x):
    return p.scalar(x, "float32")


def keep(p, v):
    """A per-row value as a column."""
    return p.view(v, (*v.shape, 1), (1, 1))


def kinds(program):
    return [g.kind for g in fuse.groups(program)]


def agree(p, arrays, tol=1e-4):
    """The groups' native results are the reference's."""
    verify(p)
    got, _ = Native(p).run(arrays)
    for a, b in zip(got, reference.evaluate(p, arrays)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


def arrays(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s).astype("f4") for s in shapes]


def test_a_chain_is_one_group():
    p = Program()
    x, b = p.input((32, 64), "float32"), p.input((64,), "float32")
    p.outputs = [p.map("tanh", p.map("add", p.map("exp", x), b))]
    (g,) = fuse.groups(p)
    assert [i.params["fn"] for i in g.instrs] == ["exp", "add", "tanh"]
    assert g.inputs == (x, b) and g.outputs == tuple(p.outputs)
    agree(p, arrays((32, 64), (64,)))


def test_function_and_gradient_in_one_pass():
    p = Program()
    x = p.input((5000,), "float32")
    t, s = p.map("tanh", x), p.map("sigmoid", x)
    e = p.map("exp", p.map("neg", p.map("mul", x, x)))
    total = p.reduce("sum", p.map("add", p.map("mul", t, s), e), (0,))
    grad = p.map("mul", s, p.map("sub", f32(p, 1), p.map("mul", t, t)))
    grad = p.map("add", grad, p.map("mul", t, p.map("mul", s, p.map("sub", f32(p, 1), s))))
    grad = p.map("add", grad, p.map("mul", p.map("mul", f32(p, -2), x), e))
    p.outputs = [total, grad]
    (g,) = fuse.groups(p)
    assert g.inputs == (x,) and set(g.outputs) == {total, grad}
    agree(p, arrays(5000))


def softmax(p, x):
    top = p.reduce("max", x, (1,))
    e = p.map("exp", p.map("sub", x, keep(p, top)))
    return p.map("div", e, keep(p, p.reduce("sum", e, (1,))))


def test_softmax_is_one_group():
    p = Program()
    p.outputs = [softmax(p, p.input((32, 77), "float32"))]
    assert kinds(p) == ["loops"]
    agree(p, arrays((32, 77)))


def test_softmax_gradient_is_one_group():
    p = Program()
    y, g = p.input((32, 77), "float32"), p.input((32, 77), "float32")
    inner = p.reduce("sum", p.map("mul", y, g), (1,))
    p.outputs = [p.map("mul", y, p.map("sub", g, keep(p, inner)))]
    assert kinds(p) == ["loops"]
    agree(p, arrays((32, 77), (32, 77)))


def layer_norm(p, x, weight, bias):
    rows, n = x.shape
    mean = p.map("mul", p.reduce("sum", x, (1,)), f32(p, 1 / n))
    away = p.map("sub", x, keep(p, mean))
    var = p.map("mul", p.reduce("sum", p.map("mul", away, away), (1,)), f32(p, 1 / n))
    scale = p.map("rsqrt", p.map("add", var, f32(p, 1e-5)))
    hat = p.map("mul", away, keep(p, scale))
    return p.map("add", p.map("mul", hat, weight), bias), hat, scale


def test_layer_norm_and_its_gradient():
    """Forward and the gradient of the input are one group over rows; the two column sums are another."""
    p = Program()
    x, w, b, dy = (p.input(s, "float32") for s in ((64, 48), (48,), (48,), (64, 48)))
    y, hat, scale = layer_norm(p, x, w, b)
    dw, db = p.reduce("sum", p.map("mul", dy, hat), (0,)), p.reduce("sum", dy, (0,))
    dhat = p.map("mul", dy, w)
    m1 = p.map("mul", p.reduce("sum", dhat, (1,)), f32(p, 1 / 48))
    m2 = p.map("mul", p.reduce("sum", p.map("mul", dhat, hat), (1,)), f32(p, 1 / 48))
    dx = p.map("sub", p.map("sub", dhat, keep(p, m1)), p.map("mul", hat, keep(p, m2)))
    p.outputs = [y, p.map("mul", keep(p, scale), dx), dw, db]
    assert kinds(p) == ["loops", "loops"]
    agree(p, arrays((64, 48), (48,), (48,), (64, 48)), 1e-3)


def test_cross_entropy_and_its_gradient():
    """The row-wise part, with the one-hot scatter, is one group; the mean over the rows is another."""
    p = Program()
    rows, n = 32, 10
    x, label = p.input((rows, n), "float32"), p.input((rows,), "int64")
    away = p.map("sub", x, keep(p, p.reduce("max", x, (1,))))
    logp = p.map("sub", away, keep(p, p.map("log", p.reduce("sum", p.map("exp", away), (1,)))))
    column = keep(p, label)
    picked = p.add("gather", (logp, column), {"dim": 1}, ((rows, 1), "float32"))
    loss = p.map("mul", p.reduce("sum", picked, (0, 1)), f32(p, -1 / rows))
    zeros, part = p.view(f32(p, 0), (rows, n), (0, 0)), p.view(f32(p, -1 / rows), (rows, 1), (0, 0))
    g = p.add("scatter", (zeros, column, part), {"dim": 1, "fn": "add", "along": True}, ((rows, n), "float32"))
    dx = p.map("sub", g, p.map("mul", p.map("exp", logp), keep(p, p.reduce("sum", g, (1,)))))
    p.outputs = [loss, dx]
    assert kinds(p) == ["loops", "loops"]
    agree(p, [*arrays((rows, n)), np.random.default_rng(1).integers(0, n, rows)])


def test_batch_norm_is_one_group():
    p = Program()
    x = p.input((8, 6, 9, 9), "float32")
    n = 8 * 81
    column = lambda v: p.view(v, (1, 6, 1, 1), (1, 1, 1, 1))  # noqa: E731
    mean = p.map("mul", p.reduce("sum", x, (0, 2, 3)), f32(p, 1 / n))
    away = p.map("sub", x, column(mean))
    var = p.map("mul", p.reduce("sum", p.map("mul", away, away), (0, 2, 3)), f32(p, 1 / n))
    y = p.map("mul", away, column(p.map("rsqrt", p.map("add", var, f32(p, 1e-5)))))
    p.outputs = [p.map("max", y, f32(p, 0)), mean]
    assert kinds(p) == ["loops"]
    agree(p, arrays((8, 6, 9, 9)))


def test_a_bias_gradient_joins_what_it_sums():
    """relu's gradient is stored for the product and summed over the batch in one pass."""
    p = Program()
    g, z, w = p.input((64, 32), "float32"), p.input((64, 32), "float32"), p.input((32, 8), "float32")
    dz = p.map("where", p.map("gt", z, f32(p, 0), dtype="bool"), g, f32(p, 0))
    p.outputs = [p.dot(dz, w), p.reduce("sum", dz, (0,))]
    assert kinds(p) == ["loops", "dot"]
    agree(p, arrays((64, 32), (64, 32), (32, 8)))


def test_adam_is_one_group_beside_its_scalars():
    p = Program()
    w, g, m, v = (p.input((50, 3), "float32") for _ in range(4))
    t, lr = p.input((), "float32"), p.input((), "float32")
    m2 = p.map("add", p.map("mul", m, f32(p, 0.9)), p.map("mul", g, f32(p, 0.1)))
    v2 = p.map("add", p.map("mul", v, f32(p, 0.99)), p.map("mul", p.map("mul", g, g), f32(p, 0.01)))
    c1, c2 = (p.map("sub", f32(p, 1), p.map("pow", f32(p, b), t)) for b in (0.9, 0.99))
    root = p.map("add", p.map("sqrt", p.map("div", v2, c2)), f32(p, 1e-8))
    p.outputs = [p.map("sub", w, p.map("div", p.map("mul", p.map("div", lr, c1), m2), root)), m2, v2]
    big = [g for g in fuse.groups(p) if g.sizes]
    assert len(big) == 1 and set(big[0].outputs) == set(p.outputs)
    one = [np.abs(a) for a in arrays((50, 3), (50, 3), (50, 3), (50, 3))]
    agree(p, [*one, np.array(3, "f4"), np.array(0.01, "f4")])


def test_reshapes_between_products_cost_nothing():
    """Bias, reshape and residual after a product are one group although their shapes differ."""
    p = Program()
    a, w, b, x = (p.input(s, "float32") for s in ((24, 5), (5, 7), (7,), (4, 6, 7)))
    y = p.map("add", p.dot(a, w), b)
    p.outputs = [p.map("add", p.view(y, (4, 6, 7), (42, 7, 1)), x)]
    assert kinds(p) == ["dot", "loops"]
    agree(p, arrays((24, 5), (5, 7), (7,), (4, 6, 7)))


def test_views_of_a_product_stay_views():
    p = Program()
    a, b = p.input((6, 5), "float32"), p.input((6, 7), "float32")
    p.outputs = [p.dot(p.view(a, (5, 6), (1, 5)), b)]
    (g,) = fuse.groups(p)
    assert g.kind == "dot" and g.inputs == (a, b)
    agree(p, arrays((6, 5), (6, 7)))


def test_cheap_maps_are_repeated_expensive_ones_stored():
    for fn, stored in (("neg", 1), ("tanh", 2)):
        p = Program()
        x, w = p.input((40, 40), "float32"), p.input((40, 40), "float32")
        y = p.map(fn, x)
        first = p.map("exp", y)
        p.outputs = [p.map("mul", y, p.dot(first, w))]
        first_group = fuse.groups(p)[0]
        assert len(first_group.outputs) == stored, fn
        agree(p, arrays((40, 40), (40, 40)))


def test_groups_are_bounded():
    p = Program()
    xs = [p.input((64,), "float32") for _ in range(80)]
    y = xs[0]
    for x in xs[1:]:
        y = p.map("add", y, x)
    p.outputs = [y]
    groups = fuse.groups(p)
    assert all(
        len(g.instrs) <= fuse.MOST_INSTRS and len(g.inputs) + len(g.outputs) <= fuse.MOST_POINTERS + 2 for g in groups
    )
    agree(p, arrays(*[(64,)] * 80))


def test_long_rows_stay_parallel():
    """A sum over a million elements that scales them again is two groups: one of them would run on one thread."""
    p = Program()
    x = p.input((1 << 17,), "float32")
    p.outputs = [p.map("mul", x, p.reduce("sum", x, (0,)))]
    assert kinds(p) == ["loops", "loops"]
    agree(p, arrays(1 << 17), 1e-3)


def test_writes_and_unused_values():
    p = Program()
    x = p.input((8,), "float32")
    p.map("exp", x)
    y = p.map("neg", x)
    p.outputs, p.writes = [p.map("mul", y, y)], {0: y}
    (g,) = fuse.groups(p)
    assert len(g.instrs) == 2 and y in g.outputs


def test_calls_get_arrays():
    p = Program()
    x = p.input((4, 6), "float32")
    y = p.view(p.map("exp", x), (6, 4), (1, 6))
    z = p.add("call", (y,), {"function": lambda a: (a + 1,), "name": "f"}, ((6, 4), "float32"))
    p.outputs = [p.map("neg", z)]
    assert kinds(p) == ["loops", "call", "loops"]
    agree(p, arrays((4, 6)))


def test_every_group_reads_what_is_there():
    """In a deep network with its gradients, each group's inputs come from groups before it."""
    p, _ = network(12)
    seen = set(p.inputs)
    for g in fuse.groups(p):
        for v in g.inputs:
            assert v in seen or (v.instr.op == "view" and v.instr.inputs[0] in seen)
        seen.update(g.outputs)
    assert set(p.outputs) <= seen
    agree(p, arrays(*[v.shape for v in p.inputs]), 1e-2)


def network(layers):
    """tanh layers, their gradients, and plain gradient steps: 18 instructions a layer."""
    p = Program()
    x = h = p.input((8, 16), "float32")
    weights, values = [], [h]
    for _ in range(layers):
        w, b = p.input((16, 16), "float32"), p.input((16,), "float32")
        weights.append((w, b))
        h = p.map("tanh", p.map("add", p.dot(h, w), b))
        values.append(h)
    p.outputs = [p.reduce("sum", p.map("mul", h, h), (0, 1))]
    g = p.map("mul", h, f32(p, 2))
    for k in reversed(range(layers)):
        w, b = weights[k]
        dz = p.map("mul", g, p.map("sub", f32(p, 1), p.map("mul", values[k + 1], values[k + 1])))
        dw, db = p.dot(p.view(values[k], (16, 8), (1, 16)), dz), p.reduce("sum", dz, (0,))
        g = p.dot(dz, p.view(w, (16, 16), (1, 16)))
        p.outputs += [p.map("sub", w, p.map("mul", dw, f32(p, 0.01))), p.map("sub", b, p.map("mul", db, f32(p, 0.01)))]
    return p, x


def test_time_is_linear():
    took = {}
    for layers in (60, 560):
        p, _ = network(layers)
        best = 9.0
        for _ in range(2):
            start = time.process_time()
            fuse.groups(p)
            best = min(best, time.process_time() - start)
        took[len(p.instrs)] = best
    (small, few), (large, many) = took.items()
    assert large >= 10_000
    assert many < 2.5
    assert many / few < 3 * large / small
