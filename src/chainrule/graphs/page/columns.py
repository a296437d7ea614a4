"""A graph as the page reads it: columns of numbers in base64, and every text, shape and place once.

The document is JSON. ``nodes`` and ``edges`` are columns, an entry per node or edge in the graph's order; a column of
whole numbers is their bytes each (1, 2 or 4) and the base64 of a little-endian array of them; floats have 8 bytes.
Names, operators and modules are positions in ``texts``; ``shape``, ``params`` and ``place`` are positions in lists of
their own. A value stands in ``pool`` from ``at`` on: all of it where ``held`` is 1, or where it is 2 what can be said
of it (minimum, maximum, mean, standard deviation, and the first ``SAMPLE`` elements); 0: not known.
"""

import base64
import linecache
import math
import os

import numpy as np

from ...errors import ChainruleError
from ..rules import rule
from ..theme import clean

SAMPLE = 8  # elements of a large value that are shown
LIMITS = (4096, 1024, 256, 64, 16, 4, 1)  # elements of a value that is held in full: the first that the budget allows
BUDGET = 200_000  # elements of values held in full, in all
LOCALS = 20_000  # edges up to which local derivatives are computed
DENSE = 64  # elements of a Jacobian that is written out
DENSE_EDGES = 400  # edges up to which Jacobians are written out
KINDS = ("input", "parameter", "constant", "operator", "output")
_NOTHING, _FULL, _SUMMARY = 0, 1, 2


class Texts:
    """Hashable things by number, each once."""

    def __init__(self):
        self.found = {}

    def __call__(self, key):
        return self.found.setdefault(key, len(self.found))

    def __iter__(self):
        return iter(self.found)


class Pool:
    """Values one after the other; ``add`` gives what stands in the columns ``held`` and ``at``."""

    def __init__(self, limit):
        self.limit, self.parts, self.length = limit, [], 0

    def add(self, a):
        if not isinstance(a, np.ndarray) or a.dtype.kind not in "fiubV":
            return _NOTHING, 0
        a = a.astype(np.float32) if a.dtype.kind == "V" else a
        full = a.size <= self.limit or a.size <= 1
        at = self.length
        part = a.reshape(-1).astype(np.float64) if full else summary(a)
        self.parts.append(part)
        self.length += part.size
        return (_FULL if full else _SUMMARY), at

    def column(self):
        return floats(np.concatenate(self.parts) if self.parts else [])


def summary(a):
    """Minimum, maximum, mean, standard deviation and the first elements."""
    flat = a.reshape(-1)
    with np.errstate(all="ignore"):
        numbers = [flat.min(), flat.max(), flat.mean(dtype=np.float64), flat.std(dtype=np.float64)]
    return np.concatenate([np.asarray(numbers, np.float64), flat[:SAMPLE].astype(np.float64)])


def packed(column):
    """A column of whole numbers as text: the bytes that the largest needs, and all of them in base64."""
    a = np.asarray(column, np.int32)
    size = 1 if not a.size else next(k for k in (1, 2, 4) if -(1 << 8 * k - 1) <= a.min() and a.max() < 1 << 8 * k - 1)
    return f"{size}{base64.b64encode(a.astype(f'<i{size}').tobytes()).decode('ascii')}"


def floats(column):
    return base64.b64encode(np.asarray(column, "<f8").tobytes()).decode("ascii")


def document(graph, most):
    """The graph as dicts and lists of the kind that JSON holds. most: how many boxes the page opens with."""
    texts, shapes, places, params = Texts(), Texts(), Texts(), Texts()
    pool = Pool(limit(graph))
    gradients, seeds = gradients_of(graph)
    n, columns = len(graph.nodes), {}
    for name in ("kind", "name", "operator", "module", "shape", "dtype", "place", "params", "call", "arity", "nr"):
        columns[name] = [0] * n
    for name in ("flags", "held", "at", "gradient_held", "gradient_at"):
        columns[name] = [0] * n
    values, exact, family = {}, {}, {}
    for i, node in enumerate(graph.nodes):
        call = node.call
        columns["kind"][i] = KINDS.index(node.kind)
        columns["name"][i] = texts(clean(node.name))
        columns["operator"][i] = texts(node.operator)
        columns["module"][i] = texts(clean(node.module))
        columns["shape"][i] = -1 if node.shape is None else shapes(tuple(node.shape))
        columns["dtype"][i] = texts("" if node.np_dtype is None else str(node.dtype).removeprefix("torch."))
        columns["place"][i] = -1 if not node.file else places((node.file, node.line))
        columns["flags"][i] = node.requires_grad + 2 * node.weak
        columns["call"][i], columns["arity"][i], columns["nr"][i] = -1, 0, node.nr
        columns["params"][i] = -1
        if call is not None:
            columns["call"][i], columns["arity"][i] = graph.position(call), len(call.inputs)
            if call.params:
                columns["params"][i] = params(tuple([(k, Plain(v)) for k, v in call.params.items()]))
            if call.primitive is not None:
                family[node.operator] = call.primitive.family
        columns["held"][i], columns["at"][i] = pool.add(node.value)
        columns["gradient_held"][i], columns["gradient_at"][i] = pool.add(gradients[i])
        large = whole(node.value)
        if large:
            exact[i] = large
        elif node.value is not None and not columns["held"][i]:
            values[i] = clean(node.text())
    return {
        "version": 1,
        "title": clean(graph.title),
        "most": most,
        "outputs": [node.id for node in graph.outputs],
        "count": n,
        "nodes": {name: packed(column) for name, column in columns.items()},
        "edges": edge_columns(graph, texts),
        "pool": pool.column(),
        "seeds": seeds,
        "texts": list(texts),
        "shapes": [list(s) for s in shapes],
        "places": [[os.path.basename(file), line, source_line(graph, file, line)] for file, line in places],
        "params": [{k: v.plain() for k, v in p} for p in params],
        "shown": values,
        "exact": exact,
        "families": family,
    }


