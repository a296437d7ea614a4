"""A graph before one's eyes: browser, notebook, both modes of differentiation on one picture, names of models."""

import builtins
import gc
import html
import pickle
import sys
import tracemalloc
import types
import weakref
import webbrowser
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import chainrule as cr
from chainrule import nn

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def graph():
    return cr.graph("c = a + b; d = b + 1; e = c * d; e", a=2, b=1).backward()


def test_show_opens_a_file_in_the_browser(graph, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    page = graph.show()
    assert page.endswith(".html") and opened == [Path(page).as_uri()]
    assert Path(page).read_text(encoding="utf-8") == graph.html()
    drawing = graph.show(static=True)
    assert drawing.endswith(".svg") and ET.fromstring(Path(drawing).read_text(encoding="utf-8")).tag == f"{SVG}svg"
    assert Path(graph.show(direction="TB")).read_text(encoding="utf-8") == graph.svg(direction="TB")


def test_show_displays_in_a_notebook(graph, monkeypatch):
    displayed = []
    shell = types.SimpleNamespace(kernel=object())
    fake = types.ModuleType("IPython")
    fake.display = types.ModuleType("IPython.display")
    fake.display.display = lambda data, raw: displayed.append((data, raw))
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", fake.display)
    monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("a notebook needs no browser"))
    assert graph.show() is None
    ((data, raw),) = displayed
    assert raw and set(data) == {"text/plain", "image/svg+xml", "text/html"}
    graph.show(static=True)
    assert set(displayed[1][0]) == {"image/svg+xml"}


def test_what_a_notebook_is_given(graph):
    bundle = graph._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/svg+xml", "text/html"}
    assert bundle["image/svg+xml"] == graph._repr_svg_() == graph.svg()
    frame = bundle["text/html"]
    assert frame == graph._repr_html_() and frame.startswith("<iframe srcdoc=") and frame.count("<iframe") == 1
    inside = html.unescape(frame.split('srcdoc="')[1].split('"')[0])
    assert inside == graph.html()
    assert 'sandbox="allow-scripts' in frame and "allow-same-origin" not in frame
    assert set(graph._repr_mimebundle_(include={"image/svg+xml"})) == {"image/svg+xml"}
    assert "text/html" not in graph._repr_mimebundle_(exclude={"text/html"})


def texts(svg):
    return ["".join(t.itertext()) for t in ET.fromstring(svg).iter(f"{SVG}text")]


def test_forward_mode_beside_reverse_mode_on_the_picture(graph):
    mode = graph.forward_mode("b")
    for drawn in (graph.svg(forward=mode), graph.svg(forward="b"), graph.svg(forward="b", direction="TB")):
        found = texts(drawn)
        assert {"2 + 0ε", "1 + 1ε", "c = 3 + 1ε", "d = 2 + 1ε", "e = 6 + 5ε"} <= set(found)
        assert f"ε: tangent (forward mode, ∂/∂b: {mode.operations} operations)" in found
        assert any(t.endswith(f"gradient (reverse mode: {graph.reverse_operations()} operations)") for t in found)
        assert "tangent: 5" in drawn
    drawing = graph.draw(80, forward="b")
    assert "6 + 5ε" in drawing and "ε tangent (forward mode, ∂/∂b: 5 operations)" in drawing
    assert "∂ gradient (reverse mode: 6 operations)" in drawing
    assert "3 + 1ε" in graph.draw(24, forward="b")  # the listing
    negative = cr.graph("x * y", x=2, y=-3).backward()
    assert "f = -6 − 3ε" in texts(negative.svg(forward="x"))
    assert not any("ε" in t for t in texts(graph.svg()))
    with pytest.raises(cr.errors.ArgumentValueError, match="forward mode of another graph"):
        negative.svg(forward=mode)


def test_forward_mode_through_a_function_of_the_users():
    class Cube(cr.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            return 3 * ctx.saved_tensors[0] ** 2 * g

    assert cr.graph(lambda x: Cube.apply(x) * 2, 2.0).forward_mode("x")["mul"] == 24


def test_draw_closes_as_much_as_asked():
    net = nn.Sequential(*[nn.Sequential(nn.Linear(3, 3), nn.Tanh()) for _ in range(5)])
    graph = cr.graph(lambda x: net(x).sum(), cr.ones(1, 3))
    assert "net.0…4 ×5" in graph.draw(100, most=6) and "net.0…4" not in graph.draw(100)
    assert "net.0…2 ×3" in graph.draw(200, most=6, open="net.3") and "net.3.0" in graph.draw(200, most=6, open="net.3")
    assert all(len(line) <= 40 for line in graph.draw(40).splitlines())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)) for _ in range(12)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x.sum()


