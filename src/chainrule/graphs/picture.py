"""What a drawing needs to know about a graph, and nothing else: boxes with texts, arrows with texts.

The layout and the three ways to draw (SVG, terminal, page) read only this, so they know neither tensors nor operators.
"""

from dataclasses import dataclass, field

from .numbers import text

KINDS = ("input", "parameter", "constant", "operator", "output")


@dataclass(frozen=True, slots=True)
class Box:
    """One node. ``value`` and ``gradient`` are short texts ("" if unknown), ``exact_*`` the same in full."""

    id: int
    kind: str  # one of KINDS
    label: str  # the name, or the operator where there is no name
    operator: str = ""  # "mul", "" for a leaf
    value: str = ""
    gradient: str = ""
    exact_value: str = ""
    exact_gradient: str = ""
    module: str = ""  # "encoder.layers.0", "" outside of modules
    source: str = ""  # "file.py:12", "" if unknown
    tangent: str = ""  # forward mode: how it changes with the input that was asked for, "" if not asked


@dataclass(frozen=True, slots=True)
class Arrow:
    """One edge, from a value to what was computed from it. Two boxes may have several: ``x * x``."""

    source: int  # Box.id
    target: int
    label: str = ""  # the local derivative, short
    exact: str = ""
    argument: int = 0  # which argument of the target it is


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes in the order of computation (every arrow goes from an earlier to a later box) and arrows."""

    nodes: list[Box] = field(default_factory=list)
    edges: list[Arrow] = field(default_factory=list)
    title: str = ""


def picture(graph, *, forward=None, locals=True, limit=2000):
    """The Picture of a ``Graph``, with the gradients it holds.

    forward: a ForwardMode, whose tangents are shown beside the gradients.
    locals: label the arrows with local derivatives, computed now; left out for graphs with more than ``limit`` edges.
    """
    boxes = [
        Box(
            id=n.id,
            kind=n.kind,
            label=n.name,
            operator=n.operator,
            value=n.text(),
            gradient=n.text(gradient=True),
            exact_value=n.text(exact=True),
            exact_gradient=n.text(gradient=True, exact=True),
            module=n.module,
            source=n.source,
            tangent="" if forward is None else text(forward[n]),
        )
        for n in graph.nodes
    ]
    labels = locals and len(graph.edges) <= limit
    arrows = [
        Arrow(
            source=e.source.id,
            target=e.target.id,
            label=e.text() if labels else "",
            exact=e.text(exact=True) if labels else "",
            argument=e.argument,
        )
        for e in graph.edges
    ]
    return Picture(boxes, arrows, graph.title)
