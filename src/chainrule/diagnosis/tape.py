"""What a watch wants to know of a compiled step, written down while the step is captured.

The function runs on symbols then, so that backward passes and optimisers' steps come by as they do in eager mode; what
eager mode would measure becomes instructions of the program, whose results leave it in one row of numbers:

    part 0  the losses                                         (every call)
    part 1  sums of squares of gradients, parameters, updates; what layers are given and what activations do
    part 2  per rectifying layer the largest output of each unit
    part 3  the gradients that arrive at the layers            (rarely, and while the data are looked at)
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..capture.tracer import Tracer
from ..compiler.symbol import Symbol
from ..handle import Tensor
from ..node import Node
from ..optim.optimizer import Optimizer
from .plan import RECTIFYING, SCANS, Plan, operator
from .scene import Scene, user_line

LOSS, FULL, LOOK = 0, 2, 3  # levels, named after the last part that they have
_PLACES = 4  # occurrences of one layer (the time steps of a loop) that are looked at


class Slot:
    """Where in a row something is: ``start`` counts from the beginning of its part until the tape has ended."""

    __slots__ = ("part", "size", "start")

    def __init__(self, part: int, start: int, size: int) -> None:
        self.part, self.start, self.size = part, start, size


class Backward:
    """A backward pass in the step.

    inputs: per layer of ``plan`` (slot of the sum of squares, number of elements) or None.  activations: per activation
    a list of places: (kind, slots, elements).  peaks: (number of the activation, slot, samples).  signals: per layer
    the slots of the sums of squares of the gradients that arrive, oldest first.  left: the slot of the size of
    gradients that were there before.  targets: the loss's operator, a stand-in for its node, and the number of the
    array that its targets are.
    """

    def __init__(self, plan: Plan | None, loss: Slot) -> None:
        self.plan, self.loss = plan, loss
        self.inputs: list[tuple[Slot, int] | None] = []
        self.activations: list[list[tuple[str, list[Slot], int]]] = []
        self.peaks: list[tuple[int, Slot, int]] = []
        self.signals: list[dict[int, Slot]] = []
        self.times: list[Slot | None] = []
        self.left: Slot | None = None
        self.line = ""
        self.targets: tuple[str, Any, int | None] | None = None


class Step:
    """An optimiser's step: per parameter of the scene the slots of its numbers, None where there are none."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.gradients: list[Slot | None] = []
        self.weights: list[Slot | None] = []
        self.updates: list[Slot | None] = []
        self.rate: Slot | None = None


