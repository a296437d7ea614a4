"""Pointwise calls and rules with one and two operands, spelled out: they are most of what runs.

Each does what the general form in pointwise.py does, for float arrays, without loops and tuples; everything else it
hands on.
"""

from types import FunctionType

import numpy as np

from ..config import modes, switches
from ..handle import Tensor
from ..node import call_site, next_seq
from .base import edge_of, finish_node
from .broadcast import shape_error
from .quiet import QUIET, mute, restore
from .registry import raw
from .select import select

ndarray = np.ndarray
_new = object.__new__
F32 = np.dtype(np.float32)
F64 = np.dtype(np.float64)
OPERANDS = (Tensor, bool, int, float, complex, np.generic, ndarray)


def own(function):
    """``function`` with a copy of its code. The interpreter adapts code to the classes it meets (PEP 659), and each
    operator has a node class of its own, so operators that shared code would spoil it for each other."""
    copy = FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


# Python numbers as 0-d arrays: NumPy takes those twice as fast. Zero is left out, since -0.0 finds the entry of 0.0.
_numbers = {F32: {}, F64: {}}


def number(x, d):
    """A Python number as a 0-d array of dtype ``d``, remembered if it may come again."""
    token = mute(QUIET)
    try:
        b = np.asarray(x, d)
    finally:
        restore(token)
    known = _numbers[d]
    if x != 0 and x == x and len(known) < 256:
        known[x] = b
    return b


def one_input(prim):
    """The call for one operand."""
    kernel, generic = prim.kernel, prim.__call__
    differentiable = prim.partials is not None
    node_type = save_y = save_x = None  # known when the first node is recorded

    def call(input, *, out=None):
        nonlocal node_type, save_y, save_x
        try:
            a = input._data
            d = a.dtype
        except AttributeError:
            return generic(input, out=out)
        if (d is not F32 and d is not F64) or out is not None or switches.anomaly is not None:
            return generic(input, out=out)
        token = mute(QUIET)
        try:
            r = kernel(a)
        finally:
            restore(token)
        t = _new(Tensor)
        t._data = r if r.__class__ is ndarray else np.asarray(r)
        t._cell = None
        cell = input._cell
        plain = cell is None or len(cell) == 1
        if (input._requires_grad or not plain) and differentiable and (not switches.threads_off or modes.grad):
            edge = input._node if plain else edge_of(input)
            if edge is None:
                if not input._requires_grad:
                    return t
                edge = input
            if node_type is None:
                save_y, save_x = prim.plan((True,))
                node_type = prim.node
            t._node = node = _new(node_type)
            node.edges = (edge,)
            node.values = (t._data if save_y else None, a if save_x else None)
            node.tensors = (input,) if save_x else None
            node.shapes = node.params = node.cell = node.versions = node.result = node.extra = None
            node.site = call_site()
            node.seq = next_seq()
            t._requires_grad = True
            if save_y:
                node.cell = t._cell = [0]
            if not plain:
                finish_node(node, (input,))
        return t

    if prim.kind == "compare":
        return lambda input, *, out=None: generic(input, out=out)
    return own(call)


