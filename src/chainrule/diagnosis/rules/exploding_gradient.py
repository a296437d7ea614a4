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

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (2013). Growth alone is no
    fault (clipping and Adam live with it); it is one in a training that does badly.
    """

    code = "exploding-gradient"
    thresholds = {"exploding_rise": 1.5, "exploding_slope": 0.05, "exploding_layers": 4, "exploding_learned": 0.5}
    suspicion, patience = 1, 3

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        if h.loss.count and h.learned() > self.t.exploding_learned:
            return
        t = self.t
        # Growth that only large steps have brought about is theirs; growth before the first step is the network's.
        found = [
            s
            for first in ((True,) if "learning-rate-too-high" in h.blamed else (True, False))
            for s in attenuation(h, first) or ()
            if s.count >= t.exploding_layers and s.slope >= t.exploding_slope and (s.fit > 0.5 or s.fall > 3)
        ]
        if not found:
            return
        worst = max(found, key=lambda s: s.fall)
        if worst.fall < t.exploding_rise or not (h.settled() or h.diverges() or h.loss.bad):
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
