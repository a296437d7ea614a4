"""Do labels depend on the input at all? Two quick models, and the same with shuffled labels."""

from __future__ import annotations

import numpy as np

_MOST = 512
_ROUNDS = 24


def relation(x: np.ndarray, y: np.ndarray, group: int = 1) -> float:
    """By how many standard deviations real labels are better predicted than shuffled ones; the larger of two models.

    x: (samples, features).  y: (samples,) classes or (samples, ...) numbers.  group: so many samples in a row belong
    together (the tokens of a sentence) and are shuffled as one.
    """
    rng = np.random.default_rng(0)
    if len(x) > _MOST:
        groups = rng.permutation(len(x) // group)[: max(_MOST // group, 1)]
        chosen = (groups[:, None] * group + np.arange(group)).reshape(-1)
        x, y = x[chosen], y[chosen]
    things = x.dtype.kind in "iu"
    x = _things(x) if things else x.astype(np.float64)
    x = x[:, x.std(0) > 1e-12 * (np.abs(x).max() + 1e-300)]
    # Repeated samples carry their label with them: they would prove a relation where there is none.
    if not things:
        x, first = np.unique(x, axis=0, return_index=True)
        y = y[first]
    n = len(x)
    if n < 30 or x.shape[1] == 0:
        return float("nan")
    if n % group:
        group = 1
    x = (x - x.mean(0)) / (x.std(0) + 1e-12)
    targets = _targets(y)
    if targets is None:
        return float("nan")
    return max(_deviation(m, targets, rng, group if things else 1) for m in (_ridge(x), _neighbours(x)))


def _things(x: np.ndarray) -> np.ndarray:
    """A column for every thing at every place, and one for how often it occurs at all."""
    values = np.unique(x)[:64]
    at = (x[:, :, None] == values).astype(np.float64)
    return np.concatenate([at.reshape(len(x), -1)[:, :1024], at.sum(1)], axis=1)


def _targets(y: np.ndarray) -> np.ndarray | None:
    y = y.reshape(len(y), -1)
    if y.dtype.kind in "iub":
        if y.shape[1] != 1:
            return None
        classes = np.unique(y)
        if len(classes) > len(y) // 4:
            return None
        t = (y == classes).astype(np.float64)
    else:
        t = y[:, :16].astype(np.float64)
    spread = t.std(0)
    t = t[:, spread > 1e-12]
    return (t - t.mean(0)) / t.std(0) if t.shape[1] else None


def _ridge(x: np.ndarray) -> np.ndarray:
    """The matrix that gives every sample's prediction from the others' targets, for a ridge regression."""
    n = len(x)
    kernel = x @ x.T / x.shape[1]
    kernel += 1.0
    hat = kernel @ np.linalg.inv(kernel + 0.1 * n / min(n, x.shape[1]) * np.eye(n))
    own = np.clip(np.diag(hat), 0, 0.999)
    out = hat / (1 - own)[:, None]
    np.fill_diagonal(out, 0.0)
    return out


def _neighbours(x: np.ndarray, k: int = 7) -> np.ndarray:
    """The same for the mean over the nearest neighbours."""
    square = (x * x).sum(1)
    distance = square[:, None] + square - 2 * x @ x.T
    np.fill_diagonal(distance, np.inf)
    near = np.argpartition(distance, k, axis=1)[:, :k]
    out = np.zeros((len(x), len(x)))
    np.put_along_axis(out, near, 1.0 / k, axis=1)
    return out


def _deviation(matrix: np.ndarray, t: np.ndarray, rng: np.random.Generator, group: int) -> float:
    def shuffle() -> np.ndarray:
        places = rng.permutation(len(t) // group)
        return t[(places[:, None] * group + np.arange(group)).reshape(-1)]

    def quality(targets: np.ndarray) -> float:
        return float((targets * (matrix @ targets)).mean())

    shuffled = [quality(shuffle()) for _ in range(_ROUNDS)]
    spread = float(np.std(shuffled)) + 1e-12
    return (quality(t) - float(np.mean(shuffled))) / spread
