"""The backward pass: walk the graph newest node first, call each node's rule, add up.

``run_backward`` is all there is to backpropagation. What else is here decides where gradients start (roots) and end
(leaves' ``.grad``, or the inputs asked for).
"""

from sys import getrefcount
from threading import RLock

import numpy as np

from ..config import hold, modes, switches, tracing
from ..errors import GradientError
from ..handle import Tensor, wrap
from ..node import Node, topological
from ..primitive.registry import raw, recorded
from .events import after_events, call_hook, node_events, run_hooks
from .masked import Masks
from .pull import pull

ndarray = np.ndarray
adding = RLock()  # threads that differentiate at the same time may share leaves


def _references_of_a_local():
    thing = object()
    return getrefcount(thing)


SOLE = _references_of_a_local()  # what getrefcount says of an object that only one local variable holds


def run_backward(roots, retain_graph, create_graph, targets=None):
    """Push gradients from the roots to the leaves.

    roots: a list of ``(edge, output_nr, gradient)``; the edge is a Node or a leaf tensor, the gradient an array (a
    tensor with create_graph).
    targets: a set of edges; only what leads to them is computed.
    Returns ``{leaf: gradient}`` and, for targets that are nodes, ``{node: gradient}`` (a list per output if there are
    several).
    """
    pending, owned, found = {}, set(), {}
    for edge, nr, g in roots:
        add_gradient(pending, owned, edge, nr, g)
    order = topological([e for e in pending if isinstance(e, Node)])
    masks = Masks.of(order)
    if create_graph or targets is not None or masks is not None or switches.anomaly is not None:
        full_walk(order, pending, owned, found, retain_graph, create_graph, targets, masks)
        return pending, found
    take, look = pending.pop, pending.get
    for node in order:
        g = take(node, None)
        if g is None:
            continue
        extra = node.extra
        if extra is not None and extra.meta is not None:
            g = node_events(node, g, raw)
        edges = node.edges
        grads = node.pull(raw, g, edges) if g.__class__ is ndarray else pull(node, raw, g, edges)
        if extra is not None:
            if extra.meta is not None:
                grads = after_events(node, grads, g, raw)
            if extra.nrs is not None:
                for edge, nr, gi in zip(edges, extra.nrs, grads):  # noqa: B905 (rules give as many as there are inputs)
                    if edge is not None and gi is not None:
                        add_gradient(pending, owned, edge, nr, gi)
                edges = ()
        for edge, gi in zip(edges, grads):  # noqa: B905
            if edge is not None and gi is not None:
                before = look(edge)
                if before is None:
                    pending[edge] = gi
                elif edge in owned and gi.__class__ is ndarray and before.dtype is gi.dtype:
                    np.add(before, gi, before)
                else:
                    pending[edge] = add_up(owned, edge, before, gi)
        if not retain_graph:
            node.values = node.tensors = None
    return pending, found


def full_walk(order, pending, owned, found, retain_graph, create_graph, targets, masks):
    """The same loop with everything: only what leads to the targets, masks, anomaly mode, recorded rules."""
    needed = None if targets is None else leads_to(order, targets)
    o = recorded if create_graph else raw
    anomaly = switches.anomaly
    for node in order:
        g = pending.pop(node, None)
        if g is None:
            continue
        if node.meta is not None:
            g = node_events(node, g, o)
        if targets is not None and node in targets:
            found[node] = g
        edges = node.edges
        if needed is not None:
            edges = tuple([e if e in needed else None for e in edges])
            if not any(e is not None for e in edges):
                continue
        grads = pull(node, o, g, edges) if masks is None else masks.pull(node, o, g, edges)
        if anomaly is not None:
            anomaly.check_backward(node, g, grads)
        if node.meta is not None:
            grads = after_events(node, grads, g, o)
        for i, edge in enumerate(edges):
            if edge is not None and grads[i] is not None:
                add_gradient(pending, owned, edge, 0 if node.nrs is None else node.nrs[i], grads[i])
        if not retain_graph and masks is None:
            node.release()
    if not retain_graph and masks is not None:
        for node in order:
            node.release()


