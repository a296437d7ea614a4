"""What a computation costs: operations and bytes per node, and how much memory the backward pass needs at its peak."""

import math
from dataclasses import dataclass

import numpy as np

from .counts import operations
from .forward import reverse_count


@dataclass(frozen=True)
class NodeCost:
    """One node: floating-point operations to compute it, bytes of its value, bytes its rule keeps for backward."""

    node: object
    operations: int
    bytes: int
    saved: int


@dataclass(frozen=True)
class Cost:
    """The cost of a graph; ``str()`` gives a table of the dearest nodes.

    operations: of forward, in all.  backward_operations: multiplications and additions of a reverse sweep.
    bytes: of all values.  saved: bytes kept for backward (each array counted once).
    peak: most bytes held at one time during backward: what is still kept, and the gradients on their way.
    """

    nodes: list
    operations: int
    backward_operations: int
    bytes: int
    saved: int
    peak: int

    def __str__(self):
        rows = [("node", "operator", "operations", "bytes", "kept for backward")]
        for c in sorted(self.nodes, key=lambda c: (-c.operations, -c.bytes))[:20]:
            rows.append((c.node.name, c.node.operator, str(c.operations), str(c.bytes), str(c.saved)))
        widths = [max(len(r[i]) for r in rows) for i in range(5)]
        lines = ["  ".join(f"{t:<{w}}" for t, w in zip(r, widths, strict=True)).rstrip() for r in rows]
        if len(self.nodes) > 20:
            lines.append(f"… and {len(self.nodes) - 20} more")
        return "\n".join(
            [
                *lines,
                f"forward {self.operations} operations, backward {self.backward_operations}",
                f"values {self.bytes} bytes, kept for backward {self.saved}, peak of backward {self.peak}",
            ]
        )


def cost(graph):
    """See Graph.cost."""
    found, held = [], {}  # held: node whose value is kept -> the calls that keep it
    extra, total = {}, 0  # bytes of results that no node shows: by call, those that its rule reads; in all
    for i, call in enumerate(graph.calls):
        kept = keeps(graph, call)
        for k in kept:
            held.setdefault(k, []).append(i)
        unread = hidden(call)
        extra[i] = unread if reads_outputs(call) else 0
        total += unread
        own = sum(size(graph.nodes[k]) for k in kept) + extra[i]
        for nr, k in call.outputs.items():
            n, first = graph.nodes[k], nr == min(call.outputs)  # what the call takes stands at its first result
            found.append(NodeCost(n, operations(graph, call) if first else 0, size(n), own if first else 0))
    saved = sum(size(graph.nodes[k]) for k in held) + sum(extra.values())
    return Cost(
        found,
        sum(c.operations for c in found),
        sum(reverse_count(graph)),
        sum(size(n) for n in graph.nodes) + total,
        saved,
        peak(graph, held, saved, extra),
    )


def size(node):
    """Bytes of a value."""
    return node.size * (1 if node.np_dtype is None else node.np_dtype.itemsize)


def keeps(graph, call):
    """The ids of the values that a call's rule reads."""
    prim = call.primitive
    if prim is None or True not in call.wanted:
        return set()
    plan = prim.plan(call.wanted)
    kept = {k for k, p in zip(call.inputs, plan[1:], strict=False) if p and k is not None}
    return kept | set(call.outputs.values()) if plan and plan[0] else kept


def reads_outputs(call):
    """Whether a call's rule reads what the call computed."""
    plan = call.primitive.plan(call.wanted) if call.primitive is not None and True in call.wanted else ()
    return bool(plan and plan[0])


def hidden(call):
    """Bytes of those of several results that nobody reads and no node shows."""
    shown = [spec for nr, spec in enumerate(call.specs) if nr not in call.outputs and spec and spec[1] is not None]
    return sum([math.prod(shape) * dtype.itemsize for shape, dtype in shown])


def peak(graph, held, saved, extra):
    """Walk the backward pass and add up what is alive: kept values until their last rule ran, gradients until used."""
    leads, stack = {n.id for n in graph.outputs}, list(graph.outputs)
    while stack:
        for e in stack.pop().incoming:
            if e.flows and e.source.id not in leads:
                leads.add(e.source.id)
                stack.append(e.source)
    waiting = {k: len(calls) for k, calls in held.items()}
    alive = {n.id for n in graph.outputs if n.requires_grad}
    now = saved + sum(size(graph.nodes[k]) for k in alive)
    most = now
    keepers = {}
    for k, calls in held.items():
        for i in calls:
            keepers.setdefault(i, []).append(k)
    for i in range(len(graph.calls) - 1, -1, -1):
        call = graph.calls[i]
        outs = [k for k in call.outputs.values() if k in alive]
        if not outs:
            continue
        for k, w in zip(call.inputs, call.wanted, strict=True):
            if w and k is not None and k not in alive and graph.nodes[k].requires_grad:
                alive.add(k)
                now += size(graph.nodes[k])
        most = max(most, now)
        for k in keepers.get(i, ()):
            waiting[k] -= 1
            if waiting[k] == 0:
                now -= size(graph.nodes[k])
        now -= extra[i]
        for k in outs:
            alive.discard(k)
            now -= size(graph.nodes[k])
    return int(np.int64(most))
