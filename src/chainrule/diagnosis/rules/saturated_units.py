"""Activations in the flat part of their curve."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..finding import Finding
from ..history import History
from ..progress import medians
from ..scene import Scene
from .base import Rule


class SaturatedUnits(Rule):
    """The derivative of an activation at the values it meets, relative to its largest: near 0, nothing passes back.

    Glorot and Bengio (2010), section 3, look at activations near their asymptotes; the derivative says it without
    regard to which function it is. A last activation in front of the loss may saturate: it is sure of its answers.
    """

    code = "saturated-units"
    thresholds = {"saturated_slope": 0.1, "saturated_from_start": 0.06, "saturated_learned": 0.85}

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        rows = h.activation_rows()
        if len(rows) < 6 or h.plan is None or h.loss.count < 16:
            return
        late = medians(rows[-12:, :, 0])
        first = h.first_activations()
        explained = h.explained()
        done = explained if np.isfinite(explained) else h.gone()
        found = []
        for k, act in enumerate(h.plan.activations):
            if act.operator == "relu" or act.last or not np.isfinite(late[k]):
                continue
            from_start = late[k] < self.t.saturated_from_start and first is not None and first[k] < 0.1
            if (late[k] < self.t.saturated_slope and done < self.t.saturated_learned and not h.learns()) or (
                from_start and done < 0.98
            ):
                found.append((late[k], k, act))
        if not found:
            return
        slope, k, act = min(found, key=lambda f: f[1])
        yield self.finding(
            act.name,
            f"{act.operator} is saturated: its derivative at the values it meets is {slope:.2g} of the largest on "
            f"average, so hardly any gradient passes ({len(found)} of {len(h.plan.activations)} activations).",
            "Make the weights (or the input) smaller, e.g. Xavier initialisation and inputs of unit scale; lower the "
            "learning rate; or normalise before the activation.",
            act.source,
            relative_derivative=round(float(slope), 4),
            layers=[a.name for _, _, a in found],
        )
