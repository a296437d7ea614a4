"""Gradients that shrink from layer to layer on their way back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

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
    thresholds = {"vanishing_fall": 2.0, "vanishing_slope": 0.15, "vanishing_layers": 4}

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        if h.learns():
            return
        found = attenuation(h)
        if found is None:
            return
        worst = min(found, key=lambda s: s.fall)
        t = self.t
        if worst.fall > -t.vanishing_fall or worst.count < t.vanishing_layers or worst.slope > -t.vanishing_slope:
            return
        yield self.finding(
            worst.where,
            f"Gradients shrink by a factor of {10**-worst.fall:.2g} over {worst.count} {worst.what} on their way "
            f"back; what arrives at {worst.where} moves nothing.",
            worst.remedy,
            worst.source,
            decades=round(worst.fall, 2),
            decades_per_layer=round(worst.slope, 3),
            fit=round(worst.fit, 2),
            loss=h.loss.level(),
        )


_ = np