def limit(graph):
    """How many elements a value may have that is held in full."""
    sizes = np.array([node.size for node in graph.nodes], np.int64)
    return next((most for most in LIMITS if sizes[sizes <= most].sum() <= BUDGET), 1)


def gradients_of(graph):
    """``(gradient per node, what backward starts with)``; computed if they were not, and then taken away again."""
    filled = graph._seed is not None
    if not filled:
        try:
            graph.backward()
        except (ChainruleError, RuntimeError):  # an output of several elements, or nothing to differentiate
            for node in graph.nodes:
                node.gradient = None
            graph._seed = None
            return [None] * len(graph.nodes), None
    found = [node.gradient for node in graph.nodes]
    seeds = [numbers(seed) for seed in graph._seed] if all(s.size <= LIMITS[0] for s in graph._seed) else None
    if not filled:
        for node in graph.nodes:
            node.gradient = None
        graph._seed = None
    return found, seeds


def numbers(a):
    """An array's elements, flat, as JSON has them."""
    return [number(x) for x in np.asarray(a, np.float64).reshape(-1).tolist()]


def number(x):
    return x if math.isfinite(x) else "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"


def whole(a):
    """Integers that a float cannot hold, as text; "" for everything else."""
    if isinstance(a, np.ndarray) and a.dtype.kind in "iu" and a.size == 1 and abs(int(a.reshape(-1)[0])) > 2**53:
        return str(int(a.reshape(-1)[0]))
    return ""


def edge_columns(graph, texts):
    edges = graph.edges
    local, known, rules, dense = [0.0] * len(edges), [0] * len(edges), [-1] * len(edges), {}
    compute = len(edges) <= LOCALS
    seen = {}
    for i, edge in enumerate(edges):
        if not edge.flows:
            continue
        call = edge.target.call
        key = (call.primitive, len(call.inputs), columns_key(call), edge.argument)
        if key not in seen:
            seen[key] = texts(rule(call, edge.argument))
        rules[i] = seen[key]
        if not compute:
            continue
        try:
            if edge.scalar:
                local[i], known[i] = edge.local, 1
            elif len(edges) <= DENSE_EDGES and 0 < edge.source.size * edge.target.size <= DENSE:
                dense[i] = numbers(edge.jacobian())
        except (ChainruleError, RuntimeError, TypeError):  # its values were freed, or stand for a batch
            continue
    return {
        "source": packed([e.source.id for e in edges]),
        "target": packed([e.target.id for e in edges]),
        "argument": packed([e.argument for e in edges]),
        "flows": packed([e.flows for e in edges]),
        "known": packed(known if compute else []),
        "local": floats(local if compute else []),
        "rule": packed(rules),
        "dense": dense,
    }


def columns_key(call):
    return tuple([(k, Plain(v)) for k, v in (call.params or {}).items()])


class Plain:
    """A parameter's value, hashable by what it looks like."""

    __slots__ = ("text", "value")

    def __init__(self, value):
        self.value, self.text = value, repr(value)

    def __hash__(self):
        return hash(self.text)

    def __eq__(self, other):
        return self.text == other.text

    def plain(self):
        return parameter(self.value)


def parameter(x):
    """A parameter as JSON: slices as ``{"slice": [start, stop, step]}``, ``...`` and the like as ``{"text": …}``."""
    if x is None or isinstance(x, (bool, str)):
        return clean(x) if isinstance(x, str) else x
    if isinstance(x, (int, np.integer)):
        return int(x)
    if isinstance(x, (float, np.floating)):
        return number(float(x))
    if isinstance(x, (tuple, list)):
        return [parameter(v) for v in x]
    if isinstance(x, slice):
        return {"slice": [x.start, x.stop, x.step]}
    if isinstance(x, np.dtype):
        return {"dtype": str(x)}
    return {"text": "..." if x is Ellipsis else clean(repr(x)[:200])}


def source_line(graph, file, line):
    """The text of a line of the user's program: what is read there, if it can still be found."""
    if file == "expression":
        return clean(graph.title)
    return clean(linecache.getline(file, line).strip()[:400])
