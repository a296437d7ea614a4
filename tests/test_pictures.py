"""The figures of docs/pictures.md: their numbers, and that the page, the program and the committed files agree."""

import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import chainrule as cr

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "pictures.md"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "examples" / "pictures" / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("pictures")
    return module.main(folder), folder


def gradients(graph, names):
    return {name: pytest.approx(float(graph[name].gradient), abs=2e-4) for name in names}


def test_numbers(gallery):
    made, _ = gallery
    assert gradients(made["e_derivatives"], "abcde") == {"a": 2, "b": 5, "c": 2, "d": 3, "e": 1}
    assert gradients(made["f_backward"], "xyzqf") == {"x": -4, "y": -4, "z": 5, "q": -4, "f": 1}
    assert gradients(made["neuron"], ["w1", "x1", "w2", "x2", "b"]) == {
        "w1": 1,
        "x1": -1.5,
        "w2": 0,
        "x2": 0.5,
        "b": 0.5,
    }
    assert not any(box.gradient for box in made["e_values"].nodes + made["f_forward"].nodes)


def test_a_shared_weights_gradient_is_the_sum_over_the_steps(gallery):
    made, _ = gallery
    graph = made["recurrent"]
    w = graph["w"]
    assert w.kind == "parameter" and len(w.outgoing) == 4
    terms = [e.local * float(e.target.gradient) for e in w.outgoing]
    assert sum(terms) == pytest.approx(float(w.gradient)) and all(terms)


def test_every_figure_is_drawn_and_on_the_page(gallery):
    made, folder = gallery
    shown = re.findall(r"\(pictures/(\w+)\.svg\)", PAGE.read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(made) == sorted(p.stem for p in (ROOT / "docs" / "pictures").glob("*.svg"))
    for name in made:
        fresh, kept = ((d / f"{name}.svg").read_text(encoding="utf-8") for d in (folder, ROOT / "docs" / "pictures"))
        ET.fromstring(kept)
        # The last digits of exact numbers, in the hover texts, are the processor's.
        fresh, kept = (re.sub("<title>.*?</title>", "", text, flags=re.S) for text in (fresh, kept))
        assert fresh == kept, f"{name}.svg is not up to date: run examples/pictures/gallery.py"


def test_the_terminals_drawing_on_the_page():
    graph = cr.graph("q = x + y; f = q * z; f", x=2, y=3, z=-4).backward()
    drawn = "\n".join(f"    {line}".rstrip() for line in graph.draw(80).split("\n"))
    assert drawn in PAGE.read_text(encoding="utf-8")


def test_a_graph_draws_itself(tmp_path):
    graph = cr.graph("tanh(w * x)", w=2, x=0.5).backward()
    assert ET.fromstring(graph._repr_svg_()).tag.endswith("svg")
    assert 'class="cr-picture cr-dark"' in graph.svg(theme="dark", direction="TB")
    graph.save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == graph.svg()


def test_drawing_changes_nothing():
    w = cr.tensor(2.0, requires_grad=True)
    y = (w * w).tanh()
    graph = cr.graph(y)
    version = w._version
    graph.svg(), graph.draw()
    assert w.grad is None and w._version == version
    assert all(n.gradient is None for n in graph.nodes)
