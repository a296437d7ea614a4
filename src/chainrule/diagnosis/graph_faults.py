"""What one graph tells of the loss: whether it fits what it is given, its dimensions and its sign."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..node import Node
from .finding import Finding
from .plan import LOSSES, MOVES, REDUCTIONS, chain, operator, public_name, saved, source_of

_POINTWISE_LOSS = frozenset(
    "sub abs square pow_number pow_smooth mul smooth_l1_loss huber_loss mse_loss binary_cross_entropy_with_logits "
    "binary_cross_entropy".split()
)


# Activations whose result is never negative.
_FLOORED = frozenset(("relu", "softplus", "abs", "square", "clamp_min"))


def _moves(op: str) -> bool:
    return op in MOVES


# ---- the loss


def examine_graph(order: list[Node], paths: list[str | None]) -> list[Finding]:
    """Faults of the loss that one graph shows. Called once per graph shape, with the values still in the nodes."""
    found: list[Finding] = []
    path = dict(zip(order[::-1], paths, strict=True))
    for node in order:
        op = operator(node)
        if op in ("cross_entropy", "nll_pick"):
            found += _classes(node, path)
        elif op in ("binary_cross_entropy_with_logits", "binary_cross_entropy_with_logits_weighted"):
            found += _two_classes(node, path)
        elif op == "log":
            found += _log_of_softmax(node, path)
        elif op in ("softmax", "log_softmax"):
            found += _one_class(node, path)
    found += _broadcast(order, path)
    found += _sign(order)
    if not found:
        found += _over_samples(order, path)
    unique = {(f.code, f.where, f.source): f for f in found}
    return list(unique.values())


def _before(node: Node, k: int = 0) -> Node | None:
    edge = node.edges[k] if k < len(node.edges) else None
    return edge if isinstance(edge, Node) else None


def _mismatch(node: Node, where: str | None, message: str, remedy: str, **evidence: Any) -> Finding:
    where = where or public_name(operator(node))
    return Finding("loss-mismatch", where, message, remedy, evidence, source_of(node), 0)


def _classes(node: Node, path: dict) -> list[Finding]:
    before = _before(node)
    if before is None:
        return []
    steps = chain(before, _moves)
    maker = steps[-1]
    op, loss = operator(maker), operator(node)
    classes = (node.shapes or ((),))[0]
    if len(classes) > 1 and classes[1] == 1:
        return [
            _mismatch(
                node,
                None,
                f"The loss is given one class ({list(classes)}): it is 0 whatever the network says.",
                "Give the last layer an output per class, or use binary_cross_entropy_with_logits for one output.",
                shape=list(classes),
            )
        ]
    name = "cross_entropy" if loss == "cross_entropy" else "nll_loss"
    where = path.get(maker) or op
    found = []
    if loss == "cross_entropy" and op in ("softmax", "sigmoid"):
        found.append(
            _mismatch(
                maker,
                where,
                f"{op} is applied before cross_entropy, which takes logits and applies softmax itself: gradients are "
                "squashed and the loss cannot reach 0.",
                f"Give cross_entropy the output before the {op}.",
                operator=op,
                loss=name,
            )
        )
    elif loss == "cross_entropy" and op in ("tanh", "softsign", "hardtanh", "hardsigmoid"):
        found.append(
            _mismatch(
                maker,
                where,
                f"{op} is applied to the logits: they stay between -1 and 1, so the loss cannot come near 0.",
                "Give cross_entropy the output of the last linear layer.",
                operator=op,
                loss=name,
            )
        )
    elif loss == "cross_entropy" and op in _FLOORED:
        found.append(
            _mismatch(
                maker,
                where,
                f"{op} is applied to the logits: no class can get a negative one, and where it is flat no gradient "
                "flows.",
                "Give cross_entropy the output of the last linear layer.",
                operator=op,
                loss=name,
            )
        )
    elif loss == "nll_pick" and op not in ("log_softmax", "log", "sub", "logsigmoid", "add", "where", "masked_fill"):
        found.append(
            _mismatch(
                node,
                None,
                f"nll_loss takes log-probabilities, but is given the output of {op}"
                + (": the loss is the negative mean probability." if op == "softmax" else " and has no lower bound."),
                "Use cross_entropy on the logits, or log_softmax before nll_loss.",
                operator=op,
                loss=name,
            )
        )
    shape = (node.shapes or (None,))[0]
    if op in ("log_softmax", "softmax") and shape is not None and maker.params:
        own = (maker.shapes or (None,))[0]
        axis = _class_axis(steps[:-1], shape)
        dim = maker.params.get("dim")
        if own is not None and axis is not None and dim is not None and dim + len(own) != axis:
            found.append(_wrong_axis(maker, where, dim + len(own), own, axis))
    made = _made_shape(maker)
    if shape is not None and made is not None and made[-1] == shape[1] > 1 and (len(shape) > 2 or len(made) > 2):
        if _follow(made, steps[:-1][::-1]) != 1:
            found.append(
                _mismatch(
                    node,
                    None,
                    f"{name} takes the classes along dimension 1 of {list(shape)}, but {op} makes them along the last "
                    f"dimension of {list(made)}, and what lies between does not bring them there.",
                    "Exchange the dimensions with .transpose(1, 2) (not view or reshape), or flatten to (N, classes).",
                    shape=list(shape),
                    made=list(made),
                )
            )
    return found


def _made_shape(node: Node) -> tuple | None:
    """The shape of a product's result; None for other operators."""
    op, shapes = operator(node), node.shapes
    if op == "linear" and node.result is not None:
        return tuple(node.result[0])
    if op == "matmul" and shapes is not None and shapes[0] and shapes[1] and min(len(shapes[0]), len(shapes[1])) > 1:
        return (*shapes[0][:-1], shapes[1][-1])
    return None


