"""What a watch remembers of a run, and what rules ask of it."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from .measure import Sample, Units
from .plan import Plan
from .progress import LossCurve, medians, middle

RECENT = 128
TAPE = 512


class History:
    """Losses, recent samples, the first ones, and the looks at backward signals.

    names: the parameters' names, in the order of the numbers in samples.  shapes: their shapes.
    """

    def __init__(self, names: list[str], shapes: list[tuple[int, ...]]) -> None:
        self.names, self.shapes = names, shapes
        self.loss = LossCurve()
        self.rates = LossCurve()  # the learning rate's course
        self.step = 0
        self.samples: deque[Sample] = deque(maxlen=RECENT)
        self.early: list[Sample] = []
        self.tape: list[Sample] = []  # the whole run, thinned, for reports
        self.added, self.pace = 0, 8
        self.full: deque[Sample] = deque(maxlen=RECENT)
        self.looks: list[tuple[int, Plan, list[np.ndarray]]] = []
        self.units: dict[Plan, dict[int, Units]] = {}
        self.plan: Plan | None = None  # the one of most graphs
        self.targets = Targets()
        self.data: Any = None
        self.initial: dict[str, Any] = {}
        self.lr = math.nan
        self.trainable: set[str] = set()
        self.closing = False
        self._ratios: tuple[int, np.ndarray] | None = None
        self.mixed = False  # several different losses go into one step
        self.blamed: set[str] = set()  # codes of the findings so far

    def add(self, sample: Sample) -> None:
        self.samples.append(sample)
        if len(self.early) < 32:
            self.early.append(sample)
        if sample.updates is not None:
            self.full.append(sample)
        if sample.plan is not None:
            self.plan = sample.plan
        self.added += 1
        if self.added <= 16 or (self.added - 1) % self.pace == 0:  # in step with the samples taken in full
            self.tape.append(sample)
            if len(self.tape) > TAPE:
                self.tape = self.tape[:16] + self.tape[16::2]
                self.pace *= 2

    def losses(self) -> list[tuple[int, float]]:
        """The loss curve as far as it is remembered: means over equal stretches of steps."""
        curve = self.loss
        return [(int((k + 0.5) * curve.width), v) for k, v in enumerate(curve.array().tolist())]

    def gradient_norms(self, samples: Any = None) -> np.ndarray:
        """(sample, parameter): norms, NaN where there was no gradient."""
        rows = [s.gradients for s in (self.samples if samples is None else samples) if s.gradients is not None]
        a = np.asarray(rows, float).reshape(len(rows), len(self.names))
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.where(a < 0, np.nan, a))

    def update_ratios(self) -> np.ndarray:
        """(sample, parameter): the norm of the step relative to the parameter's own."""
        if self._ratios is None or self._ratios[0] != self.added:
            rows = [(s.weights, s.updates) for s in self.full]
            w, u = np.asarray(rows, float).reshape(len(rows), 2, len(self.names)).swapaxes(0, 1)
            with np.errstate(all="ignore"):
                self._ratios = self.added, np.where(w > 0, np.sqrt(u / w), np.nan)
        return self._ratios[1]

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
        if self.plan is None or not self.plan.pure or self.mixed or not math.isfinite(chance) or chance <= 0:
            return math.nan
        return 1 - (self.loss.level() if level is None else level) / chance

    def gone(self) -> float:
        """How much of the first loss is gone, of what can go: 0 nothing, 1 all."""
        start, now = self.loss.start(), self.loss.level()
        if not (math.isfinite(start) and math.isfinite(now)):
            return math.nan
        return (start - now) / (abs(start) + 1e-12)

    def learned(self) -> float:
        """How much has been learned, between 0 and 1: of the loss of a constant answer, else of the first loss."""
        explained = self.explained()
        done = explained if math.isfinite(explained) else self.gone()
        return done if math.isfinite(done) else 0.0

    def settled(self) -> bool:
        """Whether the run is long enough for what has not happened yet to mean something."""
        return self.step >= 96 or (self.closing and self.step >= 24)

    def diverges(self) -> bool:
        """Whether the loss is far above where it began."""
        start = self.loss.start()
        return math.isfinite(start) and self.loss.level() > 3 * abs(start) + 1e-12

    def first_pass_level(self) -> float:
        """The level of the loss at the end of the samples that the probe has, most of them seen for the first time."""
        first = self.loss.first
        return middle(first[-8:])

    def first_activations(self) -> np.ndarray | None:
        """Relative derivatives in the first samples."""
        rows = [s.activations for s in self.early if s.activations is not None and s.plan is self.plan][:4]
        if not rows or not rows[0]:
            return None
        return medians(np.asarray(rows, float)[:, :, 0])

    def forward_line(self) -> tuple[float, Any] | None:
        """(decades by which signals grow through the layers at first, the layer where most of it happens)."""
        first = next((s for s in self.early if s.inputs is not None and s.plan is self.plan), None)
        if first is None or self.plan is None:
            return None
        pairs = [(x, layer) for x, layer in zip(first.inputs, self.plan.layers, strict=True) if x > 0]  # type: ignore[arg-type]
        if len(pairs) < 4:
            return None
        sizes = np.log10([x for x, _ in pairs]) / 2
        steps = np.diff(sizes)
        total = float(sizes[-1] - sizes[0])
        k = int(np.argmax(steps if total > 0 else -steps))
        return total, pairs[k][1]

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

    most = 4096

    def __init__(self) -> None:
        self.kind = ""
        self.counts: np.ndarray | None = None
        self.rows: list[np.ndarray] = []
        self.kept = 0
        self.reduction = "mean"
        self.batch = 1
        self.wanting = True  # more targets would say more
        self._chance: tuple[Any, float] = (None, math.nan)

    def add(self, op: str, node: Any) -> None:
        """Take in the targets that a loss's node keeps."""
        values, params = node.values or (), node.params or {}
        self.reduction = params.get("reduction", "mean")
        t = values[2] if len(values) > 2 else None
        if not isinstance(t, np.ndarray) or t.size == 0:
            return
        self.batch = t.size
        if op in ("cross_entropy", "nll_pick"):
            shape = (node.shapes or (None,))[0]
            if shape is None or t.dtype.kind not in "iu":
                return
            c = shape[1]
            counts = np.bincount(t[(t >= 0) & (t < c)].reshape(-1), minlength=c)
            self.kind = "classes"
            self.kept += t.size
            self.wanting = self.kept < 16 * self.most
            self.counts = counts.astype(float) if self.counts is None or len(self.counts) != c else self.counts + counts
            return
        if t.dtype.kind != "f":
            return
        self.kind = {"mse_loss": "squares", "huber_loss": "huber", "smooth_l1_loss": "huber"}.get(op, "")
        if op.startswith("binary"):
            self.kind = "chances"
        if self.kept < self.most:
            rows = t.reshape(len(t), -1) if t.ndim > 1 else t.reshape(-1, 1)
            if not self.rows or self.rows[0].shape[1] == rows.shape[1]:
                self.rows.append(np.array(rows[:, :256], np.float64))
                self.kept += len(rows)
        self.wanting = self.kept < self.most

    def chance(self) -> float:
        """The loss of the best constant answer; NaN if the loss is not known."""
        key = self.kept, None if self.counts is None else float(self.counts.sum())
        if self._chance[0] != key:
            self._chance = key, self._compute()
        return self._chance[1]

    def _compute(self) -> float:
        scale = 1.0 if self.reduction == "mean" else float(self.batch) if self.reduction == "sum" else math.nan
        if self.kind == "classes" and self.counts is not None and self.counts.sum() > 0:
            p = self.counts / self.counts.sum()
            p = p[p > 0]
            return scale * float(-(p * np.log(p)).sum())
        if not self.rows:
            return math.nan
        t = np.concatenate(self.rows)
        if self.kind == "squares":
            return scale * float(t.var(0).mean())
        if self.kind == "chances":
            p = np.clip(t.mean(0), 1e-12, 1 - 1e-12)
            return scale * float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())
        if self.kind == "huber":
            d = np.abs(t - np.median(t, axis=0))
            return scale * float(np.where(d < 1, 0.5 * d * d, d - 0.5).mean())
        return math.nan
