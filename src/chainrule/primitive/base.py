"""A primitive: one operator with its kernel and its rules; how a call is bound, run and recorded."""

import dis
import weakref
from functools import cached_property

import numpy as np

from ..config import modes, switches
from ..errors import ArgumentError, FreedGraphError, InPlaceError
from ..handle import Tensor
from ..node import Node, call_site, site_text
from .quiet import QUIET, mute, restore
from .registry import primitives, raw, recorded

ndarray = np.ndarray
_new = object.__new__


def reads(rule):
    """The names of a rule's arguments that its code reads: what has to stay in memory."""
    if rule is None or not callable(rule):
        return frozenset()
    code = rule.__code__
    args = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4)])
    used = {
        i.argval for i in dis.get_instructions(code) if i.opname.startswith(("LOAD_FAST", "LOAD_CLOSURE", "LOAD_DEREF"))
    }
    return frozenset(args & used)


def position_names(rule, skip):
    """Positional argument names after the first ``skip``; and the name of ``*args`` or None."""
    code = rule.__code__
    names = code.co_varnames[skip : code.co_argcount]
    star = code.co_varnames[code.co_argcount + code.co_kwonlyargcount] if code.co_flags & 4 else None
    return names, star


def edge_of(t):
    """The graph edge of an input: its node, itself if it is a leaf that wants a gradient, else None."""
    if t._base is not None:
        refresh_view(t)
    if not t._requires_grad:
        return None
    return t if t._node is None else t._node


def refresh_view(t):
    """A view's node is stale once its memory was changed through a relative: make the view again from its base."""
    cell = t._cell
    if t._seen == cell[0]:
        return
    base = t._base
    if base._requires_grad and base._node is not None:
        fresh, before = base, modes.grad
        modes.grad = True
        try:
            for prim, params in t._view:
                fresh = prim(fresh, **params)
        finally:
            modes.grad = before
        set_node(t, fresh._node, fresh._output_nr)
    t._seen = cell[0]


def set_node(t, node, nr):
    """``t`` is output ``nr`` of ``node`` from now on. Its hooks stay where they are, on the value it had; retain_grad
    means the tensor and moves."""
    retains = t._retains and t._node is not None
    if retains:
        slot_of(t)[1] = None
    t._node, t._output_nr, t._requires_grad = node, nr, True
    if retains:
        slot_of(t)[1] = weakref.ref(t)


def slot_of(t):
    """The place on the node where a tensor's hooks are kept, and the tensor if it retains its gradient:
    ``[hooks, weak reference or None]``."""
    return t._node.metadata.setdefault("tensors", {}).setdefault(t._output_nr, [{}, None])


class PrimitiveNode(Node):
    """A node whose rule is its primitive's."""

    __slots__ = ()

    def unpack(self, as_tensors):
        """Saved values for the rule; raises if they were released or changed in place."""
        values = self.values
        if values is None and self.meta is not None and "recompute" in self.meta:
            self.meta["recompute"]()  # a checkpointed part: fills in the values of all its nodes
            values = self.values
        if values is None:
            plan = self.primitive and self.primitive.plan(tuple([e is not None for e in self.edges]))
            if plan and True not in plan:  # it saved nothing, so nothing is missing
                return (None,) * len(plan)
            raise FreedGraphError(
                f"Trying to backward through the graph a second time: the values saved by {self.name()} "
                f"({site_text(self.site)}) have already been freed. Saved intermediate values of the graph are freed "
                "when you call "
                ".backward() or autograd.grad(). Specify retain_graph=True in the first backward if you need to go "
                "through "
                "the graph a second time."
            )
        tensors = self.tensors
        if tensors is not None:
            versions = self.versions
            for i, t in enumerate(tensors):
                if t is not None and t._cell is not None and t._cell[0] != (0 if versions is None else versions[i]):
                    self.complain(t._cell, t, 0 if versions is None else versions[i])
        cell = self.cell
        if cell is not None and cell[0]:
            self.complain(cell, None, 0)
        if self.outputs != 1 and values[0] is not None:
            for cell in self.meta["cells"]:
                if cell[0]:
                    self.complain(cell, None, 0)
        if not as_tensors:
            return values
        y = values[0]
        if y is not None:
            y = self.output(y) if self.outputs == 1 else tuple(self.output(a, i) for i, a in enumerate(y))
        if tensors is None:
            return (y, *values[1:])
        return (y, *[v if t is None else t for t, v in zip(tensors, values[1:], strict=True)])

    def output(self, array, nr=0):
        """The node's own output as a tensor again. The node keeps only the array, or node and output would hold each
        other."""
        t = _new(Tensor)
        t._data = array
        t._node = self
        t._output_nr = nr
        t._requires_grad = True
        if self.outputs != 1:
            t._special_cell()
        return t

    def complain(self, cell, tensor, version):
        what = "its result" if tensor is None else f"its input of shape {tuple(tensor._data.shape)}"
        where = site_text(cell[1]) if len(cell) > 1 and cell[1] is not None else "unknown line"
        raise InPlaceError(
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"{self.name()} ({site_text(self.site)}) saved {what} at version {version}, "
            f"which was changed to version {cell[0]} by {where}. "
            "Use the out-of-place operator there, or change a .clone() of the tensor."
        )

    def pull(self, o, g, edges):
        """The gradients of the inputs, given that of the output (``g``; a tuple if there are several outputs)."""
        y, *xs = self.unpack(o.recorded)
        prim, shapes, params = self.primitive, self.shapes, self.params
        if prim.vjp is not None:
            return prim.vjp(o, g, shapes, y, *xs, needs=tuple(e is not None for e in edges), **params)
        return [
            None if e is None or f is None else f(o, g, shapes, y, *xs, **params)
            for e, f in zip(edges, prim.rules_for(len(edges)), strict=True)
        ]


