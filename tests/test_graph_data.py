"""Graphs of tensors, functions and models: values, names, gradients; and that nothing of the user's is changed."""

import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.config import switches


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.Tanh(), nn.Linear(4, 1))
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        return self.rest(self.first(x)).sum()


def state(tensors):
    return [
        (None if t._grad is None else t._grad.tolist(), t._version, t._data.tobytes(), t.requires_grad) for t in tensors
    ]


def test_asking_changes_nothing():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    h = x * 2
    h.retain_grad()
    y = (h.tanh() ** 2).sum()
    calls = []
    h.register_hook(calls.append)
    y.grad_fn.register_hook(lambda *a: calls.append(a))
    x.grad = cr.ones(2)
    before = state([x, y]) + state([h.detach()])
    g = cr.graph(y).backward()
    list(g.paths(x)), list(g.backward_steps()), str(g), g.cost(), g.to_json(), g.forward_mode(h, [1, 1]), g.explain(x)
    assert [e.local for e in g.edges] and [e.jacobian() for e in g.edges]
    g.set(x=[5, 6])
    assert state([x, y]) + state([h.detach()]) == before and calls == [] and h.grad is None
    y.backward()  # the graph was not freed
    assert len(calls) == 2 and x.grad.tolist() != [1, 1]


def test_later_changes_do_not_reach_the_graph():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    g = cr.graph((x * x).sum())
    with cr.no_grad():
        x.mul_(100)
    assert g["x"].value.tolist() == [1, 2] and g.backward()["x"].gradient.tolist() == [2, 4]


def test_values_that_nobody_kept_are_computed_again():
    x = cr.tensor(2.0, requires_grad=True)
    y = (((x + 3) - 1) + x).sum() + 0.5
    g = cr.graph(y)
    assert [n.value.item() for n in g.operators] == [5, 4, 6, 6, 6.5]


def test_after_a_backward_that_freed_it():
    x = cr.tensor(2.0, requires_grad=True)
    y = x.exp() * x
    y.backward()
    g = cr.graph(y)
    assert g.backward()["x"].gradient == x.grad.item()  # all of it follows from x
    other = 3.0
    z = (x * other).tanh() * 2
    z.backward()
    g = cr.graph(z)
    with pytest.raises(
        cr.errors.GradientError, match="does not hold the values that the rule of tanh reads: they were freed"
    ):
        g.backward()


def test_a_leaf_changed_in_place_since():
    x = cr.tensor(2.0, requires_grad=True)
    y = x * x
    with cr.no_grad():
        x.add_(1)
    g = cr.graph(y).backward()
    assert g.operators[0].value == y.item() == 4 or g.operators[0].value == 9
    assert g["x"].gradient == 6


def test_names_come_from_variables():
    w = cr.tensor(3.0, requires_grad=True)
    xs = [cr.tensor(1.0, requires_grad=True), cr.tensor(2.0, requires_grad=True)]
    hidden = xs[0] * w
    out = hidden.tanh() + xs[1]
    names = [n.name for n in cr.graph(out).nodes]
    assert names == ["xs[0]", "w", "hidden", "tanh", "xs[1]", "out"]
    h = w
    for _ in range(3):
        h = h * w
    g = cr.graph(h)
    assert [n.name for n in g.operators] == ["h_2", "h_3", "h"] and g[h] is g["h"] is g.output


def test_names_come_from_assignments_inside_a_function():
    """Also of what a method or a function of the library returns, and not from where ``graph`` was called."""

    def f(x):
        h = (x * x).tanh()
        y = cr.exp(h)
        return -y

    made = cr.graph(f, 0.5)
    assert [n.name for n in made.nodes] == ["x", "mul", "h", "y", "neg"]
    made = cr.graph(nn.LayerNorm(3), cr.randn(4, 3))
    assert [n.name for n in made.operators] == ["layer_norm"]
    made = cr.graph("(x + y) * z", x=2, y=3, z=-4)
    assert [n.name for n in made.operators] == ["add", "f"]


def test_a_difference_shows_gradients_and_what_leaves_are():
    here, there = cr.graph("x * y", x=1, y=2).backward(), cr.graph("x * y + 3", x=1, y=4)
    lines = str(here.compare(there)).splitlines()
    assert lines[:2] == ["+ mul  mul", "+ 3  constant"]
    assert lines[2:4] == ["~ x  gradient  ∂ 2 → none", "~ y  value, gradient  2 → 4  ∂ 1 → none"]