def add_up(owned, edge, before, g):
    """Sum of two gradients of one edge; from the third on in place, because then the sum is ours."""
    if type(before) is ndarray and type(g) is ndarray:
        if edge in owned and before.dtype == g.dtype:
            return np.add(before, g, out=before)
        total = before + g
        if type(total) is not ndarray:
            total = np.asarray(total)
        owned.add(edge)
        return total
    if isinstance(before, Tensor):
        return recorded.add(before, g)
    if isinstance(before, np.generic) or isinstance(g, np.generic):
        return np.asarray(before + g)
    before_mode, modes.grad = modes.grad, False
    try:
        return recorded.add(wrap(before), wrap(g))._data
    finally:
        modes.grad = before_mode


def add_gradient(pending, owned, edge, nr, g):
    """The general way to add: for a node with several outputs the entry is a list."""
    if isinstance(edge, Node) and edge.outputs != 1:
        parts = pending.get(edge)
        if parts is None:
            parts = pending[edge] = [None] * len(edge.meta["outputs"])
        parts[nr] = g if parts[nr] is None else add_up(set(), None, parts[nr], g)
    else:
        before = pending.get(edge)
        pending[edge] = g if before is None else add_up(owned, edge, before, g)


def leads_to(order, targets):
    """The edges from which a target can be reached; ``order`` is newest first."""
    needed = set(targets)
    for node in reversed(order):
        if node not in needed:
            for edge in node.edges:
                if edge is not None and edge in needed:
                    needed.add(node)
                    break
    return needed


def accumulate(pending, create_graph):
    """Add what reached the leaves to their ``.grad``."""
    if switches.tracer is not None:
        hold(pending)
    for leaf in list(pending):
        g = pending.pop(leaf)
        if leaf._hooks:
            g = run_hooks(leaf._hooks.values(), g, recorded if create_graph else raw)
        with adding:
            old = leaf._grad
            if create_graph:
                # A copy: the gradient may be another leaf's too, or the tensor that backward() was given.
                leaf._grad = recorded.gradient_copy(g) if old is None else recorded.add(old, g)
            elif old is None:
                sole = getrefcount(g) == SOLE
                leaf._grad = keep(g, leaf, sole)
            elif type(old._data) is ndarray and type(g) is ndarray:
                add_in_place(old, g)
            else:
                before, modes.grad = modes.grad, False
                try:
                    total = recorded.add(old, wrap(g))
                finally:
                    modes.grad = before
                if tracing() is None:
                    leaf._grad = total
                else:  # the same tensor goes on, as when it is added to in place
                    old._data = old._data.overwritten(total._data)
        del g
        if leaf._accumulate_hooks:
            for hook in list(leaf._accumulate_hooks.values()):
                call_hook(hook, recorded if create_graph else raw, leaf)


def add_in_place(old, g):
    """Add ``g`` to the gradient ``old``, where it lies."""
    if not old._data.flags.writeable:
        raise GradientError(
            "backward: .grad can't be added to, its memory is read-only or several of its elements share one place "
            "(it was expanded). Assign a .clone() to .grad, or set it to None first."
        )
    np.add(old._data, g, out=old._data, casting="same_kind")
    old._bump()


def keep(g, leaf, sole):
    """A leaf's gradient must own its memory and have the leaf's dtype; an array nobody else holds is taken as it is."""
    if type(g) is not ndarray:
        return wrap(g.copy() if getattr(type(g), "shares", False) else g)
    d = leaf._data.dtype
    if sole and g.base is None and g.flags.owndata and g.flags.writeable and g.dtype == d:
        t = Tensor._wrap(g)
    else:
        t = Tensor._wrap(np.array(g, dtype=d))
    return t
