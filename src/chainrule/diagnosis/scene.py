"""Who takes part: models, optimisers, parameters, and what they are called."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from ..handle import Tensor
from ..nn.modules.module import Module
from ..node import call_site, site_location
from ..optim.optimizer import Optimizer
from .finding import Finding
from .non_finite import Origin
from .plan import public_name


def user_line(depth: int = 3) -> str:
    """``file:line`` of the user's code that led here."""
    file, line, _ = site_location(call_site(depth))
    return f"{file}:{line}"


class Scene:
    """names, params: of every parameter that is trained or should be, in the same order.

    paths: ``{id(module): path}``.  parameter_names: ``{id(parameter): name}``, frozen ones too.
    """

    def __init__(self, models: list[Module], optimizers: list[Optimizer]) -> None:
        self.models, self.optimizers = models, optimizers
        self.paths: dict[int, str] = {}
        self.modules: dict[str, Module] = {}
        self.parameter_names: dict[int, str] = {}
        self.all: OrderedDict[str, Tensor] = OrderedDict()
        several = len(models) > 1
        for i, model in enumerate(models):
            prefix = f"model{i}" if several else ""
            for path, module in model.named_modules():
                full = ".".join(x for x in (prefix, path) if x)
                self.paths.setdefault(id(module), full)
                self.modules.setdefault(full, module)
            for name, p in model.named_parameters():
                full = f"{prefix}.{name}" if several else name
                if id(p) not in self.parameter_names:
                    self.parameter_names[id(p)] = full
                    self.all[full] = p
        self.optimized: dict[int, Tensor] = {}
        for k, opt in enumerate(optimizers):
            for g, group in enumerate(opt.param_groups):
                for j, p in enumerate(group["params"]):
                    self.optimized[id(p)] = p
                    if id(p) not in self.parameter_names:
                        which = f"[{k}]" if len(optimizers) > 1 else ""
                        name = f"optimizer{which}.param_groups[{g}]['params'][{j}]"
                        self.parameter_names[id(p)] = name
                        self.all[name] = p
        chosen = [(n, p) for n, p in self.all.items() if p._requires_grad or id(p) in self.optimized]
        self.names = [n for n, _ in chosen]
        self.params = [p for _, p in chosen]
        self.ids = {id(p) for p in self.params}
        self.trained: set[str] = set()  # parameters that a gradient has reached
        self.dynamic = False  # parts of the model are left out of some steps
        self.seen_steps = 0
        self.wanting = True  # not every parameter has been reached
        self.training_norms: set[str] = set()  # batch norms that were in training mode in the first step
        self.detached_at: dict[str, str] = {}

    def note_reached(self, gradients: list[float]) -> None:
        """Which parameters have a gradient in this step (-1: none). What varies from step to step is chosen anew in
        each, and nothing follows from what has not been chosen yet."""
        reached = {n for n, g in zip(self.names, gradients, strict=True) if g >= 0}
        if self.trained and reached and (self.trained - reached or (self.seen_steps and reached - self.trained)):
            self.dynamic = True
        self.seen_steps += 1
        self.trained |= reached
        self.wanting = len(self.trained) < len(self.names)

    def initial_weights(self) -> dict[str, dict[str, float]]:
        """Of every matrix as it is at the start: its spread, and whether its rows are all alike."""
        found = {}
        for name, p in zip(self.names, self.params, strict=True):
            a = p._data
            if a.ndim < 2 or a.size < 4 or a.dtype.kind != "f":
                continue
            flat = a.reshape(a.shape[0], -1)
            with np.errstate(all="ignore"):
                std = float(flat.std())
                alike = len(flat) > 1 and bool((flat == flat[:1]).all())
                largest = float(np.abs(flat).max())
            fan_in, fan_out = flat.shape[1], flat.shape[0] * int(np.prod(a.shape[2:]))
            found[name] = {"std": std, "alike": alike, "largest": largest, "fan_in": fan_in, "fan_out": fan_out}
        return found

    def missing_zero_grad(self, step: int, p: Tensor, line: str) -> Finding:
        # Gradients of other parameters were cleared: the place is the part that was left out.
        part = any(q is not p and id(q) in self.optimized and _cleared(q) for q in self.params)
        name = self.parameter_names.get(id(p), "")
        return Finding(
            "missing-zero-grad",
            (name.rpartition(".")[0] or name) if part else "",
            "The gradients of the last step were still there when backward() added new ones: each step uses the sum "
            "of all gradients so far.",
            "Call optimizer.zero_grad() once per step, before backward().",
            {"parameter": self.parameter_names.get(id(p), "?"), "gradient_norm": float(np.linalg.norm(p._grad._data))},
            line,
            step,
        )

    def non_finite(self, origin: Origin, step: int) -> Finding:
        """The finding for an origin."""
        way = "" if origin.direction == "forward" else " in the backward pass"
        values = ", ".join(f"{k} = {v}" for k, v in origin.values.items())
        return Finding(
            "non-finite",
            public_name(origin.operator),
            f"{public_name(origin.operator)} made the first {origin.kind}{way}: {origin.text}"
            + (f" ({values})." if values else "."),
            origin.remedy,
            {"kind": origin.kind, "direction": origin.direction, **origin.values},
            origin.source,
            step,
        )


def _cleared(p: Tensor) -> bool:
    return p._grad is None or not p._grad._data.any()
