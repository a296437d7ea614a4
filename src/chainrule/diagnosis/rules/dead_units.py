"""Rectified units that never fire."""

from __future__ import annotations

from collections.abc import Iterable

from ..finding import Finding
from ..history import History
from ..scene import Scene
from .base import Rule


class DeadUnits(Rule):
    """Units that were 0 for every sample of a window of at least 512 samples: no gradient, no way back.

    Zeros in one batch are no evidence, and some dead units are common in networks that train well (Lu et al., "Dying
    ReLU and Initialization", 2019, https://arxiv.org/abs/1903.06733).
    """

    code = "dead-units"
    thresholds = {"dead_share": 0.6, "dead_share_learning": 0.9}
    suspicion, patience = 1, 2

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        units = h.units.get(h.plan, {}) if h.plan is not None else {}
        worst = None
        learning = h.learns() and not h.explained() < 0.6
        for unit in units.values():
            seen = unit.closed[-1:] or ([unit.so_far()] if h.closing and unit.count >= 6 else [])
            if not seen or seen[0] is None:
                continue
            samples, dead, n = seen[0]
            share = dead / n
            limit = self.t.dead_share_learning if learning else self.t.dead_share
            if n < 4 and share < 1:
                continue
            if share >= limit and (worst is None or share > worst[0]):
                worst = share, samples, dead, n, unit.act
        if worst is None:
            return
        share, samples, dead, n, act = worst
        found = self.finding(
            act.name,
            f"{dead} of {n} units have been 0 for each of {samples} samples: their gradients are 0 and stay so.",
            "Lower the learning rate, start with small positive biases, or use leaky_relu, gelu or elu.",
            act.source,
            dead=dead,
            units=n,
            samples=samples,
            layer=act.layer.name if act.layer is not None else "",
        )
        if share == 1 and not learning:
            found.evidence["sure"] = True
        yield found
