"""What a drawing needs to know about a graph, and nothing else: boxes with texts, arrows with texts.

The layout and the three ways to draw (SVG, terminal, page) read only this, so they know neither tensors nor operators.
"""

from dataclasses import dataclass, field

from ..errors import ArgumentValueError
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
    exact_tangent: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One edge, from a value to what was computed from it. Two boxes may have several: ``x * x``."""

    source: int  # Box.id
    target: int
    label: str = ""  # the local derivative, short
    exact: str = ""
    argument: int = 0  # which argument of the target it is


@dataclass(frozen=True, slots=True)
class Group:
    """A frame around boxes: an opened module. ``members``: the ids of those that stand directly in it."""

    label: str
    members: list[int]
    parent: int = -1  # the number of the group around it


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes in the order of computation (every arrow goes from an earlier to a later box) and arrows.

    groups: frames, outer ones before inner ones. notes: what the legend says of "tangent" and "gradient".
    """

    nodes: list[Box] = field(default_factory=list)
    edges: list[Arrow] = field(default_factory=list)
    title: str = ""
    groups: list[Group] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)


def picture(graph, *, forward=None, locals=True, limit=2000):
    """The Picture of a ``Graph``, with the gradients it holds.

    forward: a ForwardMode (from ``graph.forward_mode``), or what it is asked of: a leaf or its name. Its tangents stand
    beside the values, and the legend has the number of operations of both modes.
    locals: label the arrows with local derivatives, computed now; left out for graphs with more than ``limit`` edges.
    """
    notes = {}
    if forward is not None:
        if not hasattr(forward, "tangents"):
            forward = graph.forward_mode(forward)
        elif forward.source.graph is not graph:
            raise ArgumentValueError("picture: forward: this is the forward mode of another graph")
        notes = {
            "tangent": f"forward mode, ∂/∂{forward.source.name}: {forward.operations} operations",
            "gradient": f"reverse mode: {graph.reverse_operations()} operations",
        }
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
            tangent="" if forward is None or n.kind == "constant" else text(forward[n]),
            exact_tangent="" if forward is None or n.kind == "constant" else text(forward[n], True),
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
    return Picture(boxes, arrows, graph.title, notes=notes)
