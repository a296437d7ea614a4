"""Questions to a graph: who leads where, nodes of a kind, extreme gradients, parts of it, and two graphs compared."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from .call import Call
from .collecting import uncollected
from .elements import GraphNode
from .paths import following, leading


def ancestors(graph, node):
    """The nodes that ``node`` was computed from, directly or not."""
    found = leading(node, flows=False)
    return [graph.nodes[k] for k in sorted(found) if k != node.id]


def descendants(graph, node):
    """The nodes computed from ``node``, directly or not."""
    found = following(node, flows=False)
    return [graph.nodes[k] for k in sorted(found) if k != node.id]


def between(graph, start, end):
    """The nodes on the ways from ``start`` to ``end``, ends included."""
    found = following(start, flows=False) & leading(end, start.id, flows=False)
    return [graph.nodes[k] for k in sorted(found)]


def find(graph, operator=None, name=None, module=None, source=None, kind=None):
    """The nodes that match everything that is given; see Graph.find."""

    def fits(n):
        return (
            (operator is None or fnmatchcase(n.operator.partition("[")[0], operator))
            and (name is None or fnmatchcase(n.name, name))
            and (kind is None or n.kind == kind)
            and (
                module is None
                or n.module == module
                or n.module.startswith(module + ".")
                or fnmatchcase(n.module, module)
            )
            and (
                source is None or source in (n.line, n.source, n.file, n.source.partition(":")[0], f"{n.file}:{n.line}")
            )
        )

    return [n for n in graph.nodes if fits(n)]


def unreached(graph):
    """Inputs and parameters with no path along which a gradient could come from an output."""
    leads, stack = set(), list(graph.outputs)
    while stack:
        n = stack.pop()
        if n.id not in leads:
            leads.add(n.id)
            stack += [e.source for e in n.incoming if e.flows]
    return [n for n in graph.nodes if n.call is None and n.requires_grad and n.id not in leads]


def by_gradient(graph, count, largest):
    """The nodes with the largest (or smallest) gradients, by their largest element."""
    graph.need_gradients()
    found = [(float(np.abs(n.gradient).max()), n) for n in graph.nodes if n.gradient is not None and n.size]
    # A NaN is what one looks for first among the largest.
    key = (lambda p: (not np.isnan(p[0]), -p[0])) if largest else (lambda p: (np.isnan(p[0]), p[0]))
    return [n for _, n in sorted(found, key=key)[:count]]


@uncollected()
def subgraph(graph, nodes):
    """A new graph of ``nodes``; what they were computed from outside of it becomes a leaf."""
    keep = {n.id for n in nodes}
    order, made = [], set()
    for call in graph.calls:
        if keep & set(call.outputs.values()):
            made |= keep & set(call.outputs.values())
            keep |= {k for k in call.inputs if k is not None}
    result = type(graph)(graph.title)
    ids = {}
    for k in sorted(keep):
        old = graph.nodes[k]
        n = GraphNode(result, len(ids), old.kind)
        for field in GraphNode.PLAIN:
            setattr(n, field, getattr(old, field))
        n.gradient = None
        if k not in made and old.call is not None:
            n.operator, n.kind, n.nr = "", "input" if n.requires_grad else "constant", 0
        ids[k] = n.id
        result.nodes.append(n)
        order.append(old)
    for call in graph.calls:
        outs = {nr: ids[k] for nr, k in call.outputs.items() if k in made}
        if outs:
            copy = Call.restore(call.state())
            copy.borrowed = call.borrowed
            copy.inputs = tuple([None if k is None else ids[k] for k in call.inputs])
            copy.outputs = outs
            result.calls.append(copy)
            for k in outs.values():
                result.nodes[k].call = copy
    read = {k for c in result.calls for k in c.inputs}
    result.outputs = [n.id for n in result.nodes if n.call is not None and n.id not in read] or [
        n.id for n in result.nodes if n.id not in read
    ]
    for k in result.outputs:
        if result.nodes[k].call is not None:
            result.nodes[k].kind = "output"
    for n in result.nodes:
        if n.kind == "output" and n.id not in result.outputs:
            n.kind = "operator"
    result.complete()
    result.index_names()
    return result


@dataclass(frozen=True)
class Difference:
    """What distinguishes one graph from another.

    added, removed: nodes only the other, or only this one has.  changed: ``(node here, node there, what)``, with what a
    list of "operator", "shape", "dtype", "value", "gradient", "inputs".
    """

    added: list
    removed: list
    changed: list

    def __bool__(self):
        return bool(self.added or self.removed or self.changed)

    def __str__(self):
        lines = [f"+ {n.name}  {n.operator or n.kind}" for n in self.added]
        lines += [f"- {n.name}  {n.operator or n.kind}" for n in self.removed]
        for a, b, what in self.changed:
            shown = f"  {a.text()} → {b.text()}" if "value" in what else ""
            if "gradient" in what:
                shown += f"  ∂ {a.text(gradient=True) or 'none'} → {b.text(gradient=True) or 'none'}"
            lines.append(f"~ {a.name}  {', '.join(what)}{shown}")
        return "\n".join(lines) or "no difference"


def compare(graph, other):
    """Match nodes by name (made unique by order), then say what is different; see Graph.compare."""
    here, there = keyed(graph), keyed(other)
    changed = []
    for key, a in here.items():
        b = there.get(key)
        if b is None:
            continue
        what = [k for k in ("operator", "shape", "np_dtype", "kind") if getattr(a, k) != getattr(b, k)]
        what = ["dtype" if k == "np_dtype" else k for k in what]
        what += [k for k in ("value", "gradient") if not same(getattr(a, k), getattr(b, k))]
        if [n.name for n in a.inputs] != [n.name for n in b.inputs]:
            what.append("inputs")
        if what:
            changed.append((a, b, what))
    return Difference(
        [n for k, n in there.items() if k not in here], [n for k, n in here.items() if k not in there], changed
    )


def keyed(graph):
    seen, found = {}, {}
    for n in graph.nodes:
        k = seen.get(n.name, 0)
        seen[n.name] = k + 1
        found[(n.name, k)] = n
    return found


def same(a, b):
    if a is None or b is None:
        return a is b
    return np.shape(a) == np.shape(b) and bool(np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f"))
