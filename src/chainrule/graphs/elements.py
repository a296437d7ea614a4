"""What a graph consists of: nodes (values) and edges (one argument of one call each)."""

import math
import os

import numpy as np

from ..dtypes import from_numpy_dtype
from .call import pull_edge, push_node
from .linear_map import LinearMap
from .numbers import number, text


class GraphNode:
    """One value: an input, a parameter, a constant, or a result of an operator.

    value, gradient: arrays, or None while unknown.  operator: "" for a leaf.  name: the user's where known.
    module: the path of the module that made it.  file, line: where it was made.
    kind: "input", "parameter", "constant", "operator" or "output".
    """

    __slots__ = (
        "call", "file", "gradient", "graph", "id", "incoming", "kind", "line", "module", "name", "np_dtype", "nr",
        "operator", "outgoing", "requires_grad", "shape", "value", "weak",
    )  # fmt: skip
    PLAIN = (
        "file", "gradient", "kind", "line", "module", "name", "np_dtype", "nr", "operator", "requires_grad", "shape",
        "value", "weak",
    )  # fmt: skip

    def __init__(self, graph, id, kind):
        self.graph, self.id, self.kind = graph, id, kind
        self.call = self.value = self.gradient = self.shape = self.np_dtype = None
        self.operator = self.name = self.module = self.file = ""
        self.line = self.nr = 0
        self.requires_grad = self.weak = False
        self.incoming, self.outgoing = [], []

    @property
    def dtype(self):
        """The dtype, as ``torch.float32``; None while unknown."""
        return None if self.np_dtype is None else from_numpy_dtype(self.np_dtype)

    @property
    def source(self):
        """``file.py:12``; "" if unknown."""
        return f"{os.path.basename(self.file)}:{self.line}" if self.file else ""

    @property
    def params(self):
        """The operator's static parameters, a dict."""
        return {} if self.call is None else dict(self.call.params or {})

    @property
    def inputs(self):
        """The nodes it was computed from, in the order of the arguments."""
        return [e.source for e in self.incoming]

    @property
    def users(self):
        """The nodes that were computed from it."""
        return list(dict.fromkeys(e.target for e in self.outgoing))

    @property
    def size(self):
        """The number of elements; 0 while unknown, and for a batch that looks like one sample."""
        return math.prod(self.shape) if self.shape is not None and not hasattr(self.value, "bind") else 0

    def text(self, gradient=False, exact=False):
        """The value (or the gradient) as a short text, or with all its digits; "" if unknown."""
        return text(self.gradient if gradient else self.value, exact)

    def __repr__(self):
        parts = [f"{self.name}"]
        if self.operator and self.operator != self.name:
            parts.append(self.operator)
        if self.value is not None:
            parts.append(f"value={self.text()}")
        if self.gradient is not None:
            parts.append(f"gradient={self.text(gradient=True)}")
        return f"<GraphNode {self.id}: {', '.join(parts)}>"

    def __reduce__(self):
        return _node_of, (self.graph, self.id)


class Edge:
    """Argument ``argument`` of the call that made ``target``.

    flows: whether gradients pass (not through detach, comparisons or integers).
    """

    __slots__ = ("_local", "argument", "flows", "source", "target")

    def __init__(self, source, target, argument, flows):
        self.source, self.target, self.argument, self.flows = source, target, argument, flows
        self._local = None

    @property
    def local(self):
        """The local derivative ∂target/∂source through this argument: a number for scalars, else a LinearMap."""
        if self._local is None:
            self._local = self.derive()
        return self._local

    @property
    def scalar(self):
        return self.source.size == 1 and self.target.size == 1

    def derive(self):
        source, target = self.source, self.target
        if self.scalar:
            if not self.flows:
                return 0.0
            g = self.pull(np.ones(target.shape, target.np_dtype))
            return 0.0 if g is None else float(g.reshape(-1)[0])
        return LinearMap(source.shape, target.shape, target.np_dtype, self.push, self.pull)

    def pull(self, g):
        """Reverse mode through this edge alone: the gradient of the source for the gradient ``g`` of the target."""
        if not self.flows:
            return None
        made, _ = self.target.graph.replicas()
        call = self.target.call
        return pull_edge(made[self.target.graph.position(call)], call, self.target.nr, self.argument, g)

    def push(self, v):
        """Forward mode through this edge alone: the change of the target for the change ``v`` of the source."""
        if not self.flows:
            return None
        made, _ = self.target.graph.replicas()
        call = self.target.call
        moving = [v if i == self.argument else None for i in range(len(call.inputs))]
        return push_node(made[self.target.graph.position(call)], moving)[self.target.nr]

    def jacobian(self):
        """The local derivative written out, with shape ``target.shape + source.shape``."""
        local = self.local
        if isinstance(local, LinearMap):
            return local.dense()
        return np.full(self.target.shape + self.source.shape, local, self.target.np_dtype)

    def text(self, exact=False):
        """The local derivative as a short text; shapes for tensors; "" where no gradient passes or it is not known."""
        if not self.flows:
            return ""
        if not self.scalar:
            return f"{'×'.join(map(str, self.source.shape)) or '1'} → {'×'.join(map(str, self.target.shape)) or '1'}"
        try:
            return number(self.local, exact)
        except RuntimeError:  # GradientError: its values were freed
            return ""

    def __repr__(self):
        return f"<Edge {self.source.name} → {self.target.name} (argument {self.argument})>"

    def __reduce__(self):
        return _edge_of, (self.target, self.target.incoming.index(self))


def _node_of(graph, id):
    return graph.nodes[id]


def _edge_of(target, i):
    return target.incoming[i]
