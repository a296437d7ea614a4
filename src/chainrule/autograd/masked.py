"""A masked path stays masked: zero gradient for elements that no selecting operator selected, even where a derivative
is infinite.

``where(x > 0, sqrt(x), 0)`` at 0 sends 0 into sqrt's rule, and 0 · ∞ is NaN. The zero there is structural: the element
was not selected.
A numerical zero is something else and its NaN must stay. So liveness is followed, not values: which elements of a
node's gradient some selected path reaches. It is computed only when a rule has given a non-finite value in a graph
that has a mask.
"""

import numpy as np

from ..config import modes, switches
from ..handle import Tensor, wrap
from ..primitive.registry import recorded
from .pull import pull

ndarray = np.ndarray


class Masks:
    """Watches one backward pass over ``order``; made only if the graph has both a selecting and a singular operator."""

    def __init__(self):
        self.history = []  # (node, shape and dtype of its gradient), until a non-finite value turns up
        self.live = None  # from then on: per edge the liveness of its gradient

    @classmethod
    def of(cls, order):
        selecting = singular = False
        for kind in set(map(type, order)):
            selecting = selecting or kind.selecting
            singular = singular or kind.singular
        if selecting and singular:
            return cls()
        return None

    def pull(self, node, o, g, edges):
        """The node's rule, then zero where the gradient is structurally unselected but the rule made it non-finite."""
        grads = pull(node, o, g, edges)
        if self.live is None:
            self.history.append((node, shape_of(g), dtype_of(g)))
        if node.primitive is not None and node.primitive.family != "linear" and not all_finite(grads):
            if self.live is None:
                self.live = {}
                with unrecorded():
                    for past in self.history[:-1]:
                        self.propagate(*past)
            mask = self.live.get(node)
            # An operator with several results mixes its inputs: nothing is known to be dead.
            if mask is not None and type(g) not in (tuple, list):
                if o is recorded:
                    grads = mend(node, mask, g, grads, edges)
                else:
                    with unrecorded():
                        wrapped = [None if x is None else wrap(x) for x in grads]
                        grads = [None if t is None else t._data for t in mend(node, mask, wrap(g), wrapped, edges)]
        if self.live is not None:
            with unrecorded():
                self.propagate(node, shape_of(g), dtype_of(g))
        return grads

    def propagate(self, node, shape, dtype):
        """Hand the liveness of a node's gradient on to its inputs. None means: all live."""
        nrs = node.nrs or (0,) * len(node.edges)
        masks = liveness(node, self.live.get(node), shape, dtype)
        for edge, nr, m in zip(node.edges, nrs, masks, strict=True):
            if edge is None:
                continue
            if edge.outputs == 1:
                self.live[edge] = either(self.live[edge], m) if edge in self.live else m
            else:  # a node with several outputs has a mask for each that was reached
                parts = self.live.setdefault(edge, {})
                parts[nr] = either(parts[nr], m) if nr in parts else m


def either(a, b):
    """What one of two paths reaches."""
    return None if a is None or b is None else recorded.logical_or(a, b)


def liveness(node, mask, shape, dtype):
    """Per input of ``node``: a bool tensor of the elements that a selected path reaches, or None for all."""
    prim, n = node.primitive, len(node.edges)
    nothing = [None] * n
    if prim is None:
        return nothing
    if node.outputs != 1:
        return several(node, mask or {}) if prim.family == "linear" else nothing
    if mask is None and not node.selecting:
        return nothing
    if prim.family == "pointwise":
        return [None if e is None else pointwise_liveness(node, mask, i) for i, e in enumerate(node.edges)]
    live = recorded.expand(wrap(np.ones((), dtype)), shape=shape)
    if mask is not None:
        live = recorded.where(mask, live, 0.0)
    if is_product(prim):
        a, b = (recorded.expand(wrap(np.ones((), dtype)), shape=s) for s in node.shapes[:2])
        parts = [
            prim.left(recorded, live, node.shapes, b, **node.params) if node.edges[0] is not None else None,
            prim.right(recorded, live, node.shapes, a, **node.params) if node.edges[1] is not None else None,
            *nothing[2:],
        ]
    elif prim.family == "reduction":
        parts = (recorded.expand(node.spread(recorded, live), shape=node.shapes[0]),)
        if node.selecting:
            parts = [
                None if p is None else recorded.mul(p, q)
                for p, q in zip(parts, node.pull(recorded, live, node.edges), strict=True)
            ]
    elif prim.family == "linear" or node.selecting:
        parts = node.pull(recorded, live, node.edges)
    elif switches.tracer is not None or bool(recorded.any(mask).item()):
        return nothing  # an operator that mixes its inputs in its own way: assume the worst
    else:
        return [None if s is None else wrap(np.zeros(s, bool)) for s in node.shapes]
    return [None if p is None else recorded.ne(p, 0.0) for p in parts]