def _follow(shape: tuple, moves: list[Node]) -> int | None:
    """Where the last dimension ends up after some moves; None where it is mixed with others."""
    axis, now = len(shape) - 1, shape
    for node in moves:
        op, params = operator(node), node.params or {}
        if op in ("transpose", "t"):
            a, b = params.get("dim0", 0) % len(now), params.get("dim1", 1) % len(now)
            axis = b if axis == a else a if axis == b else axis
            swapped = list(now)
            swapped[a], swapped[b] = now[b], now[a]
            now = tuple(swapped)
        elif op == "permute" and "dims" in params:
            dims = [d % len(now) for d in params["dims"]]
            axis, now = dims.index(axis), tuple([now[d] for d in dims])
        elif op in ("reshape", "view", "reshape_alias") and params.get("shape") is not None:
            new = tuple(params["shape"])
            before = _size(now[:axis])
            places = [k for k in range(len(new)) if _size(new[:k]) == before and new[k] == now[axis]]
            if not places:
                return None
            axis, now = places[0], new
        elif op not in ("clone", "dropout", "alias", "to_copy", "cast"):
            return 1  # not followed: nothing is said
    return axis


def _wrong_axis(node: Node, where: str | None, dim: int, shape: tuple, axis: int) -> Finding:
    op = operator(node)
    return _mismatch(
        node,
        where or op,
        f"{op} runs along dimension {dim} of {list(shape)}, but the classes are along dimension {axis}.",
        f"Use dim={axis if axis != len(shape) - 1 else -1}.",
        dim=dim,
        shape=list(shape),
    )


def _class_axis(moves: list[Node], shape: tuple) -> int | None:
    """The dimension of the classes before some moves, last first, that end in a loss's (N, C, ...); None if unknown."""
    axis, now = 1, shape
    for node in moves:
        op, given, params = operator(node), (node.shapes or (None,))[0], node.params or {}
        if given is None:
            return None
        n = len(now)
        if op == "transpose":
            a, b = params["dim0"] % n, params["dim1"] % n
            axis = b if axis == a else a if axis == b else axis
        elif op == "permute" and "dims" in params:
            axis = params["dims"][axis] % n
        elif op in ("reshape", "view", "reshape_alias"):
            if axis != n - 1 or given[-1] != now[-1]:
                return None
            axis = len(given) - 1
        elif op not in ("clone", "dropout", "alias", "to_copy", "cast") and len(given) != n:
            return None
        now = given
    return axis


