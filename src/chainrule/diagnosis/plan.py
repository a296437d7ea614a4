"""What there is to measure in a graph: its layers, activations and loss, found once and reused for every like graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ..handle import Tensor
from ..node import Node, site_location

# Operators that only move or rescale what they are given: looked through on the way from a value to its maker.
MOVES = frozenset(
    "reshape view transpose t permute squeeze unsqueeze clone to_copy cast alias expand slices split unbind stack cat "
    "dropout index flip contiguous reshape_alias narrow_copy pick select".split()
)
# Operators that multiply with a weight.
PRODUCTS = frozenset("linear matmul mv dot convolution conv_input conv_weight embedding embed".split())
SCANS = frozenset(("rnn_scan", "lstm_scan", "gru_scan", "recurrence"))
# Activation -> the largest value of its derivative. The measure of saturation is the derivative at the values met.
SATURATING = {"tanh": 1.0, "sigmoid": 0.25, "softsign": 1.0, "hardtanh": 1.0, "hardsigmoid": 1 / 6}
RECTIFYING = frozenset(("relu",))
LOSSES = frozenset(
    (
        "cross_entropy", "nll_pick", "mse_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
        "binary_cross_entropy_with_logits_weighted", "smooth_l1_loss", "huber_loss", "ctc_loss",
    )
)  # fmt: skip
# Operators in which numbers merely grow too large: they end a divergence, they do not cause it.
GROWTH = frozenset(
    "linear matmul mv convolution add sub mul sum mean square mse_loss pow_number addmm cross_entropy batch_norm "
    "nll_pick binary_cross_entropy_with_logits layer_norm rnn_scan lstm_scan gru_scan".split()
)
REDUCTIONS = frozenset(("mean", "sum", "neg", "reshape", "view", "squeeze"))


def operator(node: Node) -> str:
    """The operator's name in snake case."""
    return node.primitive.name if node.primitive is not None else type(node).__name__.removesuffix("Backward")


_PUBLIC = {
    "nll_pick": "nll_loss", "pow_number": "pow", "pow_half": "pow", "pow_base": "pow", "pow_smooth": "pow",
    "vector_norm": "norm", "pick": "select", "slices": "getitem", "index": "getitem", "max_all": "max",
    "min_all": "min", "prod_all": "prod", "convolution": "conv", "rnn_scan": "rnn", "lstm_scan": "lstm",
    "gru_scan": "gru", "euclidean_distance": "cdist", "to_copy": "to", "gelu_tanh": "gelu",
    "binary_cross_entropy_with_logits_weighted": "binary_cross_entropy_with_logits",
}  # fmt: skip


def public_name(op: str) -> str:
    """What the user calls an operator."""
    return _PUBLIC.get(op, op)


def source_of(node: Node) -> str | None:
    """``file:line`` of the call that made a node."""
    if node.site is None:
        return None
    file, line, _ = site_location(node.site)
    return f"{file}:{line}"


class Layer:
    """A product with a parameter. ``places``: positions of its nodes in the order of the graph, newest first."""

    __slots__ = ("feeds_loss", "label", "name", "operator", "param", "places", "slot", "source")

    def __init__(self, name: str, param: str, op: str, slot: int, source: str | None) -> None:
        self.name, self.param, self.operator, self.slot, self.source = name, param, op, slot, source
        self.places: list[int] = []
        self.label = name  # unlike the name, of no other layer
        self.feeds_loss = False  # nothing but the loss comes after it


class Activation:
    """An activation function. ``slot``: where its node keeps the output (0) or the input (1)."""

    __slots__ = ("is_output", "last", "layer", "name", "operator", "places", "source")

    def __init__(self, name: str, op: str, layer: Layer | None, source: str | None) -> None:
        self.name, self.operator, self.layer, self.source = name, op, layer, source
        self.places: list[int] = []
        self.last = False  # no layer comes after it
        self.is_output = False  # its value, merely reshaped, is what the loss is given


