"""The rows that a compiled step gives, read: the samples that eager mode would have measured."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..capture.levels import MOST_BYTES
from . import measure
from .finding import Finding
from .replay import Snapshot, possible, replay, spoiled
from .tape import FULL, LOOK, LOSS, Backward, Step, Writer, mean_slope

PARAMETERS = (0, 1, 7, 31)  # steps after which it is asked which parameters are trained
_FIRST = 8  # samples that are taken in full whatever the pace
# (estimated time of a step in nanoseconds, full rows are asked for at every so many steps).
_PACES = ((20e3, 32), (50e3, 16), (150e3, 8), (math.inf, 4))
_RENEWAL = 100  # a copy of the state takes that part of the time between two
_REST = 60e6  # nanoseconds of training between two examinations of a long run


class Tape:
    """The rows of one program."""

    def __init__(self, listener: Any, writer: Writer) -> None:
        self.listener, self.observer = listener, listener.observer
        self.events, self.arrays, self.input = writer.events, writer.arrays, writer.input
        # Levels are parts 0, 0 to 2, and all: part 1 and 2 always go together.
        self.parts = writer.parts
        self.dtype = "float32"
        kinds = [type(e) for e in self.events]
        self.whole = Backward in kinds and Step in kinds
        self.simple = kinds == [Backward, Step]
        if not self.whole and not listener.in_order:
            listener.flush()
            listener.in_order = True
        self.scalars = writer.sizes[0] + writer.sizes[1]
        last = next((e for e in reversed(self.events) if isinstance(e, Step)), None)
        # What the step does not change keeps its size.
        self.still = (
            []
            if last is None
            else [
                (k, float(measure.vdot(p._data, p._data)))
                for k, (p, s) in enumerate(zip(self.observer.scene.params, last.weights, strict=True))
                if s is None and _plain(p)
            ]
        )
        self.rows = 0
        self.tries = 8  # how often steps are made again
        self.suspect = False  # a gradient was not finite
        self.losses = writer.sizes[0]
        self.start: Snapshot | None = None
        self.leaves: list = []  # the arguments of the calls since then
        self.renew = 0.0
        self.pace = 4
        self.pickers = [
            tuple([picker(s) for s in (e.gradients, e.weights, e.updates)]) if isinstance(e, Step) else ()
            for e in self.events
        ]

    def costs(self, nanoseconds: float) -> None:
        """How long a step will take: a short one leaves less time to look at it."""
        self.pace = next(pace for below, pace in _PACES if nanoseconds < below)
        self.observer.rest = max(self.observer.rest, int(_REST / nanoseconds))

    @property
    def room(self) -> int:
        """Calls after which rows are wanted: where a step consists of several functions their order counts."""
        return 1 if self.listener.in_order else 1 << 20

    def schedule(self, n: int) -> list[int]:
        """The levels of the next calls, like the pace of eager mode."""
        o = self.observer
        levels, step, measured = [], o.history.step, o.measured
        look, data = o.next_look, bool(self.arrays) and bool(o.tap.handles)
        pace = max(1, self.pace // o.every) * o.every
        if not data and measured >= _FIRST and measured + n < look:
            levels = [LOSS] * n
            levels[-step % pace :: pace] = [FULL] * len(range(-step % pace, n, pace))
            return levels
        for _ in range(n):
            level = LOSS
            if step % pace == 0 or (measured < _FIRST and step % o.every == 0):
                level = FULL
            if (data and step % o.every == 0) or (level == FULL and measured >= look):
                level = LOOK
                if measured >= look:
                    look = next_look(measured)
            measured += level > LOSS
            levels.append(level)
            step += 1
        return levels

    def take(self, records: list) -> None:
        o = self.observer
        if "compiled" in o.broken:
            return
        self.listener.busy = True
        try:
            self._take(records)
        except Exception:
            o._broke("compiled")
        finally:
            self.listener.busy = False

    def _take(self, records: list) -> None:
        width = self.losses * np.dtype(self.dtype).itemsize
        losses = np.frombuffer(b"".join([r[1][:width] for r in records]), self.dtype)
        o, past = self.observer, len(self.leaves)
        if self.start is not None and not o.poisoned:
            self.leaves += [r[2] for r in records]
            bad = np.flatnonzero(~np.isfinite(losses))
            if len(bad):
                end = int(bad[0]) * len(records) // len(losses)
                self._run(records[:end], losses, past)
                if self.start is not None:
                    self._again(past + end + 1, min(past + end, 1))
                    end += 1
                losses = losses[end * len(losses) // len(records) :]
                records = records[end:]
        self._run(records, losses, past)

    def _run(self, records: list, losses: np.ndarray, past: int) -> None:
        """Tell the observer of some calls."""
        k, o = 0, self.observer
        while k < len(records):
            if self.simple and records[k][0] == LOSS:
                end = k
                while end < len(records) and records[end][0] == LOSS:
                    end += 1
                done = add_losses(o, losses[k:end])
                k += done
                if done:
                    continue
            self._play(*records[k])
            k += 1
            if self.suspect:
                self.suspect = False
                self._again(past + k, min(past + k, 2))

    # ---- where numbers that are not finite come from

    def begins(self, levels: Any) -> None:
        """A period begins: from time to time the state is copied, so that steps can be made again."""
        o = self.observer
        now = time.monotonic()
        entry = levels.made.get(LOSS) or next(iter(levels.made.values()))
        if o.poisoned or o.lookout is not None or not self.whole or self.tries <= 0 or self.listener.in_order:
            self.start, self.leaves = None, []
            return
        if self.start is not None and now < self.renew and len(self.leaves) * levels.given < MOST_BYTES:
            return
        try:
            if self.ends():
                return
            self.start, self.leaves = Snapshot(entry) if possible(entry) else None, []
            self.entry = entry
        except Exception:
            o._broke("compiled")
        self.renew = now + _RENEWAL * (time.monotonic() - now)

    def ends(self) -> bool:
        """A period is over: did its last step spoil the parameters?"""
        o = self.observer
        if self.start is None or not self.leaves or o.poisoned or not spoiled(o):
            return False
        try:
            self.listener.busy = True
            self._again(len(self.leaves), min(len(self.leaves), 2))
        except Exception:
            o._broke("compiled")
        finally:
            self.listener.busy = False
        return True

    def _again(self, count: int, played: int) -> None:
        """Make steps again to see where it begins."""
        o, start = self.observer, self.start
        self.start = None
        if o.poisoned:
            return
        self.tries -= start is not None
        found = start is not None and self.tries >= 0 and replay(o, self.entry, start, self.leaves, count, played)
        self.leaves = []
        if not found:
            # A sum of squares may overflow where no gradient does.
            o.poisoned = False
            if not math.isfinite(o.loss) or spoiled(o):
                not_finite(o)

    def _play(self, level: int, row: bytes, args: Any, arrays: tuple) -> None:
        numbers = np.frombuffer(row, self.dtype)
        xs = numbers[: self.scalars].tolist()
        self.rows += 1
        for event, pickers in zip(self.events, self.pickers, strict=True):
            if isinstance(event, Backward):
                self._backward(event, level, xs, numbers, arrays)
            else:
                self._step(event, level, xs, pickers)

    def _backward(self, event: Backward, level: int, xs: list[float], numbers: np.ndarray, arrays: tuple) -> None:
        o = self.observer
        h = o.history
        loss = xs[event.loss.start]
        o.loss = loss if not o.backwards else o.loss + (loss - o.loss) / (o.backwards + 1)
        if not math.isfinite(loss):
            not_finite(o)
            return
        o.backwards += 1
        if level < FULL or event.plan is None:
            return
        if o.sample is not None:
            h.mixed = h.mixed or event.plan is not o.sample.plan
            return
        sample = o.sample = measure.Sample(h.step)
        sample.plan = event.plan
        sample.inputs = [math.nan if at is None else xs[at[0].start] / at[1] for at in event.inputs]
        sample.activations = []
        for places in event.activations:
            slope = zeros = 0.0 if places else math.nan
            for kind, slots, n in places:
                s = mean_slope(kind, [xs[x.start] for x in slots], n)
                slope += s
                zeros += 1 - s if kind == "fired" else 0.0
            m = max(len(places), 1)
            sample.activations.append((slope / m, zeros / m))
        units = h.units.setdefault(event.plan, {})
        for k, slot, samples in event.peaks:
            unit = units.get(k)
            if unit is None:
                unit = units[k] = measure.Units(event.plan.activations[k])
            unit.take(numbers[slot.start : slot.start + slot.size].copy(), samples)
        left = event.left is not None and xs[event.left.start] > 0 and o.backwards == 1
        if left and self.whole and (self.rows > 1 or o.carried):
            p = next(p for p in o.scene.params if id(p) in o.scene.optimized and p._grad is not None)
            o._report(o.scene.missing_zero_grad(h.step, p, event.line), confirmed=True)
        if level == LOOK:
            self._look(event, numbers, arrays)

    def _look(self, event: Backward, numbers: np.ndarray, arrays: tuple) -> None:
        o = self.observer
        h, plan = o.history, event.plan
        if o.measured >= o.next_look:
            o.next_look = next_look(o.measured)
            sizes = []
            for times, places in zip(event.times, event.signals, strict=True):
                if times is not None:
                    sizes.append(np.sqrt(numbers[times.start : times.start + times.size].astype(float)))
                else:
                    sizes.append(np.array([math.sqrt(numbers[places[p].start]) for p in sorted(places, reverse=True)]))
            h.looks.append((h.step, plan, sizes))
            del h.looks[8:-24]
        if not arrays or event.targets is None:
            return
        op, known, at = event.targets
        node = (
            known
            if at is None
            else SimpleNamespace(values=(None, None, arrays[at]), shapes=known.shapes, params=known.params)
        )
        h.targets.add(op, node)
        if o.tap.handles and self.input is not None:
            o.tap.enter(arrays[self.input])
            o.tap.targets(node)

    def _step(self, event: Step, level: int, xs: list[float], pickers: tuple) -> None:
        o = self.observer
        sample = o.sample
        if sample is not None and level >= FULL:
            if sample.gradients is None:
                sample.gradients = pickers[0](xs, -1.0)
                if len(o.scene.trained) < len(o.scene.names):
                    o.scene.note_reached(sample.gradients)
                if not math.isfinite(sum(sample.gradients)) and not o.poisoned:
                    self.suspect = True
            sample.weights = pickers[1](xs, math.nan)
            sample.updates = pickers[2](xs, 0.0)
            for k, size in self.still:
                sample.weights[k] = size
            if event.rate is not None:
                sample.lr = float(f"{xs[event.rate.start]:.7g}")
                o.history.rates.add(sample.lr)
        elif o.recorder is not None and o.backwards:
            o.recorder.add_losses(o.history.step, [o.loss])
        o._step(event.optimizer)


def _plain(p: Any) -> bool:
    return type(p._data) is np.ndarray and p._data.dtype.kind == "f"


def picker(slots: list) -> Any:
    """A function of a row that gives the numbers in some slots, and another number for those that are None."""
    at = [None if s is None else s.start for s in slots]
    if None not in at and len(at) > 1:
        steps = {b - a for a, b in zip(at, at[1:], strict=False)}
        if len(steps) == 1 and min(steps) > 0:
            whole = slice(at[0], at[-1] + 1, steps.pop())
            return lambda xs, other: xs[whole]
    return lambda xs, other: [other if k is None else xs[k] for k in at]


def next_look(measured: int) -> int:
    """When the gradients that arrive at layers are looked at again."""
    return measured + max(1, min(measured, 256))


def add_losses(o: Any, losses: np.ndarray) -> int:
    """Take in the losses of steps of which nothing else is known; how many of them, up to the next occasion."""
    h = o.history
    if o.backwards or o.sample is not None or o.lookout is not None or o.poisoned:
        return 0
    n = min(len(losses), o.next_exam - h.step - 1, *[max(s - h.step, 0) for s in PARAMETERS if s >= h.step])
    found = losses[:n].tolist() if n > 0 else []
    if not found or not math.isfinite(sum(found)):
        return 0
    h.loss.extend(found)
    if o.recorder is not None:
        o.recorder.add_losses(h.step, found)
    o.loss = found[-1]
    h.step += n
    return n


def not_finite(o: Any) -> None:
    if o.poisoned:
        return
    o.poisoned = True
    finding = Finding(
        "non-finite",
        "",
        "The loss or a gradient of a compiled step is NaN or infinite.",
        "Run one step uncompiled under the watch to see which operator makes it.",
        {"compiled": True},
        None,
        o.history.step,
    )
    o._report(finding, confirmed=True)
