"""The operator that made the first NaN or infinity out of finite numbers, found after the fact.

Nothing is checked while a training is sound, except the loss and a few gradients per step. When one of them is not
finite, the graph of that very step is still there: forward, values that nobody kept are computed again from those that
were; backward, the rules are run once more, one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.masked import Masks
from ..autograd.pull import pull
from ..config import switches
from ..graphs.names import constant_operand
from ..handle import Tensor
from ..node import Node, call_site, site_location
from ..primitive.quiet import QUIET, mute, restore
from ..primitive.registry import raw
from .plan import GROWTH, operator, source_of
from .reasons import reason


class Origin:
    """operator, source: where it happened.  direction: "forward" or "backward".  kind: "NaN" or "inf".

    values: the offending input values.  text: the reason in words.  remedy: what to write instead.
    """

    def __init__(self, op: str, source: str | None, direction: str, kind: str, values: dict, text: tuple[str, str]):
        self.operator, self.source, self.direction, self.kind = op, source, direction, kind
        self.values, (self.text, self.remedy) = values, text
        self.outside = False  # it was given something that is not finite by data or a constant


def kind_of(*arrays: Any) -> str:
    """ "NaN", "inf" or "" for some arrays."""
    found = ""
    for a in arrays:
        if a is None or not isinstance(a, (np.ndarray, np.generic)) or a.dtype.kind != "f":
            continue
        if not np.isfinite(a).all():
            if np.isnan(a).any():
                return "NaN"
            found = "inf"
    return found


# ---- forward


def forward_origin(order: list[Node], outputs: list[Tensor]) -> Origin | None:
    """The first node on the way to the loss whose output is not finite though its inputs are.

    The way is walked back from the loss through what is not finite, so that an infinity which was masked out on
    purpose is not taken for the origin. A node whose inputs are not all known counts if no other does.
    """
    values: dict[Any, Any] = {}
    known: dict[Node, list] = {}
    roots = {t._node: t._data for t in outputs if t._node is not None}
    for node in reversed(order):
        known[node] = inputs = _inputs(node, values)
        values[node] = _output(node, inputs, roots.get(node) if node.outputs == 1 else None)
    stack, seen = list(roots), set()
    sure: list[tuple[int, Node]] = []
    unsure: list[tuple[int, int, Node]] = []
    given: list[tuple[int, Node]] = []
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        inputs = known[node]
        kind = _kind(values[node])
        tainted = [(e, x) for e, x in zip(node.edges, inputs, strict=False) if x is not _UNKNOWN and _kind(x)]
        if tainted and not (kind == "NaN" and _owed(node, inputs)):
            for edge, x in tainted:
                if isinstance(edge, Node):
                    if values[edge] is None and edge.outputs == 1:
                        values[edge] = x  # nobody could compute it again, but this node kept it
                    stack.append(edge)
            if all(e is None for e, _ in tainted):
                given.append((node.seq, node))
            continue
        blind = [e for e, x in zip(node.edges, inputs, strict=False) if x is _UNKNOWN]
        if blind and kind == "NaN" and operator(node) in _SOFTMAX and _filled(blind):
            unsure.append((0, -1, node))  # -inf filled in on purpose, in every place of a row
            continue
        stack += [e for e in blind if isinstance(e, Node)]
        if kind and not blind:
            sure.append((node.seq, node))
        elif kind or values[node] is None:
            unsure.append((_likelihood(node, kind), node.seq, node))
    for found, outside in ((sure, False), (given, True), (unsure, False)):
        if found:
            node = min(found)[-1]
            origin = _origin(node, "forward", _kind(values[node]) or "NaN", known[node], values[node])
            origin.outside = outside
            return origin
    return None


def _likelihood(node: Node, kind: str) -> int:
    """A rank among nodes of which not everything is known: operators that have a domain first, then those whose output
    nobody kept, such as functions of the user's."""
    op = operator(node)
    if kind:
        return 2 if op in GROWTH else 0
    return 3 if op in ("add", "sub") else 1


def _kind(value: Any) -> str:
    return kind_of(*(value if isinstance(value, tuple) else (value,)))


_SOFTMAX = frozenset(("softmax", "log_softmax", "logsumexp"))


def _filled(edges: list) -> bool:
    return any(isinstance(e, Node) and operator(e) in ("masked_fill", "where", "add", "sub") for e in edges)


def _floating(x: Any) -> bool:
    return isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f"


def _owed(node: Node, given: list) -> bool:
    """A NaN out of infinities that were put in on purpose: a softmax over nothing but -inf."""
    return operator(node) in _SOFTMAX and not any((np.isnan(x) | np.isposinf(x)).any() for x in given if _floating(x))


class _Unknown:
    pass


_UNKNOWN = _Unknown()


def _inputs(node: Node, values: dict) -> list:
    """What is known of a node's inputs; None for an argument that was not given."""
    kept = node.values or ()
    nrs = node.nrs or (0,) * len(node.edges)
    found: list[Any] = []
    for i, (edge, nr) in enumerate(zip(node.edges, nrs, strict=True)):
        saved = kept[i + 1] if i + 1 < len(kept) else None
        if isinstance(saved, (np.ndarray, np.generic)):
            found.append(saved)
        elif isinstance(edge, Node):
            x = values.get(edge)
            x = x[nr] if isinstance(x, tuple) and nr < len(x) else x
            found.append(_UNKNOWN if x is None or isinstance(x, tuple) else x)
        elif edge is not None:
            found.append(edge._data)
        elif node.shapes is not None and node.shapes[i] is None:
            found.append(None)
        else:
            number = constant_operand(node.site, i) if node.site is not None else None
            found.append(_UNKNOWN if number is None else np.asarray(number, np.float32))
    return found


