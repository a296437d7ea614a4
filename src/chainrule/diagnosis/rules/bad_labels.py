"""Labels that say nothing about the input, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..finding import Finding
from ..history import History
from ..probe import relation
from ..scene import Scene
from .base import Rule


class BadLabels(Rule):
    """Labels unrelated to the input, judged against shuffled labels by two models that need no training.

    A ridge regression and nearest neighbours predict each sample's label from the others; shuffling the labels says how
    well that goes by chance (a permutation test, Ojala and Garriga, JMLR 2010). Only asked if the network has not
    learned either.
    """

    code = "bad-labels"
    thresholds = {"label_related": 3.0, "label_samples": 150}
    suspicion, patience = 1, 2

    def __init__(self) -> None:
        super().__init__()
        self.known: tuple[int, float] | None = None

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        got = h.data.arrays() if h.data is not None else None
        if got is None or h.step < 8:
            return
        x, y = got
        if len(y) >= 64 and len(h.data.y) >= 4 and y[0].tolist() == y[len(y) // 2].tolist() and (y == y[:1]).all():
            if y.dtype.kind in "iu" or y.size == len(y):
                found = self.finding(
                    "",
                    f"All {len(y)} labels seen are the same ({y.reshape(-1)[0]}): there is nothing to learn.",
                    "Look at how the labels are made, a comparison or a column may be wrong; shuffle the data.",
                    samples=len(y),
                )
                found.evidence["sure"] = True
                yield found
            return
        if len(x) < self.t.label_samples or not np.isfinite(h.data.spread()[2]) or not h.settled():
            return
        if "f" not in h.data.kinds and h.learned() > 0.3:
            return
        if self.known is None or len(x) > 2 * self.known[0]:
            self.known = len(x), relation(x, y, h.data.group)
        score = self.known[1]
        first = h.explained(h.first_pass_level())
        if not np.isfinite(score) or score >= self.t.label_related or first > 0.25:
            return
        yield self.finding(
            "",
            f"The labels of {len(x)} samples are no better predicted from the input than shuffled ones "
            f"({score:.1f} standard deviations).",
            "Look whether inputs and labels still belong together: both must be shuffled, sorted and split alike.",
            samples=len(x),
            deviations_from_shuffled=round(score, 2),
        )