def test_a_function_is_traced():
    def f(x, y, *, scale=2.0):
        q = x + y
        mask = q > 0
        return cr.where(mask, q * scale, q).sum()

    g = cr.graph(f, cr.tensor([1.0, -5.0]), np.array([1.0, 1.0], np.float32), scale=2.0).backward()
    assert [n.name for n in g.nodes if n.call is None and n.requires_grad] == ["x", "y", "scale"]
    assert g["q"].value.tolist() == [2, -4] and g["mask"].value.tolist() == [True, False]
    assert g["x"].gradient.tolist() == [2, 1] and g["scale"].gradient == 2
    assert not any(e.flows for e in g["mask"].incoming)
    assert g["q"].source.startswith("test_graph_data.py:") and g["q"].module == ""
    assert [n.name for n in g.descendants("mask")] == ["where", "sum"]


def test_whole_numbers_are_inputs_only_if_nothing_else_is():
    assert [n.name for n in cr.graph(lambda x, y: x * y, 2, 3).inputs] == ["x", "y"]
    g = cr.graph(lambda x, n: x**n, 2.0, 3)
    assert [n.name for n in g.inputs] == ["x"] and g.backward()["x"].gradient == 12


def test_a_model_has_module_paths():
    net = Net()
    g = cr.graph(net, cr.ones(2, 3)).backward()
    modules = {n.operator: n.module for n in g.operators if n.operator != "linear"}
    assert modules["tanh"] == "rest.0" and modules["sum"] == ""
    assert [n.module for n in g.find("linear")] == ["first", "rest.1"]
    assert g["first.weight"].kind == "parameter" and g["first.weight"].module == "first"
    assert {n.name for n in g.find(module="rest")} >= {"rest.1.weight", "tanh"}
    assert [n.name for n in g.unreached()] == ["unused.weight", "unused.bias"]
    net(cr.ones(2, 3)).backward()
    for name, p in net.named_parameters():
        if p.grad is not None:
            np.testing.assert_allclose(g[name].gradient, p.grad.numpy())
    assert net.first._forward_hooks == {} and cr.graph(net.first, cr.ones(3))["weight"].gradient is None


def test_module_hooks_of_the_user_stay_silent():
    net, calls = Net(), []
    net.first.register_full_backward_hook(lambda *a: calls.append(a))
    g = cr.graph(net, cr.ones(2, 3)).backward()
    assert calls == [] and g["first.weight"].gradient is not None


def test_double_backward_is_a_graph_too():
    x = cr.tensor([1.0, 2.0], dtype=cr.float64, requires_grad=True)
    (gx,) = cr.autograd.grad((x.tanh() ** 3).sum(), x, create_graph=True)
    z = (gx**2).sum()
    g = cr.graph(z).backward()
    np.testing.assert_allclose(g["x"].gradient, cr.autograd.grad(z, x)[0].numpy())
    total = sum(w.product for w in g.paths("x"))
    np.testing.assert_allclose(total, g["x"].gradient)


def test_several_outputs_and_operators_with_several_results():
    def f(x):
        low, high = x.split(2)
        values, places = cr.sort(x)
        return (low * high).sum(), (values * places).sum()

    x = cr.tensor([3.0, 1.0, 2.0, 5.0])
    g = cr.graph(f, x).backward()
    t = x.clone().requires_grad_()
    a, b = f(t)
    (a + b).backward()
    assert g["x"].gradient.tolist() == t.grad.tolist()
    assert [n.operator for n in g.find("split")] == ["split[0]", "split[1]"]
    with pytest.raises(cr.errors.ArgumentValueError, match="the graph has 2 outputs; say which one is meant"):
        g.explain("x")


