"""Steps so large that the loss does not come down, or goes up without bound."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..finding import Finding
from ..history import History
from ..progress import middle
from ..scene import Scene
from .base import Rule


class LearningRateTooHigh(Rule):
    """The loss rises far above its start, or jumps about, while steps are large relative to the weights.

    The ratio of update to weight is about 1e-3 in a sound training (Karpathy, CS231n, "Ratio of weights:updates"); the
    first steps of Adam from small weights may reach 1e-1.
    """

    code = "learning-rate-too-high"
    thresholds = {"diverged_factor": 3.0, "high_update_ratio": 0.02, "huge_update_ratio": 0.13, "high_learned": 0.4}
    suspicion, patience = 1, 3

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        t = self.t
        ratios = h.update_ratios()[:, h.weights_like()]
        late, early = _middle(ratios[-16:]), _middle(ratios[:8])
        start, level = h.loss.start(), h.loss.level()
        if h.loss.count < 3 or not math.isfinite(start):
            return
        top = max(h.loss.recent[-64:], default=level)
        chance = h.targets.chance()
        # A loss that starts at exactly 0 has not risen when it is a little above.
        start_size = max(abs(start), 0.2 * max(map(abs, h.loss.first), default=0.0))
        scale = max(start_size, chance if math.isfinite(chance) and h.plan is not None and h.plan.pure else 0.0) + 1e-12
        largest = max(late, early)
        if largest < t.high_update_ratio / 4:
            return
        if level > t.diverged_factor * scale or top > 100 * scale or (h.loss.bad and top > t.diverged_factor * scale):
            what = f"The loss has risen from {start:.3g} to {max(level, top):.3g}"
            yield self._say(h, largest, what, top > 100 * scale)
        elif h.loss.count > 24 and h.learned() < t.high_learned:
            moved = early > t.huge_update_ratio or late > t.huge_update_ratio
            worse = level > 0.98 * start or h.stuck()
            if moved and (h.settled() or worse):
                yield self._say(h, largest, f"The loss stays at {level:.3g} (it began at {start:.3g})", False)
            elif worse and late > t.high_update_ratio and h.settled():
                yield self._say(h, late, f"The loss stays at {level:.3g} (it began at {start:.3g})", False)

    def _say(self, h: History, ratio: float, what: str, sure: bool) -> Finding:
        found = self.finding(
            "",
            f"{what}, and steps change the weights by {ratio:.1%} of their size.",
            f"Lower the learning rate (now {h.lr:g}) by a factor of 10, or warm it up.",
            update_ratio=ratio,
            learning_rate=h.lr,
            loss_start=h.loss.start(),
            loss=h.loss.level(),
        )
        if sure:
            found.evidence["sure"] = True
        return found


def _middle(ratios: np.ndarray) -> float:
    found = middle(ratios.reshape(-1).tolist())
    return found if math.isfinite(found) else 0.0
