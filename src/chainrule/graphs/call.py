"""One operator call of a graph, and how it is run again: forward by its kernel, backward by its rule.

A call keeps no node of the engine. When a rule is wanted, a node of the same class is made from the graph's own values
(a replica), so the engine's rules, families and masks all apply, and nothing of the user's is touched.
"""

import numpy as np

from ..autograd.forward import push
from ..autograd.pull import pull
from ..config import enable_grad, no_grad
from ..errors import GradientError
from ..handle import Tensor, wrap
from ..nn.modules._hooks import _Gate
from ..node import Node
from ..primitive.quiet import QUIET, mute, restore
from ..primitive.registry import raw


class Borrowed(Node):
    """Stands in for a node whose rule is Python code of the user's (autograd.Function): calls that node's rule."""

    primitive = None

    def __init__(self, edges, original, outputs):
        super().__init__(edges, (), None)
        self.original = original
        self.outputs = outputs
        self.missing = None

    def pull(self, o, g, edges):
        original = self.original
        if getattr(original, "function", None) is _Gate:  # calls the user's hooks, which a graph must not
            return g
        before = getattr(original, "missing", None)
        if hasattr(original, "missing"):
            original.missing = self.missing
        try:
            return pull(original, o, g, edges)
        finally:
            if hasattr(original, "missing"):
                original.missing = before


class Call:
    """``primitive(*inputs, **params)``: numbers of nodes in, numbers of nodes out.

    inputs: per argument a node's id, or None where the operator was given none (``absent``) or its value is not known.
    outputs: ``{output number: node id}`` of those in the graph.  specs: shape and dtype of every output.
    wanted: per argument whether gradients flow through it.
    """

    __slots__ = (
        "absent", "borrowed", "class_name", "inputs", "operator", "outputs", "params", "primitive", "result", "specs",
        "wanted",
    )  # fmt: skip

    def __init__(self, operator, primitive, class_name, inputs, params, wanted, specs):
        self.operator = operator
        self.primitive = primitive
        self.class_name = class_name
        self.inputs = inputs
        self.absent = ()
        self.params = params
        self.wanted = wanted
        self.specs = specs
        self.outputs = {}
        self.result = None  # all outputs, where there are several
        self.borrowed = None

    def state(self):
        return [getattr(self, k) if k != "borrowed" else None for k in self.__slots__]

    @classmethod
    def restore(cls, state):
        call = object.__new__(cls)
        for k, v in zip(cls.__slots__, state, strict=True):
            setattr(call, k, v)
        return call

    @property
    def several(self):
        return self.primitive.outputs != 1 if self.primitive is not None else self.borrowed_outputs != 1

    @property
    def borrowed_outputs(self):
        return 1 if self.borrowed is None else self.borrowed.outputs


def arguments(graph, call):
    """The values of a call's arguments as its kernel takes them, or None if one is not known."""
    found = []
    for i, k in enumerate(call.inputs):
        if k is None:
            if i not in call.absent:
                return None
            found.append(None)
            continue
        node = graph.nodes[k]
        if node.value is None:
            return None
        if not isinstance(node.value, np.ndarray):
            return None  # a batch of vmap
        found.append(operand(graph, call, node))
    return found


def operand(graph, call, node, value=None):
    """A node's value as a call computes with it: a Python number as an array of the dtype that the call computes in."""
    value = node.value if value is None else value
    if not node.weak:
        return value
    if call.primitive.family != "pointwise":
        return value.item()
    dtype = call.specs[0][1]
    if dtype is None or dtype.kind == "b":
        others = [graph.nodes[k] for k in call.inputs if k is not None and not graph.nodes[k].weak]
        dtype = others[0].np_dtype if others else None
    return value if dtype is None else np.asarray(value, dtype)


