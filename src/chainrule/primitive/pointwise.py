"""The pointwise family: y = f(x0, x1, ...) element by element.

The author writes the kernel on arrays and the partial derivative per input. Broadcasting, promotion, the reverse and
forward rules, batching and the label on the graph's edge follow. The calls with one and two float operands are
spelled out: they are most of what runs.
"""

import numpy as np

from ..config import defaults, modes, switches
from ..errors import DTypeError
from ..handle import Tensor
from ..node import call_site
from .base import Primitive, PrimitiveNode, edge_of, finish_node, position_names
from .broadcast import shape_error
from .fast import one_input, pull_one, pull_two, two_inputs
from .promote import NUMBERS, as_operand, cast, number_array, result_type
from .quiet import QUIET, mute, restore
from .registry import recorded, write_out

ndarray = np.ndarray
_new = object.__new__


class PointwiseNode(PrimitiveNode):
    """``shapes`` is None when no input was broadcast."""

    __slots__ = ()

    def pull(self, o, g, edges):
        values = self.unpack(o.recorded)
        shapes = self.shapes
        params = self.params
        selects = self.primitive.selects
        grads = []
        for i, p in enumerate(self.primitive.partials[: len(edges)]):
            if edges[i] is None or p is None:
                grads.append(None)
                continue
            if p.__class__ is int:
                gi = g if p == 1 else -g if p == -1 else g * p
            else:
                gi = g * (p(o, *values, **params) if params else p(o, *values))
            if selects is not None and selects[i] is not None:
                gi = o.where(selects[i](o, *values, **params) if params else selects[i](o, *values), gi, 0.0)
            if shapes is not None and shapes[i] is not None and gi.shape != shapes[i]:
                gi = o.sum_to(gi, shape=shapes[i])
            grads.append(gi)
        return grads

    def partial(self, o, i):
        """The local derivative with respect to input ``i``: a tensor or array, or a number if it is constant."""
        values = self.unpack(o.recorded)
        params = self.params or {}
        p = self.primitive.partials[i]
        if callable(p):
            p = p(o, *values, **params)
        selects = self.primitive.selects
        if selects is not None and selects[i] is not None:
            p = o.where(selects[i](o, *values, **params), p, 0.0)
        return p

    def product(self, o, g, i):
        """Gradient (or tangent) times local derivative, before un-broadcasting; zero where the input was not
        selected."""
        values = self.unpack(o.recorded)
        params = self.params or {}
        p = self.primitive.partials[i]
        if callable(p):
            p = p(o, *values, **params)
        g = g if p.__class__ is int and p == 1 else g * p
        selects = self.primitive.selects
        if selects is not None and selects[i] is not None:
            g = o.where(selects[i](o, *values, **params), g, 0.0)
        return g


