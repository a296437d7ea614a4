"""A finding: what is wrong with a training, where, since when, on what evidence, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Code -> (severity, rank). The rank orders findings: causes stand before what they bring about.
CODES: dict[str, tuple[str, int]] = {
    "missing-zero-grad": ("error", 0),
    "non-finite": ("error", 1),
    "loss-mismatch": ("error", 2),
    "untrained-parameter": ("error", 3),
    "bad-labels": ("error", 4),
    "bad-input": ("warning", 5),
    "bad-initialisation": ("error", 6),
    "learning-rate-too-high": ("error", 8),
    "exploding-gradient": ("error", 7),
    "vanishing-gradient": ("error", 10),
    "saturated-units": ("warning", 9),
    "dead-units": ("warning", 11),
    "learning-rate-too-low": ("warning", 12),
}


@dataclass
class Finding:
    """One thing that is wrong.

    code: one of `CODES`.  where: a module path, a parameter's name or an operator; "" for the whole training.
    source: ``file:line`` of the user's code, or None.  step: when it was first seen.  status: ``suspected`` or
    ``confirmed``.  evidence: the numbers it rests on.  message, remedy: a sentence each.

    >>> from chainrule.diagnosis import Finding
    >>> print(Finding("dead-units", "0", "60 of 64 units never fire.", "Lower the learning rate.", step=12))
    [suspected] dead-units at 0, step 12: 60 of 64 units never fire. Lower the learning rate.
    """

    code: str
    where: str
    message: str
    remedy: str
    evidence: dict[str, Any] = field(default_factory=dict)
    source: str | None = None
    step: int = 0
    status: str = "suspected"
    severity: str = ""
    consequence: bool = False  # brought about by another finding, which stands before it

    def __post_init__(self) -> None:
        if not self.severity:
            self.severity = CODES[self.code][0]

    def __str__(self) -> str:
        place = f" at {self.where}" if self.where else ""
        line = f" ({self.source})" if self.source else ""
        return f"[{self.status}] {self.code}{place}, step {self.step}{line}: {self.message} {self.remedy}"


def in_order(findings: list[Finding]) -> list[Finding]:
    """Confirmed ones first, then causes before consequences, then by step."""
    return sorted(findings, key=lambda f: (f.status != "confirmed", f.consequence, CODES[f.code][1], f.step))
