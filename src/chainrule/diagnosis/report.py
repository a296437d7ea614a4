"""The findings and curves of a run: as text, as a page."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import Any

from .finding import Finding
from .page import page
from .recorder import rows_of, rows_of_look
from .run_file import Run

Series = dict[str, list[tuple[int, float]]]


class Report:
    """What came out of a run: ``print(report)``, ``report.save("run.html")``.

    findings: a list.  steps: how many were made.  loss, rate: ``[(step, value)]``.  series: per kind of statistic
    (see ``recorder``) and place ``[(step, value)]``.

    >>> from chainrule.diagnosis import Report
    >>> print(Report([], 3, [(0, 1.0), (1, 0.5), (2, 0.25)]))
    3 steps, loss 1 to 0.25.
    No findings.
    """

    def __init__(
        self,
        findings: list[Finding],
        steps: int,
        loss: list[tuple[int, float]],
        rate: list[tuple[int, float]] | None = None,
        series: dict[str, Series] | None = None,
        title: str = "Training run",
    ) -> None:
        self.findings, self.steps, self.loss = findings, steps, loss
        self.rate, self.series, self.title = rate or [], series or {}, title

    @classmethod
    def of_watch(cls, watch: Any) -> Report:
        """Of a session, also while it is open."""
        h = watch.history
        series: dict[str, Series] = {}

        def put(step: int, rows: list) -> None:
            for kind, name, value in rows:
                if value is not None:
                    series.setdefault(kind, {}).setdefault(name, []).append((step, value))

        for sample in h.tape:
            put(sample.step, rows_of(sample, watch.scene.names))
        for look in h.looks:
            put(look[0], rows_of_look(h, look))
        rate = [(s.step, s.lr) for s in h.tape if s.lr == s.lr]
        return cls(watch.findings, h.step, h.losses(), rate, series)

    @classmethod
    def of_file(cls, path: str | os.PathLike) -> Report:
        """Of a recorded run. Raises FileNotFoundError or FileFormatError."""
        with Run(path) as run:
            kinds = ("grad", "weight", "update", "input", "slope", "zeros", "dead", "signal")
            series = {kind: run.series(kind) for kind in kinds}
            loss = [(s, v) for s, v in run.loss if v is not None]
            return cls(run.findings, run.steps, loss, run.rate, series, Path(path).name)

    def __str__(self) -> str:
        known = [v for _, v in self.loss if v == v]
        span = f", loss {known[0]:.4g} to {known[-1]:.4g}" if known else ""
        lines = [f"{self.steps} steps{span}."]
        if not self.findings:
            return lines[0] + "\nNo findings."
        for f in self.findings:
            place = f" at {f.where}" if f.where else ""
            lines += ["", f"{f.code}{place}  [{f.status}, {f.severity}, since step {f.step}]"]
            if f.source:
                lines.append(f"    {f.source}")
            lines += wrap(f.message, 108, initial_indent="    ", subsequent_indent="    ", break_long_words=False)
            lines += wrap(f.remedy, 105, initial_indent="    -> ", subsequent_indent="       ", break_long_words=False)
        return "\n".join(lines)

    def html(self) -> str:
        """One self-contained page: findings with evidence, loss, gradients by layer and step, activations."""
        return page(self)

    def _repr_html_(self) -> str:
        """The page in a notebook, in a frame of its own."""
        return f'<iframe srcdoc="{escape(self.html())}" style="width: 100%; height: 640px; border: 0"></iframe>'

    def save(self, path: str | os.PathLike) -> None:
        """Write the page (a name that ends in ``.html``) or the text (any other name)."""
        text = self.html() if os.fspath(path).lower().endswith((".html", ".htm")) else str(self) + "\n"
        Path(path).write_text(text, encoding="utf-8")