class Plan:
    """What is measured in graphs of one shape.

    order: the nodes, newest first.  paths: per node (oldest first) the path of its module or None.
    names: ``{id(parameter): name}``.
    """

    def __init__(self, order: list[Node], paths: list[str | None], names: dict[int, str]) -> None:
        self.size = len(order)
        self.anchor: tuple[int, int, Any] | None = None
        self.layers: list[Layer] = []
        self.activations: list[Activation] = []
        self.reached: set[str] = set()
        self.leaf_ids: set[int] = set()
        self.loss: int | None = None  # the position of the loss's node
        self.pure = False  # whether the loss is that node's value, merely reduced
        self.complete = any(p is not None for p in paths)
        self._find(order, paths, names)
        self.cover = self._cover(order)
        self.loss_name, self.loss_source = "", None
        self._find_loss(order)

    def fits(self, order: list[Node]) -> bool:
        """Whether a graph of the same operators is this one's, and not of another model built alike."""
        if self.anchor is None:
            return True
        k, i, leaf = self.anchor
        return order[k].edges[i] is leaf

    def _find(self, order: list[Node], paths: list[str | None], names: dict[int, str]) -> None:
        n = len(order)
        makers: dict[Node, Layer | None] = {}  # node -> the layer its value comes from
        params: dict[Node, str] = {}  # nodes that only move or reshape a parameter
        layers: dict[tuple, Layer] = {}
        activations: dict[tuple, Activation] = {}
        for i in range(n):
            node, place, path = order[n - 1 - i], n - 1 - i, paths[i]
            op = operator(node)
            weight, weight_slot, before = None, 0, None
            for k, edge in enumerate(node.edges):
                if edge is None:
                    continue
                if isinstance(edge, Node):
                    before = before or makers.get(edge)
                    name = params.get(edge)
                else:
                    name = names.get(id(edge))
                    self.leaf_ids.add(id(edge))
                    if name is not None:
                        self.reached.add(name)
                        if self.anchor is None:
                            self.anchor = (place, k, edge)
                if name is not None and (weight is None or k < 2):
                    shape = edge._data.shape if isinstance(edge, Tensor) else None
                    if shape is None or len(shape) > 1 or op in SCANS:
                        weight, weight_slot = name, k
            if weight is not None and op in MOVES and len([e for e in node.edges if e is not None]) == 1:
                params[node] = weight
                continue
            if weight is not None and (op in PRODUCTS or op in SCANS):
                module = weight.rpartition(".")[0] or path or weight
                key = (weight, module, op)
                layer = layers.get(key)
                if layer is None:
                    layer = layers[key] = Layer(module, weight, op, _input_slot(op, weight_slot), source_of(node))
                    self.layers.append(layer)
                layer.places.append(place)
                before = layer
            elif op in SATURATING or op in RECTIFYING:
                key = (path, op, before.param if before else None, node.site)
                act = activations.get(key)
                if act is None:
                    name = path if path and (before is None or path != "") else (before.name if before else op)
                    act = activations[key] = Activation(name, op, before, source_of(node))
                    self.activations.append(act)
                act.places.append(place)
            makers[node] = before
        shared = Counter(layer.name for layer in self.layers)
        for layer in self.layers:
            if shared[layer.name] > 1:
                layer.label = layer.param
        self._find_last(order)

    def _find_last(self, order: list[Node]) -> None:
        """Mark the layers and activations from which the loss is reached without another layer."""
        if not order:
            return
        at = {place: x for x in (*self.layers, *self.activations) for place in x.places}
        place = {node: i for i, node in enumerate(order)}
        stack, seen = [order[0]], set()
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            x = at.get(place[node])
            if isinstance(x, Layer):
                x.feeds_loss = True
                continue
            if x is not None:
                x.last = True
            stack += [e for e in node.edges if isinstance(e, Node)]

    def _cover(self, order: list[Node]) -> list[Tensor]:
        """Leaves such that every node leads to one: a NaN that arises anywhere backward shows in one of them."""
        chosen: dict[int, Tensor] = {}
        covered: dict[Any, bool] = {}
        for node in reversed(order):
            leaves = [e for e in node.edges if isinstance(e, Tensor)]
            if any(covered.get(e, False) for e in node.edges if isinstance(e, Node)):
                covered[node] = True
            elif leaves:
                best = min(leaves, key=lambda t: t._data.size)
                chosen[id(best)] = best
                covered[node] = True
        return list(chosen.values())

    def _find_loss(self, order: list[Node]) -> None:
        """The one known loss; of several, none: what they are compared with cannot be taken together."""
        place = {node: i for i, node in enumerate(order)}
        level = [(order[0], True)] if order else []
        found: list[tuple[Node, bool]] = []
        for _ in range(12):
            following: list[tuple[Node, bool]] = []
            for node, pure in level:
                op = operator(node)
                if op in LOSSES:
                    found.append((node, pure))
                    continue
                still = pure and op in REDUCTIONS
                following += [(e, still) for e in node.edges if isinstance(e, Node)]
            level = following[:32]
            if found:
                break
        if len(found) != 1 or any(operator(node) in LOSSES for node, _ in level):
            return
        node, pure = found[0]
        self.loss, self.pure = place[node], pure
        self.loss_name, self.loss_source = public_name(operator(node)), source_of(node)
        self._mark_output(node, place)

    def _mark_output(self, loss: Node, place: dict[Node, int]) -> None:
        edge = loss.edges[0]
        if isinstance(edge, Node):
            maker = chain(edge, lambda op: op in MOVES)[-1]
            for act in self.activations:
                act.is_output = place[maker] in act.places


def _input_slot(op: str, weight: int) -> int:
    """Where a product's node keeps its other operand."""
    if op in SCANS:
        return 0
    return 2 if weight == 0 and op in ("matmul", "mv", "dot") else 1


def chain(node: Node, through: Callable[[str], bool]) -> list[Node]:
    """The node and those before it on its first path, as long as ``through`` says yes of their operators."""
    found = [node]
    while through(operator(node)):
        edge = next((e for e in node.edges if isinstance(e, Node)), None)
        if edge is None:
            break
        node = edge
        found.append(node)
    return found


def saved(node: Node, slot: int) -> np.ndarray | None:
    """An array the node keeps: 0 its output, k its input number k - 1."""
    values = node.values
    if values is None or slot >= len(values):
        return None
    a = values[slot]
    return a if type(a) is np.ndarray and a.dtype.kind == "f" else None