def is_product(prim):
    """Products, and what is a product in its first two inputs (a linear layer)."""
    return hasattr(prim, "left")


def several(node, masks):
    """Liveness through a linear operator with several outputs (split, unbind …).

    An output without a mask was not reached.
    """
    lives = []
    for i, (shape, dtype) in enumerate(node.meta["outputs"]):
        full = recorded.expand(wrap(np.ones((), dtype)), shape=shape)
        mask = masks.get(i, False)
        lives.append(full if mask is None else full * 0.0 if mask is False else recorded.where(mask, full, 0.0))
    return [None if p is None else recorded.ne(p, 0.0) for p in node.pull(recorded, tuple(lives), node.edges)]


def pointwise_liveness(node, mask, i):
    prim = node.primitive
    if prim.selects is not None and prim.selects[i] is not None:
        chosen = prim.selects[i](recorded, *node.unpack(True), **(node.params or {}))
        mask = chosen if mask is None else recorded.logical_and(mask, chosen)
    if mask is None or node.shapes is None:
        return mask
    full = np.broadcast_shapes(*node.shapes)
    if tuple(mask.shape) != full:  # a condition that was itself broadcast
        mask = recorded.expand(mask, shape=full)
    if node.shapes[i] == full:
        return mask
    counts = recorded.sum_to(recorded.where(mask, 1.0, 0.0), shape=node.shapes[i])
    return recorded.ne(counts, 0.0)


def mend(node, mask, g, grads, edges):
    """The gradients again, on tensors, with structural zeros kept zero."""
    prim, out = node.primitive, []
    for i, edge in enumerate(edges):
        gi = grads[i]
        if edge is None or gi is None:
            out.append(None)
            continue
        if prim.family == "pointwise":
            gi = recorded.where(mask, node.product(recorded, g, i), 0.0)
            if node.shapes is not None and tuple(gi.shape) != node.shapes[i]:
                gi = recorded.sum_to(gi, shape=node.shapes[i])
        elif is_product(prim) and i < 2:
            gi = mend_product(node, mask, g, gi, i)
        else:
            m = liveness(node, mask, tuple(g.shape), g._data.dtype)[i]
            if m is not None:
                gi = recorded.where(m, gi, 0.0)
        out.append(gi)
    return out


def mend_product(node, mask, g, gi, i):
    """A product's gradient sums over elements: drop the pairs (dead element, non-finite factor), keep the others."""
    prim, s = node.primitive, node.shapes
    rule = prim.left if i == 0 else prim.right
    other = node.unpack(True)[2 if i == 0 else 1]
    finite = recorded.isfinite(other)
    clean = rule(recorded, g, s, recorded.where(finite, other, 0.0), **node.params)
    one = recorded.where(mask, recorded.expand(wrap(np.ones((), g._data.dtype)), shape=tuple(g.shape)), 0.0)
    hits = rule(recorded, one, s, recorded.where(finite, wrap(np.zeros((), g._data.dtype)), 1.0), **node.params)
    return recorded.where(recorded.ne(hits, 0.0), gi, clean)


class unrecorded:
    def __enter__(self):
        self.before, modes.grad = modes.grad, False

    def __exit__(self, *exc):
        modes.grad = self.before


def shape_of(g):
    return None if type(g) in (tuple, list) else tuple(g.shape)


def dtype_of(g):
    return None if type(g) in (tuple, list) else (g._data.dtype if isinstance(g, Tensor) else g.dtype)


def all_finite(grads):
    for x in grads:
        if isinstance(x, Tensor):
            x = x._data
        if x is None:
            continue
        if not isinstance(x, (ndarray, np.generic)):
            return False  # a batch or a symbol: the mask is applied in any case
        if not np.isfinite(x).all():
            return False
    return True
