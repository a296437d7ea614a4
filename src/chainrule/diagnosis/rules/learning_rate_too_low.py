"""Steps so small that nothing moves."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..finding import Finding
from ..history import History
from ..progress import medians
from ..scene import Scene
from .base import Rule


class LearningRateTooLow(Rule):
    """The loss stays where a constant answer has it, gradients arrive, and the fastest weights hardly move.

    A step changes about a thousandth of a weight in a sound training (Karpathy, CS231n). Fine-tuning with small steps
    starts from a low loss and is left alone, as is a network that no gradient reaches.
    """

    code = "learning-rate-too-low"
    thresholds = {
        "low_update_ratio": 2e-4,
        "low_travel": 0.2,
        "low_explained": 0.15,
        "low_slow": 0.4,
        "faded": 0.01,
        "faded_share": 0.5,
        "faded_learned": 0.9,
    }

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        t = self.t
        yield from self._faded(h)
        if not h.settled() or h.blamed & {"dead-units", "vanishing-gradient", "untrained-parameter", "saturated-units"}:
            return
        ratios = h.update_ratios()[:, h.weights_like()]
        if len(ratios) < 8 or not np.isfinite(ratios).any():
            return
        fastest = float(np.nanmax(medians(ratios)))
        travel = fastest * h.step
        explained, gone = h.explained(), h.gone()
        if not (0 < fastest < t.low_update_ratio and travel < t.low_travel):
            return
        if math.isfinite(explained):
            slow = explained < t.low_slow and h.explained(h.loss.start()) < 0.3 and h.loss.trend()[1] > 4
            if explained > t.low_explained and not slow:
                return
        elif gone > 0.1 or (gone < 0.02 and h.loss.trend()[1] < 3):
            return
        norms = h.gradient_norms()
        if not np.nanmax(norms[-1:], initial=0) > 0:
            return
        yield self.finding(
            "",
            f"After {h.step} steps the loss is at {h.loss.level():.4g} (it began at {h.loss.start():.4g}): a step "
            f"changes the weights by {fastest:.1g} of their size, all steps together by {travel:.1g} at most.",
            f"Raise the learning rate (now {h.lr:g}) by a factor of 10 to 1000, until updates are about 1e-3 of the "
            "weights.",
            update_ratio=fastest,
            learning_rate=h.lr,
            steps=h.step,
        )

    def _faded(self, h: History) -> Iterable[Finding]:
        """A schedule that takes the rate to nothing long before the end, with much left to learn."""
        t, rates = self.t, h.rates.array()
        if not h.closing or h.step < 48 or len(rates) < 8 or h.learned() > t.faded_learned:
            return
        share = float((rates < t.faded * rates.max()).mean())
        if share < t.faded_share or not rates[0] > rates[-1]:
            return
        yield self.finding(
            "",
            f"The schedule has taken the learning rate from {rates.max():g} to {rates[-1]:.2g}; for {share:.0%} of the "
            f"run it was below {t.faded:.0%} of its largest, and the loss stayed at {h.loss.level():.4g}.",
            "Let the schedule fall more slowly: fit its length (T_max, step_size, gamma) to the number of steps.",
            learning_rate=float(rates[-1]),
            largest=float(rates.max()),
            share=share,
        )
