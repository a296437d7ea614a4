"""The pointwise family: y = f(x0, x1, ...) element by element.

The author writes the kernel on arrays and the partial derivative per input. Broadcasting, promotion, the reverse and forward rules, batching and
the label on the graph's edge follow. The calls with one and two float operands are spelled out: they are most of what runs.
"""

import numpy as np

from ..config import defaults, modes
from ..errors import DTypeError, ShapeError
from ..node import call_site
from ..handle import Tensor
from .base import Primitive, PrimitiveNode, edge_of, finish_node, position_names
from .promote import NUMBERS, as_operand, cast, number_array, result_type
from .quiet import restore, silence
from .registry import recorded, write_out

ndarray = np.ndarray
_new = object.__new__
F32 = np.dtype(np.float32)
F64 = np.dtype(np.float64)


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
        """Gradient times local derivative, before un-broadcasting."""
        return g * self.partial(o, i)


class Pointwise(Primitive):
    """kind: "arithmetic" keeps the promoted dtype, "float" turns integers into the default float, "compare" gives bool,
    "first" takes the dtype of the operands after the first (where)."""

    family = "pointwise"
    node_base = PointwiseNode

    def __init__(self, name, kernel, partials=None, *, kind="arithmetic", take_bool=True, take_int=True, **kw):
        self.partials = None if partials is None else tuple(partials)
        self.kind = kind
        self.take_bool = take_bool
        self.take_int = take_int
        super().__init__(name, kernel, **kw)
        self.differentiable = partials is not None

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
        elif compute.kind == 0 and not self.take_bool:
            raise DTypeError(f"{name}(): bool tensors are not supported; convert with .to(torch.int64) or use a logical operator")
        elif compute.kind == 1 and not self.take_int:
            raise DTypeError(f"{name}(): integer tensors are not supported; convert with .float()")
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
            result = foreign.bind(self, arrays, params)
        else:
            result = self.run(arrays, params)
        t = _new(Tensor)
        t._data = result
        if wants and self.partials is not None and modes.grad:
            self.record(operands, arrays, t, params)
        if modes.anomaly is not None:
            modes.anomaly.check_forward(self, operands, t)
        return t if out is None else write_out(out, t)

    def run(self, arrays, params):
        token = silence()
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
            tuple([x if s and isinstance(x, Tensor) else None for x, s in zip(operands, save_x, strict=True)])
            if True in save_x else None,
            None if all(s == shape for s in shapes) else shapes,
            params or None,
            call_site(3),
        )
        if save_y:
            node.cell = t._shared_cell()
        finish_node(node, operands)
        t._node = node
        t._requires_grad = True