class Primitive:
    """One operator.

    name: in snake case.   kernel(*arrays, **params): on NumPy arrays.   vjps[i](o, g, s, y, *xs, **params): the
    gradient of
    input i (None: not differentiable); or one joint ``vjp(..., needs=)`` that returns all.   outputs: how many (0: as
    many as
    the kernel returns, a tuple).   view: the result shares memory.   selecting: some input elements may be left out
    (see
    ARCHITECTURE, masked paths).   node_name: the class name of its nodes, or a function of the params that gives it.
    define(o, *xs, **params): the same in terms of other operators.   front: the kernel treats further leading
    dimensions as a batch.   outputs_read: of several outputs, the numbers of those that the rule reads (None: all).
    output_free: the rule reads the output, but in PyTorch it may be changed in place; the node then takes a copy first.
    """

    family = "general"
    node_base = PrimitiveNode

    def __init__(
        self,
        name,
        kernel,
        vjps=None,
        *,
        vjp=None,
        outputs=1,
        view=False,
        selecting=False,
        singular=False,
        node_name=None,
        define=None,
        front=False,
        selects=None,
        doc=None,
        outputs_read=None,
        output_free=False,
    ):
        self.name = name
        self.kernel = kernel
        self.vjps = vjps
        self.vjp = vjp
        self.outputs = outputs
        self.view = view
        self.selecting = selecting
        self.singular = singular
        self.define = define
        self.front = front
        self.selects = selects
        self.outputs_read = outputs_read
        self.output_free = output_free
        self.__name__ = name
        self.__doc__ = doc
        self.differentiable = vjps is not None or vjp is not None
        self.node_name = node_name
        self._node_types = {}
        self._plans = {}
        if name in primitives:
            raise ValueError(f"two primitives named {name}")
        primitives[name] = self
        setattr(raw, name, kernel)
        setattr(recorded, name, self)

    def __repr__(self):
        return f"<primitive {self.name}>"

    def __reduce__(self):
        return _by_name, (self.name,)

    @cached_property
    def node(self):
        """The class of the operator's nodes, made when the first is recorded."""
        return self.node_type(self.node_name if isinstance(self.node_name, str) else camel(self.name) + "Backward0")

    def node_type(self, class_name):
        t = self._node_types.get(class_name)
        if t is None:
            t = type(
                class_name,
                (self.node_base,),
                {
                    "__slots__": (),
                    "primitive": self,
                    "outputs": self.outputs,
                    "selecting": self.selecting,
                    "singular": self.singular,
                    "__module__": "chainrule.node",
                },
            )
            self._node_types[class_name] = t
        return t

    def rules_for(self, n):
        vjps = self.vjps
        return vjps if len(vjps) == n else tuple(vjps[i] if i < len(vjps) else None for i in range(n))

    # ---- what a rule reads, so what a node saves

    def plan(self, wanted):
        """``(save y?, save x0?, save x1?, ...)`` when ``wanted`` (a tuple of bools) are the inputs that want
        gradients."""
        plan = self._plans.get(wanted)
        if plan is None:
            plan = self._plans[wanted] = self.make_plan(wanted)
        return plan

    def rules_read(self, wanted):
        """Per rule in use: (rule, how many leading arguments come before y)."""
        if self.vjp is not None:
            return [(self.vjp, 3)]
        return [(f, 3) for f, w in zip(self.rules_for(len(wanted)), wanted, strict=True) if w and f is not None]

    def make_plan(self, wanted):
        n = len(wanted)
        plan = [False] * (n + 1)
        for rule, skip in self.rules_read(wanted):
            used = reads(rule)
            names, star = position_names(rule, skip)
            for i, name in enumerate(names[: n + 1]):
                if name in used:
                    plan[i] = True
            if star is not None and star in used:
                for i in range(len(names), n + 1):
                    plan[i] = True
        return tuple(plan)

    # ---- calls

    def __call__(self, *inputs, **params):
        if switches.tracer is not None:
            switches.tracer.lift(inputs)
        arrays = []
        wants = foreign = False
        for x in inputs:
            if x is None:
                arrays.append(None)
                continue
            try:
                a = x._data
            except AttributeError:
                raise ArgumentError(
                    f"{self.name}(): argument {len(arrays) + 1} must be Tensor, not {type(x).__name__}; "
                    "make one with torch.tensor(...)"
                ) from None
            if type(a) is not ndarray:
                foreign = a
            arrays.append(a)
            if x._requires_grad or x._base is not None:
                wants = True
        if foreign is not False:
            if wants:
                inputs = foreign.prepare(inputs)
                arrays = [None if x is None else x._data for x in inputs]
            result = foreign.bind(self, arrays, params)
        else:
            token = mute(QUIET)
            try:
                result = self.kernel(*arrays, **params)
            finally:
                restore(token)
        if self.outputs == 1:
            if isinstance(result, np.generic):
                result = np.asarray(result)
            out = _new(Tensor)
            out._data = result
        else:
            out = []
            for r in result:
                t = _new(Tensor)
                t._data = np.asarray(r) if isinstance(r, np.generic) else r
                out.append(t)
            out = tuple(out)
        if self.view:
            self.mark_views(inputs[0], out, params)
        if wants and self.differentiable and modes.grad:
            self.record(inputs, arrays, out, result, params)
        if switches.anomaly is not None:
            switches.anomaly.check_forward(self, inputs, out)
        return out

    def record(self, inputs, arrays, out, result, params):
        """Make the node of a call and hand it to the outputs."""
        edges = tuple([None if x is None else edge_of(x) for x in inputs])
        wanted = tuple([e is not None for e in edges])
        if True not in wanted:
            return
        if self.vjps is not None and not any(
            w and f is not None for w, f in zip(wanted, self.rules_for(len(wanted)), strict=True)
        ):
            return
        save_y, *save_x = self.plan(wanted)
        name = self.node_name
        node_type = self.node if name is None or type(name) is str else self.node_type(name(arrays, params))
        node = node_type(
            edges,
            (result if save_y else None, *[a if s else None for a, s in zip(arrays, save_x, strict=True)]),
            call_site(3),
            tuple([x if s else None for x, s in zip(inputs, save_x, strict=True)]) if True in save_x else None,
        )
        node.shapes = tuple([None if a is None else a.shape for a in arrays])
        node.params = params
        if self.family == "general" and self.outputs == 1:
            node.result = (result.shape, result.dtype)
        finish_node(node, inputs)
        if self.outputs == 1:
            out._node = node
            out._requires_grad = True
            if save_y:
                node.cell = out._shared_cell()
        else:
            for i, t in enumerate(out):
                if t._data.dtype.kind == "f" or t._data.dtype.kind == "V":
                    t._node = node
                    t._output_nr = i
                    t._requires_grad = True
                    t._special_cell()
            node.metadata["outputs"] = tuple([(t._data.shape, t._data.dtype) for t in out])
            if save_y:
                read = self.outputs_read
                node.meta["cells"] = [t._shared_cell() for i, t in enumerate(out) if read is None or i in read]

    def mark_views(self, x, out, params):
        """The result shares memory with ``x``: share its version cell, and remember how to make the view again."""
        base = x if x._base is None else x._base
        steps = [] if x._view is None else x._view
        cell = x._special_cell()
        for i, t in enumerate(out if self.outputs != 1 else (out,)):
            t._cell = cell
            t._base = base
            t._seen = cell[0]
            t._view = [*steps, (self if self.outputs == 1 else _Pick(self, i), params)]


class _Pick:
    """One output of a multi-output view, for making that view again."""

    __slots__ = ("nr", "prim")

    def __init__(self, prim, nr):
        self.prim = prim
        self.nr = nr

    def __call__(self, x, **params):
        return self.prim(x, **params)[self.nr]


def finish_node(node, inputs):
    """The rare fields: inputs that are outputs of a node with several, and saved tensors that were changed before they
    were saved."""
    for e in node.edges:
        if e is not None and e.outputs != 1:
            node.nrs = tuple([getattr(x, "_output_nr", 0) for x in inputs])
            break
    if node.tensors is not None:
        for t in node.tensors:
            if t is not None and t._cell is not None and t._cell[0]:
                node.versions = tuple([0 if t is None or t._cell is None else t._cell[0] for t in node.tensors])
                break


def camel(name):
    return "".join(part[:1].upper() + part[1:] for part in name.strip("_").split("_"))


def _by_name(name):
    return primitives[name]


def primitive(name, kernel, vjps=None, **kw):
    """An operator of the general family: see Primitive."""
    return Primitive(name, kernel, vjps, **kw)