class Trainer:
    def __init__(self):
        self.net = Net()

    def loss(self, x):
        return self.net(x) * 2


def test_models_inside_functions_keep_their_names():
    trainer, models, x = Trainer(), {"first": Net()}, cr.ones(2, 3)

    def made():
        inner = Net()
        return lambda x: inner(x)

    for function, name in (
        (lambda x: trainer.net(x), "net"),
        (trainer.loss, "net"),
        (lambda x: models["first"](x), "first"),
        (made(), "inner"),
        (trainer.net.forward, "Net"),
        (lambda x: Net()(x), "Net"),  # held by nothing
    ):
        graph = cr.graph(function, x)
        assert {n.module for n in graph.find("linear")} == {f"{name}.layers.{i}.0" for i in range(12)}, name
        assert {n.name for n in graph.nodes if n.kind == "parameter"} >= {f"{name}.layers.11.0.weight"}
        labels = [b.label for b in graph.picture().nodes]
        assert "layer_norm[1]" not in labels
        assert f"{name}.layers.0…11 ×12" in texts(graph.svg(most=10))


def test_second_results_are_hidden_unless_somebody_reads_them():
    norm = nn.LayerNorm(3)
    graph = cr.graph(lambda x: norm(x).sum(), cr.randn(2, 3)).backward()
    assert [n.operator for n in graph.operators] == ["layer_norm", "sum"]
    again = pickle.loads(pickle.dumps(graph))
    assert again.backward()["x"].gradient.tolist() == graph["x"].gradient.tolist()
    both = cr.graph(lambda x: x.sort()[0][0] + x.sort()[1].sum(), cr.tensor([3.0, 1.0]))
    assert [n.id for n in both.nodes] == list(range(len(both.nodes)))
    value = both.output.value
    assert both.set(x=[3.0, 1.0]).output.value == value == 2


def test_nothing_of_the_users_is_held_or_changed():
    """Values, gradients and versions stay, and what the user lets go is freed while the graph lives on."""
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).tanh().sum()
    version, data = x._version, x._data
    graph = cr.graph(y).backward()
    graph.svg(forward=graph.forward_mode("x", [1, 0])), graph.png(1), graph.pdf(), graph.draw(), graph.html()
    graph.cost(), graph._repr_mimebundle_(), graph.set(x=[3, 4])
    assert (x._version, x.grad, x.tolist()) == (version, None, [1, 2]) and x._data is data
    made = [weakref.ref(t) for t in (x, y, y.grad_fn)]
    del x, y, data
    gc.collect()
    assert [ref() for ref in made] == [None] * 3
    assert graph.svg() and graph["x"].gradient.shape == (2,)


def test_memory_is_given_back():
    x = cr.randn(5_000, requires_grad=True)
    y = (x * 2).tanh().sum()
    cr.graph(y).backward().svg()
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(2):
            graph = cr.graph(y).backward()
            graph.svg()
            del graph
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 20_000  # one array of the graph has as many bytes
    finally:
        tracemalloc.stop()


def test_large_graphs_are_drawn_without_recursion():
    x = cr.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(5_000):
        y = y * 0.999 + x
    graph = cr.graph(y).backward()
    assert len(graph) >= 10_000
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(150)
    try:
        text, drawing = graph.svg(), graph.draw(80)
    finally:
        sys.setrecursionlimit(limit)
    assert len(ET.fromstring(text).findall(f"{SVG}g[@data-id]")) <= 60
    assert "mul, add ×" in text and "mul, add ×" in drawing


def test_what_locals_gave_the_user_stays():
    x = cr.tensor(2.0, requires_grad=True)
    mine = locals()
    graph = cr.graph(x * x)
    assert mine["x"] is x and graph.inputs[0].name == "x" and cr.graph(x.sin()).inputs[0].name == "x"
