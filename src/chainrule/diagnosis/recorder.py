"""A run in one SQLite file: safe against a crash in the middle, readable while the training goes on.

The file is in WAL mode. Rows are collected and committed together, at the latest after half a second of training, so a
killed process loses half a second. Tables:

    meta(key, value)                         format, version, started, parameters, layers (JSON texts), every
    loss(step, value)                        the loss per step, thinned
    rate(step, value)                        the learning rate where it changed
    stat(step, kind, place, value)           kind: grad (norm of a parameter's gradient), weight (its norm), update
                                             (norm of the step over that of the parameter), input (root mean square of
                                             a layer's input), slope (mean relative derivative of an activation), zeros
                                             (share of zeros), dead (share of dead units), signal (norm of the gradient
                                             that arrives at a layer); place: a number of the table place
    place(id, name)                          parameters, layers and activations
    finding(code, place, status, severity, step, source, message, remedy, evidence)

So that a run of a million steps stays within 100 MB, the pace halves whenever a table has reached its share of rows:
every second row of the past is deleted, and from then on half as many are written.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
import warnings
from typing import Any

import numpy as np

from .finding import Finding
from .history import History
from .measure import Sample
from .scene import Scene

FORMAT = "chainrule-watch"
VERSION = 1
LOSSES = 400_000  # rows of the table loss
STATS = 1_600_000  # rows of the table stat, about 40 bytes each with the index
WAIT = 0.5  # seconds after which rows are committed

_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE loss(step INTEGER PRIMARY KEY, value REAL);
CREATE TABLE rate(step INTEGER PRIMARY KEY, value REAL);
CREATE TABLE place(id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE stat(step INTEGER, kind TEXT, place INTEGER, value REAL, PRIMARY KEY(step, kind, place)) WITHOUT ROWID;
CREATE TABLE finding(code TEXT, place TEXT, status TEXT, severity TEXT, step INTEGER, source TEXT, message TEXT,
                     remedy TEXT, evidence TEXT);
"""