class Pointwise(Primitive):
    """kind: "arithmetic" keeps the promoted dtype, "float" turns integers into the default float, "compare" gives bool,
    "first" takes the dtype of the operands after the first (where).  take_bool: whether bools can be computed with;
    None: no operand may be one.
    tuned(g, y, x): for one operand, the gradient on arrays in fewer steps than ``g * partial`` takes; a test compares
    the two."""

    family = "pointwise"
    node_base = PointwiseNode

    def __init__(
        self, name, kernel, partials=None, *, kind="arithmetic", take_bool=True, take_int=True, tuned=None, **kw
    ):
        self.tuned = tuned
        self.partials = None if partials is None else tuple(partials)
        self.kind = kind
        self.take_bool = take_bool
        self.take_int = take_int
        super().__init__(name, kernel, **kw)
        self.differentiable = partials is not None

    def node_type(self, class_name):
        t = super().node_type(class_name)
        if self.partials is not None and len(self.partials) <= 2 and "pull" not in t.__dict__:
            t.pull = (pull_one if len(self.partials) == 1 else pull_two)(self, t.pull)
        return t

    def rules_read(self, wanted):
        rules = [(p, 1) for p, w in zip(self.partials, wanted, strict=False) if w and callable(p)]
        if self.selects is not None:
            rules += [(p, 1) for p, w in zip(self.selects, wanted, strict=False) if w and callable(p)]
        return rules

    # ---- any operands: numbers, mixed dtypes, arrays with an interpreter of their own

    def __call__(self, *inputs, out=None, **params):
        name = self.name
        inputs = [x if isinstance(x, (Tensor, *NUMBERS)) else as_operand(x, name, i + 1) for i, x in enumerate(inputs)]
        kind = self.kind
        skip = kind == "first"
        compute = result_type(*inputs[skip:])
        if kind == "float" and compute.kind != 2:
            compute = defaults.dtype
        elif not self.take_bool and (compute.kind == 0 or self.take_bool is None and any(is_bool(x) for x in inputs)):
            raise DTypeError(
                f"{name}(): bool tensors are not supported; convert with .to(torch.int64) or use a logical operator"
            )
        elif compute.kind == 1 and not self.take_int:
            raise DTypeError(f"{name}(): integer tensors are not supported; convert with .float()")
        if switches.tracer is not None:
            switches.tracer.lift(inputs)
        arrays = []
        wants = foreign = False
        operands = []
        for i, x in enumerate(inputs):
            if isinstance(x, Tensor):
                if not (skip and i == 0):
                    x = cast(x, compute)
                a = x._data
                if type(a) is not ndarray:
                    foreign = a
                if x._requires_grad or x._base is not None:
                    wants = True
            else:
                a = number_array(x, compute)
            arrays.append(a)
            operands.append(x)
        if foreign is not False:
            if wants:
                operands = foreign.prepare(operands)
                arrays = [x._data if isinstance(x, Tensor) else a for x, a in zip(operands, arrays, strict=True)]
            result = foreign.bind(self, arrays, params)
        else:
            result = self.run(arrays, params)
        t = _new(Tensor)
        t._data = result
        if wants and self.partials is not None and modes.grad:
            self.record(operands, arrays, t, params)
        if switches.anomaly is not None:
            switches.anomaly.check_forward(self, operands, t)
        return t if out is None else write_out(out, t)

    def run(self, arrays, params):
        token = mute(QUIET)
        try:
            result = self.kernel(*arrays, **params)
        except ValueError as error:
            raise shape_error(self.name, arrays) from error
        finally:
            restore(token)
        if type(result) is not ndarray:
            result = np.asarray(result)
        return result

    def record(self, operands, arrays, t, params):
        edges = tuple([edge_of(x) if isinstance(x, Tensor) else None for x in operands])
        wanted = tuple([e is not None for e in edges])
        if True not in wanted:
            return
        save_y, *save_x = self.plan(wanted)
        shape = t._data.shape
        shapes = tuple([a.shape for a in arrays])
        name = self.node_name
        node = (self.node if name is None or type(name) is str else self.node_type(name(operands, params)))(
            edges,
            (t._data if save_y else None, *[a if s else None for a, s in zip(arrays, save_x, strict=True)]),
            call_site(3),
            tuple([x if s and isinstance(x, Tensor) else None for x, s in zip(operands, save_x, strict=True)])
            if True in save_x
            else None,
        )
        if any(s != shape for s in shapes):
            node.shapes = shapes
        if params:
            node.params = params
        if save_y:
            node.cell = t._shared_cell()
        finish_node(node, operands)
        t._node = node
        t._requires_grad = True


def is_bool(x):
    return x._data.dtype.kind == "b" if isinstance(x, Tensor) else isinstance(x, bool)


def pointwise(name, kernel, partials=None, *, inputs=None, doc=None, **kw):
    """Define a pointwise operator and return the function that calls it.

    partials: a tuple with, per input, ``f(o, y, *xs)``, an int if it is constant, or None if there is none.
    """
    prim = Pointwise(name, kernel, partials, doc=doc, **kw)
    prim.kernel_inputs = inputs if inputs is not None else len(partials)
    takes_params = any(
        position_names(p, 0)[0] and p.__code__.co_kwonlyargcount for p in prim.partials or () if callable(p)
    )
    if prim.kernel_inputs == 1 and not takes_params:
        call = one_input(prim)
    elif prim.kernel_inputs == 2 and not takes_params:
        call = two_inputs(prim)
        call.operator = two_inputs(prim, operator=True)
    else:
        return prim
    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    call.primitive = prim
    setattr(recorded, name, call)
    return call