def run(graph, call, given=None):
    """The call's outputs computed anew (a list), or None if that is not possible.

    given: values that take the place of the nodes' own.
    """
    if call.primitive is None:
        again = rerun(graph, call, given or {})
        return None if again is None else again[0]
    found = arguments(graph, call)
    if found is None:
        return None
    if given:
        found = [
            operand(graph, call, graph.nodes[k], given[k]) if k in given else x
            for k, x in zip(call.inputs, found, strict=True)
        ]
    token = mute(QUIET)
    try:
        result = call.primitive.kernel(*found, **(call.params or {}))
    except TypeError:
        return None  # a call whose parameters were not recorded
    finally:
        restore(token)
    outs = result if isinstance(result, (tuple, list)) else (result,)
    if not all(isinstance(a, (np.ndarray, np.generic)) for a in outs):
        return None  # a batch of vmap
    outs = [np.array(a) for a in outs]
    for i, spec in enumerate(call.specs or ()):
        if spec is not None and spec[1] is not None and outs[i].dtype != spec[1]:
            outs[i] = outs[i].astype(spec[1])  # Python numbers as operands are weaker than arrays
    return outs


def rerun(graph, call, given):
    """A function of the user's run again: ``(outputs, its new node)``, or None if that is not possible.

    Its forward is called as ``apply`` calls it, on copies; its new node is what its backward gets as ``ctx``.
    """
    original = call.borrowed
    if original is None or any(k is None for k in call.inputs):
        return None
    values = [given.get(k, graph.nodes[k].value) for k in call.inputs]
    if not all(isinstance(v, np.ndarray) for v in values):
        return None
    function = getattr(original, "function", None)
    if function is _Gate:  # hands its inputs on, and calls the user's hooks in backward
        return [np.array(v) for v in values], original
    flags = getattr(original, "is_tensor", ())
    constants = getattr(original, "constants", None)
    if function is None or sum(flags) != len(values) or (constants is None and not all(flags)):
        return None
    tensors = []
    for v, wanted in zip(values, call.wanted, strict=True):
        t = wrap(np.array(v))
        t._requires_grad = wanted
        tensors.append(t)
    rest = iter(tensors)
    with enable_grad():
        made = function.apply(*[next(rest) if flag else constants[i] for i, flag in enumerate(flags)])
    outs = list(made) if isinstance(made, tuple) else [made]
    node = next((t._node for t in outs if isinstance(t, Tensor) and t._node is not None), None)
    if node is None or len(outs) != len(call.specs) or not all(isinstance(t, Tensor) for t in outs):
        return None
    node.constants = constants
    return [np.array(t._data) for t in outs], node


def replicas(graph):
    """Per call a node of the engine with this graph's values, per leaf a tensor; nothing leads to the user's."""
    edges = {}  # graph node id -> (edge, output number)
    made = []
    for n in graph.nodes:
        if n.call is None and n.requires_grad:
            t = wrap(n.value if isinstance(n.value, np.ndarray) else np.zeros(n.shape or (), n.np_dtype))
            t._requires_grad = True
            edges[n.id] = (t, 0)
    for call in graph.calls:
        pairs = [
            edges.get(k, (None, 0)) if k is not None and w else (None, 0)
            for k, w in zip(call.inputs, call.wanted, strict=True)
        ]
        ends, nrs = zip(*pairs, strict=True) if pairs else ((), ())
        node = replica(graph, call, ends, nrs) if any(e is not None for e in ends) else None
        made.append(node)
        if node is None:
            continue
        if any(e is not None and e.outputs != 1 for e, _ in pairs):
            node.nrs = nrs
        for nr, k in call.outputs.items():
            if graph.nodes[k].requires_grad:
                edges[k] = (node, nr)
    return made, edges


def saved_tensor(array, edge, nr):
    """A saved input as the tensor it was: a leaf, a node's output, or a constant."""
    if isinstance(edge, Tensor):
        return edge
    t = wrap(array)
    if edge is not None:
        t._node, t._output_nr, t._requires_grad = edge, nr, True
    return t