def _two_classes(node: Node, path: dict) -> list[Finding]:
    before = _before(node)
    if before is None:
        return []
    maker = chain(before, _moves)[-1]
    op = operator(maker)
    if op in _FLOORED:
        what = "its result has a floor, so the network can never be sure of the answer 0"
    elif op in ("sigmoid", "softmax", "tanh", "hardtanh", "hardsigmoid", "softsign"):
        what = "which takes logits of any size and applies sigmoid itself"
    else:
        return []
    return [
        _mismatch(
            maker,
            path.get(maker) or op,
            f"{op} is applied before binary_cross_entropy_with_logits: {what}.",
            f"Leave the {op} out, or use binary_cross_entropy.",
            operator=op,
            loss="binary_cross_entropy_with_logits",
        )
    ]


def _one_class(node: Node, path: dict) -> list[Finding]:
    """A softmax over a dimension of length 1 is 1 whatever it is given."""
    shape, dim = (node.shapes or (None,))[0], (node.params or {}).get("dim")
    if not shape or dim is None or shape[dim] != 1:
        return []
    op = operator(node)
    return [
        _mismatch(
            node,
            path.get(node),
            f"{op} runs along a dimension of length 1 of {list(shape)}: its result is the same whatever it is given.",
            "With one output use binary_cross_entropy_with_logits (or sigmoid), else the dimension of the classes.",
            shape=list(shape),
        )
    ]


def _log_of_softmax(node: Node, path: dict) -> list[Finding]:
    before = _before(node)
    maker = None if before is None else chain(before, _moves)[-1]
    if maker is None or operator(maker) != "softmax":
        return []
    return [
        _mismatch(
            node,
            path.get(node) or path.get(maker) or "log",
            "The logarithm of a softmax: small probabilities round to 0, and log(0) is -inf.",
            "Use log_softmax, or cross_entropy on the logits.",
            operator="log",
        )
    ]


def _broadcast(order: list[Node], path: dict) -> list[Finding]:
    """A difference of (N, 1) and (N): every prediction is compared with every target."""
    if not order:
        return []
    level, seen = [order[0]], set()
    for _ in range(10):
        following = []
        for node in level:
            if node in seen:
                continue
            seen.add(node)
            op = operator(node)
            if op in _POINTWISE_LOSS:
                shapes = _operand_shapes(node)
                if shapes is not None:
                    return [
                        Finding(
                            "loss-mismatch",
                            public_name(op),
                            f"The loss compares shapes {list(shapes[0])} and {list(shapes[1])}, which broadcast to "
                            f"{list(shapes[2])}: predictions are compared with targets of other samples or outputs.",
                            "Give both the same shape, e.g. prediction.squeeze(-1) or target.unsqueeze(-1).",
                            {"shapes": [list(s) for s in shapes]},
                            source_of(node),
                            0,
                        )
                    ]
            if op in REDUCTIONS or op in _POINTWISE_LOSS or op in LOSSES or op in ("add", "div"):
                following += [e for e in node.edges if isinstance(e, Node)]
        level = following
    return []


