"""``Graph``: a computation as data. It holds copies of all values: nothing done with it reaches the user's tensors."""

import numpy as np

from ..autograd.backward import walk
from ..errors import ArgumentError, ArgumentValueError, GradientError, ShapeError
from ..handle import Tensor
from ..node import Node
from .call import Call, replicas, rerun, run
from .collecting import uncollected
from .elements import Edge, GraphNode
from .questions import Questions


class Graph(Questions):
    """A computation: nodes (values) in the order in which they were computed, and edges between them.

    Make one with ``chainrule.graph``. Attributes: ``nodes``, ``edges``, ``outputs`` (nodes), ``title``.
    ``graph["x"]`` is the node called x. The graph is a snapshot: later changes of tensors do not reach it.

    >>> import chainrule as cr
    >>> g = cr.graph("(a + b) * (b + 1)", a=2, b=1)
    >>> g.backward()["b"].gradient
    array(5.)
    """

    def __init__(self, title=""):
        self.title = title
        self.nodes, self.calls, self.edges = [], [], []
        self.outputs = []  # ids while being built, nodes once complete
        self._seed = None
        self._made = None
        self._names = {}
        self._tensors = {}  # (id of a node or leaf of the user's, output number) -> (weak reference to it, node id)

    # ---- putting together

    def complete(self):
        """Derive edges from calls. Called once, when all calls are there."""
        nodes = self.nodes
        self.outputs = [nodes[k] for k in self.outputs]
        self._positions = {id(c): i for i, c in enumerate(self.calls)}
        for call in self.calls:
            for k in call.outputs.values():
                for i, source in enumerate(call.inputs):
                    if source is not None:
                        flows = call.wanted[i] and nodes[k].requires_grad and nodes[source].requires_grad
                        edge = Edge(nodes[source], nodes[k], i, flows)
                        self.edges.append(edge)
                        nodes[source].outgoing.append(edge)
                        nodes[k].incoming.append(edge)

    def index_names(self):
        self._names = {}
        for n in self.nodes:
            self._names.setdefault(n.name, n)

    def position(self, call):
        return self._positions[id(call)]

    def replicas(self):
        if self._made is None:
            self._made = replicas(self)
        return self._made

    def __getstate__(self):
        return {
            "title": self.title,
            "nodes": [[getattr(n, k) for k in GraphNode.PLAIN] for n in self.nodes],
            "calls": [c.state() for c in self.calls],
            "outputs": [n.id for n in self.outputs],
            "seed": self._seed,
        }

    @uncollected()
    def __setstate__(self, state):
        Graph.__init__(self, state["title"])
        for i, values in enumerate(state["nodes"]):
            n = GraphNode(self, i, "")
            for k, v in zip(GraphNode.PLAIN, values, strict=True):
                setattr(n, k, v)
            self.nodes.append(n)
        self.calls = [Call.restore(s) for s in state["calls"]]
        for call in self.calls:
            for k in call.outputs.values():
                self.nodes[k].call = call
        self.outputs = state["outputs"]
        self._seed = state["seed"]
        self.complete()
        self.index_names()

    # ---- finding nodes

    def node(self, what):
        """The node meant by a node, its number, its name, or a tensor whose variable's name is the node's.

        Raises ArgumentValueError if there is none.
        """
        if isinstance(what, GraphNode):
            if what.graph is self:
                return what
            raise ArgumentValueError(f"node {what.name!r} belongs to another graph")
        if isinstance(what, Tensor):
            made = what if what._node is None else what._node
            ref, k = self._tensors.get((id(made), what._output_nr), (None, None))
            if ref is None or ref() is not made:
                raise ArgumentValueError("this tensor is not in the graph (a graph that was pickled knows only names)")
            return self.nodes[k]
        if isinstance(what, (int, np.integer)) and not isinstance(what, bool):
            if 0 <= what < len(self.nodes):
                return self.nodes[what]
            raise ArgumentValueError(f"there is no node {what}: the graph has {len(self.nodes)} nodes, counted from 0")
        if isinstance(what, str):
            if what in self._names:
                return self._names[what]
            near = [k for k in self._names if what.lower() in k.lower()][:5] or list(self._names)[:12]
            raise ArgumentValueError(f"there is no node called {what!r}; some that there are: {', '.join(near)}")
        raise ArgumentError(f"expected a node, a number, a name or a tensor, got {type(what).__name__}")

    __getitem__ = node

    def __contains__(self, what):
        try:
            return self.node(what) is not None
        except (ArgumentError, ArgumentValueError):
            return False

    def __len__(self):
        return len(self.nodes)

    def __iter__(self):
        return iter(self.nodes)

    @property
    def output(self):
        """The only output. Raises ArgumentValueError if there are several."""
        if len(self.outputs) != 1:
            raise ArgumentValueError(f"the graph has {len(self.outputs)} outputs; say which one is meant")
        return self.outputs[0]

    @property
    def inputs(self):
        """The leaves that gradients flow to: inputs and parameters."""
        return [n for n in self.nodes if n.call is None and n.requires_grad]

    @property
    def operators(self):
        """The nodes that an operator made."""
        return [n for n in self.nodes if n.call is not None]

    # ---- gradients

    def backward(self, gradient=None):
        """Fill ``node.gradient`` of every node that leads to the outputs; returns the graph.

        gradient: what the output starts with (a list of them for several outputs); 1 for a one-element output.
        No tensor's ``.grad``, hook or version is touched. Raises GradientError for a larger output without
        ``gradient``, and where the values that a rule reads were freed.
        """
        if gradient is None:
            gradient = [None] * len(self.outputs)
        elif not isinstance(gradient, (list, tuple)) or len(self.outputs) == 1 != len(gradient):
            gradient = [gradient]
        if len(gradient) != len(self.outputs):
            raise ArgumentValueError(f"backward: expected {len(self.outputs)} gradients, got {len(gradient)}")
        self._seed = [self.seed(n, g) for n, g in zip(self.outputs, gradient, strict=True)]
        self.pull_all()
        return self

    def seed(self, n, g=None):
        if g is None:
            if n.size != 1:
                raise GradientError(
                    f"backward: the output {n.name!r} has shape {n.shape}; only a one-element output has a gradient of "
                    "its own. Reduce it, e.g. with .sum(), or give gradient= of that shape."
                )
            return np.ones(n.shape, n.np_dtype)
        g = np.asarray(g._data if isinstance(g, Tensor) else g, n.np_dtype)
        if g.shape != n.shape:
            raise ShapeError(f"backward: expected a gradient of shape {n.shape} for {n.name!r}, got {g.shape}")
        return g

    @uncollected()
    def pull_all(self):
        _, edges = self.replicas()
        roots = [(*edges[n.id], g) for n, g in zip(self.outputs, self._seed, strict=True) if n.id in edges]
        if not roots:
            raise GradientError("backward: no output depends on anything that requires a gradient")
        pending, found = walk(roots, True, False, {e for e, _ in edges.values()})
        for n in self.nodes:
            edge, nr = edges.get(n.id, (None, 0))
            g = None if edge is None else found.get(edge) if isinstance(edge, Node) else pending.get(edge)
            if type(g) in (tuple, list):
                g = g[nr]
            n.gradient = None if g is None else np.array(g) if isinstance(g, (np.ndarray, np.generic)) else g

    def need_gradients(self):
        """Run ``backward`` if that has not been done."""
        if self._seed is None:
            self.backward()

    # ---- new values

    def set(self, **values):
        """Give leaves new values and compute everything downstream anew, gradients too if there were any.

        Returns the graph. The operators stay what they were: a branch taken while tracing is not taken again. The
        forward of an ``autograd.Function`` is called again. Raises ArgumentValueError for what is no leaf, ShapeError
        for another shape, GradientError where an operator can't be run again (nothing is changed then).

        >>> import chainrule as cr
        >>> g = cr.graph("(x + y) * z", x=2, y=3, z=-4).backward()
        >>> g.set(x=3)["f"].value, g["z"].gradient
        (array(-24.), array(6.))
        """
        fresh = {}
        for name, value in values.items():
            n = self.node(name)
            if n.call is not None:
                raise ArgumentValueError(f"set: {name!r} is computed by {n.operator}; only leaves can be given a value")
            a = np.asarray(value._data if isinstance(value, Tensor) else value)
            dtype = a.dtype if n.weak or n.np_dtype is None else n.np_dtype
            if a.shape != n.shape and a.ndim and n.shape is not None:
                raise ShapeError(f"set: {name!r} has shape {n.shape}, the new value {a.shape}; make a new graph")
            fresh[n.id] = np.array(np.broadcast_to(a, n.shape or a.shape), dtype)
        results, remade = {}, {}
        for call in self.calls:
            if not any(k in fresh for k in call.inputs):
                continue
            given = {k: fresh[k] for k in call.inputs if k in fresh}
            if call.primitive is None:
                outs, remade[id(call)] = rerun(self, call, given) or (None, None)
            else:
                outs = run(self, call, given)
            if outs is None:
                raise GradientError(
                    f"set: {call.operator} can't be run again: its arguments were not recorded, or it is a function of "
                    "your own in a graph that was pickled; make the graph anew with graph(function, *arguments)"
                )
            results[id(call)] = outs
            for nr, k in call.outputs.items():
                fresh[k] = outs[nr]
        for k, v in fresh.items():
            self.nodes[k].value = v
        for call in self.calls:
            if call.several and id(call) in results:
                call.result = results[id(call)]
            if id(call) in remade:
                call.borrowed = remade[id(call)]
        self._made = None
        for e in self.edges:
            e._local = None
        if self._seed is not None:
            self.pull_all()
        return self

    def __repr__(self):
        return f"<Graph {self.title!r}: {len(self.nodes)} nodes, {len(self.edges)} edges>"