def test_custom_functions():
    class Cube(cr.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * g

    x = cr.tensor(2.0, requires_grad=True)
    assert cr.graph(Cube.apply(x) * 2).backward()["x"].gradient == 24
    g = cr.graph(lambda x: Cube.apply(x) * 2, x).backward()
    assert g["x"].gradient == 24 and g.find("Cube")[0].value == 8
    assert x.grad is None
    assert g.set(x=3)["Cube"].value == 27 and g["x"].gradient == 54
    assert [e.local for e in g.edges if e.target.operator == "Cube"] == [27]
    lost = pickle.loads(pickle.dumps(g))
    with pytest.raises(cr.errors.GradientError, match="set: Cube can't be run again: .* in a graph that was pickled"):
        lost.set(x=4)
    assert lost["x"].value == 3 and lost["Cube"].value == 27


def test_custom_functions_are_run_again_with_all_their_arguments():
    class Powers(cr.autograd.Function):
        @staticmethod
        def forward(ctx, n, x, y):
            if (x._data < 0).any():
                raise ValueError("negative")
            ctx.n = n
            ctx.save_for_backward(x, y)
            return x**n, x * y

        @staticmethod
        def backward(ctx, g, h):
            x, y = ctx.saved_tensors
            return None, ctx.n * x ** (ctx.n - 1) * g + y * h, x * h

    def f(x, y):
        a, b = Powers.apply(3, x, y)
        return a + b

    g = cr.graph(f, 2.0, 5.0).backward()
    assert (g["x"].gradient, g["y"].gradient, g.output.value) == (17, 2, 18)
    g.set(x=3.0, y=1.0)
    assert (g["x"].gradient, g["y"].gradient, g.output.value) == (28, 3, 30)
    assert sum(p.product for p in g.paths("x")) == 28
    with pytest.raises(ValueError, match="negative"):
        g.set(x=-1.0)
    assert (g["x"].value, g["x"].gradient, g.output.value) == (3, 28, 30)
    x = cr.tensor(2.0, requires_grad=True)
    recorded = cr.graph(f(x, cr.tensor(5.0)))  # nobody watched it run: the 3 is not known
    with pytest.raises(
        cr.errors.GradientError, match="set: Powers can't be run again: its arguments were not recorded"
    ):
        recorded.set(x=3.0)
    assert recorded["x"].value == 2


def test_new_values():
    g = cr.graph("q = x + y; f = q * z", x=2, y=3, z=-4).backward()
    assert g["f"].value == -20 and g["x"].gradient == -4
    assert g.set(x=3, z=2) is g
    assert g["q"].value == 6 and g["f"].value == 12 and g["z"].gradient == 6 and g["x"].gradient == 2
    assert g.edges[0].local == 1 and next(g.paths("x")).product == 2
    with pytest.raises(cr.errors.ArgumentValueError, match="set: 'q' is computed by add; only leaves"):
        g.set(q=1)
    with pytest.raises(cr.errors.ShapeError, match=r"set: 'x' has shape \(\), the new value \(2,\)"):
        g.set(x=[1, 2])


def test_pickled_graphs_work():
    g = cr.graph("where(x > 0, max([x, 2*x]), y)", x=2, y=3).backward()
    again = pickle.loads(pickle.dumps(g))
    assert str(again) == str(g) and again.set(x=5)["x"].gradient == 2 and again["f"].value == 10
    node, edge = pickle.loads(pickle.dumps((g["x"], g.edges[-1])))
    assert node.value == 2 and edge.target.graph is not g


def test_a_hundred_thousand_nodes():
    x = cr.tensor(0.5, requires_grad=True)
    y = x
    for _ in range(33_400):
        y = (y + 0.25) * 0.5
    g = cr.graph(y).backward()
    assert len(g) >= 100_000 and g.path_count("x") == 1
    assert len(g.ancestors(g.output)) == len(g) - 1
    assert len(str(g).splitlines()) < 210
    small = g.subgraph(g.nodes[-20_000:])
    assert len(pickle.loads(pickle.dumps(small))) == len(small) > 20_000


def test_larger_outputs_need_a_gradient():
    g = cr.graph(lambda x: x * 2, cr.ones(3))
    with pytest.raises(cr.errors.GradientError, match=r"the output 'mul' has shape \(3,\); only a one-element output"):
        g.backward()
    assert g.backward([1, 2, 3])["x"].gradient.tolist() == [2, 4, 6]
    with pytest.raises(cr.errors.GradientError, match="no output depends on anything that requires a gradient"):
        cr.graph(lambda x: x.detach().sum(), cr.ones(3)).backward()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ((3,), "expected a tensor, a list of tensors, a function"),
        (("x", 1), "give the variables of an expression by name"),
    ],
)
def test_what_is_no_computation(what, message):
    with pytest.raises(cr.errors.ArgumentError, match=message):
        cr.graph(*what)