def replica(graph, call, edges, nrs):
    several = call.several
    if call.borrowed is not None:
        node = Borrowed(edges, call.borrowed, call.borrowed.outputs)
    elif call.primitive is None:
        return Lost(edges, call, 1 if not several else 0)
    else:
        prim = call.primitive
        values, tensors = [None], []
        known = [None if k is None else graph.nodes[k] for k in call.inputs]
        for n, edge, nr in zip(known, edges, nrs, strict=True):
            v = None if n is None or n.value is None else operand(graph, call, n)
            values.append(v)
            tensors.append(saved_tensor(v, edge, nr) if isinstance(v, np.ndarray) else None)
        if several:
            values[0] = None if call.result is None else tuple(call.result)
        else:
            values[0] = graph.nodes[call.outputs[0]].value
        missing = lacking(prim, tuple([e is not None for e in edges]), values, call)
        if missing:
            return Lost(edges, call, prim.outputs, prim)
        node = prim.node_type(call.class_name)(
            edges, tuple(values), None, tuple(tensors) if any(t is not None for t in tensors) else None
        )
        shapes = tuple([() if n is None or n.shape is None else n.shape for n in known])
        if prim.family != "pointwise":
            node.shapes = tuple([None if i in call.absent else s for i, s in enumerate(shapes)])
        elif any(s != call.specs[0][0] for s in shapes):
            node.shapes = shapes
        node.params = call.params
        if prim.family == "pointwise" and not call.params:
            node.params = None
        if not several:
            node.result = tuple(call.specs[0])
    if several:
        node.metadata["outputs"] = tuple([s or ((), np.dtype(bool)) for s in call.specs])
        node.metadata["cells"] = ()  # nobody changes these outputs in place
    return node


def lacking(prim, wanted, values, call):
    """Whether a value that the rule reads is not known."""
    plan = prim.plan(wanted)
    pairs = enumerate(zip(plan, values, strict=False))
    return any(p and v is None and (i == 0 or i - 1 not in call.absent) for i, (p, v) in pairs)


class Lost(Node):
    """A call whose rule can't be applied: what it reads is gone. Asking for its gradient says so."""

    def __init__(self, edges, call, outputs, primitive=None):
        super().__init__(edges, (), None)
        self.call = call
        self.outputs = outputs

    def pull(self, o, g, edges):
        raise GradientError(
            f"the graph does not hold the values that the rule of {self.call.operator} reads: they were freed by a "
            "backward pass, or left behind when the graph was pickled. Make the graph before calling backward(), pass "
            "retain_graph=True, or let it be traced: graph(function, *arguments)."
        )


class settled:
    """Rules run unrecorded and without NumPy's warnings."""

    def __enter__(self):
        self.grad = no_grad()
        self.grad.__enter__()
        self.token = mute(QUIET)

    def __exit__(self, *exc):
        restore(self.token)
        self.grad.__exit__(*exc)


def pull_edge(node, call, nr, argument, g):
    """The gradient that argument ``argument`` gets from the gradient ``g`` of output ``nr`` alone."""
    edges = tuple([e if i == argument else None for i, e in enumerate(node.edges)])
    if node.outputs != 1:
        g = tuple([g if i == nr else np.zeros(s, d) if d.kind in "fV" else None for i, (s, d) in enumerate(call.specs)])
    with settled():
        result = pull(node, raw, g, edges)[argument]
    if isinstance(result, Tensor):
        result = result._data
    return result if result is None or hasattr(result, "bind") else np.asarray(result)


def push_node(node, moving):
    """The tangents of a node's outputs (a list), given arrays or None per input."""
    prim = node.primitive
    pointed = [None if t is None else wrap(t if hasattr(t, "bind") else np.asarray(t)) for t in moving]
    simple = prim is not None and prim.family in ("pointwise", "linear", "bilinear", "reduction")
    token = mute(QUIET)
    try:
        with no_grad() if simple else enable_grad():
            result = push(node, pointed)
    finally:
        restore(token)
    outs = result if isinstance(result, (tuple, list)) else [result]
    return [None if t is None else t._data for t in outs]
