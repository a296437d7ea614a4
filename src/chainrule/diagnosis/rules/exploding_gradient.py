"""Gradients that grow from layer to layer on their way back."""

from __future__ import annotations

from collections.abc import Iterable

from ..finding import Finding
from ..history import History
from ..scene import Scene
from .base import Rule
from .signals import attenuation


class ExplodingGradient(Rule):
    """The mirror image of a vanishing gradient: growth by a constant factor per layer or time step.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (2013).
    """

    code = "exploding-gradient"
    thresholds = {"exploding_rise": 2.0, "exploding_slope": 0.1, "exploding_layers": 4}
    suspicion, patience = 1, 3

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        if h.learns():
            return
        found = attenuation(h, first=True)
        if found is None:
            return
        worst = max(found, key=lambda s: s.fall)
        t = self.t
        if worst.fall < t.exploding_rise or worst.count < t.exploding_layers or worst.slope < t.exploding_slope:
            return
        yield self.finding(
            worst.where,
            f"Gradients grow by a factor of {10**worst.fall:.2g} over {worst.count} {worst.what} on their way back.",
            "Scale the initial weights down (Xavier or He), normalise between layers, or clip with "
            "nn.utils.clip_grad_norm_.",
            worst.source,
            decades=round(worst.fall, 2),
            decades_per_layer=round(worst.slope, 3),
        )
