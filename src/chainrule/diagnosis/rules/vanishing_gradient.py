"""Gradients that shrink from layer to layer on their way back."""

from __future__ import annotations

from collections.abc import Iterable

from ..finding import Finding
from ..history import History
from ..scene import Scene
from .base import Rule
from .signals import attenuation


class VanishingGradient(Rule):
    """The gradient that arrives at a layer falls by a constant factor per layer: a straight line in the logarithm.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010), section 4.2,
    compare the variance of back-propagated gradients over depth. What counts is the whole fall, not a size: the
    gradient of a sound network may be 1e-6 everywhere. A training whose loss goes down is left alone.
    """

    code = "vanishing-gradient"
    thresholds = {
        "vanishing_fall": 2.0,
        "vanishing_slope": 0.1,
        "vanishing_layers": 4,
        "vanishing_fit": 0.6,
        "vanishing_deep": 4.0,  # decades at which a network that learns a little is blamed too
        "vanishing_learned": 0.3,
    }

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        if not h.settled() or not (h.stuck() or h.learned() < self.t.vanishing_learned):
            return
        t = self.t
        found = []
        for first in (False, True):
            for s in attenuation(h, first) or ():
                if s.count >= t.vanishing_layers and s.fit >= t.vanishing_fit and s.slope <= -t.vanishing_slope:
                    found.append(s)
            if found:
                break
        if not found:
            return
        worst = min(found, key=lambda s: s.fall)
        if worst.fall > -(t.vanishing_fall if h.stuck() else t.vanishing_deep):
            return
        yield self.finding(
            worst.where,
            f"Gradients shrink by a factor of {10**-worst.fall:.2g} over {worst.count} {worst.what} on their way "
            f"back, and the loss does not move.",
            worst.remedy,
            worst.source,
            decades=round(worst.fall, 2),
            decades_per_layer=round(worst.slope, 3),
            fit=round(worst.fit, 2),
            loss=h.loss.level(),
        )
