"""What goes into the model at the start of a run, beside the targets: a few hundred samples, for the rules on data."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..config import modes, switches
from ..handle import Tensor

SAMPLES = 768
FEATURES = 1024
CALLS = 96


class DataTap:
    """Keeps the inputs of a model's first calls, and the targets that the loss then met."""

    def __init__(self, models: list[Any]) -> None:
        self.x: list[np.ndarray] = []
        self.y: list[np.ndarray] = []
        self.kinds: set[str] = set()
        self.classes = 0
        self.group = 1  # so many samples in a row belong together
        self.samples = self.calls = 0
        self.last: np.ndarray | None = None
        self.non_finite = False
        self.shape: tuple[int, ...] = ()
        self._arrays: tuple[np.ndarray, np.ndarray] | None = None
        self._spread: tuple[np.ndarray, np.ndarray, float] | None = None
        self.handles = [m.register_forward_pre_hook(self._enter, with_kwargs=True) for m in models]

    def _enter(self, module: Any, args: tuple, kwargs: dict) -> None:
        if not modes.grad or not module.training and self.calls > 4:
            return
        t = next((a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)
        if switches.tracer is None:  # what is captured runs later
            self.enter(None if t is None else t._data)

    def enter(self, a: Any) -> None:
        """A model is given this array."""
        self.calls += 1
        self.last = None
        if type(a) is np.ndarray and a.ndim and a.size:
            self.last = a
            self.shape = a.shape
            if a.dtype.kind == "f" and not np.isfinite(a).all():
                self.non_finite = True
        if self.calls >= CALLS or self.samples >= SAMPLES:
            self.close()

    def targets(self, node: Any) -> None:
        """The loss's node: take its targets in, together with the last inputs."""
        if self.last is None:
            return
        x, self.last = self.last, None
        values = node.values or ()
        y = values[2] if len(values) > 2 else None
        if x is None or y is None or not isinstance(y, np.ndarray) or y.ndim == 0:
            return
        if x.dtype.kind in "iu":
            self._tokens(x, y)
            return
        if len(y) != len(x):
            return
        if node.shapes and node.shapes[0] and y.dtype.kind in "iu" and len(node.shapes[0]) > 1:
            self.classes = node.shapes[0][1]
        x = x.reshape(len(x), -1)[:, :FEATURES]
        if self.x and (self.x[0].shape[1] != x.shape[1] or self.y[0].shape[1:] != y.shape[1:]):
            return
        self.kinds.add(x.dtype.kind)
        self.x.append(np.array(x, np.float32))
        self.y.append(np.array(y))
        self.samples += len(x)

    def _tokens(self, x: np.ndarray, y: np.ndarray) -> None:
        """Whole numbers stand for things: a feature per thing and place, of this token and the one before."""
        if x.ndim == 2 and y.size == x.size:
            before = np.concatenate([np.full((len(x), 1), -1, x.dtype), x[:, :-1]], axis=1)
            self.group = x.shape[1]
            x, y = np.stack([x.reshape(-1), before.reshape(-1)], 1), y.reshape(-1)
        if len(y) != len(x) or y.ndim != 1 or self.samples >= SAMPLES:
            return
        x = x.reshape(len(x), -1)[:, :64]
        if self.x and self.x[0].shape[1] != x.shape[1]:
            return
        self.kinds.add("i")
        self.x.append(np.array(x))
        self.y.append(np.array(y))
        self.samples += len(x)

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def arrays(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Inputs (samples, features) and targets so far."""
        if not self.x:
            return None
        if self._arrays is None or len(self._arrays[0]) != self.samples:
            self._arrays = np.concatenate(self.x), np.concatenate(self.y)
            self._spread = None
        return self._arrays

    def spread(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Per feature the mean and the standard deviation, and the root mean square over all."""
        arrays = self.arrays()
        if self._spread is None and arrays is not None:
            x = arrays[0].astype(np.float64)
            self._spread = x.mean(0), x.std(0), float(np.sqrt((x * x).mean()))
        return self._spread  # type: ignore[return-value]