class Writer:
    """Takes the events of one capture down."""

    def __init__(self, tracer: Tracer, scene: Scene) -> None:
        self.tracer, self.scene = tracer, scene
        self.builder = tracer.lowering
        self.parts: list[list] = [[], [], [], []]
        self.sizes = [0, 0, 0, 0]
        self.arrays: list = []
        self.events: list[Backward | Step] = []
        self.slots: list[Slot] = []
        self.before: dict[int, Any] = {}
        self.signals: list[Any] = []
        self.input: int | None = None
        self.handles = [m.register_forward_pre_hook(self._enter, with_kwargs=True) for m in scene.models]

    # ---- values

    def put(self, part: int, value: Any) -> Slot:
        slot = Slot(part, self.sizes[part], value.size)
        self.parts[part].append(value)
        self.sizes[part] += value.size
        self.slots.append(slot)
        return slot

    def squares(self, part: int, v: Any) -> Slot:
        b = self.builder
        v = self.floating(v)
        return self.put(part, b.reduce("sum", b.map("mul", v, v), range(len(v.shape))))

    def floating(self, v: Any) -> Any:
        return v if v.dtype in ("float32", "float64") else self.builder.convert(v, "float32")

    def array(self, v: Any) -> int:
        self.arrays.append(self.builder.dense(v))
        return len(self.arrays) - 1

    def close(self) -> None:
        """Slots count from the beginning of the row from now on."""
        for handle in self.handles:
            handle.remove()
        starts = [sum(self.sizes[:k]) for k in range(4)]
        for slot in self.slots:
            slot.start += starts[slot.part]
        del self.tracer, self.before, self.signals

    # ---- events

    def _enter(self, module: Any, args: tuple, kwargs: dict) -> None:
        t = next((a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)
        if t is not None and self.input is None:
            data = self.tracer.lift_one(t)
            if type(data) is Symbol and data.ndim and data.size:
                self.input = self.array(data.value)

    def saw_graph(self, outputs: list[Tensor], order: list[Node], plan: Plan | None) -> None:
        b = self.builder
        loss = outputs[0]._data
        if type(loss) is not Symbol:
            return
        value = loss.value
        value = b.reduce("sum", value, range(len(value.shape))) if value.size > 1 else b.reshape(value, ())
        event = Backward(plan, self.put(0, value))
        self.events.append(event)
        if plan is None:
            return
        for layer in plan.layers:
            x = _saved(order[layer.places[0]], layer.slot) if layer.slot else None
            event.inputs.append((self.squares(1, x), x.size) if x is not None and x.size else None)
        for k, act in enumerate(plan.activations):
            places = act.places
            if len(places) > _PLACES:
                places = places[:: -(-len(places) // _PLACES)]
            event.activations.append([p for p in [self._activation(event, k, act, order[i]) for i in places] if p])
        if plan.loss is not None:
            self._targets(event, order[plan.loss])
        self._listen(event, plan, order)

    def _activation(self, event: Backward, k: int, act: Any, node: Node) -> tuple[str, list[Slot], int] | None:
        b = self.builder
        y = _saved(node, 0)
        if y is None or not y.size:
            return self._from_input(act, node)
        dims = range(len(y.shape))
        if act.operator in RECTIFYING:
            fired = b.convert(b.map("gt", y, b.scalar(0, y.dtype), dtype="bool"), y.dtype)
            shape = y.shape if len(y.shape) > 1 else (1, y.size)
            convolved = act.layer is not None and act.layer.operator == "convolution" and len(shape) > 2
            axis = 1 if convolved else len(shape) - 1
            top = b.reduce("max", b.reshape(y, shape), [i for i in range(len(shape)) if i != axis])
            event.peaks.append((k, self.put(2, top), y.size // max(shape[axis], 1)))
            return "fired", [self.put(1, b.reduce("sum", fired, dims))], y.size
        if act.operator == "tanh":
            return "tanh", [self.squares(1, y)], y.size
        if act.operator == "sigmoid":
            return "sigmoid", [self.put(1, b.reduce("sum", y, dims)), self.squares(1, y)], y.size
        one = b.scalar(1, y.dtype)
        rest = b.map("sub", one, b.map("abs", y))
        return "mean", [self.squares(1, rest)], y.size  # softsign

    def _from_input(self, act: Any, node: Node) -> tuple[str, list[Slot], int] | None:
        b = self.builder
        x = _saved(node, 1)
        if x is None or not x.size:
            return None
        p = node.params or {}
        if act.operator in ("hardtanh", "hardsigmoid"):
            hard = act.operator == "hardsigmoid"
            low = -3.0 if hard else p.get("min_val", p.get("low", -1.0))
            high = 3.0 if hard else p.get("max_val", p.get("high", 1.0))
            inside = b.map(
                "and",
                b.map("gt", x, b.scalar(low, x.dtype), dtype="bool"),
                b.map("lt", x, b.scalar(high, x.dtype), dtype="bool"),
            )
            share = b.convert(inside, x.dtype)
        elif act.operator == "tanh":
            y = b.map("tanh", x)
            share = b.map("sub", b.scalar(1, x.dtype), b.map("mul", y, y))
        elif act.operator == "softsign":
            y = b.map("add", b.scalar(1, x.dtype), b.map("abs", x))
            share = b.map("div", b.scalar(1, x.dtype), b.map("mul", y, y))
        else:
            return None
        return "mean", [self.put(1, b.reduce("sum", share, range(len(x.shape))))], x.size

    def _targets(self, event: Backward, node: Node) -> None:
        values = node.values or ()
        y = values[2] if len(values) > 2 else None
        known = SimpleNamespace(values=(None, None, y), shapes=node.shapes, params=node.params)
        at = self.array(y.value) if type(y) is Symbol else None
        if type(y) is Symbol:
            known.values = None
        event.targets = operator(node), known, at

    def _listen(self, event: Backward, plan: Plan, order: list[Node]) -> None:
        """Hooks on the nodes of the layers, which run on symbols in the backward pass that comes now."""
        event.signals = [{} for _ in plan.layers]
        event.times = [None] * len(plan.layers)
        for k, layer in enumerate(plan.layers):
            places = layer.places
            if len(places) > 64:
                places = places[:: -(-len(places) // 64)]
            for place in places:
                node = order[place]
                if layer.operator in SCANS:
                    self.signals.append(node.register_hook(self._scan(event, k)))
                else:
                    self.signals.append(node.register_prehook(self._product(event, k, place)))

    def _product(self, event: Backward, k: int, place: int) -> Any:
        def hook(grads: tuple) -> None:
            g = None if grads[0] is None else grads[0]._data
            if type(g) is Symbol and g.size:
                event.signals[k][place] = self.squares(3, g.value)

        return hook

    def _scan(self, event: Backward, k: int) -> Any:
        def hook(grads: tuple, outputs: tuple) -> None:
            g = None if grads[0] is None else grads[0]._data
            if type(g) is Symbol and g.ndim > 1:
                b = self.builder
                v = g.value
                event.times[k] = self.put(3, b.reduce("sum", b.map("mul", v, v), range(1, len(v.shape))))

        return hook

    def saw_gradients(self, pending: dict) -> None:
        for handle in self.signals:
            handle.remove()
        self.signals = []
        event = self.events[-1] if self.events else None
        if not isinstance(event, Backward) or sum(isinstance(e, Backward) for e in self.events) > 1:
            return
        for p in pending:
            g = p._grad if isinstance(p, Tensor) and id(p) in self.scene.optimized else None
            if g is None or (type(g._data) is Symbol and id(g) not in self.tracer.lifted):
                continue
            data = self.tracer.lift_one(g)
            if type(data) is Symbol:
                event.left, event.line = self.squares(1, data.value), user_line(2)
                return

    def before_step(self, optimizer: Optimizer) -> None:
        step = Step(optimizer)
        self.events.append(step)
        for p in self.scene.params:
            g = p._grad
            data = None if g is None else self.tracer.lift_one(g) if type(g._data) is not Symbol else g._data
            step.gradients.append(self.squares(1, data.value) if type(data) is Symbol and data.size else None)
            self.before[id(p)] = p._data.value if type(p._data) is Symbol else None

    def after_step(self, optimizer: Optimizer) -> None:
        step = self.events[-1] if self.events else None
        if not isinstance(step, Step) or step.optimizer is not optimizer:
            return
        b = self.builder
        for p in self.scene.params:
            old, new = self.before[id(p)], p._data.value if type(p._data) is Symbol else None
            if old is None and id(p) in self.tracer.lifted:
                old = self.tracer.lifted[id(p)].value
            changed = new is not None and old is not None and new is not old and new.size > 0
            step.weights.append(self.squares(1, old) if changed else None)
            step.updates.append(self.squares(1, b.map("sub", new, old)) if changed else None)
        if "lr" in optimizer.param_groups[0]:
            rate = self.tracer.number(optimizer, 0, "lr").value
            step.rate = self.put(1, b.convert(rate, "float32"))


def _saved(node: Node, slot: int) -> Any:
    """The value of a symbol that the node keeps: 0 its output, k its input number k - 1."""
    values = node.values
    if values is None or slot >= len(values):
        return None
    a = values[slot]
    return a.value if type(a) is Symbol and a.dtype.kind == "f" else None


def mean_slope(kind: str, sums: list[float], n: int) -> float:
    """The mean derivative relative to its largest value, from the sums that ``Writer`` asked for."""
    if kind == "tanh":
        return 1.0 - sums[0] / n
    if kind == "sigmoid":
        return 4.0 * (sums[0] - sums[1]) / n
    return sums[0] / n
