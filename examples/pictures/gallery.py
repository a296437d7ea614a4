"""The figures of docs/pictures.md: `python examples/pictures/gallery.py [FOLDER]` draws them as SVG.

Each figure is a function that returns a graph or a picture.
"""

import sys
from pathlib import Path

import chainrule as torch
import chainrule.nn as nn
from chainrule.graphs import Arrow, Box, Picture, picture
from chainrule.graphs.collapse import collapse
from chainrule.graphs.svg import svg


def e_values():
    """e = (a + b) · (b + 1) at a = 2, b = 1, evaluated."""
    graph = torch.graph("c = a + b; d = b + 1; e = c * d; e", a=2, b=1)
    graph.title = "e = (a + b) · (b + 1)"
    return picture(graph, locals=False)


def e_derivatives():
    """The same with a derivative on every edge and every gradient."""
    graph = torch.graph("c = a + b; d = b + 1; e = c * d; e", a=2, b=1)
    graph.title = "e = (a + b) · (b + 1)"
    return graph.backward()


def f_forward():
    """f = (x + y) · z at 2, 3, −4: the forward pass."""
    graph = torch.graph("q = x + y; f = q * z; f", x=2, y=3, z=-4)
    graph.title = "f = (x + y) · z, forward"
    return picture(graph, locals=False)


def f_backward():
    """… and the backward pass."""
    graph = torch.graph("q = x + y; f = q * z; f", x=2, y=3, z=-4)
    graph.title = "f = (x + y) · z, forward and backward"
    return graph.backward()


def neuron():
    """One neuron, tanh(w1·x1 + w2·x2 + b), its weights nodes like all others."""
    x1 = torch.tensor(2.0, requires_grad=True)
    x2 = torch.tensor(0.0, requires_grad=True)
    w1 = nn.Parameter(torch.tensor(-3.0))
    w2 = nn.Parameter(torch.tensor(1.0))
    b = nn.Parameter(torch.tensor(6.8813736))
    n = w1 * x1 + w2 * x2 + b
    o = torch.tanh(n)
    graph = torch.graph(o)
    graph.title = "o = tanh(w1·x1 + w2·x2 + b)"
    return graph.backward()


def network():
    """Two layers and a cost."""
    torch.manual_seed(0)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(2, 3)
            self.out = nn.Linear(3, 1)

        def forward(self, x, target):
            return nn.functional.mse_loss(self.out(torch.tanh(self.hidden(x))), target)

    graph = torch.graph(Network(), torch.tensor([[1.0, -1.0]]), torch.tensor([[0.5]]))
    graph.title = "a two-layer network and its cost"
    return graph.backward()


def recurrent():
    """A recurrent net through four steps: the gradients of w and u are sums over the steps."""

    w, u = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(0.8))

    def steps(x1, x2, x3, x4):
        h = 0.0
        for x in (x1, x2, x3, x4):
            h = torch.tanh(w * x + u * h)
        return h

    graph = torch.graph(steps, *[torch.tensor(v) for v in (1.0, -0.5, 0.25, 2.0)])
    graph.title = "h = tanh(w·x + u·h), four steps"
    return graph.backward()


def nine_paths():
    """Three edges, then three: nine paths, whose sum factors."""
    boxes = [Box(0, "input", "X"), Box(1, "operator", "Y"), Box(2, "output", "Z")]
    arrows = [Arrow(0, 1, name, argument=i) for i, name in enumerate("αβγ")]
    arrows += [Arrow(1, 2, name, argument=i) for i, name in enumerate("δεζ")]
    return Picture(boxes, arrows, "∂Z/∂X = (α + β + γ) · (δ + ε + ζ)")


def both_modes():
    """Forward mode beside reverse mode: dual numbers 2 + 0ε, gradients below, and what each takes."""
    graph = torch.graph("c = a + b; d = b + 1; e = c * d; e", a=2, b=1)
    graph.title = "e = (a + b) · (b + 1), forward mode from b"
    return picture(graph.backward(), forward="b")


def opened():
    """Twelve blocks: eleven folded, one opened, with its network opened in turn."""
    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.RMSNorm(4)
            self.mlp = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))

        def forward(self, x):
            return x + self.mlp(self.norm(x))

    net = nn.Sequential(*[Block() for _ in range(12)])
    graph = torch.graph(lambda x: net(x).square().mean(), torch.ones(2, 4)).backward()
    graph.title = "twelve blocks, one of them opened"
    return collapse(graph.picture(), 20, open="net.3.mlp")


FIGURES = (e_values, e_derivatives, f_forward, f_backward, both_modes, neuron, network, recurrent, nine_paths, opened)


def main(folder):
    """Write every figure; returns ``{name: graph or picture}``."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for figure in FIGURES:
        made[figure.__name__] = it = figure()
        text = svg(it) if isinstance(it, Picture) else it.svg()
        (folder / f"{figure.__name__}.svg").write_text(text, encoding="utf-8")
    return made


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "docs" / "pictures")