def shape_error(name, arrays):
    """The error for operands that do not broadcast."""
    shapes = [tuple(a.shape) for a in arrays]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        pass
    else:
        return ShapeError(f"{name}(): shapes {', '.join(map(str, shapes))} are not accepted")
    if len(shapes) == 2:
        a, b = shapes
        n = max(len(a), len(b))
        pa, pb = (1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b
        dim = next(i for i in reversed(range(n)) if pa[i] != pb[i] and 1 not in (pa[i], pb[i]))
        return ShapeError(
            f"The size of tensor a ({pa[dim]}) must match the size of tensor b ({pb[dim]}) at non-singleton dimension {dim}: "
            f"{name}() got shapes {list(a)} and {list(b)}; make them equal there, or 1 in one of them (unsqueeze, reshape)"
        )
    return ShapeError(
        f"{name}(): shapes {', '.join(map(str, map(list, shapes)))} do not broadcast to one shape; sizes must be equal or 1"
    )


def _one_input(prim):
    """The call for one operand: a float tensor goes straight to the kernel."""
    kernel, node_type, generic = prim.kernel, prim.node, prim.__call__
    differentiable = prim.partials is not None
    save_y, save_x = prim.plan((True,)) if differentiable else (False, False)
    compare = prim.kind == "compare"

    def call(input, *, out=None):
        try:
            a = input._data
            d = a.dtype
        except AttributeError:
            return generic(input, out=out)
        if (d is not F32 and d is not F64) or out is not None or modes.anomaly is not None or type(a) is not ndarray:
            return generic(input, out=out)
        token = silence()
        r = kernel(a)
        restore(token)
        if type(r) is not ndarray:
            r = np.asarray(r)
        t = _new(Tensor)
        t._data = r
        if (input._requires_grad or input._base is not None) and differentiable and modes.grad:
            edge = edge_of(input)
            if edge is not None:
                node = node_type(
                    (edge,), (r if save_y else None, a if save_x else None), (input,) if save_x else None, None, None, call_site()
                )
                if save_y:
                    node.cell = t._cell = [0]
                if input._output_nr:
                    node.nrs = (input._output_nr,)
                if save_x and input._cell is not None and input._cell[0]:
                    node.versions = (input._cell[0],)
                t._node = node
                t._requires_grad = True
        return t

    if compare:
        call = generic_face(prim)
    return call


def _two_inputs(prim):
    """The call for two operands: two float tensors of one dtype, or one and a number, go straight to the kernel."""
    kernel, node_type, generic = prim.kernel, prim.node, prim.__call__
    differentiable = prim.partials is not None
    plans = {w: prim.plan(w) for w in ((True, True), (True, False), (False, True))} if differentiable else {}
    dynamic_name = prim.node_name is not None and type(prim.node_name) is not str

    def call(input, other, *, out=None):
        try:
            a = input._data
            d = a.dtype
            if other.__class__ is float or other.__class__ is int:
                b = other
                plain = True
            else:
                b = other._data
                plain = b.dtype is d and type(b) is ndarray
        except AttributeError:
            return generic(input, other, out=out)
        if (
            not plain or (d is not F32 and d is not F64) or out is not None or modes.anomaly is not None
            or type(a) is not ndarray or dynamic_name
        ):
            return generic(input, other, out=out)
        token = silence()
        try:
            r = kernel(a, b)
        except ValueError as error:
            raise shape_error(prim.name, [a, b]) from error
        finally:
            restore(token)
        if type(r) is not ndarray:
            r = np.asarray(r)
        t = _new(Tensor)
        t._data = r
        if not differentiable or not modes.grad:
            return t
        edge = edge_of(input) if input._requires_grad or input._base is not None else None
        if b is other:  # a number
            if edge is not None:
                save_y, save_a, save_b = plans[True, False]
                node = node_type(
                    (edge, None),
                    (r if save_y else None, a if save_a else None, b if save_b else None),
                    (input, None) if save_a else None, None, None, call_site(),
                )
                if save_y:
                    node.cell = t._cell = [0]
                if input._output_nr or (save_a and input._cell is not None):
                    finish_node(node, (input, None))
                t._node = node
                t._requires_grad = True
            return t
        edge2 = edge_of(other) if other._requires_grad or other._base is not None else None
        if edge is None and edge2 is None:
            return t
        save_y, save_a, save_b = plans[edge is not None, edge2 is not None]
        shape, shape2 = a.shape, b.shape
        node = node_type(
            (edge, edge2),
            (r if save_y else None, a if save_a else None, b if save_b else None),
            (input if save_a else None, other if save_b else None) if save_a or save_b else None,
            None if shape == shape2 else (shape, shape2), None, call_site(),
        )
        if save_y:
            node.cell = t._cell = [0]
        if input._output_nr or other._output_nr or (save_a and input._cell is not None) or (save_b and other._cell is not None):
            finish_node(node, (input, other))
        t._node = node
        t._requires_grad = True
        return t

    return call


def generic_face(prim):
    """The plain call, as a function (so that it can be a method)."""
    generic = prim.__call__
    if prim.kernel_inputs == 1:
        return lambda input, *, out=None: generic(input, out=out)
    return lambda input, other, *, out=None: generic(input, other, out=out)


def pointwise(name, kernel, partials=None, *, inputs=None, doc=None, **kw):
    """Define a pointwise operator and return the function that calls it.

    partials: a tuple with, per input, ``f(o, y, *xs)``, an int if it is constant, or None if there is none.
    """
    prim = Pointwise(name, kernel, partials, doc=doc, **kw)
    prim.kernel_inputs = inputs if inputs is not None else len(partials)
    takes_params = any(position_names(p, 0)[0] and p.__code__.co_kwonlyargcount for p in prim.partials or () if callable(p))
    if prim.kernel_inputs == 1 and not takes_params:
        call = _one_input(prim)
    elif prim.kernel_inputs == 2 and not takes_params:
        call = _two_inputs(prim)
    else:
        return prim
    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    call.primitive = prim
    setattr(recorded, name, call)
    return call

