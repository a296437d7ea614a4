"""Does the loss go down? Levels and trends of the loss, robust to noise, without a threshold that has a unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

_CELLS = 1024


def medians(a: np.ndarray) -> np.ndarray:
    """The median of every column without its NaNs; NaN for a column that has nothing else."""
    if not len(a):
        return np.full(a.shape[1:], math.nan)
    ordered = np.sort(a, axis=0)  # NaNs come last
    count = len(a) - np.count_nonzero(np.isnan(a), axis=0)
    return np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, 0)[0]


def middle(values: list[float] | np.ndarray) -> float:
    """The median of some numbers without NaNs; NaN if there are none."""
    known = sorted([v for v in values if v == v])
    return float(known[len(known) // 2]) if known else math.nan


def _once(method: Callable) -> Callable:
    """Compute a property of the curve once per loss, however often rules ask."""
    name = method.__name__

    @wraps(method)
    def remembered(self: LossCurve) -> Any:
        if name not in self._known:
            self._known[name] = method(self)
        return self._known[name]

    return remembered


class LossCurve:
    """All losses seen, as means of neighbours once there are many; exact minimum and start."""

    def __init__(self) -> None:
        self.width = 1  # losses per cell
        self.cells: list[float] = []
        self.sum, self.inside = 0.0, 0
        self.count = 0
        self.first: list[float] = []  # the first losses as they were
        self.bad = 0  # losses that were not finite
        self.recent: list[float] = []
        self._known: dict[str, Any] = {}  # what was computed since the last loss

    def add(self, value: float) -> None:
        """Take one loss in."""
        if self._known:
            self._known = {}
        if not math.isfinite(value):
            self.bad += 1
            return
        self.count += 1
        if len(self.first) < 32:
            self.first.append(value)
        self.recent.append(value)
        if len(self.recent) > 512:
            del self.recent[:256]
        self.sum += value
        self.inside += 1
        if self.inside == self.width:
            self._cell()

    def extend(self, values: list[float]) -> None:
        """Take several finite losses in."""
        self._known = {}
        self.count += len(values)
        self.first += values[: max(32 - len(self.first), 0)]
        self.recent += values
        if len(self.recent) > 512:
            del self.recent[:-256]
        start = 0
        while start < len(values):
            part = values[start : start + self.width - self.inside]
            start += len(part)
            self.sum += sum(part)
            self.inside += len(part)
            if self.inside == self.width:
                self._cell()

    def _cell(self) -> None:
        self.cells.append(self.sum / self.width)
        self.sum, self.inside = 0.0, 0
        if len(self.cells) >= _CELLS:
            a = np.asarray(self.cells)
            self.cells = ((a[0::2] + a[1::2]) / 2).tolist()
            self.width *= 2

    @_once
    def array(self) -> np.ndarray:
        """The curve so far."""
        return np.asarray(self.cells if self.cells else self.first, float)

    def start(self) -> float:
        """The level of the first losses."""
        k = max(1, min(5, self.count // 10))
        return middle(self.first[:k])

    def tail(self, share: float = 0.2) -> np.ndarray:
        a = self.array()
        return a[-max(1, int(len(a) * share)) :]

    @_once
    def level(self) -> float:
        """The level now: the median of the last fifth."""
        a = self.tail()
        return float(np.sort(a)[a.size // 2]) if a.size else math.nan

    @_once
    def best(self) -> float:
        """The lowest level reached, over windows of a twentieth."""
        a = self.array()
        if not a.size:
            return math.nan
        k = max(1, len(a) // 20)
        return min(float(np.median(a[i : i + k])) for i in range(0, len(a), k))

    @_once
    def noise(self) -> float:
        """The spread between neighbouring losses: what one loss differs from the next without any trend."""
        a = np.asarray(self.recent[-256:])
        if a.size < 3:
            return 0.0
        steps = np.sort(np.abs(a[1:] - a[:-1]))
        return float(steps[steps.size // 2]) * 1.05

    @_once
    def trend(self) -> tuple[float, float]:
        """(fall over the last half relative to its spread over many steps, the same as t-value)."""
        a = self.array()
        a = a[len(a) // 2 :]
        if len(a) < 8:
            return 0.0, 0.0
        x = np.arange(len(a), dtype=float)
        x -= x.mean()
        slope = float((x * (a - a.mean())).sum() / (x * x).sum())
        rest = a - a.mean() - slope * x
        error = math.sqrt(float((rest * rest).sum()) / max(len(a) - 2, 1) / float((x * x).sum())) + 1e-30
        return -slope * len(a), -slope / error
