"""What a watch remembers of a run, and what rules ask of it."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from .measure import Sample, Units
from .plan import Plan
from .progress import LossCurve

RECENT = 128


class History:
    """Losses, recent samples, the first ones, and the looks at backward signals.

    names: the parameters' names, in the order of the numbers in samples.  shapes: their shapes.
    """

    def __init__(self, names: list[str], shapes: list[tuple[int, ...]]) -> None:
        self.names, self.shapes = names, shapes
        self.loss = LossCurve()
        self.step = 0
        self.samples: deque[Sample] = deque(maxlen=RECENT)
        self.early: list[Sample] = []
        self.full: deque[Sample] = deque(maxlen=RECENT)
        self.looks: list[tuple[int, Plan, list[np.ndarray]]] = []
        self.units: dict[Plan, dict[int, Units]] = {}
        self.plan: Plan | None = None  # the one of most graphs
        self.targets = Targets()
        self.data: Any = None
        self.initial: dict[str, Any] = {}
        self.lr = math.nan
        self.trainable: set[str] = set()
        self.clipped = False

    def add(self, sample: Sample) -> None:
        self.samples.append(sample)
        if len(self.early) < 32:
            self.early.append(sample)
        if sample.updates is not None:
            self.full.append(sample)
        if sample.plan is not None:
            self.plan = sample.plan

    def gradient_norms(self, samples: Any = None) -> np.ndarray:
        """(sample, parameter): norms, NaN where there was no gradient."""
        rows = [s.gradients for s in (self.samples if samples is None else samples) if s.gradients is not None]
        a = np.asarray(rows, float).reshape(len(rows), len(self.names))
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.where(a < 0, np.nan, a))

    def update_ratios(self) -> np.ndarray:
        """(sample, parameter): the norm of the step relative to the parameter's own."""
        rows = [(s.weights, s.updates) for s in self.full]
        if not rows:
            return np.zeros((0, len(self.names)))
        w, u = [np.asarray(x, float).reshape(len(rows), len(self.names)) for x in zip(*rows, strict=True)]
        with np.errstate(all="ignore"):
            return np.where(w > 0, np.sqrt(u / w), np.nan)

    def weights_like(self) -> np.ndarray:
        """Which parameters are matrices (or kernels): biases and scales have no meaningful ratio of their own."""
        return np.array([len(s) > 1 for s in self.shapes], bool)

    def activation_rows(self) -> np.ndarray:
        """(sample, activation, 2): relative derivative and share of zeros, of the samples of the present plan."""
        rows = [s.activations for s in self.full if s.activations is not None and s.plan is self.plan]
        n = 0 if self.plan is None else len(self.plan.activations)
        return np.asarray(rows, float).reshape(len(rows), n, 2)

    # ---- progress of the loss, relative to what is known without looking at the input

    def explained(self, level: float | None = None) -> float:
        """How much of the loss of the best constant answer is gone: 0 nothing, 1 all; NaN if that is not known."""
        chance = self.targets.chance()
        if self.plan is None or not self.plan.pure or not math.isfinite(chance) or chance <= 0:
            return math.nan
        return 1 - (self.loss.level() if level is None else level) / chance

    def gone(self) -> float:
        """How much of the first loss is gone, of what can go: 0 nothing, 1 all."""
        start, now = self.loss.start(), self.loss.level()
        if not (math.isfinite(start) and math.isfinite(now)):
            return math.nan
        return (start - now) / (abs(start) + 1e-12)

    def learns(self) -> bool:
        """Whether the loss has clearly fallen, below that of a constant answer where this is known."""
        explained = self.explained()
        noise = self.loss.noise() / max(math.sqrt(len(self.loss.tail())), 1)
        fallen = self.loss.start() - self.loss.level() > 3 * noise and self.gone() > 0.05
        return fallen and not explained < 0.05

    def stuck(self) -> bool:
        """Whether the loss has gone nowhere: at the level of a constant answer, or of its start, without a trend."""
        explained = self.explained()
        if math.isfinite(explained):
            return explained < 0.05
        return self.gone() < 0.05


class Targets:
    """Statistics of the targets: what the best answer that does not look at the input would cost."""

    def __init__(self) -> None:
        self.kind = ""
        self.counts: np.ndarray | None = None
        self.n = self.sum = self.squares = 0.0
        self.reduction = "mean"
        self.batch = 1

    def add(self, op: str, node: Any) -> None:
        """Take in the targets that a loss's node keeps."""
        values = node.values or ()
        params = node.params or {}
        self.reduction = params.get("reduction", "mean")
        if op in ("cross_entropy", "nll_pick"):
            t, x = (values[2] if len(values) > 2 else None), (node.shapes or (None,))[0]
            if t is None or x is None or t.dtype.kind not in "iu":
                return
            c = x[1]
            counts = np.bincount(t[(t >= 0) & (t < c)].reshape(-1), minlength=c)
            self.kind = "classes"
            self.batch = t.size
            if self.counts is None or len(self.counts) != c:
                self.counts = counts.astype(float)
            else:
                self.counts += counts
            return
        t = values[2] if len(values) > 2 else None
        if t is None or not isinstance(t, np.ndarray) or t.dtype.kind != "f" or t.size == 0:
            return
        self.kind = "numbers" if op in ("mse_loss",) else "chances" if op.startswith("binary") else ""
        self.batch = t.size
        self.n += t.size
        self.sum += float(np.add.reduce(t, None))
        self.squares += float(np.vdot(t, t))

    def chance(self) -> float:
        """The loss of the best constant answer."""
        scale = 1.0 if self.reduction == "mean" else float(self.batch) if self.reduction == "sum" else math.nan
        if self.kind == "classes" and self.counts is not None and self.counts.sum() > 0:
            p = self.counts / self.counts.sum()
            p = p[p > 0]
            return scale * float(-(p * np.log(p)).sum())
        if self.n and self.kind == "numbers":
            return scale * max(self.squares / self.n - (self.sum / self.n) ** 2, 0.0)
        if self.n and self.kind == "chances":
            p = min(max(self.sum / self.n, 0.0), 1.0)
            return scale * -(p * math.log(p + 1e-12) + (1 - p) * math.log(1 - p + 1e-12))
        return math.nan
