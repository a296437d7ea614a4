"""The statistics of one step, in as few NumPy calls as will do.

Everything that rules and recordings see is a `Sample`; in eager mode the functions here fill it, from the graph before
the backward pass, from ``.grad`` before the optimiser's step and from the parameters after it. A compiled step that
computes the same numbers inside its kernels hands over a `Sample` of its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..handle import Tensor
from ..node import Node
from .plan import RECTIFYING, SCANS, Activation, Plan, saved

vdot = np.vdot
_PLACES = 4  # occurrences of one layer (the time steps of a loop) that are looked at


class Sample:
    """The numbers of one step.

    step, loss, lr.  gradients, weights, updates: per parameter the sum of squares, None where not measured.
    inputs: per layer of ``plan`` the mean square of its input.  activations: per activation
    (mean derivative relative to its largest value, share of zeros).
    """

    __slots__ = ("activations", "gradients", "inputs", "loss", "lr", "plan", "step", "updates", "weights")

    def __init__(self, step: int) -> None:
        self.step = step
        self.loss = self.lr = math.nan
        self.plan: Plan | None = None
        self.gradients: list[float] | None = None
        self.weights: list[float] | None = None
        self.updates: list[float] | None = None
        self.inputs: list[float] | None = None
        self.activations: list[tuple[float, float]] | None = None


def gradients(params: list[Tensor]) -> list[float]:
    """Per parameter the sum of squares of its gradient; -1 where there is none."""
    found = []
    for p in params:
        g = p._grad
        if g is None:
            found.append(-1.0)
            continue
        g = g._data
        found.append(float(vdot(g, g)))
    return found


class Update:
    """The size of an optimiser's step: parameters are copied before and compared after."""

    def __init__(self, params: list[Tensor]) -> None:
        self.params = params
        self.old: list[np.ndarray] = []
        self.datas: list[np.ndarray] = []

    def before(self) -> None:
        datas = [p._data for p in self.params]
        if len(datas) != len(self.datas) or any(a is not b for a, b in zip(datas, self.datas, strict=True)):
            self.datas, self.old = datas, [np.empty(d.shape, d.dtype) for d in datas]
        for old, d in zip(self.old, datas, strict=True):
            np.copyto(old, d)

    def after(self) -> tuple[list[float], list[float]]:
        """Sums of squares of the parameters as they were, and of the change."""
        weights, updates = [], []
        for p, old in zip(self.params, self.old, strict=True):
            weights.append(float(vdot(old, old)))
            d = p._data
            if d.shape == old.shape:
                np.subtract(d, old, old)
                updates.append(float(vdot(old, old)))
            else:
                updates.append(math.nan)
        return weights, updates


