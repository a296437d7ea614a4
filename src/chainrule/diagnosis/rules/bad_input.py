"""Inputs far from unit scale, or without any variation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..finding import Finding
from ..history import History
from ..scene import Scene
from .base import Rule


class BadInput(Rule):
    """Initialisations are made for inputs of mean 0 and variance 1 (LeCun et al., "Efficient BackProp", 1998, 4.3).

    An unusual scale alone is no fault: only a training that does badly is blamed on it.
    """

    code = "bad-input"
    thresholds = {"input_large": 20.0, "input_small": 0.02, "input_offset": 15.0, "input_learned": 0.7}

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        got = h.data.arrays() if h.data is not None else None
        if got is None or "f" not in h.data.kinds or h.step < 8:
            return
        x = got[0]
        mean, std, rms = h.data.spread()
        t = self.t
        if len(x) < 16 or not np.isfinite(rms):
            return
        constant = bool((std <= 1e-7 * (np.abs(mean) + 1e-12)).all())
        if constant:
            found = self._say("input", "The input is the same for every sample", x, std, mean)
            found.evidence["sure"] = len(x) >= 32
            yield found
            return
        if h.learned() > t.input_learned or not (h.settled() or h.stuck()):
            return
        k = int(np.argmax(np.maximum(std, np.abs(mean))))
        size = max(float(std[k]), abs(float(mean[k])))
        spread = float(np.median(std[std > 0]))
        offset = float(np.median(np.abs(mean[std > 0]) / std[std > 0]))
        if size > t.input_large:
            yield self._say(
                "", f"Inputs are large: feature {k} has mean {mean[k]:.3g} and spread {std[k]:.3g}", x, std, mean
            )
        elif rms < t.input_small:
            yield self._say("input", f"Inputs are tiny: their size is {rms:.2g} on average", x, std, mean)
        elif offset > t.input_offset:
            yield self._say(
                "",
                f"Inputs hardly vary: a spread of {spread:.2g} around means {offset:.3g} times as large",
                x,
                std,
                mean,
            )

    def _say(self, where: str, what: str, x: np.ndarray, std: np.ndarray, mean: np.ndarray) -> Finding:
        return self.finding(
            where,
            what + ", while layers are made for mean 0 and spread 1.",
            "Standardise the data: x = (x - x.mean(0)) / (x.std(0) + 1e-8), with the training set's numbers.",
            samples=len(x),
            largest_spread=float(std.max()),
            largest_mean=float(np.abs(mean).max()),
        )