class Recorder:
    """Writes a run to ``path``; an older run there is replaced.

    A failure (a full disk, a folder that may not be written) ends the recording with one warning; with ``strict`` it
    raises OSError.
    """

    def __init__(self, path: str | os.PathLike, scene: Scene, strict: bool = False, every: int = 1) -> None:
        self.path = os.fspath(path)
        self.strict = strict
        self.scene = scene
        self.places: dict[str, int] = {}
        self.losses: list[tuple] = []
        self.stats: list[tuple] = []
        self.rates: list[tuple] = []
        self.fresh_places: list[tuple] = []
        self.loss_rows = self.stat_rows = 0
        self.loss_pace = self.stat_pace = 1
        self.count = 0
        self.looks = 0
        self.rate = math.nan
        self.last = time.monotonic()
        self.db: sqlite3.Connection | None = None
        self._try(self._open, every)

    # ---- files

    def _try(self, action: Any, *args: Any) -> None:
        try:
            action(*args)
        except (sqlite3.Error, OSError) as error:
            if self.db is not None:
                try:
                    self.db.close()
                except sqlite3.Error:
                    pass
                self.db = None
            if self.strict:
                raise OSError(f"watch: {self.path} cannot be written: {error}") from error
            warnings.warn(
                f"watch: recording to {self.path} has stopped, the training goes on: {error}",
                RuntimeWarning,
                stacklevel=6,
            )

    def _open(self, every: int) -> None:
        for end in ("", "-wal", "-shm"):
            if os.path.exists(self.path + end):
                if not end:
                    check_is_run(self.path)
                os.unlink(self.path + end)
        self.db = sqlite3.connect(self.path, timeout=5.0, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.executescript(_SCHEMA)
        meta = {
            "format": FORMAT,
            "version": VERSION,
            "started": time.time(),
            "every": every,
            "parameters": [[n, list(p._data.shape)] for n, p in zip(self.scene.names, self.scene.params, strict=True)],
        }
        self.db.executemany("INSERT INTO meta VALUES (?, ?)", [(k, json.dumps(v)) for k, v in meta.items()])

    # ---- rows

    def place(self, name: str) -> int:
        k = self.places.get(name)
        if k is None:
            k = self.places[name] = len(self.places)
            self.fresh_places.append((k, name))
        return k

    def add(self, sample: Sample, history: History) -> None:
        """Take a sample in; it reaches the file within half a second of training."""
        if self.db is None:
            return
        step = sample.step
        self.count += 1
        if self.count % self.loss_pace == 0:
            self.losses.append((step, _real(sample.loss)))
        if sample.lr != self.rate and sample.lr == sample.lr:
            self.rate = sample.lr
            self.rates.append((step, sample.lr))
        # Per-layer numbers at every sixteenth sample: a page has no use for more.
        if self.count % (16 * self.stat_pace) == 1 or self.count <= 16:
            self._statistics(sample)
        if len(history.looks) and history.looks[-1][0] != self.looks and history.looks[-1][0] <= step:
            self._signals(history)
        if time.monotonic() - self.last > WAIT:
            self._try(self._commit)

    def add_losses(self, step: int, losses: list[float]) -> None:
        """The losses of steps of which nothing else is known, from ``step`` on."""
        if self.db is None:
            return
        self.losses += [(step + k, v) for k, v in enumerate(losses) if (step + k) % self.loss_pace == 0]
        if time.monotonic() - self.last > WAIT:
            self._try(self._commit)

    def add_all(self, history: History) -> None:
        """Everything that is remembered of a run, at once."""
        self.losses = [(step, _real(v)) for step, v in history.losses()]
        for sample in history.tape:
            self._statistics(sample)
            if sample.lr != self.rate and sample.lr == sample.lr:
                self.rate = sample.lr
                self.rates.append((sample.step, sample.lr))
        for look in history.looks:
            for kind, name, value in rows_of_look(history, look):
                self.stats.append((look[0], kind, self.place(name), value))

    def _statistics(self, sample: Sample) -> None:
        for kind, name, value in rows_of(sample, self.scene.names):
            self.stats.append((sample.step, kind, self.place(name), value))

    def _signals(self, history: History) -> None:
        self.looks = history.looks[-1][0]
        for kind, name, value in rows_of_look(history, history.looks[-1]):
            self.stats.append((self.looks, kind, self.place(name), value))

    def _commit(self) -> None:
        db = self.db
        if db is None:
            return
        self.last = time.monotonic()
        db.execute("BEGIN")
        db.executemany("INSERT OR REPLACE INTO place VALUES (?, ?)", self.fresh_places)
        db.executemany("INSERT OR REPLACE INTO loss VALUES (?, ?)", self.losses)
        db.executemany("INSERT OR REPLACE INTO rate VALUES (?, ?)", self.rates)
        db.executemany("INSERT OR REPLACE INTO stat VALUES (?, ?, ?, ?)", self.stats)
        db.execute("COMMIT")
        self.loss_rows += len(self.losses)
        self.stat_rows += len(self.stats)
        self.fresh_places, self.losses, self.rates, self.stats = [], [], [], []
        if self.loss_rows > LOSSES:
            self.loss_rows = self._halve("loss")
            self.loss_pace *= 2
        if self.stat_rows > STATS:
            self.stat_rows = self._halve("stat")
            self.stat_pace *= 2

    def _halve(self, table: str) -> int:
        """Delete every second step of a table, but the first hundred; the number of rows that are left."""
        db = self.db
        assert db is not None
        steps = [s for (s,) in db.execute(f"SELECT DISTINCT step FROM {table} WHERE step >= 100 ORDER BY step")]
        db.execute("BEGIN")
        db.executemany(f"DELETE FROM {table} WHERE step = ?", [(s,) for s in steps[1::2]])
        db.execute("COMMIT")
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def findings(self, findings: list[Finding]) -> None:
        """Write the findings as they are now."""
        if self.db is not None:
            self._try(self._findings, findings)

    def _findings(self, findings: list[Finding]) -> None:
        db = self.db
        assert db is not None
        rows = [
            (
                f.code,
                f.where,
                f.status,
                f.severity,
                f.step,
                f.source,
                f.message,
                f.remedy,
                json.dumps(f.evidence, default=str),
            )
            for f in findings
        ]
        db.execute("BEGIN")
        db.execute("DELETE FROM finding")
        db.executemany("INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        db.execute("COMMIT")

    def close(self, history: History) -> None:
        """Commit what is left and fold the journal into the file."""
        if self.db is None:
            return
        self._try(self._finish, history)

    def _finish(self, history: History) -> None:
        self._commit()
        db = self.db
        assert db is not None
        db.execute("INSERT OR REPLACE INTO meta VALUES ('ended', ?)", (json.dumps(time.time()),))
        db.execute("INSERT OR REPLACE INTO meta VALUES ('steps', ?)", (json.dumps(history.step),))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        self.db = None


def rows_of(sample: Sample, names: list[str]) -> list[tuple[str, str, float | None]]:
    """What is recorded of a sample: ``(kind, place, value)``."""
    rows: list[tuple[str, str, float | None]] = []
    for k, name in enumerate(names):
        g = sample.gradients[k] if sample.gradients is not None else -1.0
        if g >= 0:
            rows.append(("grad", name, _real(math.sqrt(g))))
        if sample.weights is not None and sample.updates is not None and sample.weights[k] > 0:
            rows.append(("weight", name, _real(math.sqrt(sample.weights[k]))))
            rows.append(("update", name, _real(math.sqrt(sample.updates[k] / sample.weights[k]))))
    if sample.plan is None or sample.inputs is None or sample.activations is None:
        return rows
    for layer, x in zip(sample.plan.layers, sample.inputs, strict=True):
        if x == x:
            rows.append(("input", layer.label, _real(math.sqrt(x))))
    for act, (slope, zeros) in zip(sample.plan.activations, sample.activations, strict=True):
        if slope == slope:
            place = f"{act.name} ({act.operator})"
            rows += [("slope", place, slope), ("zeros", place, zeros)]
    return rows


def rows_of_look(history: History, look: tuple) -> list[tuple[str, str, float | None]]:
    """What is recorded of a look at the backward signals."""
    _, plan, sizes = look
    rows: list[tuple[str, str, float | None]] = [
        ("signal", layer.label, _real(float(np.mean(norms))))
        for layer, norms in zip(plan.layers, sizes, strict=True)
        if len(norms)
    ]
    for unit in history.units.get(plan, {}).values():
        if unit.closed:
            _, dead, n = unit.closed[-1]
            rows.append(("dead", f"{unit.act.name} ({unit.act.operator})", dead / n))
    return rows


def _real(x: float) -> float | None:
    """NaN is NULL in SQLite; infinities are stored as they are."""
    return x if x == x else None


def check_is_run(path: str) -> None:
    """Raise OSError unless the file is empty or a recorded run: nothing else is overwritten."""
    if os.path.getsize(path) == 0:
        return
    db = sqlite3.connect(path)
    try:
        found = db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    except sqlite3.Error:
        found = None
    finally:
        db.close()
    if found is None or found[0] != json.dumps(FORMAT):
        raise OSError(f"{path} exists and is no recorded run; give another file name")
