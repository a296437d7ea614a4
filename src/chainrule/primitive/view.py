"""Views and moves: linear operators that only move elements; a view's result shares its input's memory.

They are most of what runs between two computations and compute nothing, so their call is spelled out: no mask for
warnings, little to save.
"""

import numpy as np

from ..config import modes, switches
from ..handle import Tensor
from ..node import call_site
from .base import Primitive, _Pick, edge_of, finish_node
from .families import Linear

ndarray = np.ndarray
_new = object.__new__
_NOTHING = (None, None)  # a view's rule reads neither output nor input


class Steps:
    """How a view is made from its base: an iterable of (primitive, params), oldest first.

    Kept as a linked list from the newest back, so that a long chain of views takes linear time and memory.
    """

    __slots__ = ("before", "step")

    def __init__(self, before, step):
        self.before = before
        self.step = step

    def __iter__(self):
        steps, at = [], self
        while type(at) is Steps:
            steps.append(at.step)
            at = at.before
        if at is not None:
            steps.extend(reversed(at))
        return reversed(steps)


class View(Linear):
    """One view. The kernel must give an array (never a NumPy scalar) on the memory of its input."""

    def __init__(self, name, kernel, transpose, **kw):
        super().__init__(name, kernel, transpose, view=True, **kw)
        self.named = callable(self.node_name)

    def __call__(self, input, **params):
        if not isinstance(input, Tensor):
            return Primitive.__call__(self, input, **params)  # raises
        a = input._data
        if type(a) is not ndarray or switches.anomaly is not None:
            return Primitive.__call__(self, input, **params)
        t = _new(Tensor)
        t._data = self.kernel(a, **params)
        base = input._base
        if modes.grad and (base is not None or input._requires_grad):
            edge = edge_of(input)
            if edge is not None:
                node = (self.node_type(self.node_name([a], params)) if self.named else self.node)(
                    (edge,), _NOTHING, call_site()
                )
                node.shapes = (a.shape,)
                node.params = params
                if edge.outputs != 1:
                    node.nrs = (input._output_nr,)
                t._node = node
                t._requires_grad = True
        cell = input._special_cell()
        t._cell = cell
        if base is None:
            t._base = input
            t._view = Steps(None, (self, params))
        else:
            t._base = base
            t._view = Steps(input._view, (self, params))
        t._seen = cell[0]
        return t


class Views(Linear):
    """A tuple of views of one tensor."""

    def __init__(self, name, kernel, transpose, **kw):
        super().__init__(name, kernel, transpose, view=True, outputs=0, **kw)
        self.named = callable(self.node_name)

    def __call__(self, input, **params):
        if not isinstance(input, Tensor):
            return Primitive.__call__(self, input, **params)  # raises
        a = input._data
        if type(a) is not ndarray or switches.anomaly is not None:
            return Primitive.__call__(self, input, **params)
        base, node = input._base, None
        arrays = self.kernel(a, **params)
        if modes.grad and (base is not None or input._requires_grad):
            edge = edge_of(input)
            if edge is not None:
                node = (self.node_type(self.node_name([a], params)) if self.named else self.node)(
                    (edge,), _NOTHING, call_site()
                )
                node.shapes = (a.shape,)
                node.params = params
                if edge.outputs != 1:
                    node.nrs = (input._output_nr,)
                d = a.dtype
                node.meta = {"outputs": [(r.shape, d) for r in arrays]}
        cell = input._special_cell()
        seen = cell[0]
        steps = None if base is None else input._view
        if base is None:
            base = input
        out = []
        for i, r in enumerate(arrays):
            t = _new(Tensor)
            t._data = r
            t._cell = cell
            t._base = base
            t._view = Steps(steps, (_Pick(self, i), params))
            t._seen = seen
            if node is not None:
                t._node = node
                t._output_nr = i
                t._requires_grad = True
            out.append(t)
        return tuple(out)


class Move(Linear):
    """A copy of elements, of one or more tensors; inputs it is not linear in are indices."""

    def __init__(self, name, kernel, transpose, **kw):
        super().__init__(name, kernel, transpose, **kw)
        self.named = callable(self.node_name)

    def __call__(self, *inputs, **params):
        arrays, wants = [], False
        if switches.anomaly is not None:
            return Primitive.__call__(self, *inputs, **params)
        for x in inputs:
            try:
                a = x._data
            except AttributeError:
                return Primitive.__call__(self, *inputs, **params)  # raises
            if type(a) is not ndarray:
                return Primitive.__call__(self, *inputs, **params)
            if x._requires_grad or x._base is not None:
                wants = True
            arrays.append(a)
        t = _new(Tensor)
        result = self.kernel(*arrays, **params)
        t._data = result if type(result) is ndarray else np.asarray(result)
        if wants and modes.grad:
            edges = tuple([edge_of(x) for x in inputs])
            for edge in edges:
                if edge is not None:
                    self.finish(t, edges, inputs, arrays, params)
                    break
        return t

    def finish(self, t, edges, inputs, arrays, params):
        """Make the node."""
        n = len(edges)
        saved = self._plans.get(n)
        if saved is None:
            plan = self.make_plan((True,) * n)[1:]
            saved = self._plans[n] = tuple([i for i, save in enumerate(plan) if save])
        values, tensors = (None,) * (n + 1), None
        rare = False
        if saved:
            values, tensors = [None] * (n + 1), [None] * n
            for i in saved:
                x = tensors[i] = inputs[i]
                values[i + 1] = arrays[i]
                if x._cell is not None and x._cell[0]:
                    rare = True
            values, tensors = tuple(values), tuple(tensors)
        node = (self.node_type(self.node_name(arrays, params)) if self.named else self.node)(
            edges, values, call_site(3), tensors
        )
        node.shapes = tuple([a.shape for a in arrays])
        node.params = params
        if not rare:
            for edge in edges:
                if edge is not None and edge.outputs != 1:
                    rare = True
                    break
        if rare:
            finish_node(node, inputs)
        t._node = node
        t._requires_grad = True


def move(name, kernel, transpose, **kw):
    """An operator that copies elements: see Move."""
    return Move(name, kernel, transpose, **kw)


def view(name, kernel, transpose, **kw):
    """An operator whose result is a view of its one tensor: see View."""
    return View(name, kernel, transpose, **kw)


def views(name, kernel, transpose, **kw):
    """An operator whose results are views of its one tensor: see Views."""
    return Views(name, kernel, transpose, **kw)
