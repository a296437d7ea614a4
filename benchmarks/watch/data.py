"""Data sets of the corpus: scikit-learn's, and synthetic tasks. Tensors of float32 and int64, split by seed."""

from functools import lru_cache

import numpy as np
from sklearn import datasets

import chainrule as torch


@lru_cache
def _load(name):
    data = getattr(datasets, f"load_{name}")()
    return data.data.astype("float32"), data.target


def _split(x, y, seed, share=0.8):
    places = np.random.default_rng(seed + 1000).permutation(len(x))
    cut = int(share * len(x))
    parts = x[places[:cut]], y[places[:cut]], x[places[cut:]], y[places[cut:]]
    return tuple(torch.tensor(np.ascontiguousarray(part)) for part in parts)


def table(name, seed, scaled=True):
    """``iris``, ``wine`` or ``breast_cancer``: training and test inputs and classes, standardised or raw."""
    x, y = _load(name)
    if scaled:
        x = (x - x.mean(0)) / x.std(0)
    return _split(x, y.astype("int64"), seed)


def diabetes(seed, scaled=True):
    """Ten standardised inputs; the target as ``(N, 1)``, standardised or raw (25 to 346)."""
    x, y = _load("diabetes")
    x = (x - x.mean(0)) / x.std(0)
    if scaled:
        y = (y - y.mean()) / y.std()
    return _split(x, y.astype("float32")[:, None], seed)


def digits(seed, scale=16.0, images=False, count=None):
    """Handwritten digits, 64 pixels from 0 to 16 divided by ``scale``; ``(N, 1, 8, 8)`` for images."""
    x, y = _load("digits")
    x = (x / scale).astype("float32")
    if images:
        x = x.reshape(-1, 1, 8, 8)
    x, y, xt, yt = _split(x, y.astype("int64"), seed)
    return x[:count], y[:count], xt, yt


def spirals(seed, count=400, arms=2, noise=0.05):
    rng = np.random.default_rng(seed)
    arm = rng.integers(0, arms, count)
    t = np.sqrt(rng.random(count))
    angle = 2.2 * np.pi * t + 2 * np.pi * arm / arms
    x = np.stack([t * np.cos(angle), t * np.sin(angle)], 1) * 1.7 + noise * rng.normal(size=(count, 2))
    return _split(x.astype("float32"), arm.astype("int64"), seed)


def curve(seed, count=400, noise=0.05):
    """A wave of one variable, as regression."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (count, 1))
    y = np.sin(3 * x) + 0.3 * x + noise * rng.normal(size=x.shape)
    return _split(x.astype("float32"), y.astype("float32"), seed)


def clouds(seed, count=600, classes=4, dim=8, spread=1.0, weights=None):
    """Gaussian clouds, one a class; ``weights`` make some classes rare."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(classes, dim)) * 1.5
    y = rng.choice(classes, count, p=weights)
    x = centres[y] + spread * rng.normal(size=(count, dim))
    return _split((x / x.std()).astype("float32"), y.astype("int64"), seed)


def first_sign(seed, count=500, steps=30, at=0):
    """Noise of which one step carries a sign: the class. ``(N, T, 1)``."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    x = 0.3 * rng.normal(size=(count, steps, 1))
    x[:, at, 0] = 2.0 * y - 1
    return _split(x.astype("float32"), y.astype("int64"), seed)


def majority(seed, count=500, steps=15):
    """Which of two signs occurs more often: ``(N, T, 1)``."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], (count, steps, 1))
    return _split(x.astype("float32"), (x.sum((1, 2)) > 0).astype("int64"), seed)


def waves(seed, count=400, steps=20, level=0.0, size=1.0):
    """Pieces of sine waves of several frequencies, and the value that follows: ``(N, T, 1)`` and ``(N, 1)``."""
    rng = np.random.default_rng(seed)
    start, pace = rng.uniform(0, 6.28, (count, 1)), rng.uniform(0.2, 0.6, (count, 1))
    whole = np.sin(start + pace * np.arange(steps + 1)) + 0.02 * rng.normal(size=(count, steps + 1))
    whole = level + size * whole
    return _split(whole[:, :-1, None].astype("float32"), whole[:, -1:].astype("float32"), seed)


def sentences(seed, count=300, steps=12, words=12):
    """Tokens of a noisy chain: each word nearly decides the next. Inputs and next words, ``(N, T)`` each."""
    rng = np.random.default_rng(seed)
    follows = np.random.default_rng(3).permutation(words)
    rows = np.empty((count, steps + 1), "int64")
    rows[:, 0] = rng.integers(0, words, count)
    for t in range(steps):
        stray = rng.random(count) < 0.1
        rows[:, t + 1] = np.where(stray, rng.integers(0, words, count), follows[rows[:, t]])
    return _split(rows[:, :-1].copy(), rows[:, 1:].copy(), seed)


def lookups(seed, count=500, steps=8, words=10):
    """Find the word that follows the marker 0: ``(N, T)`` tokens and one word each."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, words, (count, steps))
    place = rng.integers(0, steps - 1, count)
    x[np.arange(count), place] = 0
    return _split(x.astype("int64"), x[np.arange(count), place + 1].astype("int64"), seed)