def _operand_shapes(node: Node) -> tuple | None:
    """The operands' shapes and the result's, if a loss function had to broadcast them, or both were blown up."""
    op, shapes = operator(node), node.shapes
    if op in ("mse_loss", "smooth_l1_loss", "huber_loss", "sub"):
        before = _before(node) or _before(node, 1)
        wide = None if before is None else (before.params or {}).get("shape")
        if wide and operator(before) == "expand" and (op == "sub" or before.site == node.site):
            small = tuple((before.shapes or (None,))[0])
            if _size(wide) > _size(small) and (op != "sub" or (len(wide) > 1 and wide[-1] == wide[-2])):
                return small, _other(small, wide), tuple(wide)
        target = saved(node, 2)
        if op != "sub" and target is not None and target.ndim > 1 and target.strides[-1] == 0 and target.shape[-1] > 1:
            return tuple(target.shape), (*target.shape[:-1], 1), tuple(target.shape)
    if shapes is None or len(shapes) < 2 or shapes[0] is None or shapes[1] is None:
        return None
    a, b = tuple(shapes[0]), tuple(shapes[1])
    if a == b or len(a) == len(b) or not a or not b:
        return None
    wide = np.broadcast_shapes(a, b)
    # As many elements on both sides, and more in the result: what should meet one to one meets all to all.
    return (a, b, wide) if _size(a) == _size(b) < _size(wide) else None


def _other(small: tuple, wide: tuple) -> tuple:
    """The other operand's shape, where one was expanded from ``small`` to ``wide``."""
    if len(wide) == 2 and wide[0] == wide[1]:
        return (wide[-1],) if len(small) > 1 else (wide[-1], 1)
    return tuple(wide)


def _size(shape: tuple) -> int:
    n = 1
    for k in shape:
        n *= k
    return n


def _over_samples(order: list[Node], path: dict) -> list[Finding]:
    """A softmax over dimension 0 of (N, C) that the loss is made from by hand."""
    stack, seen = order[:1], set()
    while stack and len(seen) < 64:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        op, shape = operator(node), (node.shapes or (None,))[0]
        if op in ("softmax", "log_softmax") and shape is not None and node.params:
            if len(shape) == 2 and node.params.get("dim") == -2 and shape[0] != shape[1] and min(shape) > 1:
                return [_wrong_axis(node, path.get(node), 0, shape, 1)]
            continue
        edges = [e for e in node.edges if e is not None]
        if len(edges) == 1 and (
            op in REDUCTIONS or op in MOVES or op in ("mul", "log", "gather", "sub", "add", "mse_loss")
        ):
            stack += [e for e in edges if isinstance(e, Node)]
    return []


def _sign(order: list[Node]) -> list[Finding]:
    """A loss that is maximised: a known loss, or the logarithm of a probability, that comes in with the wrong sign."""
    node, sign = (order[0] if order else None), 1
    for _ in range(16):
        if node is None:
            return []
        op, before = operator(node), _before(node)
        if op == "neg":
            sign = -sign
        elif op in ("mul", "div"):
            edges = [e for e in node.edges if e is not None]
            if len(edges) != 1:
                return []
            k = 1 if node.edges[0] is edges[0] else 0
            other = (node.values or (None,) * 3)[k + 1]
            before = edges[0] if isinstance(edges[0], Node) else None
            if isinstance(other, np.ndarray) and other.size and other.dtype.kind == "f":
                if (other < 0).all():
                    sign = -sign
                elif (other < 0).any():
                    return []
        elif op in LOSSES and op != "nll_pick":
            if sign < 0:
                return [
                    _mismatch(
                        node,
                        None,
                        f"The loss is minus {public_name(op)}: minimising it makes the error as large as it can be.",
                        "Leave the minus out.",
                    )
                ]
            return []
        elif op == "nll_pick":
            sign = -sign
        elif op in ("log_softmax", "logsigmoid") or (
            op == "log" and before is not None and operator(before) in _SHARES
        ):
            if sign > 0:
                return [
                    _mismatch(
                        node,
                        None,
                        "The loss is the log-likelihood itself: minimising it makes the right answers unlikely.",
                        "Put a minus in front, or use cross_entropy (nll_loss).",
                    )
                ]
            return []
        elif op not in REDUCTIONS and op not in MOVES and op not in ("gather", "where", "masked_fill"):
            return []
        node = before
    return []


_SHARES = ("softmax", "sigmoid")
