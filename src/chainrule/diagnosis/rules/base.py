"""What a rule is: a code, thresholds with names, and ``examine``, which says what is wrong now."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..finding import Finding

if TYPE_CHECKING:
    from ..history import History
    from ..scene import Scene


class Rule:
    """Base of the rules. They are asked again and again, ever less often.

    A finding that a rule gives ``suspicion`` times in a row is shown as suspected, ``patience`` times as confirmed;
    evidence ``sure`` confirms it at once. What is not given again is withdrawn.
    """

    code = ""
    thresholds: dict[str, float] = {}
    suspicion = 2
    patience = 4
    t: Any = None

    def __init__(self) -> None:
        self.name = type(self).__name__
        self.t = SimpleNamespace(**self.thresholds)

    def with_thresholds(self, others: dict[str, float]) -> Rule:
        """The rule with other values for those of its thresholds that are named."""
        rule = type(self)()
        rule.t = SimpleNamespace(**{k: others.get(k, v) for k, v in self.thresholds.items()})
        return rule

    def examine(self, h: History, scene: Scene) -> Iterable[Finding]:
        """The findings of this moment."""
        raise NotImplementedError

    def finding(self, where: str, message: str, remedy: str, source: str | None = None, **evidence: Any) -> Finding:
        return Finding(self.code, where, message, remedy, evidence, source)
