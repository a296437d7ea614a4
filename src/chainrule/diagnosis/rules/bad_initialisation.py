"""Initial weights that make units alike, or signals too large or too small."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..finding import Finding
from ..history import History
from ..plan import SCANS
from ..scene import Scene
from .base import Rule


class BadInitialisation(Rule):
    """Rows of a hidden weight that are equal stay equal; weights far from 1/sqrt(fan-in) blow signals up or lose them.

    The gain of a layer is std(W) * sqrt(fan_in), about 1 (Xavier) to sqrt(2) (He et al., 2015, "Delving Deep into
    Rectifiers", equation 10). Symmetry: Goodfellow, Bengio, Courville, "Deep Learning" (2016), section 8.4.
    """

    code = "bad-initialisation"
    thresholds = {"gain_high": 4.0, "gain_low": 0.03, "growth": 2.0, "decay": 2.5, "first_loss": 10.0}
    suspicion, patience = 1, 2

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        if h.plan is None or h.step < 2:
            return
        layers = h.plan.layers
        products = [x for x in layers if x.operator not in ("embedding", "embed", *SCANS)]
        by_name = dict(zip(scene.names, scene.params, strict=True))
        for layer in layers:
            initial, p = h.initial.get(layer.param), by_name.get(layer.param)
            if p is None or not initial or not initial["alike"] or layer is layers[-1] or layer.feeds_loss:
                continue
            rows = p._data.reshape(len(p._data), -1)
            spread = float(np.abs(rows - rows[:1]).max())
            if id(p) in scene.optimized and spread <= 1e-5 * (float(np.abs(rows).max()) + 1e-30):
                found = self.finding(
                    layer.name,
                    f"All {len(rows)} units of {layer.name} began with equal weights and are still equal after "
                    f"{h.step} steps: they compute one and the same thing.",
                    "Initialise with random numbers, e.g. nn.init.xavier_uniform_ or kaiming_normal_.",
                    layer.source,
                    units=len(rows),
                    value=float(rows[0, 0]),
                )
                found.evidence["sure"] = h.step >= 4
                yield found
                return
        if h.learned() > 0.75:
            return
        yield from self._size(h, products)

    def _size(self, h: History, products: list) -> Iterable[Finding]:
        t = self.t
        gains = [(d["std"] * math.sqrt(d["fan_in"]), x) for x in products if (d := h.initial.get(x.param)) is not None]
        poor = h.stuck() or h.learned() < 0.6
        wild = [(g, x) for g, x in gains if g > t.gain_high]
        tiny = [(g, x) for g, x in gains if 0 < g < t.gain_low and not x.feeds_loss]
        line = h.forward_line()
        chance, start = h.targets.chance(), h.loss.start()
        huge = (
            math.isfinite(chance)
            and chance > 0
            and h.plan is not None
            and h.plan.pure
            and start > t.first_loss * chance
        )
        if wild and (poor or huge) and not (h.blamed & {"bad-input"}):
            g, x = wild[0]
            yield self._say(x, f"The weights of {x.name} began {g:.3g} times the size that keeps signals", h, g)
        elif line is not None and line[0] > t.growth and (poor or huge):
            x = line[1]
            yield self._say(
                x, f"Signals grow by a factor of {10 ** line[0]:.2g} through the layers at the start", h, None
            )
        elif len(tiny) > 1 and h.stuck() and h.settled():
            g, x = tiny[0]
            yield self._say(x, f"The weights of {x.name} began at {g:.3g} times the size that keeps signals", h, g)
        elif line is not None and line[0] < -t.decay and h.stuck() and h.settled():
            x = line[1]
            yield self._say(
                x, f"Signals shrink by a factor of {10 ** -line[0]:.2g} through the layers at the start", h, None
            )

    def _say(self, layer: object, what: str, h: History, gain: float | None) -> Finding:
        return self.finding(
            layer.name,  # type: ignore[attr-defined]
            f"{what}; the first loss was {h.loss.start():.3g}.",
            "Draw weights with std 1/sqrt(fan_in): nn.init.xavier_uniform_ for tanh, kaiming_normal_ for relu.",
            layer.source,  # type: ignore[attr-defined]
            gain=gain,
            first_loss=h.loss.start(),
            chance=h.targets.chance(),
        )
