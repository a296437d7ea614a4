"""Steps so large that the loss does not come down, or goes up without bound."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..finding import Finding
from ..history import History
from ..scene import Scene
from .base import Rule


class LearningRateTooHigh(Rule):
    """The loss rises far above its start, or jumps about, while steps are large relative to the weights.

    The ratio of update to weight is about 1e-3 in a sound training (Karpathy, CS231n, "Ratio of weights:updates").
    """

    code = "learning-rate-too-high"
    thresholds = {"diverged_factor": 3.0, "high_update_ratio": 0.02, "huge_update_ratio": 0.3}
    suspicion, patience = 1, 3

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        t = self.t
        ratios = h.update_ratios()[:, h.weights_like()]
        ratio = float(np.nanmedian(ratios[-16:])) if np.isfinite(ratios[-16:]).any() else math.nan
        early = float(np.nanmedian(ratios[:8])) if np.isfinite(ratios[:8]).any() else math.nan
        start = h.loss.start()
        level = h.loss.level()
        if h.loss.count < 4 or not math.isfinite(start):
            return
        top = max(h.loss.recent[-64:], default=level)
        scale = max(abs(start), h.targets.chance() if math.isfinite(h.targets.chance()) else 0.0) + 1e-12
        large = ratio > t.high_update_ratio or early > t.high_update_ratio
        if level > t.diverged_factor * scale or top > 100 * scale or (h.loss.bad and top > t.diverged_factor * scale):
            yield self._say(
                h, ratio, f"The loss has risen from {start:.3g} to {max(level, top):.3g}", top > 100 * scale
            )
        elif large and not h.learns() and h.loss.count > 16 and level > start * 0.98:
            yield self._say(h, ratio, f"The loss stays at {level:.3g} (it began at {start:.3g})", False)

    def _say(self, h: History, ratio: float, what: str, sure: bool) -> Finding:
        found = self.finding(
            "",
            f"{what} while a step changes the weights by {ratio:.1%} of their size.",
            f"Lower the learning rate (now {h.lr:g}) by a factor of 10, or warm it up.",
            update_ratio=ratio,
            learning_rate=h.lr,
            loss_start=h.loss.start(),
            loss=h.loss.level(),
        )
        if sure:
            found.evidence["sure"] = True
        return found
