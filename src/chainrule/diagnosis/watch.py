"""``chainrule.watch``: a session that looks at a training while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..errors import ArgumentError, ArgumentValueError
from ..nn.modules.module import Module
from ..optim.optimizer import Optimizer
from .finding import CODES, Finding
from .ledger import Ledger
from .observer import Observer
from .parameter_faults import never_stepped
from .recorder import Recorder
from .report import Report
from .rules import RULES
from .tensorboard import write_events
from .trouble import explain_error


def watch(
    model: Module | Iterable[Module],
    optimizer: Optimizer | Iterable[Optimizer],
    every: int = 1,
    store: str | None = None,
    silence: Iterable[str] = (),
    on_finding: Callable[[Finding], Any] | None = None,
    thresholds: dict[str, float] | None = None,
) -> Watch:
    """Watch a training: say which layer is sick, why, and what to do.

    model: a module, or several.  optimizer: the optimiser that trains it, or several.
    every: look at every so many steps. The loss is looked at in each; a NaN that arises in the backward pass of a step
        in between is reported without its operator.
    store: a file (SQLite) to which the run is recorded while it goes on; see ``chainrule.diagnosis.recorder``.
    silence: codes of findings that are not wanted.
    on_finding: called with a finding when it is suspected and when it is confirmed.
    thresholds: other values for thresholds of the rules, ``{"dead_share": 0.8}``; see ``chainrule.diagnosis.rules``.

    The loop is unchanged: the loss is the tensor that ``backward()`` is called on, the step is ``optimizer.step()``.
    Use it as a context manager, or call ``close()`` at the end. Raises ArgumentError or ArgumentValueError for an
    argument that makes no sense.

    >>> import chainrule as cr
    >>> _ = cr.manual_seed(0)
    >>> model = cr.nn.Linear(3, 1)
    >>> optimizer = cr.optim.SGD(model.parameters(), lr=0.1)
    >>> x, y = cr.randn(8, 3), cr.randn(8, 1)
    >>> with cr.watch(model, optimizer) as w:
    ...     for _ in range(3):  # the gradients are never set to zero
    ...         loss = cr.nn.functional.mse_loss(model(x), y)
    ...         loss.backward()
    ...         optimizer.step()
    >>> [f.code for f in w.findings]
    ['missing-zero-grad']
    """
    return Watch(model, optimizer, every, store, silence, on_finding, thresholds)


def _several(given: Any, kind: type, what: str) -> list:
    found = [given] if isinstance(given, kind) else given
    if isinstance(found, dict):
        found = list(found.values())
    try:
        found = list(found)
    except TypeError:
        found = None
    if not found or not all(isinstance(x, kind) for x in found):
        raise ArgumentError(
            f"watch: {what} must be a {kind.__name__} or a list of them, got {type(given).__name__}; "
            f"write watch(model, optimizer)"
        )
    return found


class Watch(Observer):
    """A session of ``chainrule.watch``; see there.

    findings: what was found, causes before consequences.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        every: int = 1,
        store: str | None = None,
        silence: Iterable[str] = (),
        on_finding: Callable[[Finding], Any] | None = None,
        thresholds: dict[str, float] | None = None,
    ) -> None:
        models = _several(model, Module, "model")
        optimizers = _several(optimizer, Optimizer, "optimizer")
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ArgumentValueError(f"watch: every must be a whole number of 1 or more, got {every!r}")
        if isinstance(silence, str):
            silence = [silence]
        unknown = sorted(set(silence) - set(CODES))
        if unknown:
            raise ArgumentValueError(f"watch: silence: there is no code {unknown[0]!r}; codes are {', '.join(CODES)}")
        if on_finding is not None and not callable(on_finding):
            raise ArgumentError(f"watch: on_finding must be callable, got {type(on_finding).__name__}")
        thresholds = dict(thresholds or {})
        known = {name for rule in RULES for name in rule.thresholds}
        for name in thresholds:
            if name not in known:
                raise ArgumentValueError(
                    f"watch: there is no threshold {name!r}; thresholds are {', '.join(sorted(known))}"
                )
        self.closed = False
        super().__init__(models, optimizers, every, Ledger(set(silence), on_finding))
        self.rules = [rule.with_thresholds(thresholds) for rule in RULES]
        if store is not None:
            self.recorder = Recorder(store, self.scene, every=every)

    @property
    def findings(self) -> list[Finding]:
        """What was found so far, confirmed findings first, causes before consequences."""
        self.listener.flush()
        return self.ledger.in_order()

    def close(self) -> None:
        """Stop watching; ask the rules once more. Calling it again does nothing."""
        if self.closed:
            return
        self.listener.flush()
        self.closed = True
        if self.sample is not None and self.sample.gradients is not None:
            self.history.add(self.sample)
        self.detach()
        self.history.closing = True
        if self.history.step:
            for units in self.history.units.values():
                for unit in units.values():
                    if not unit.closed and unit.count >= unit.batches:
                        unit.close()
            self.ledger.withdraw_trained(self.scene)
            self.examine()
            if self.history.learned() > 0.85:
                self.ledger.recovered(self.rules)
        for finding in never_stepped(self.scene, self.history.step, self.passes, self.stepped):
            self._report(finding, confirmed=True)
        if self.recorder is not None:
            self.recorder.findings(self.ledger.findings)
            self.recorder.close(self.history)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None:
            try:
                finding = explain_error(error, self.scene, self.history)
                if finding is not None:
                    self._report(finding, confirmed=True)
            except Exception:
                self._broke("error")
        self.close()

    def report(self) -> Report:
        """The findings and curves, to print or to save as a page: ``w.report().save("run.html")``."""
        self.listener.flush()
        return Report.of_watch(self)

    def save(self, path: str) -> None:
        """Write what is remembered of the run to a SQLite file, as ``store=`` does while the run goes on.

        Raises OSError if the file cannot be written.
        """
        self.listener.flush()
        recorder = Recorder(path, self.scene, strict=True, every=self.every)
        recorder.add_all(self.history)
        recorder.findings(self.ledger.findings)
        recorder.close(self.history)

    def to_tensorboard(self, folder: str) -> str:
        """Write the run as a TensorBoard event file into ``folder``; returns the file's path."""
        return write_events(folder, self.report())

    def __repr__(self) -> str:
        state = "closed" if self.closed else "watching"
        return f"<chainrule.Watch {state}, step {self.history.step}, {len(self.findings)} findings>"
