"""The findings of a run as text and as a page."""

from __future__ import annotations

from typing import Any


class Report:
    """What came out of a run: ``print(report)``, ``report.save("run.html")``."""

    def __init__(self, findings: list, steps: int, loss: tuple) -> None:
        self.findings, self.steps, self.loss = findings, steps, loss

    @classmethod
    def of_watch(cls, watch: Any) -> Report:
        curve = watch.history.loss
        return cls(watch.findings, watch.history.step, (curve.start(), curve.level()))

    def __str__(self) -> str:
        start, end = self.loss
        lines = [f"{self.steps} steps, loss {start:.4g} to {end:.4g}, {len(self.findings)} findings"]
        for f in self.findings:
            lines += ["", f"{f.code}{' at ' + f.where if f.where else ''}  [{f.status}, since step {f.step}]"]
            if f.source:
                lines.append(f"    {f.source}")
            lines += [f"    {f.message}", f"    -> {f.remedy}"]
        return "\n".join(lines)