def _output(node: Node, inputs: list, known: Any) -> Any:
    """A node's output: kept by itself, or computed again, or None."""
    if known is not None:
        return known
    kept = node.values
    if kept and kept[0] is not None:
        return kept[0]
    prim = node.primitive
    if prim is None or any(x is _UNKNOWN for x in inputs):
        return None
    token = mute(QUIET)
    try:
        result = prim.kernel(*inputs, **(node.params or {}))
    except Exception:  # a call that cannot be repeated from what was kept: its value stays unknown
        return None
    finally:
        restore(token)
    return tuple(result) if isinstance(result, (tuple, list)) else np.asarray(result)


# ---- backward


def backward_origin(order: list[Node], roots: dict[Node, Any]) -> Origin | None:
    """The first node, newest first, whose rule gives something that is not finite for a finite gradient."""
    pending: dict[Any, Any] = dict(roots)
    masks = Masks.of(order)
    token = mute(QUIET)
    try:
        for node in order:
            g = pending.pop(node, None)
            if g is None:
                continue
            if isinstance(g, list):
                specs = (node.meta or {}).get("outputs", ())
                g = tuple([np.zeros(s[0], s[1]) if p is None else p for p, s in zip(g, specs, strict=True)])
            inputs = list((node.values or ())[1:])
            grads = pull(node, raw, g, node.edges) if masks is None else masks.pull(node, raw, g, node.edges)
            if not kind_of(*(g if isinstance(g, tuple) else (g,))):
                kind = kind_of(*[x for x, e in zip(grads, node.edges, strict=False) if e is not None])
                if kind:
                    return _origin(node, "backward", kind, inputs, (node.values or (None,))[0])
            nrs = node.nrs or (0,) * len(node.edges)
            for edge, nr, gi in zip(node.edges, nrs, grads, strict=False):
                if not isinstance(edge, Node) or gi is None:
                    continue
                if edge.outputs != 1:
                    parts = pending.setdefault(edge, [None] * len((edge.meta or {}).get("outputs", (None,))))
                    parts[nr] = gi if parts[nr] is None else parts[nr] + gi
                else:
                    before = pending.get(edge)
                    pending[edge] = gi if before is None else before + gi
                    if before is not None and kind_of(pending[edge]) and not kind_of(before, gi):
                        return _origin(edge, "backward", kind_of(pending[edge]), [before, gi], None)
    finally:
        restore(token)
    return None


def _origin(node: Node, direction: str, kind: str, inputs: list, out: Any) -> Origin:
    arrays = [None if x is None or x is _UNKNOWN else np.asarray(x) for x in inputs]
    op = operator(node)
    return Origin(
        op,
        source_of(node),
        direction,
        kind,
        offending(arrays, out, direction),
        reason(op, direction, kind, arrays, node),
    )


def offending(arrays: list, out: Any, direction: str) -> dict:
    """Input values at the first place where the result is not finite, or their ranges."""
    found: dict[str, Any] = {}
    at = None
    if direction == "forward" and isinstance(out, np.ndarray) and out.ndim and out.dtype.kind == "f":
        bad = np.argwhere(~np.isfinite(out))
        at = tuple(bad[0]) if len(bad) else None
    for i, a in enumerate(arrays):
        if a is None or not _floating(a) or a.size == 0:
            continue
        name = f"input {i + 1}"
        if at is not None and a.shape == out.shape:
            found[name] = float(a[at])
        elif a.size == 1:
            found[name] = float(a.reshape(-1)[0])
        else:
            known = a[np.isfinite(a)]
            found[name] = f"from {known.min():.4g} to {known.max():.4g}" if known.size else "nothing finite"
    if at is not None:
        found["index"] = [int(k) for k in at]
    return found


# ---- what left no trace: looked for in the steps that follow


class Lookout:
    """Stands at ``switches.anomaly`` for some steps, and notes the first operator that makes a NaN or infinity.

    Used when the origin is not in the graph: an operator on data, where nothing is recorded.
    """

    def __init__(self) -> None:
        self.before = switches.anomaly
        self.origin: Origin | None = None
        switches.anomaly = self  # type: ignore[assignment]

    def close(self) -> None:
        if switches.anomaly is self:
            switches.anomaly = self.before

    def check_forward(self, primitive: Any, inputs: Any, out: Any) -> None:
        if self.before is not None:
            self.before.check_forward(primitive, inputs, out)
        if self.origin is not None:
            return
        outs = [t._data for t in (out if isinstance(out, tuple) else (out,))]
        kind = kind_of(*outs)
        arrays = [np.asarray(x._data if isinstance(x, Tensor) else x) for x in inputs if x is not None]
        if kind and not kind_of(*arrays):
            file, line, _ = site_location(call_site(3))
            text = reason(primitive.name, "forward", kind, arrays, None)
            values = offending(arrays, outs[0], "forward")
            self.origin = Origin(primitive.name, f"{file}:{line}", "forward", kind, values, text)

    def check_backward(self, node: Any, g: Any, grads: Any) -> None:
        if self.before is not None:
            self.before.check_backward(node, g, grads)