def two_inputs(prim, operator=False):
    """The call for two operands: two float tensors of one dtype, or one and a number. As an operator it leaves foreign
    types to them."""
    kernel, generic = prim.kernel, prim.__call__
    differentiable = prim.partials is not None
    node_type = both = first = second = None  # known when the first node is recorded
    if prim.node_name is not None and type(prim.node_name) is not str:
        return lambda input, other, *, out=None: generic(input, other, out=out)

    def call(input, other, *, out=None):
        nonlocal node_type, both, first, second
        try:
            a = input._data
            d = a.dtype
            if other.__class__ is float or other.__class__ is int:
                b = _numbers[d].get(other)
                if b is None:
                    b = number(other, d)
            else:
                b = other._data
        except (AttributeError, KeyError):
            if operator and not isinstance(other, OPERANDS):
                return NotImplemented
            return generic(input, other, out=out)
        if (d is not F32 and d is not F64) or out is not None or switches.anomaly is not None or b.dtype is not d:
            return generic(input, other, out=out)
        token = mute(QUIET)
        try:
            r = kernel(a, b)
        except ValueError as error:
            raise shape_error(prim.name, [a, b]) from error
        finally:
            restore(token)
        t = _new(Tensor)
        t._data = r = r if r.__class__ is ndarray else np.asarray(r)
        t._cell = None
        if not differentiable:
            return t
        edge = edge2 = None
        cell = input._cell
        plain = cell is None or len(cell) == 1
        if plain:
            if input._requires_grad:
                edge = input._node
                if edge is None:
                    edge = input
        else:
            edge = edge_of(input)
        tensor = other.__class__ is not float and other.__class__ is not int
        if tensor:
            cell = other._cell
            if cell is None or len(cell) == 1:
                if other._requires_grad:
                    edge2 = other._node
                    if edge2 is None:
                        edge2 = other
            else:
                plain = False
                edge2 = edge_of(other)
        if (edge is None and edge2 is None) or (switches.threads_off and not modes.grad):
            return t
        if node_type is None:
            both, first, second = [prim.plan(w) for w in ((True, True), (True, False), (False, True))]
            node_type = prim.node
        save_y, save_a, save_b = first if edge2 is None else second if edge is None else both
        t._node = node = _new(node_type)
        node.edges = (edge, edge2)
        node.values = (r if save_y else None, a if save_a else None, b if save_b else None)
        node.tensors = (input if save_a else None, other if save_b and tensor else None) if save_a or save_b else None
        node.shapes = node.params = node.cell = node.versions = node.result = node.extra = None
        node.site = call_site()
        node.seq = next_seq()
        t._requires_grad = True
        if save_y:
            node.cell = t._cell = [0]
        if tensor:
            shape = a.shape
            if shape != b.shape:
                node.shapes = (shape, b.shape)
        if not plain:
            finish_node(node, (input, other))
        return t

    return own(call)


def pull_one(prim, general):
    """The rule of a node with one operand, on arrays."""
    (p,) = prim.partials
    chosen = None if prim.selects is None else prim.selects[0]
    factor = p if p.__class__ is int else None
    tuned = prim.tuned

    def pull(self, o, g, edges):
        values, tensors, cell = self.values, self.tensors, self.cell
        if (
            o is not raw
            or values is None
            or (cell is not None and cell[0])
            or (tensors is not None and tensors[0]._cell is not None and tensors[0]._cell[0])
            or self.params is not None
        ):
            return general(self, o, g, edges)
        y, x = values
        if tuned is not None:
            g = tuned(g, y, x)
        elif factor is None:
            g = g * p(raw, y, x)
        elif factor != 1:
            g = -g if factor == -1 else g * factor
        if chosen is not None:
            g = select(chosen(raw, y, x), g, 0.0)
        return (g,)

    return own(pull)


def pull_two(prim, general):
    """The rule of a node with two operands, on arrays."""
    if prim.selects is not None or None in prim.partials:
        return general
    p, q = prim.partials
    p_factor = p if p.__class__ is int else None
    q_factor = q if q.__class__ is int else None

    def pull(self, o, g, edges):
        values, tensors, cell = self.values, self.tensors, self.cell
        if o is not raw or values is None or (cell is not None and cell[0]) or self.params is not None:
            return general(self, o, g, edges)
        if tensors is not None:
            s, t = tensors
            if (s is not None and s._cell is not None and s._cell[0]) or (
                t is not None and t._cell is not None and t._cell[0]
            ):
                return general(self, o, g, edges)
        e, f = edges
        y, a, b = values
        ga = gb = None
        if e is not None:
            ga = g * p(raw, y, a, b) if p_factor is None else g if p_factor == 1 else g * p_factor
        if f is not None:
            gb = (
                g * q(raw, y, a, b)
                if q_factor is None
                else g
                if q_factor == 1
                else -g
                if q_factor == -1
                else g * q_factor
            )
        shapes = self.shapes
        if shapes is not None:
            if ga is not None and ga.shape != shapes[0]:
                ga = raw.sum_to(ga, shapes[0])
            if gb is not None and gb.shape != shapes[1]:
                gb = raw.sum_to(gb, shapes[1])
        return ga, gb

    return own(pull)
