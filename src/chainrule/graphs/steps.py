"""The computation step by step: what is computed from what, and backward, which gradient goes where by which rule."""

from dataclasses import dataclass

import numpy as np

from .numbers import factor, text
from .rules import derivative, formula, rule


@dataclass(frozen=True)
class ForwardStep:
    """One result: ``node`` is computed from ``inputs`` by ``operator``. ``str()`` gives ``q = x + y = 2 + 3 = 5``."""

    number: int
    node: object
    operator: str
    inputs: list
    result: object

    def __str__(self):
        names = [n.name if n is not None else "?" for n in self.inputs]
        values = [
            factor(n.value) if n is not None and n.size == 1 and n.value is not None else None for n in self.inputs
        ]
        shown = [f"{self.node.name} = {formula(self.node, names)}"]
        if values and None not in values and values != names:
            shown.append(formula(self.node, values))
        shown.append(text(self.result) or "?")
        return " = ".join(shown)


@dataclass(frozen=True)
class BackwardStep:
    """One contribution: the gradient of ``node`` passes to ``input`` by ``rule``; ``total`` is what the input has then.

    The first step of an output has no input: its gradient is what backward starts with.
    """

    number: int
    node: object
    input: object
    gradient: object
    local: object
    rule: str
    contribution: object
    total: object
    output: str
    first: bool

    def __str__(self):
        e = self.output
        if self.input is None:
            return f"∂{e}/∂{self.node.name} = {text(self.contribution)}"
        sign = "=" if self.first else "+="
        edge = self.node.incoming[[x.argument for x in self.node.incoming].index(self.local.argument)]
        names = [n.name if n is not None else "?" for n in arguments(self.node)]
        symbol = derivative(edge.target.call, edge.argument, names, edge.target.name)
        symbol = symbol if symbol and len(symbol) <= 40 else f"∂{self.node.name}/∂{self.input.name}"
        if " " in symbol:
            symbol = f"({symbol})"
        head = f"∂{e}/∂{self.input.name} {sign} ∂{e}/∂{self.node.name} · {symbol}"
        if edge.scalar:
            shown = f"{factor(self.gradient)}·{factor(edge.local)} = {text(self.contribution)}"
        else:
            shown = text(self.contribution)
        more = "" if self.first else f", in all {text(self.total)}"
        return f"{head} = {shown}{more}"


def arguments(node):
    return [None if k is None else node.graph.nodes[k] for k in node.call.inputs]


def forward_steps(graph):
    """Iterate over the results in the order in which they were computed."""
    number = 0
    for n in graph.nodes:
        if n.call is not None:
            number += 1
            yield ForwardStep(number, n, n.operator, arguments(n), n.value)


def backward_steps(graph):
    """Iterate over the contributions to gradients, newest node first."""
    graph.need_gradients()
    number, have = 0, {}
    outputs = {n.id: g for n, g in zip(graph.outputs, graph._seed, strict=True)}
    name = graph.outputs[0].name if len(graph.outputs) == 1 else "outputs"
    for n in reversed(graph.nodes):
        if n.id in outputs and n.gradient is not None:
            number += 1
            g = outputs[n.id]
            have[n.id] = g if n.id not in have else have[n.id] + g
            yield BackwardStep(number, n, None, g, None, "the start of the backward pass", g, g, name, True)
        if n.gradient is None or n.call is None:
            continue
        for edge in n.incoming:
            if not edge.flows:
                continue
            part = contribution(edge, n.gradient)
            before = have.get(edge.source.id)
            batch = hasattr(part, "bind")  # of vmap: such parts can't be added here
            have[edge.source.id] = edge.source.gradient if batch else part if before is None else before + part
            number += 1
            yield BackwardStep(
                number, n, edge.source, n.gradient, edge, rule(n.call, edge.argument), part, have[edge.source.id], name,
                before is None,
            )  # fmt: skip


def contribution(edge, g):
    part = edge.pull(g)
    if part is None:
        return np.zeros(edge.source.shape, edge.source.np_dtype)
    return part
