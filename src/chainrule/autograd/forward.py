"""Forward mode: the recorded graph walked the other way, oldest node first, with a tangent per edge.

Each family's forward rule follows from what its author wrote: pointwise Σ partial · tangent; linear the operator
itself on the tangent; bilinear f(da, b) + f(a, db); reductions Σ partial · tangent over the reduced dimensions; all
others by transposing their reverse rule, which is linear in the gradient
(Townsend 2017, "A new trick for calculating Jacobian vector products"). Tangents are computed with recorded operators,
so modes nest.
"""

import math

import numpy as np

from ..batching import enter_batch, exit_batch, lift_batch, open_batch, sizes_of
from ..config import enable_grad
from ..handle import Tensor, wrap
from ..node import Node, topological
from ..primitive.base import edge_of
from ..primitive.registry import recorded
from .backward import grad


def push_forward(inputs, tangents, outputs):
    """The tangents of ``outputs`` when the ``inputs`` they were computed from move along ``tangents``; None where
    nothing moves."""
    found = {}
    for x, t in zip(inputs, tangents, strict=True):
        edge = edge_of(x)
        if isinstance(edge, Node) and edge.outputs != 1:
            found.setdefault(edge, {})[x._output_nr] = t
        else:
            found[edge] = t
    starts = set(found)
    edges = [edge_of(y) if isinstance(y, Tensor) else None for y in outputs]
    with enable_grad():
        for node in reversed(topological([e for e in edges if isinstance(e, Node)])):
            if node in starts:
                continue
            nrs = node.nrs or (0,) * len(node.edges)
            moving = [tangent_of(found, e, nr) for e, nr in zip(node.edges, nrs, strict=True)]
            if any(t is not None for t in moving):
                result = push(node, moving)
                found[node] = dict(enumerate(result)) if node.outputs != 1 else result
    return [None if e is None else tangent_of(found, e, y._output_nr) for e, y in zip(edges, outputs, strict=True)]


def leads_outside(tensors, own):
    """Whether the graph of ``tensors`` ends in a leaf that is not one of ``own``, nor a variable of a transform that
    has ended inside."""
    own, roots = set(own), []
    for t in tensors:
        if t._node is not None:
            roots.append(t._node)
        elif t._requires_grad and somebody(t, own):
            return True
    return any(
        e is not None and not isinstance(e, Node) and somebody(e, own)
        for node in topological(roots)
        for e in node.edges
    )


def somebody(leaf, own):
    return leaf not in own and not hasattr(leaf, "_ended")


def push_batch(x, tangents, outputs):
    """``push_forward`` for a batch of tangents of one input at once; the results have a leading batch dimension, None
    where nothing moves."""
    size = tangents._data.shape[0]
    with open_batch(size) as level:
        moved = push_forward([x], [enter_batch(tangents, dim=0, level=level)], outputs)
    return [None if t is None else exit_batch(t, dim=0, level=level, size=size) for t in moved]


def tangent_of(found, edge, nr):
    t = found.get(edge)
    return t.get(nr) if isinstance(t, dict) else t


def push(node, moving):
    """The tangent of a node's output (a tuple if there are several), given those of its inputs."""
    prim = node.primitive
    family = "function" if prim is None else prim.family
    return _RULES.get(family, transpose_pull)(node, moving)


def push_pointwise(node, moving):
    total = None
    for i, t in enumerate(moving):
        if t is None or node.primitive.partials[i] is None:
            continue
        term = node.product(recorded, t, i)
        total = term if total is None else total + term
    if total is None:
        return None
    if node.shapes is not None:
        shape = tuple(np.broadcast_shapes(*node.shapes))
        if tuple(total.shape) != shape:
            total = recorded.expand(total, shape=shape)
    return total


def push_linear(node, moving):
    prim = node.primitive
    _, *xs = node.unpack(True)
    like = next(t for t in moving if t is not None)
    args = [
        x
        if prim.linear_in is not None and i not in prim.linear_in
        else zeros(node.shapes[i], like)
        if t is None and node.shapes[i] is not None
        else t
        for i, (x, t) in enumerate(zip(xs, moving, strict=True))
    ]
    return prim(*args, **node.params)


def push_bilinear(node, moving):
    prim = node.primitive
    _, a, b = node.unpack(True)
    da, db = moving
    parts = []
    if da is not None:
        parts.append(prim(da, b, **node.params))
    if db is not None:
        parts.append(prim(a, db, **node.params))
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def push_reduction(node, moving):
    y, x = node.unpack(True)
    return recorded.sum(
        node.partial(recorded, y, x) * moving[0], dim=node.params["dim"], keepdim=node.params.get("keepdim", False)
    )


def zeros(shape, like):
    """Zeros of a shape, in the dtype of another tensor."""
    return recorded.expand(wrap(np.zeros((), like._data.dtype)), shape=tuple(shape))


def transpose_pull(node, moving):
    """The reverse rule is linear in the gradient ``u``; differentiate it with respect to ``u``.

    At which ``u`` makes no difference, but a rule may treat zeros apart (0 / 0 in eigenvectors), so ``u`` has none.
    """
    like = next(t for t in moving if t is not None)
    specs = node.meta["outputs"] if node.outputs != 1 else (node.result,)
    sizes = batches_of(node, moving)
    us = tuple([lift(wrap(generic(shape, d)), sizes) if d.kind in "fV" else None for shape, d in specs])
    for u in us:
        if u is not None:
            u._requires_grad = True
    edges = tuple([e if t is not None else None for e, t in zip(node.edges, moving, strict=True)])
    pulled = node.pull(recorded, us if node.outputs != 1 else us[0], edges)
    pairs = [
        (g, t) for g, t in zip(pulled, moving, strict=True) if g is not None and t is not None and g._requires_grad
    ]
    wanted = [u for u in us if u is not None]
    if not pairs:
        return tuple([None] * len(us)) if node.outputs != 1 else zeros(us[0].shape, like)
    results = iter(
        grad([g for g, _ in pairs], wanted, [t for _, t in pairs], create_graph=True, materialize_grads=True)
    )
    out = tuple([None if u is None else next(results) for u in us])
    return out if node.outputs != 1 else out[0]


def generic(shape, dtype):
    """Numbers of no pattern, none of them zero."""
    n = math.prod(shape)
    return (1.0 + np.modf(np.arange(1, n + 1) * 0.6180339887498949)[0]).reshape(shape).astype(dtype)


def batches_of(node, moving):
    """The batches that a node's saved values and tangents belong to: ``u`` must have one value per sample of each."""
    sizes = {}
    for v in [t._data for t in moving if t is not None] + saved_arrays(node):
        sizes.update(sizes_of(v))
    return sizes


def saved_arrays(node):
    found = []
    for v in node.values or ():
        found += v if isinstance(v, tuple) else [v]
    found += [v[0] for kind, v in getattr(node, "kept", ()) if kind == "output"]  # of a custom operator
    return found + [t._data for t in node.tensors or () if t is not None]


def lift(t, sizes):
    """``t`` as a member of batches: with one of its own per sample."""
    for level, n in sizes.items():
        t = lift_batch(t, level=level, size=n)
    return t


_RULES = {"pointwise": push_pointwise, "linear": push_linear, "bilinear": push_bilinear, "reduction": push_reduction}
