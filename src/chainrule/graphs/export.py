"""A graph as text: a listing, JSON, DOT; and as a networkx graph.

The JSON document (``SCHEMA`` is its JSON Schema): ``version`` 1; ``title``; ``outputs``, numbers of nodes; ``nodes``
in the order of computation, each with ``id``, ``name``, ``kind``, ``operator`` ("" for a leaf), ``params``,
``shape``, ``dtype``, ``value`` and ``gradient`` (nested lists; null if unknown, or larger than the limit),
``module``, ``file``, ``line``;
``edges``, each with ``source``, ``target``, ``argument``, ``flows`` (whether gradients pass) and ``local`` (a number
for scalars, else null). NaN and infinities are the texts "NaN", "Infinity", "-Infinity", since JSON has no numbers for
them.
"""

import json
import math

import numpy as np

from .numbers import text

LARGEST_VALUE = 10_000  # elements of a value that is written out

_NUMBERS = {"anyOf": [{"type": ["null", "number", "boolean", "string"]}, {"type": "array", "items": {}}]}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "chainrule graph",
    "type": "object",
    "required": ["version", "title", "outputs", "nodes", "edges"],
    "properties": {
        "version": {"const": 1},
        "title": {"type": "string"},
        "outputs": {"type": "array", "items": {"type": "integer"}},
        "nodes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "name", "kind", "operator", "shape", "dtype", "value", "gradient"],
                "properties": {
                    "id": {"type": "integer"},
                    "name": {"type": "string"},
                    "kind": {"enum": ["input", "parameter", "constant", "operator", "output"]},
                    "operator": {"type": "string"},
                    "params": {"type": "object"},
                    "shape": {"type": ["array", "null"], "items": {"type": "integer"}},
                    "dtype": {"type": ["string", "null"]},
                    "value": _NUMBERS,
                    "gradient": _NUMBERS,
                    "module": {"type": "string"},
                    "file": {"type": "string"},
                    "line": {"type": "integer"},
                },
            },
        },
        "edges": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["source", "target", "argument", "flows", "local"],
                "properties": {
                    "source": {"type": "integer"},
                    "target": {"type": "integer"},
                    "argument": {"type": "integer"},
                    "flows": {"type": "boolean"},
                    "local": {"type": ["number", "null", "string"]},
                },
            },
        },
    },
}


def plain(x):
    """Numbers as JSON has them."""
    if isinstance(x, float) and not math.isfinite(x):
        return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"
    return [plain(v) for v in x] if isinstance(x, list) else x


def array(a, limit):
    if not isinstance(a, np.ndarray) or a.size > limit:
        return None
    return plain((a.astype(np.float32) if a.dtype.kind == "V" else a).tolist())


def document(graph, limit=LARGEST_VALUE, locals=True):
    """The graph as dicts and lists; see the module's text."""
    nodes = [
        {
            "id": n.id,
            "name": n.name,
            "kind": n.kind,
            "operator": n.operator,
            "params": {k: v if isinstance(v, (int, float, str, type(None))) else repr(v) for k, v in n.params.items()},
            "shape": None if n.shape is None else list(n.shape),
            "dtype": None if n.np_dtype is None else str(n.dtype),
            "value": array(n.value, limit),
            "gradient": array(n.gradient, limit),
            "module": n.module,
            "file": n.file,
            "line": n.line,
        }
        for n in graph.nodes
    ]
    edges = [
        {
            "source": e.source.id,
            "target": e.target.id,
            "argument": e.argument,
            "flows": e.flows,
            "local": local_number(e) if locals else None,
        }
        for e in graph.edges
    ]
    outputs = [n.id for n in graph.outputs]
    return {"version": 1, "title": graph.title, "outputs": outputs, "nodes": nodes, "edges": edges}


def local_number(edge):
    try:
        return plain(edge.local) if edge.scalar and edge.flows else None
    except RuntimeError:  # GradientError: the values were freed
        return None


def to_json(graph, limit=LARGEST_VALUE, indent=None):
    """The document as text."""
    return json.dumps(document(graph, limit), ensure_ascii=False, indent=indent, allow_nan=False)


_SHAPES = {
    "input": "ellipse",
    "parameter": "hexagon",
    "constant": "plaintext",
    "operator": "box",
    "output": "doubleoctagon",
}


def to_dot(graph):
    """DOT text, for Graphviz."""
    lines = ["digraph {", "  rankdir=LR;", '  node [fontname="sans-serif"]; edge [fontname="sans-serif"];']
    for n in graph.nodes:
        label = [n.name if n.name == n.operator or not n.operator else f"{n.name}: {n.operator}"]
        if n.value is not None and n.text() != n.name:
            label.append(n.text())
        if n.gradient is not None:
            label.append(f"∂ {n.text(gradient=True)}")
        lines.append(f"  n{n.id} [shape={_SHAPES[n.kind]}, label={quoted(chr(10).join(label))}];")
    for e in graph.edges:
        style = "" if e.flows else ", style=dashed"
        lines.append(f"  n{e.source.id} -> n{e.target.id} [label={quoted(e.text())}{style}];")
    return "\n".join([*lines, "}", ""])


def quoted(s):
    escaped = s.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def to_networkx(graph):
    """A ``networkx.MultiDiGraph``: nodes by number with the fields of GraphNode, edges with argument, flows and
    local."""
    import networkx

    found = networkx.MultiDiGraph(title=graph.title)
    for n in graph.nodes:
        fields = ("name", "kind", "operator", "value", "gradient", "shape", "dtype", "module", "file", "line")
        found.add_node(n.id, **{k: getattr(n, k) for k in fields})
    for e in graph.edges:
        found.add_edge(e.source.id, e.target.id, argument=e.argument, flows=e.flows, local=local_number(e))
    return found


def listing(graph, most=200):
    """One line per node: name, operator and arguments, shape, value, gradient, source line."""
    rows = [("", "node", "from", "shape", "value", "gradient", "module", "line")]
    nodes = graph.nodes
    skipped = len(nodes) - most
    shown = nodes if skipped <= 0 else [*nodes[: most // 2], None, *nodes[-most // 2 :]]
    for n in shown:
        if n is None:
            rows.append(("…", f"{skipped} more", "", "", "", "", "", ""))
            continue
        inputs = ", ".join(m.name for m in n.inputs[:6]) + (", …" if len(n.inputs) > 6 else "")
        shape = "" if not n.shape else "×".join(map(str, n.shape))
        made = f"{n.operator}({inputs})" if n.operator else n.kind
        rows.append((str(n.id), n.name, made, shape, short(n.text()), short(n.text(gradient=True)), n.module, n.source))
    keep = [i for i in range(len(rows[0])) if i < 3 or any(r[i] for r in rows[1:])]
    widths = [max(len(r[i]) for r in rows) for i in keep]
    lines = ["  ".join(f"{r[i]:<{w}}" for i, w in zip(keep, widths, strict=True)).rstrip() for r in rows]
    head = f"graph {graph.title!r}: " if graph.title else "graph: "
    return "\n".join([f"{head}{many(len(nodes), 'node')}, {many(len(graph.edges), 'edge')}", *lines])


def many(n, what):
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def short(s, most=44):
    return s if len(s) <= most else s[: most - 1] + "…"


__all__ = ["SCHEMA", "document", "listing", "text", "to_dot", "to_json", "to_networkx"]