def forward(plan: Plan, order: list[Node], units: dict[int, Units]) -> tuple[list[float], list[tuple[float, float]]]:
    """The inputs of the layers and what the activations do, from what the graph's nodes keep."""
    inputs = []
    for layer in plan.layers:
        x = saved(order[layer.places[0]], layer.slot) if layer.slot else None
        inputs.append(float(vdot(x, x)) / max(x.size, 1) if x is not None else math.nan)
    activations = []
    for k, act in enumerate(plan.activations):
        places = act.places
        if len(places) > _PLACES:
            places = places[:: -(-len(places) // _PLACES)]
        slope = zeros = 0.0
        for place in places:
            y = saved(order[place], 0)
            if y is None and act.operator in _FROM_INPUT:
                x = saved(order[place], 1)
                if x is not None and x.size:
                    slope += _FROM_INPUT[act.operator](x, order[place].params or {})
                    continue
            if y is None or y.size == 0:
                slope = zeros = math.nan
                break
            if act.operator in RECTIFYING:
                unit = units.get(k)
                if unit is None:
                    unit = units[k] = Units(act)
                share = unit.add(y)
                zeros += 1 - share
                slope += share
            else:
                slope += _slope(act.operator, y)
        activations.append((slope / len(places), zeros / len(places)))
    return inputs, activations


def _slope(op: str, y: np.ndarray) -> float:
    """The mean derivative at the values met, relative to the largest derivative, from the output."""
    n = y.size
    if op == "tanh":
        return 1.0 - float(vdot(y, y)) / n
    if op == "sigmoid":
        return 4.0 * (float(np.add.reduce(y, None)) - float(vdot(y, y))) / n
    return float(((1 - np.abs(y)) ** 2).mean())  # softsign


def _share_between(x: np.ndarray, low: float, high: float) -> float:
    return float(np.count_nonzero((x > low) & (x < high))) / x.size


# The same from the input, for those whose nodes keep that.
_FROM_INPUT = {
    "hardtanh": lambda x, p: _share_between(
        x, p.get("min_val", p.get("low", -1.0)), p.get("max_val", p.get("high", 1.0))
    ),
    "hardsigmoid": lambda x, p: _share_between(x, -3.0, 3.0),
    "softsign": lambda x, p: float((1 / (1 + np.abs(x)) ** 2).mean()),
    "tanh": lambda x, p: float((1 - np.tanh(x) ** 2).mean()),
}


class Units:
    """Which units of a rectifying layer have fired, over enough samples; zeros in one batch are no evidence."""

    samples = 512
    batches = 8

    def __init__(self, act: Activation) -> None:
        self.act = act
        self.peak: np.ndarray | None = None
        self.seen = self.count = 0
        self.axes: tuple[int, ...] = ()
        self.closed: list[tuple[int, int, int]] = []  # (samples, dead units, units) per window

    def add(self, y: np.ndarray) -> float:
        """Take one output in; the share of elements that are not zero."""
        if y.ndim < 2:
            y = y.reshape(1, -1)
        layer = self.act.layer
        unit_axis = 1 if layer is not None and layer.operator == "convolution" and y.ndim > 2 else y.ndim - 1
        axes = tuple([i for i in range(y.ndim) if i != unit_axis])
        top = np.maximum.reduce(y, axes if len(axes) > 1 else axes[0])
        self.take(top, y.size // max(top.size, 1))
        return np.count_nonzero(y) / y.size

    def take(self, top: np.ndarray, samples: int) -> None:
        """Take in the largest output of each unit over so many samples."""
        if self.peak is None or self.peak.shape != top.shape:
            self.peak, self.seen, self.count = top, 0, 0
        else:
            np.maximum(self.peak, top, out=self.peak)
        self.seen += samples
        self.count += 1
        if self.seen >= self.samples and self.count >= self.batches:
            self.close()

    def so_far(self) -> tuple[int, int, int] | None:
        """(samples, dead units, units) of the window that is open."""
        if self.peak is None or not self.seen:
            return None
        return self.seen, int(self.peak.size - np.count_nonzero(self.peak > 0)), self.peak.size

    def close(self) -> None:
        """End a window: what has not fired in it is dead in it."""
        if self.peak is not None and self.seen:
            dead = int(self.peak.size - np.count_nonzero(self.peak > 0))
            self.closed.append((self.seen, dead, self.peak.size))
            del self.closed[:-64]
        self.peak, self.seen, self.count = None, 0, 0


class Signals:
    """The gradients that arrive at the layers in one backward pass (prehooks on their nodes, for that pass alone)."""

    def __init__(self, step: int, plan: Plan, order: list[Node]) -> None:
        self.step, self.plan = step, plan
        self.found: list[dict[int, float]] = [{} for _ in plan.layers]
        self.times: list[np.ndarray | None] = [None] * len(plan.layers)
        self.handles: list[Any] = []
        for k, layer in enumerate(plan.layers):
            places = layer.places
            if len(places) > 64:
                places = places[:: -(-len(places) // 64)]
            for place in places:
                node = order[place]
                if layer.operator in SCANS:
                    self.handles.append(node.register_hook(self._scan(k)))
                else:
                    self.handles.append(node.register_prehook(self._product(k, place)))

    def _product(self, k: int, place: int) -> Any:
        def hook(grads: tuple) -> None:
            g = None if grads[0] is None else grads[0]._data
            if type(g) is np.ndarray and g.size:
                # Per sample: the size of the gradient of one sample's loss, whatever the layer's width.
                self.found[k][place] = math.sqrt(max(float(vdot(g, g)), 0.0))

        return hook

    def _scan(self, k: int) -> Any:
        def hook(grads: tuple, outputs: tuple) -> None:
            g = None if grads[0] is None else grads[0]._data
            if type(g) is np.ndarray and g.ndim > 1:
                self.times[k] = np.sqrt(np.square(g, dtype=np.float64).sum(axis=tuple(range(1, g.ndim))))

        return hook

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def sizes(self) -> list[np.ndarray]:
        """Per layer the norms of the gradients at its output, in the order of the forward pass."""
        found = []
        for k, places in enumerate(self.found):
            if self.times[k] is not None:
                found.append(self.times[k])
            else:
                found.append(np.array([places[p] for p in sorted(places, reverse=True)]))
        return found
