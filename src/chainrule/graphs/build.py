"""From tensors (and what a tracer saw) to a Graph."""

import numpy as np

from ..errors import InPlaceError
from ..nn.parameter import Parameter
from ..node import Node, site_location, topological
from ..primitive.base import edge_of
from .call import Call, run
from .collecting import uncollected
from .data import Graph
from .elements import GraphNode
from .names import constant_operand, stored_name
from .numbers import text
from .trace import Tracer, snapshot


class Builder:
    """Collects calls in the order in which they were made, then numbers values and calls.

    A value's key: ``(node, output number)``, a leaf tensor, or for what was not recorded the tracer's key.
    """

    def __init__(self, tracer=None, title="", around=None):
        self.tracer = tracer or Tracer()
        self.around = around  # the call of ``graph``: what is assigned there is the graph
        self.graph = Graph(title)
        self.ids = {}
        self.site_of = []  # per call
        self.stale = False

    @uncollected()
    def build(self, outputs, names=(), inputs=(), modules=None):
        """outputs: tensors.  names: ``[(name, tensor)]``.  inputs: leaves that are shown even if nothing uses them."""
        graph = self.graph
        self.modules = modules or {}
        for name, t in inputs:
            n = graph.nodes[self.leaf(t)]
            n.name = name
            n.module = self.modules.get(id(t), "")
        roots = [(edge_of(t), t) for t in outputs]
        nodes = topological([e for e, _ in roots if isinstance(e, Node)])
        for made in self.ordered(nodes, [t for e, t in roots if not isinstance(e, Node)]):
            if isinstance(made, Node):
                self.add_node(made)
            else:
                self.add_record(made)
        for edge, t in roots:
            k = self.leaf_or_made(edge, t)
            graph.outputs.append(k)
            if graph.nodes[k].call is not None:
                graph.nodes[k].kind = "output"
                if not self.stale and graph.nodes[k].value is None:
                    graph.nodes[k].value = snapshot(t._data)
        found = self.given(names)
        if self.stale:
            self.forget()
        found = self.prune(found)
        graph.complete()
        self.fill()
        self.name_all(found)
        return graph

    # ---- which calls

    def ordered(self, nodes, plain):
        """Nodes and, where something unrecorded led to them, the tracer's records, oldest first."""
        made, records = self.tracer.made, {}
        stack = [self.tracer.key(t) for t in plain]
        for node in nodes:
            record = self.tracer.by_node.get(node)
            if record is not None:
                stack += [x for x, e in zip(record.inputs, node.edges, strict=False) if e is None and type(x) is tuple]
        seen = set()
        while stack:
            key = stack.pop()
            if key in seen or key not in made:
                continue
            seen.add(key)
            record = made[key][0]
            if id(record) not in records and not self.recorded(record):
                records[id(record)] = record
                stack += [x for x in record.inputs if type(x) is tuple]
        # What led to an unrecorded call may be recorded, and then not among the nodes (a detached part).
        extra = {}
        for record in records.values():
            for key in record.inputs:
                if type(key) is tuple and key in made:
                    node = made[key][0].tensors[made[key][1]]._node
                    if node is not None:
                        extra[node] = None
        known = set(nodes)
        nodes = nodes + [n for n in topological(list(extra)) if n not in known]
        return sorted([*nodes, *records.values()], key=lambda x: x.seq)

    @staticmethod
    def recorded(record):
        return any(t._node is not None for t in record.tensors)

    # ---- values

    def new(self, key, kind, value, requires_grad=False):
        graph = self.graph
        n = GraphNode(graph, len(graph.nodes), kind)
        if value is not None:
            n.value = value
            n.shape, n.np_dtype = tuple(value.shape), value.dtype
        n.requires_grad = requires_grad
        graph.nodes.append(n)
        if key is not None:
            self.ids[key] = n.id
        return n

    def leaf(self, t):
        """The id of a leaf tensor (or of a constant)."""
        key = t if t._requires_grad else ("data", id(t._data))
        if key in self.ids:
            return self.ids[key]
        kind = "parameter" if isinstance(t, Parameter) else "input" if t._requires_grad else "constant"
        n = self.new(key, kind, snapshot(t._data), t._requires_grad)
        n.name = t.name or ""
        return n.id

    def leaf_or_made(self, edge, t):
        if isinstance(edge, Node):
            return self.ids[(edge, t._output_nr)]
        if edge is None:
            k = self.plain(self.tracer.key(t))
            if k is not None:
                return k
        return self.leaf(t)

    def plain(self, key):
        """The id of an unrecorded tensor by the tracer's key, or None."""
        if key in self.tracer.made:
            record, nr = self.tracer.made[key]
            t = record.tensors[nr]
            return self.ids.get((record, nr) if t._node is None else (t._node, t._output_nr))
        constant = self.tracer.constants.get(key)
        if constant is None:
            return None
        t = constant.tensor
        if t in self.ids:
            return self.ids[t]
        place = ("data", id(t._data))
        if place not in self.ids:
            n = self.new(place, "constant", constant.value)
            n.name = t.name or ""
        return self.ids[place]

    def number(self, x):
        n = self.new(None, "constant", np.asarray(x))
        n.weak = True
        n.name = text(n.value)
        return n.id

    # ---- calls

    def add_node(self, node):
        """One node of the engine."""
        record = self.tracer.by_node.get(node)
        prim = node.primitive
        try:
            values = node.unpack(False) if prim is not None else None
        except InPlaceError:
            values, self.stale = None, True
        except RuntimeError:  # freed
            values = None
        several = node.outputs != 1
        inputs, shapes = [], node.shapes
        nrs = node.nrs or (0,) * len(node.edges)
        for i, (edge, nr) in enumerate(zip(node.edges, nrs, strict=True)):
            saved = None if values is None or i + 1 >= len(values) else values[i + 1]
            if isinstance(edge, Node):
                k = self.ids[(edge, nr)]
            elif edge is not None:
                k = self.leaf(edge)
            else:
                k = self.constant(node, record, i, saved)
            inputs.append(k)
            n = None if k is None else self.graph.nodes[k]
            if n is not None and n.value is None and isinstance(saved, np.ndarray):
                n.value = snapshot(saved)
            if n is not None and n.shape is None and shapes is not None and shapes[i] is not None:
                n.shape = tuple(shapes[i])
        call = Call(
            prim.name if prim is not None else type(node).__name__.removesuffix("Backward"),
            prim,
            type(node).__name__,
            tuple(inputs),
            node.params,
            tuple([e is not None for e in node.edges]),
            list(node.meta["outputs"]) if several else [tuple(node.result or (None, None))],
        )
        if shapes is not None and prim is not None and prim.family != "pointwise":
            call.absent = tuple([i for i, s in enumerate(shapes) if s is None])
        if prim is None or is_foreign(values):
            call.borrowed = node
        saved = None if values is None or not values else values[0]
        results = record.outputs if record is not None else None
        if several and results is None and saved is not None and prim is not None:
            results = list(saved)
        if several:
            call.result = results
            found = results or [None] * len(call.specs)
        else:
            found = [results[0] if results is not None else saved]
        self.finish(call, [(node, i) for i in range(len(found))], found, node.site, record, True)

    def add_record(self, record):
        """One call that recorded nothing: comparisons, integers, what is under no_grad."""
        inputs = []
        for x in record.inputs:
            inputs.append(None if x is None else self.plain(x) if type(x) is tuple else self.number(x))
        specs = [(a.shape, a.dtype) for a in record.outputs]
        call = Call(
            record.primitive.name, record.primitive, "", tuple(inputs), record.params, (False,) * len(inputs), specs
        )
        call.absent = tuple([i for i, x in enumerate(record.inputs) if x is None])
        if len(record.outputs) > 1 or record.primitive.outputs != 1:
            call.result = record.outputs
        keys = [(record, i) for i in range(len(record.outputs))]
        self.finish(call, keys, record.outputs, record.site, record, False)

    def finish(self, call, keys, values, site, record, recorded):
        several = len(keys) > 1
        for nr, (key, value) in enumerate(zip(keys, values, strict=True)):
            spec = call.specs[nr] if nr < len(call.specs) else None
            floating = spec is None or spec[1] is None or spec[1].kind in "fV"
            if value is None:
                value = self.tracer.seen.get(key)
            n = self.new(key, "operator", snapshot(value), recorded and floating)
            if n.shape is None and spec is not None:
                n.shape, n.np_dtype = spec
            n.call, n.nr = call, nr
            n.operator = f"{call.operator}[{nr}]" if several else call.operator
            n.module = "" if record is None else record.module
            place = site if record is None else record.site
            if type(place) is int:
                n.file, n.line = "expression", place
            elif place is not None:
                n.file, n.line, _ = site_location(place)
            call.outputs[nr] = n.id
        self.graph.calls.append(call)
        self.site_of.append(site if type(site) is tuple else None)

    def constant(self, node, record, i, saved):
        """The id of an argument no gradient flows to; None if there is none, or nothing is known of it."""
        if record is not None and i < len(record.inputs):
            x = record.inputs[i]
            return None if x is None else self.plain(x) if type(x) is tuple else self.number(x)
        if isinstance(saved, (int, float)):
            return self.number(saved)
        tensors = node.tensors
        if tensors is not None and i < len(tensors) and tensors[i] is not None:
            return self.leaf(tensors[i]) if not tensors[i]._requires_grad else self.copy_of(saved)
        if isinstance(saved, np.ndarray):
            return self.copy_of(saved)
        if node.site is not None:
            x = constant_operand(node.site, i)
            if x is not None:
                return self.number(x)
        if node.shapes is not None and node.shapes[i] is None:
            return None
        n = self.new(None, "constant", None)
        n.shape = tuple(node.shapes[i]) if node.shapes is not None else None
        n.name = "?"
        return n.id

    def copy_of(self, a):
        n = self.new(("data", id(a)), "constant", snapshot(a)) if ("data", id(a)) not in self.ids else None
        return self.ids[("data", id(a))] if n is None else n.id

    # ---- what is not known yet

    def given(self, names):
        """``{id: name}`` for the user's variables; their tensors also give values."""
        found = {}
        for name, t in names:
            node = t._node
            key = (node, t._output_nr) if node is not None else t if t._requires_grad else ("data", id(t._data))
            k = self.ids.get(key)
            if k is None:
                continue
            found.setdefault(k, name)
            n = self.graph.nodes[k]
            if n.value is None and isinstance(t._data, np.ndarray):
                n.value = snapshot(t._data)
                n.shape, n.np_dtype = t._data.shape, t._data.dtype
        return found

    def forget(self):
        """A leaf was changed in place since: what was saved is of another time; compute anew from the leaves."""
        for n in self.graph.nodes:
            if n.call is not None:
                n.value = None

    def fill(self):
        """Values that nobody kept, by running the operators again; shapes and dtypes as far as they follow."""
        graph = self.graph
        for call in graph.calls:
            self.infer(call)
            if any(graph.nodes[k].value is None for k in call.outputs.values()) or (call.several and not call.result):
                outs = run(graph, call)
                if outs is not None:
                    if call.several:
                        call.result = outs
                    for nr, k in call.outputs.items():
                        if graph.nodes[k].value is None:
                            graph.nodes[k].value = outs[nr]
            self.fit(call)

    def infer(self, call):
        """The number in ``1 - x``, where nobody kept it: from the result. Taken only if it gives that very result."""
        if call.operator not in ("add", "sub") or len(call.inputs) != 2 or None in call.inputs:
            return
        a, b = [self.graph.nodes[k] for k in call.inputs]
        y = self.graph.nodes[call.outputs[0]].value
        unknown, known = (a, b) if a.value is None else (b, a)
        if unknown.value is not None or unknown.call or known.value is None or y is None or y.size == 0:
            return
        x = known.value
        guess = y - x if call.operator == "add" else y + x if unknown is a else x - y
        c = float(f"{float(guess.flat[np.abs(guess).argmax()]):.6g}")
        pair = (c, x) if unknown is a else (x, c)
        if np.array_equal(call.primitive.kernel(*pair), y):
            unknown.value, unknown.weak, unknown.name = np.asarray(c), True, text(np.asarray(c))
            unknown.shape, unknown.np_dtype = (), unknown.value.dtype

    def fit(self, call):
        nodes = [None if k is None else self.graph.nodes[k] for k in call.inputs]
        shapes = [n.shape for n in nodes if n is not None]
        for nr, k in call.outputs.items():
            n = self.graph.nodes[k]
            if n.value is not None:
                n.shape, n.np_dtype = tuple(n.value.shape), n.value.dtype
            if n.shape is None and None not in shapes and call.primitive and call.primitive.family == "pointwise":
                n.shape = np.broadcast_shapes(*shapes)
            if n.np_dtype is None:
                n.np_dtype = next((m.np_dtype for m in nodes if m is not None and m.requires_grad), None)
            if call.specs[nr] is None or call.specs[nr][0] is None:
                call.specs[nr] = (n.shape, n.np_dtype)

    def prune(self, named):
        """Drop second results that nobody reads: the statistics that ``layer_norm`` keeps for its own rule.

        named: ``{id: name}``, what has a name stays. Returns it with the new ids.
        """
        graph = self.graph
        read = {k for call in graph.calls for k in call.inputs if k is not None} | set(graph.outputs) | set(named)
        gone = set()
        for call in graph.calls:
            unread = [nr for nr, k in call.outputs.items() if k not in read]
            if 0 < len(unread) < len(call.outputs):
                gone.update([call.outputs.pop(nr) for nr in unread])
                if list(call.outputs) == [0]:
                    graph.nodes[call.outputs[0]].operator = call.operator
        if not gone:
            return named
        place = {n.id: i for i, n in enumerate([n for n in graph.nodes if n.id not in gone])}
        graph.nodes = [n for n in graph.nodes if n.id not in gone]
        for n in graph.nodes:
            n.id = place[n.id]
        for call in graph.calls:
            call.inputs = tuple([None if k is None else place[k] for k in call.inputs])
            call.outputs = {nr: place[k] for nr, k in call.outputs.items()}
        graph.outputs = [place[k] for k in graph.outputs]
        self.ids = {key: place[k] for key, k in self.ids.items() if k in place}
        return {place[k]: name for k, name in named.items()}

    # ---- names

    def name_all(self, given):
        graph = self.graph
        sites = {}
        for call, site in zip(graph.calls, self.site_of, strict=True):
            if site is not None and call.outputs:
                sites[id(call)] = site
        taken = {}
        for n in graph.nodes:
            if n.id in given:
                n.name = given[n.id]
        for n in graph.nodes:
            if not n.name and n.call is not None and n.nr == 0 and len(n.call.outputs) == 1:
                site = sites.get(id(n.call))
                inner = site is not None and any(
                    sites.get(id(e.target.call)) == site and e.target.operator != n.operator for e in n.outgoing
                )
                if site is not None and not inner and site != self.around:
                    n.name = stored_name(site) or ""
        for n in graph.nodes:
            if not n.name:
                n.name = n.operator or (text(n.value) if n.kind == "constant" and n.size == 1 else n.kind)
        # What a variable holds now has its name; earlier holders, as in a loop, are numbered.
        for n in sorted(graph.nodes, key=lambda n: n.id not in given):
            if n.kind == "constant" and n.size <= 1 and n.id not in given:
                continue
            base, k = n.name, taken.get(n.name, 0) + 1
            while k > 1 and f"{base}_{k}" in taken:
                k += 1
            taken[base] = k
            if k > 1:
                n.name = f"{base}_{k}"
                taken.setdefault(n.name, 1)
        graph.index_names()


def is_foreign(values):
    """Whether a saved value is no NumPy array (a batch of ``vmap``)."""
    return any(hasattr(v, "bind") or (type(v) is tuple and any(hasattr(x, "bind") for x in v)) for v in values or ())