def test_batches():
    x = cr.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = cr.vmap(lambda v: (v * v).sum())(x).sum()
    assert cr.graph(y).backward()["x"].gradient.tolist() == [[2, 4], [6, 8]]


def test_inside_of_batches():
    x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    g = cr.graph(lambda x: cr.vmap(cr.func.grad(lambda v: (v**3).sum()))(x).sum(), x).backward()
    np.testing.assert_allclose(g["x"].gradient, 6 * x.numpy())
    assert len(list(g.backward_steps())) > 3 and str(g) and g.to_json()
    with pytest.raises(cr.errors.UnsupportedError, match="forward_mode: the graph leads through vmap"):
        g.forward_mode("x", np.ones((2, 2)))


MODELS = {
    "conv": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2)),
        (2, 1, 6, 6),
    ),
    "norm": (lambda: nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Tanh()), (5, 3)),
    "lstm": (lambda: nn.LSTM(3, 2, 2), (4, 2, 3)),
    "attention": (lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), (2, 3, 4)),
}


@pytest.mark.parametrize("name", MODELS)
def test_layers(name):
    cr.manual_seed(0)
    make, shape = MODELS[name]
    layer, x = make(), cr.randn(*shape)

    def loss(x):
        out = layer(x)
        out = out[0] if isinstance(out, tuple) else out
        return (out * out).sum()

    cr.manual_seed(1)
    g = cr.graph(loss, x).backward()
    t = x.clone().requires_grad_()
    cr.manual_seed(1)
    loss(t).backward()
    np.testing.assert_allclose(g["x"].gradient, t.grad.numpy(), rtol=1e-5, atol=1e-6)
    assert g.node("layer.0.weight" if name == "conv" else g.inputs[-1]).gradient is not None
    direction = np.cos(np.arange(x.numel())).reshape(shape)
    along = g.forward_mode("x", direction)[g.output]
    np.testing.assert_allclose(along, (direction * g["x"].gradient).sum(), rtol=1e-3, atol=1e-4)
    before = g.output.value.copy()
    np.testing.assert_allclose(g.set(x=x).output.value, before, rtol=1e-6)


def test_in_place_operators_and_views():
    def f(x):
        y = x * 2
        y[0] = x[1] * 3
        y.mul_(2)
        z = y.view(-1)
        z += 1
        return (y * y).sum()

    x = cr.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    t = x.clone().requires_grad_()
    f(t).backward()
    g = cr.graph(f, x).backward()
    np.testing.assert_allclose(g["x"].gradient, t.grad.numpy())
    np.testing.assert_allclose(cr.graph(f(t)).backward()["t"].gradient, t.grad.numpy())


def test_tracing_leaves_no_trace():
    layer = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    cr.manual_seed(0)
    x = cr.randn(5, 3)
    before = state(layer.buffers()), cr.get_rng_state().tolist()
    g = cr.graph(layer, x)
    assert (state(layer.buffers()), cr.get_rng_state().tolist()) == before
    y = layer(x)
    np.testing.assert_array_equal(g.output.value, y.detach().numpy())  # the same random numbers
    assert layer[0].num_batches_tracked == 1

    def fails(x):
        layer(x)
        raise KeyError("mine")

    before = state(layer.buffers())
    with pytest.raises(KeyError, match="mine"):
        cr.graph(fails, x)
    assert state(layer.buffers()) == before and switches.anomaly is None


def test_modules_in_the_callers_variables_have_paths():
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    scale = nn.Parameter(cr.tensor(2.0))

    def cost(x, by):
        return (net(x) ** 2).mean() * by

    g = cr.graph(cost, cr.ones(4, 2), scale).backward()
    assert [n.module for n in g.operators] == ["net.0", "net.1", "net.2", "", "", ""]
    assert g["net.0.weight"].module == "net.0" and g["by"].kind == "parameter" and g["by"].gradient is not None
    assert g[scale] is g["by"]
