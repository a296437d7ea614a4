"""Where a number that is not finite came from, in a compiled step.

A compiled step leaves no graph behind, and when its rows are looked at, parameters are spoiled already. But it is
deterministic: from a copy of the state at the beginning of a period, steps are made again with the arguments they had,
compiled up to the step before the trouble, and uncompiled from there, where the watch finds the origin as always.
Afterwards everything is as it was. What the function does beside (printing, counting) happens again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..random import get_rng_state, set_rng_state

MOST = 1 << 28  # bytes of state that are copied


class Snapshot:
    """The state that a compiled function changes, copied."""

    def __init__(self, entry: Any) -> None:
        self.homes = homes(entry)
        self.grads = [(t, t._grad) for t, _ in entry.grads]
        self.kept = [(t, g, None if g is None else g._data.copy()) for t, g in self.grads]
        self.arrays = [a().copy() for a in self.homes]
        self.random = get_rng_state() if draws(entry) else None

    def restore(self) -> None:
        for home, a in zip(self.homes, self.arrays, strict=True):
            np.copyto(home(), a)
        for t, g, a in self.kept:
            if g is not None:
                np.copyto(g._data, a)
            t._grad = g
        if self.random is not None:
            set_rng_state(self.random)


def homes(entry: Any) -> list:
    """Functions that give the arrays which a program changes."""
    found: list[Any] = []
    for i in entry.written:
        kind, source = entry.sources[i]
        if kind == "state":
            found.append(lambda s=source: s[0].state[s[1]][s[2]]._data)
        elif kind == "tensor":
            found.append(lambda t=source: t._data)
    return found


def draws(entry: Any) -> bool:
    return any(name.startswith("random.") for name, _ in entry.calls)


def possible(entry: Any) -> bool:
    """Whether a copy can be taken: no argument is changed, and there is not too much."""
    if any(entry.sources[i][0] not in ("state", "tensor") for i in entry.written):
        return False
    return sum(entry.program.inputs[i].nbytes for i in entry.written) < MOST


def spoiled(observer: Any) -> bool:
    """Does a parameter hold something that is not finite?"""
    for p in observer.scene.params:
        a = p._data
        if type(a) is np.ndarray and a.dtype.kind == "f" and a.size and not np.isfinite(np.vdot(a, a)):
            if not np.isfinite(a).all():
                return True
    return False


def replay(observer: Any, entry: Any, start: Snapshot, leaves_of: list, count: int, played: int) -> bool:
    """Make the first ``count`` steps again, the last two uncompiled; whether that showed where it begins.

    leaves_of: per step its arguments.  played: how many of the last two steps have been counted already.
    """
    o, now = observer, Snapshot(entry)
    compiled, said = entry.compiled, len(o.ledger.findings)
    o.history.step -= played
    try:
        start.restore()
        looked = 0
        for k, leaves in enumerate(leaves_of[:count]):
            if k < count - 2:
                entry(leaves)
                continue
            if k == count - 1:
                before = Snapshot(entry)
            compiled.eager(leaves, entry.spec, entry.named)
            looked += 1
            if o.poisoned and o.lookout is None:
                o.history.step += count - 1 - k
                break
        if o.lookout is not None and looked:
            # Nothing in the graph made it: an operator on data, which is seen when it runs under the lookout.
            before.restore()
            compiled.eager(leaves_of[count - 1], entry.spec, entry.named)
            o.history.step -= 1
        return len(o.ledger.findings) > said
    finally:
        entry.level.levels.records.clear()
        if o.lookout is not None:
            o.lookout.close()
            o.lookout = None
        now.restore()
