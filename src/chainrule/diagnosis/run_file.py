"""Reading a recorded run, also while it is being written."""

from __future__ import annotations

import json
import os
import sqlite3
from typing import Any

from ..errors import FileFormatError
from .finding import Finding, in_order
from .recorder import FORMAT, VERSION


class Run:
    """A recorded run.

    meta: what stands in the table of that name.  loss: ``[(step, value)]``.  findings: a list.
    ``series(kind)``: per place ``[(step, value)]``.
    Raises FileNotFoundError, or FileFormatError if the file is no recorded run.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = os.fspath(path)
        if not os.path.exists(self.path):
            raise FileNotFoundError(f"there is no file {self.path}")
        try:
            self.db = sqlite3.connect(f"file:{_quoted(self.path)}?mode=ro", uri=True, timeout=5.0)
            self.meta: dict[str, Any] = {k: json.loads(v) for k, v in self.db.execute("SELECT key, value FROM meta")}
        except sqlite3.Error as error:
            raise FileFormatError(f"{self.path} is no recorded run: {error}") from None
        if self.meta.get("format") != FORMAT or self.meta.get("version", 0) > VERSION:
            raise FileFormatError(f"{self.path} is no recorded run of version {VERSION} or older")

    @property
    def loss(self) -> list[tuple[int, float]]:
        return self.db.execute("SELECT step, value FROM loss ORDER BY step").fetchall()

    def loss_after(self, step: int) -> list[tuple[int, float]]:
        """The losses recorded since a step."""
        return self.db.execute("SELECT step, value FROM loss WHERE step > ? ORDER BY step", (step,)).fetchall()

    @property
    def rate(self) -> list[tuple[int, float]]:
        return self.db.execute("SELECT step, value FROM rate ORDER BY step").fetchall()

    def series(self, kind: str) -> dict[str, list[tuple[int, float]]]:
        """``{place: [(step, value)]}`` of one kind of statistic, places in the order in which they were met."""
        found: dict[str, list[tuple[int, float]]] = {}
        rows = self.db.execute(
            "SELECT name, step, value FROM stat JOIN place ON place.id = stat.place WHERE kind = ? "
            "ORDER BY place.id, step",
            (kind,),
        )
        for name, step, value in rows:
            found.setdefault(name, []).append((step, value))
        return found

    @property
    def findings(self) -> list[Finding]:
        rows = self.db.execute(
            "SELECT code, place, message, remedy, evidence, source, step, status, severity FROM finding"
        ).fetchall()
        return in_order([Finding(c, w, m, r, json.loads(e), s, k, t, v) for c, w, m, r, e, s, k, t, v in rows])

    @property
    def steps(self) -> int:
        """How many steps were made, as far as it is known."""
        last = self.db.execute("SELECT max(step) FROM loss").fetchone()[0]
        return int(self.meta.get("steps", (last or 0) + 1 if last is not None else 0))

    @property
    def ended(self) -> bool:
        """Whether the training has closed the file."""
        return self.db.execute("SELECT 1 FROM meta WHERE key = 'ended'").fetchone() is not None

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()


def _quoted(path: str) -> str:
    return os.path.abspath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
