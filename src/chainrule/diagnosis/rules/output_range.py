"""Targets that the last activation cannot reach."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..finding import Finding
from ..history import History
from ..scene import Scene
from .base import Rule

_RANGES = {
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, np.inf),
    "hardtanh": (-1.0, 1.0),
    "softmax": (0.0, 1.0),
}


class OutputRange(Rule):
    """A regression whose targets lie outside what the last activation can give: the loss cannot come down.

    Goodfellow, Bengio, Courville, "Deep Learning" (2016), section 6.2.2: the output unit is chosen with the loss.
    """

    code = "loss-mismatch"
    thresholds = {"out_of_range": 0.2, "range_margin": 0.05}
    suspicion, patience = 1, 1

    def __init__(self) -> None:
        super().__init__()
        self.known, self.said = 0, []  # the targets looked at last, and what was said of them

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        targets = h.targets
        if h.plan is None or not targets.rows or self.known == targets.kept:
            yield from self.said
            return
        self.known, self.said = targets.kept, []
        self.said = list(self._look(h))
        yield from self.said

    def _look(self, h: History) -> Iterable[Finding]:
        targets, plan = h.targets, h.plan
        t = np.concatenate(targets.rows)
        if targets.kind == "chances":
            share = float(((t < 0) | (t > 1)).mean())
            if share > 0.01:
                found = self.finding(
                    plan.loss_name,
                    f"{share:.0%} of the targets lie outside [0, 1] (from {t.min():.3g} to {t.max():.3g}): binary "
                    "cross entropy has no lower bound there.",
                    "Give it labels 0 and 1: (labels == positive).float().",
                    plan.loss_source,
                    share=share,
                )
                found.code = "bad-labels"
                found.evidence["sure"] = True
                yield found
            return
        act = next((a for a in plan.activations if a.is_output), None)
        if targets.kind not in ("squares", "huber") or act is None or act.operator not in _RANGES or len(t) < 8:
            return
        low, high = _RANGES[act.operator]
        margin = self.t.range_margin * (float(t.max() - t.min()) + 1e-12)
        share = float(((t < low - margin) | (t > high + margin)).mean())
        if share < self.t.out_of_range:
            return
        found = self.finding(
            act.name,
            f"The last {act.operator} gives values from {low:g} to {high:g}, but {share:.0%} of the targets lie "
            f"outside (from {t.min():.3g} to {t.max():.3g}).",
            f"Leave the last {act.operator} out, or scale the targets into its range.",
            act.source,
            share=share,
        )
        found.evidence["sure"] = True
        yield found
