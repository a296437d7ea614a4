"""The book of findings: a suspicion becomes a finding when it lasts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .finding import Finding, in_order

# Faults that a training may get over.
_PASSING = frozenset(
    ("vanishing-gradient", "bad-initialisation", "saturated-units", "learning-rate-too-low", "bad-input", "dead-units")
)


class Ledger:
    """silence: codes that are not wanted.  on_finding: told of every finding, suspected and confirmed."""

    def __init__(self, silence: set[str], on_finding: Callable[[Finding], Any] | None) -> None:
        self.silence, self.on_finding = silence, on_finding
        self.findings: list[Finding] = []
        self.streaks: dict[str, int] = {}
        self.since: dict[str, int] = {}
        self.sure: set[str] = set()  # codes whose evidence leaves no doubt, whatever comes after

    def add(self, finding: Finding, confirmed: bool, step: int) -> bool:
        """Enter a finding, or bring the one of its code and place up to date; whether anything is new."""
        if finding.code in self.silence:
            return False
        for old in self.findings:
            if old.code == finding.code and (old.where == finding.where or not confirmed):
                new = confirmed and old.status != "confirmed"
                old.where, old.message, old.remedy = finding.where, finding.message, finding.remedy
                old.evidence, old.source = finding.evidence, finding.source or old.source
                old.consequence = finding.consequence
                if new:
                    old.status = "confirmed"
                    self.tell(old)
                return new
        if confirmed:
            finding.status = "confirmed"
        self.findings.append(finding)
        self.tell(finding)
        return True

    def tell(self, finding: Finding) -> None:
        """Call the user's function; what it raises must not stop the training."""
        if self.on_finding is None:
            return
        try:
            self.on_finding(finding)
        except Exception as error:
            self.on_finding = None
            warnings.warn(
                f"watch: on_finding failed and is not called again: {type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )

    def verdict(self, rule: Any, found: list[Finding], step: int, report: Callable, closing: bool) -> None:
        """What a rule says at one examination. One finding per rule at a time; what does not last is withdrawn."""
        key = rule.name
        if not found:
            if self.streaks.pop(key, 0):
                self.findings = [
                    f for f in self.findings if f.code != rule.code or f.status == "confirmed" or f.evidence.get("sure")
                ]
            self.since.pop(key, None)
            return
        streak = self.streaks[key] = self.streaks.get(key, 0) + 1
        since = self.since.setdefault(key, step)
        for finding in found:
            finding.step = since
            sure = finding.evidence.pop("sure", False)
            if sure:
                self.sure.add(finding.code)
            if streak >= rule.patience or sure or (closing and streak >= 2):
                self.withdraw_suspicion(finding)
                report(finding, confirmed=True)
            elif streak >= rule.suspicion:
                report(finding, confirmed=False)

    def withdraw_suspicion(self, finding: Finding) -> None:
        """A suspicion of the same code becomes the confirmed finding, wherever it pointed before."""
        for old in self.findings:
            if old.code == finding.code and old.status == "suspected":
                old.where = finding.where

    def recovered(self, rules: list[Any]) -> None:
        """The training has ended well: what rules no longer say, and was not beyond doubt, is taken back."""
        gone = {r.code for r in rules if r.name not in self.streaks and r.code in _PASSING} - self.sure
        self.findings = [f for f in self.findings if f.code not in gone]

    def withdraw(self, *codes: str) -> None:
        """Take back what was only suspected."""
        self.findings = [f for f in self.findings if f.code not in codes or f.status == "confirmed"]

    def withdraw_trained(self, scene: Any) -> None:
        """A parameter that a gradient has reached since is no longer suspected of getting none."""

        def stands(f: Finding) -> bool:
            if f.code != "untrained-parameter" or f.status == "confirmed":
                return True
            uncalled = f.evidence.get("called") is False
            return not scene.trained.issuperset(f.evidence.get("parameters", ("?",))) and not (
                scene.dynamic and uncalled
            )

        self.findings = [f for f in self.findings if stands(f)]

    def in_order(self) -> list[Finding]:
        return in_order(self.findings)
