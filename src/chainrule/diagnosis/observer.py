"""Looking at a training: what is done at each backward pass and at each step of an optimiser."""

from __future__ import annotations

import math
import traceback
import warnings
from operator import attrgetter
from typing import Any

from numpy import ndarray

from ..config import switches
from ..handle import Tensor
from ..nn.modules.module import Module
from ..node import Node, topological
from ..optim.optimizer import Optimizer, to_scalar
from . import hub, measure
from .data import DataTap
from .finding import Finding
from .graph_faults import examine_graph
from .history import History
from .ledger import Ledger
from .listener import Listener
from .modules import ModuleCalls
from .non_finite import Lookout, kind_of
from .parameter_faults import examine_parameters, flat_paths, unregistered
from .plan import Plan, operator
from .recorder import Recorder
from .rows import PARAMETERS
from .rules import RULES
from .scene import Scene, user_line
from .trouble import explain_non_finite

_kept = attrgetter("values", "tensors")
_PLANS = 16  # different graphs that are looked into; a loop of varying length has many
_EXAM = 96  # steps between two examinations, later a quarter of all so far
_FULL = 8  # steps between two samples that are taken in full, if every step is looked at
_FIRST = 16  # samples that are taken in full whatever the pace


class Observer:
    """The part of a watch that sees: it measures, remembers in ``history`` and enters findings into ``ledger``."""

    def __init__(self, models: list[Module], optimizers: list[Optimizer], every: int, ledger: Ledger) -> None:
        self.optimizers, self.every, self.ledger = optimizers, every, ledger
        self.scene = Scene(models, optimizers)
        self.history = History(self.scene.names, [tuple(p._data.shape) for p in self.scene.params])
        self.tap = self.history.data = DataTap(models)
        self.history.initial = self.scene.initial_weights()
        self.rules = list(RULES)
        self.calls = ModuleCalls(self.scene.paths)
        self.calls.open()
        self.recorder: Recorder | None = None
        self.update = measure.Update(self.scene.params)
        self.plans: dict[tuple, list[Plan]] = {}
        self.sizes: set[int] = set()  # numbers of nodes of graphs that are known
        self.foreign = False  # there are backward passes of other models
        self.sample: measure.Sample | None = None
        self.signals: measure.Signals | None = None
        self.measured = 0
        self.pace = _FULL if every == 1 else 4
        self.first = _FIRST // min(every, 2)
        self.next_exam, self.next_look = 1, 0
        self.rest = 1024  # steps between two examinations of a long run
        self.graph: tuple | None = None  # the last graph, with what its nodes keep, until the step is made
        self.loss = math.nan
        self.backwards = 0
        # Per group of parameters one of them, its gradient in the last step, and whether that was found cleared since:
        # None not known yet, "" yes, else the line of the backward() that added to it.
        self.carried: dict[tuple[int, int], tuple[Tensor, Tensor, str | None]] = {}
        self.lookout: Lookout | None = None
        self.lookouts = 3
        self.poisoned = False
        self.broken: set[str] = set()
        self.handles = []
        self.asleep = False
        self.passes = 0  # backward passes that were looked at
        self.stepped: set[int] = set()  # optimisers whose step has been called
        self.armed: list[Any] = []  # handles of the hooks before a step, which only some steps need
        for opt in optimizers:
            self.handles.append(opt.register_step_post_hook(self._after_step))
        hub.attach(self)
        self.listener = Listener(self)
        self.listener.open()

    def detach(self) -> None:
        """Take all hooks away."""
        self.listener.close()
        hub.detach(self)
        for handle in (*self.handles, *self.armed):
            handle.remove()
        self.calls.close()
        self.tap.close()
        if self.lookout is not None:
            self.lookout.close()
        self.graph = self.sample = None

    def _full(self) -> bool:
        """Whether this sample has everything; seven of eight have only the loss and the gradients."""
        return self.measured < self.first or self.measured % self.pace == 0

    def _arm(self) -> None:
        """Have the coming step announced before it is made."""
        if not self.armed:
            self.armed = [opt.register_step_pre_hook(self._before_step) for opt in self.optimizers]

    def _disarm(self) -> None:
        for handle in self.armed:
            handle.remove()
        self.armed = []

    # ---- what hub calls

    def saw_graph(self, outputs: list[Tensor], order: list[Node]) -> None:
        """A backward pass begins; what the nodes keep is still there."""
        try:
            if switches.tracer is not None:
                self._arm()
            if (switches.tracer is not None or self.listener.heard) and self.listener.captures(
                "saw_graph", outputs, order
            ):
                return
            self._graph(outputs, order)
        except Exception:
            self._broke("graph")

    def saw_loss(self, outputs: list[Tensor], roots: list) -> None:
        """A backward pass begins in a step that is not looked at: the loss alone is taken in."""
        try:
            if switches.tracer is not None:
                hub.attach(self)
                return
            loss = outputs[0]._data
            value = loss.item() if loss.size == 1 else float(loss.sum())
            self.loss = value if not self.backwards else self.loss + (value - self.loss) / (self.backwards + 1)
            self.backwards += 1
            if not math.isfinite(value):
                self.backwards -= 1
                self._non_finite(outputs, topological([e for e, _, _ in roots if isinstance(e, Node)]))
        except Exception:
            self._broke("loss")

    def saw_gradients(self, pending: dict) -> None:
        """A backward pass has ended; ``.grad`` is as it was before."""
        try:
            if (switches.tracer is not None or self.listener.heard) and self.listener.captures(
                "saw_gradients", pending
            ):
                return
            self._gradients(pending)
        except Exception:
            self._broke("gradients")

    def _graph(self, outputs: list[Tensor], order: list[Node]) -> None:
        if "graph" in self.broken:
            return
        plan = None
        if self.history.step % self.every == 0 or self.foreign or len(order) not in self.sizes:
            plan = self._plan(order)
            if plan is not None and plan.leaf_ids.isdisjoint(self.scene.ids):
                self.foreign = True
                return
        loss = outputs[0]._data
        value = loss.item() if loss.size == 1 else float(loss.sum())
        # A step may take several backward passes: parts of a batch, or several losses. Their mean is its loss.
        self.loss = value if not self.backwards else self.loss + (value - self.loss) / (self.backwards + 1)
        self.graph = (order, outputs, list(map(_kept, order)))
        if not math.isfinite(value):
            self._non_finite(outputs, order)
            return
        self.backwards += 1
        self.passes += 1
        if plan is None or self.history.step % self.every:
            return
        if self.sample is None:
            self._measure(plan, order)
        elif plan is not self.sample.plan:
            self.history.mixed = True

    def _measure(self, plan: Plan, order: list[Node]) -> None:
        self._arm()
        sample = self.sample = measure.Sample(self.history.step)
        sample.plan = plan
        if self._full():
            units = self.history.units.setdefault(plan, {})
            sample.inputs, sample.activations = measure.forward(plan, order, units)
            if plan.loss is not None and plan.leaf_ids <= self.scene.parameter_names.keys():
                node = order[plan.loss]
                if self.history.targets.wanting:
                    self.history.targets.add(operator(node), node)
                self.tap.targets(node)
        if self.measured >= self.next_look:
            self.next_look = self.measured + max(1, min(self.measured, 256))
            self.signals = measure.Signals(self.history.step, plan, order)

    def _plan(self, order: list[Node]) -> Plan | None:
        signature = tuple(map(type, order))
        known = self.plans.get(signature)
        if known is not None:
            for plan in known:
                if plan.fits(order):
                    return plan
        if sum(map(len, self.plans.values())) >= _PLANS:
            return None
        nodes = order[::-1]
        plan = Plan(order, self.calls.path_of(nodes), self.scene.parameter_names)
        self.calls.close()
        self.plans.setdefault(signature, []).append(plan)
        self.sizes.add(len(order))
        if plan.leaf_ids & self.scene.ids and switches.tracer is None:
            step = self.history.step
            found = examine_graph(order, self.calls.path_of(nodes))
            found += [*unregistered(plan, self.scene, step), *flat_paths(order, self.scene, step)]
            for finding in found:
                finding.step = step
                self._report(finding, confirmed=True)
        return plan

    def _gradients(self, pending: dict) -> None:
        if self.signals is not None:
            self.signals.close()
            self.history.looks.append((self.signals.step, self.signals.plan, self.signals.sizes()))
            del self.history.looks[8:-24]
            self.signals = None
        if self.graph is None or "gradients" in self.broken:
            return
        self._carried(pending)
        order, outputs, kept = self.graph
        plan = self.sample.plan if self.sample is not None else self.history.plan
        if plan is not None and not self.poisoned:
            for leaf in plan.cover:
                g = pending.get(leaf)
                if type(g) is ndarray and not math.isfinite(measure.vdot(g, g)):
                    if kind_of(g):
                        self._backward_origin()
                    break

    def _carried(self, pending: dict) -> None:
        """Are gradients that a step has already used still in place, so that new ones are added to them?

        It is a fault only if the next step uses the sum: another model's loss may leave gradients here that nobody
        uses.
        """
        if not self.carried:
            return
        for key, (p, old, line) in self.carried.items():
            if line != "" and p in pending:
                left = p._grad is old and bool(old._data.any())
                self.carried[key] = (p, old, (line or user_line(2)) if left else "")

    # ---- the step

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self.sample is None and switches.tracer is None:
            return
        try:
            if switches.tracer is not None and self.listener.captures("before_step", optimizer):
                return
            if self.sample is not None and "step" not in self.broken:
                if self.sample.gradients is None:
                    self.sample.gradients = measure.gradients(self.scene.params)
                    total = sum(self.sample.gradients)
                    if self.scene.wanting:
                        self.scene.note_reached(self.sample.gradients)
                    if not math.isfinite(total) and not self.poisoned:
                        self._check_gradients()
                if self._full():
                    self.update.before()
        except Exception:
            self._broke("step")

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self.asleep and (self.history.step + 1) % self.every and self.history.step not in PARAMETERS:
            self.history.loss.add(self.loss)
            self.history.step += 1
            self.backwards = 0
            return
        try:
            if (switches.tracer is not None or self.listener.heard) and self.listener.captures("after_step", optimizer):
                return
            if "step" not in self.broken:
                self._step(optimizer)
        except Exception:
            self._broke("step")

    def _step(self, optimizer: Optimizer) -> None:
        history = self.history
        self.stepped.add(id(optimizer))
        if history.step in PARAMETERS:
            self.ledger.withdraw_trained(self.scene)
            for finding, sure in examine_parameters(
                self.scene, self.calls, history.step, self.backwards > 0 or self.foreign
            ):
                self._report(finding, confirmed=sure)
        for k, group in enumerate(optimizer.param_groups):
            for p in group["params"]:
                if p._grad is not None:
                    _, old, line = self.carried.get((id(optimizer), k), (p, None, None))
                    if line and p._grad is old:
                        self._report(self.scene.missing_zero_grad(history.step, p, line), confirmed=True)
                    self.carried[(id(optimizer), k)] = (p, p._grad, None)
                    break
        if not self.backwards and len(self.optimizers) > 1 and self.graph is None:
            return  # another optimizer's part of a step that is counted already
        if not math.isnan(self.loss) or self.backwards:
            history.loss.add(self.loss)
        sample = self.sample
        if sample is not None:
            sample.loss = self.loss
            if math.isnan(sample.lr):
                sample.lr = float(to_scalar(self.optimizers[0].param_groups[0].get("lr", math.nan)))
            history.lr = sample.lr
            if sample.weights is None and self.update.old and self._full():
                sample.weights, sample.updates = self.update.after()
                history.rates.add(sample.lr)
            history.add(sample)
            self.measured += 1
            if self.recorder is not None:
                self.recorder.add(sample, history)
            self.sample = None
        if self.armed and self.every > 1:
            self._disarm()
        history.step += 1
        self.graph = None
        self.backwards = 0
        if self.every > 1:
            self._rest(history.step)
        if self.lookout is not None:
            self._look_back()
        if history.step >= self.next_exam:
            pause = max(_EXAM, min(64 * self.every, 1024), min(history.step // 4, self.rest))
            self.next_exam = history.step + min(history.step, pause)
            self.examine()

    def _rest(self, step: int) -> None:
        """Sleep until the next step that is looked at; not while other models train as well, whose losses would pass
        for ours."""
        asleep = step % self.every != 0 and not self.foreign and self.measured > 0 and not self.listener.heard
        if asleep != self.asleep:
            self.asleep = asleep
            (hub.sleep if asleep else hub.attach)(self)

    def examine(self) -> None:
        """Ask every rule now. A watch does this by itself, ever less often."""
        self.history.blamed = {f.code for f in self.ledger.findings}
        for rule in self.rules:
            if rule.code in self.ledger.silence or rule.name in self.broken:
                continue
            try:
                found = list(rule.examine(self.history, self.scene))
                self.history.blamed |= {f.code for f in found}
                self.ledger.verdict(rule, found, self.history.step - 1, self._report, self.history.closing)
            except Exception:
                self._broke(rule.name)

    def _report(self, finding: Finding, confirmed: bool = False) -> None:
        if self.ledger.add(finding, confirmed, self.history.step) and self.recorder is not None:
            self.recorder.findings(self.ledger.findings)

    def _broke(self, what: str) -> None:
        if what not in self.broken:
            self.broken.add(what)
            lines = traceback.format_exc().strip().splitlines()
            place = next((t.strip() for t in reversed(lines[:-1]) if t.strip().startswith("File")), "")
            warnings.warn(
                f"watch: {what} failed and is switched off, the training goes on: {lines[-1]} ({place})",
                RuntimeWarning,
                stacklevel=4,
            )

    # ---- numbers that are not finite

    def _non_finite(self, outputs: list[Tensor], order: list[Node]) -> None:
        if self.poisoned:
            return
        self.poisoned = True
        finding, sure = explain_non_finite(order, outputs, self.scene, self.history)
        if finding is not None:
            self._report(finding, confirmed=sure)
        if (finding is None or not sure) and self.lookouts:
            self.lookouts -= 1
            self.lookout = Lookout()

    def _check_gradients(self) -> None:
        bad = [p for p in self.scene.params if p._grad is not None and kind_of(p._grad._data)]
        if bad:
            self._backward_origin()

    def _backward_origin(self) -> None:
        if self.poisoned or self.graph is None:
            return
        self.poisoned = True
        order, outputs, kept = self.graph
        freed = [(n, n.values, n.tensors) for n in order]
        for node, (values, tensors) in zip(order, kept, strict=True):
            node.values, node.tensors = values, tensors
        try:
            finding, sure = explain_non_finite(order, outputs, self.scene, self.history, backward=True)
        finally:
            for node, values, tensors in freed:
                node.values, node.tensors = values, tensors
        if finding is not None:
            self._report(finding, confirmed=sure)

    def _look_back(self) -> None:
        origin = self.lookout.origin if self.lookout is not None else None
        if origin is not None:
            # An operator on data made it: that is the place, not where the numbers came into the graph.
            self.ledger.withdraw("bad-input", "non-finite")
            self._report(self.scene.non_finite(origin, self.history.step), confirmed=True)
        self.lookouts -= 1
        if origin is not None or self.lookouts <= 0:
            self.lookout.close()  # type: ignore[union-attr]
            self.lookout = None
