"""Forward mode on the same graph: tangents pushed from one leaf to everything it reaches, beside reverse mode."""

from dataclasses import dataclass, field

import numpy as np

from ..errors import ArgumentValueError, ShapeError, UnsupportedError
from .call import push_node
from .counts import multiplications
from .numbers import text
from .paths import following


@dataclass(frozen=True)
class ForwardMode:
    """What one forward sweep found.

    tangents: ``{node: how it changes when ``source`` changes along the direction}``.  operations: edges passed, as
    multiplications and additions of numbers.
    """

    source: object
    tangents: dict = field(repr=False)
    multiplications: int = 0
    additions: int = 0

    @property
    def operations(self):
        return self.multiplications + self.additions

    def __getitem__(self, node):
        """The tangent of a node (or of the node of that name): an array, zeros where nothing changes."""
        node = self.source.graph.node(node)
        found = self.tangents.get(node)
        return np.zeros(node.shape, node.np_dtype) if found is None else found

    def __str__(self):
        lines = [f"∂{n.name}/∂{self.source.name} = {text(t)}" for n, t in self.tangents.items()]
        return "\n".join([*lines, f"{self.multiplications} multiplications, {self.additions} additions"])


def forward_mode(graph, source, direction=None):
    """Push a tangent from ``source``; see Graph.forward_mode."""
    if not source.requires_grad:
        raise ArgumentValueError(f"forward_mode: nothing is differentiated with respect to {source.name!r}")
    if direction is None:
        if source.size != 1:
            raise ArgumentValueError(
                f"forward_mode: {source.name!r} has shape {source.shape}; give direction=, an array of that shape"
            )
        direction = np.ones(source.shape)
    direction = np.array(getattr(direction, "_data", direction), source.np_dtype)
    if direction.shape != source.shape:
        raise ShapeError(f"forward_mode: expected a direction of shape {source.shape}, got {direction.shape}")
    if any(hasattr(n.value, "bind") for n in graph.nodes):
        raise UnsupportedError("forward_mode: the graph leads through vmap; make it of the function without vmap")
    made, _ = graph.replicas()
    tangents = {source.id: direction}
    for i, call in enumerate(graph.calls):
        moving = [tangents.get(k) if w else None for k, w in zip(call.inputs, call.wanted, strict=True)]
        if made[i] is None or all(t is None for t in moving) or source.id in call.outputs.values():
            continue
        for nr, t in enumerate(push_node(made[i], moving)):
            if t is not None and nr in call.outputs:
                tangents[call.outputs[nr]] = t
    reached = following(source)
    times, plus = count([e for e in graph.edges if e.flows and e.source.id in reached], "target")
    return ForwardMode(source, {graph.nodes[k]: t for k, t in tangents.items()}, times, plus)


def reverse_count(graph):
    """``(multiplications, additions)`` of one reverse sweep from all outputs."""
    leads, stack = {n.id for n in graph.outputs}, list(graph.outputs)
    while stack:
        for e in stack.pop().incoming:
            if e.flows and e.source.id not in leads:
                leads.add(e.source.id)
                stack.append(e.source)
    return count([e for e in graph.edges if e.flows and e.target.id in leads], "source")


def count(edges, end):
    """One multiplication per number and edge (more for products of matrices), an addition wherever two edges meet."""
    times, plus, seen = 0, 0, set()
    for e in edges:
        times += work(e)
        n = getattr(e, end)
        if n.id in seen:
            plus += n.size
        seen.add(n.id)
    return times, plus


def work(edge):
    """Multiplications that one edge costs in either mode: those of the product, else one per number."""
    call = edge.target.call
    if edge.argument != _BIAS.get(call.operator, -1):
        found = multiplications(edge.target.graph, call)
        if found is not None:
            return found
    return max(edge.source.size, edge.target.size)


_BIAS = {"linear": 2, "convolution": 2}
