"""Backward signals over depth and over time, as straight lines in the logarithm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..history import History


@dataclass
class Line:
    """A profile of gradient norms from the output back to the input.

    fall: decades from the last layer to the first (negative: shrinks).  slope: per layer.  fit: share explained by the
    line.  where, source: of the first layer.
    """

    fall: float
    slope: float
    fit: float
    count: int
    where: str
    what: str
    remedy: str
    source: str | None


_DEPTH = (
    "Use ReLU with He initialisation or tanh with Xavier, normalise between layers (LayerNorm, BatchNorm), or add "
    "residual connections."
)
_TIME = "Use nn.LSTM or nn.GRU, an orthogonal recurrent matrix, or shorter sequences."


def line(values: np.ndarray) -> tuple[float, float, float] | None:
    """(fall, slope, fit) of norms in the order of the backward pass."""
    if not np.isfinite(values).all() or not (values > 0).any():
        return None
    # A gradient that underflows to 0 is as small as one can be; what lies beyond it says nothing more.
    zero = np.flatnonzero(values == 0)
    if zero.size:
        values = values[: zero[0] + 1]
    y = np.log10(np.maximum(values, 1e-45))
    if len(y) < 3:
        return None
    x = np.arange(len(y), dtype=float)
    x -= x.mean()
    slope = float((x * (y - y.mean())).sum() / (x * x).sum())
    rest = y - y.mean() - slope * x
    spread = float(((y - y.mean()) ** 2).sum())
    return slope * (len(y) - 1), slope, 1 - float((rest * rest).sum()) / spread if spread else 1.0


def attenuation(h: History, first: bool = False) -> list[Line] | None:
    """The lines over depth and over time of the recent looks (their median).

    first: of the very first look, before any step was made.
    """
    looks = [x for x in h.looks if x[1] is h.plan]
    if not looks or h.plan is None:
        return None
    looks = looks[:1] if first else looks[-3:]
    plan, found = h.plan, []
    norms, layers = [], []
    for k, layer in enumerate(plan.layers):
        sizes = [s[k] for _, _, s in looks if len(s[k])]
        if not sizes or layer.operator in ("embedding", "embed"):
            continue
        if len(sizes[0]) > 3 and all(len(s) == len(sizes[0]) for s in sizes):
            over_time = np.median(sizes, axis=0)[::-1]
            got = line(over_time)
            if got is not None:
                found.append(Line(*got, len(over_time), layer.name, "time steps", _TIME, layer.source))
            continue
        norms.append(float(np.median([s.mean() for s in sizes])))
        layers.append(layer)
    if len(norms) > 2:
        back = np.array(norms[::-1])
        got = line(back)
        if got is not None:
            worst = layers[0]
            found.append(Line(*got, len(norms), worst.name, "layers", _DEPTH, worst.source))
    return found or None
