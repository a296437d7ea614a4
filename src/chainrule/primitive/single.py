"""The call of an operator of one tensor and parameters (sum, softmax, amax …), spelled out for float arrays."""

import numpy as np

from ..config import modes, switches
from ..handle import Tensor
from ..node import call_site
from .base import edge_of, finish_node
from .quiet import QUIET, mute, restore
from .registry import recorded

ndarray = np.ndarray
_new = object.__new__
F32 = np.dtype(np.float32)
F64 = np.dtype(np.float64)


def single(prim):
    """``prim`` as a function that does what ``prim(input, **params)`` does, for one float tensor without detours."""
    kernel, generic = prim.kernel, prim.__call__
    node_type = save_y = save_x = None  # known when the first node is recorded
    name = prim.node_name if callable(prim.node_name) else None
    general = prim.family == "general"

    def call(input, **params):
        nonlocal node_type, save_y, save_x
        try:
            a = input._data
            d = a.dtype
        except AttributeError:
            return generic(input, **params)
        if (d is not F32 and d is not F64) or a.__class__ is not ndarray or switches.anomaly is not None:
            return generic(input, **params)
        token = mute(QUIET)
        try:
            r = kernel(a, **params)
        finally:
            restore(token)
        t = _new(Tensor)
        t._data = r = r if r.__class__ is ndarray else np.asarray(r)
        t._cell = None
        cell = input._cell
        plain = cell is None or len(cell) == 1
        if (input._requires_grad or not plain) and (not switches.threads_off or modes.grad):
            edge = input._node if plain else edge_of(input)
            if edge is None:
                if not input._requires_grad:
                    return t
                edge = input
            if node_type is None:
                save_y, save_x = prim.plan((True,))
                node_type = prim.node
            make = node_type if name is None else prim.node_type(name((a,), params))
            t._node = node = make(
                (edge,), (r if save_y else None, a if save_x else None), call_site(), (input,) if save_x else None
            )
            t._requires_grad = True
            node.shapes = (a.shape,)
            node.params = params
            if general:
                node.result = (r.shape, r.dtype)
            if save_y:
                node.cell = t._cell = [0]
            if not plain:
                finish_node(node, (input,))
        return t

    call.__name__ = call.__qualname__ = prim.name
    call.__doc__ = prim.__doc__
    call.primitive = prim
    setattr(recorded, prim.name, call)
    return call
