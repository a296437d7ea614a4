"""Calling one node's rule."""

import numpy as np

from ..config import modes, switches
from ..handle import wrap
from ..primitive.registry import raw, recorded

ndarray = np.ndarray


def pull(node, o, g, edges):
    """Call the node's rule; on arrays with an interpreter of their own, through the operators, unrecorded."""
    if o is raw and (
        switches.tracer is not None  # what the node saved may have no values, even if the gradient has
        or (type(g) is not ndarray and not (type(g) is tuple and all(x is None or type(x) is ndarray for x in g)))
    ):
        if isinstance(g, np.generic):
            return node.pull(o, np.asarray(g), edges)
        before, modes.grad = modes.grad, False
        try:
            g = tuple([None if x is None else wrap(x) for x in g]) if type(g) is tuple else wrap(g)
            return [None if t is None else t._data for t in node.pull(recorded, g, edges)]
        finally:
            modes.grad = before
    return node.pull(o, g, edges)
