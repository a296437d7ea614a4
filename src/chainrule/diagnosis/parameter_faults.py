"""Parameters that are not trained: no gradient reaches them, or no optimiser has them."""

from __future__ import annotations

from typing import Any

from ..handle import Tensor
from ..nn.modules.module import Module
from ..node import Node
from .finding import Finding
from .modules import ModuleCalls
from .plan import Plan, operator, public_name, source_of
from .scene import Scene, user_line


def examine_parameters(scene: Scene, calls: ModuleCalls, step: int, had_backward: bool) -> list[tuple[Finding, bool]]:
    """Parameters that are not trained, right after a step: ``[(finding, whether it is sure)]``."""
    reached = [n for n, p in zip(scene.names, scene.params, strict=True) if p._grad is not None]
    scene.trained.update(reached)
    if not reached:
        return [(_cleared(scene, step), True)] if had_backward and not scene.trained else []
    params = dict(zip(scene.names, scene.params, strict=True))
    missing = {n for n, p in params.items() if id(p) not in scene.optimized}
    unreached = {n for n, p in params.items() if n not in missing and p._requires_grad and n not in scene.trained}
    found = frozen_norms(scene, step)
    for place, names in _subtrees(missing, set(params)):
        found.append((_not_in_optimizer(place, names, step), True))
    for place, names in _subtrees(unreached, set(params)):
        module = names[0].rpartition(".")[0]
        called = any(m == module or m.startswith(module + ".") for m in calls.called)
        if not called and scene.dynamic:
            continue
        # A module that was not called may be called in another step (dropped blocks, chosen experts).
        found.append(
            (_unreached(place, names, called, scene.detached_at.get(place), step), step >= (7 if called else 31))
        )
    return found


# Their derivative is 0 wherever it exists.
_FLAT = frozenset(("round", "round_decimals", "sign", "sgn", "floor", "ceil", "trunc", "heaviside"))


def flat_paths(order: list[Node], scene: Scene, step: int) -> list[Finding]:
    """Parameters whose every way to the loss leads through an operator whose derivative is 0 everywhere."""
    flat = [node for node in order if operator(node) in _FLAT]
    if not flat:
        return []
    open_, stack = set(), [order[0]]
    while stack:
        node = stack.pop()
        if node in open_ or (isinstance(node, Node) and operator(node) in _FLAT):
            continue
        open_.add(node)
        if isinstance(node, Node):
            stack += [e for e in node.edges if e is not None]
    reached = {scene.parameter_names[id(t)] for t in open_ if id(t) in scene.parameter_names}
    every = {scene.parameter_names[id(e)] for n in order for e in n.edges if id(e) in scene.parameter_names}
    found = []
    for place, names in _subtrees(every - reached, every):
        op = public_name(operator(flat[0]))
        found.append(
            Finding(
                "untrained-parameter",
                place,
                f"{_listed(names)}: every way to the loss leads through {op}, whose derivative is 0 everywhere.",
                f"Leave {op} out of training, or pass its gradient straight through: x + ({op}(x) - x).detach().",
                {"parameters": names, "operator": op},
                source_of(flat[0]),
                step,
            )
        )
    return found


def frozen_norms(scene: Scene, step: int) -> list[tuple[Finding, bool]]:
    """Batch norms whose running statistics are those they were made with, or that were sent back to evaluation."""
    found = []
    for path, module in scene.modules.items():
        mean = getattr(module, "running_mean", None)
        if mean is None or not isinstance(module, Module) or not any(p._requires_grad for p in module.parameters()):
            continue
        var = module.running_var
        untouched = not mean._data.any() and bool((var._data == 1).all())
        if module.training and step == 0:
            scene.training_norms.add(path)
        still = module.training and module.momentum == 0.0 and untouched and step >= 2
        left = not module.training and path in scene.training_norms
        if (not module.training and untouched) or still or left:
            found.append((path, untouched))
    if not found:
        return []
    places = [p for p, _ in found]
    why = (
        "its running mean 0 and variance 1 are those it was made with, so it normalises nothing"
        if found[0][1]
        else "it no longer follows the data"
    )
    finding = Finding(
        "untrained-parameter",
        places[0],
        f"Batch norm {places[0]} trains in evaluation mode: {why}"
        + (f" (and {len(places) - 1} more)." if len(places) > 1 else "."),
        "Call model.train() before training, and again after every evaluation.",
        {"modules": places},
        None,
        step,
    )
    return [(finding, True)]


def _not_in_optimizer(place: str, names: list[str], step: int) -> Finding:
    one = len(names) == 1
    return Finding(
        "untrained-parameter",
        place,
        f"{_listed(names)} of the model {'is' if one else 'are'} not in the optimizer and never change"
        f"{'s' if one else ''}.",
        "Give the optimizer model.parameters() after the model is complete, or set requires_grad_(False) if this is "
        "meant.",
        {"parameters": names},
        None,
        step,
    )


def _unreached(place: str, names: list[str], called: bool, source: str | None, step: int) -> Finding:
    why, remedy = (
        (
            "The module runs, but its output does not reach the loss: it is detached, computed under no_grad, turned "
            "into numbers on the way, or not used.",
            "Remove detach(), .data, no_grad() or .item() on the way from the module to the loss.",
        )
        if called
        else ("Its module has not been called.", "Call the module in forward, or delete it.")
    )
    return Finding(
        "untrained-parameter",
        place,
        f"{_listed(names)}: no gradient arrives. {why}",
        remedy,
        {"parameters": names, "called": called},
        source,
        step,
    )


def _cleared(scene: Scene, step: int) -> Finding:
    return Finding(
        "untrained-parameter",
        "",
        "optimizer.step() found no gradients at all, although backward() had run: they were cleared in between, or "
        "belong to other parameters than the optimizer's.",
        "Call zero_grad() before backward(), not between backward() and step(); make the optimizer from this model's "
        "parameters().",
        {"parameters": scene.names[:8]},
        user_line(2),
        step,
    )


def never_stepped(scene: Scene, steps: int, passes: int, stepped: set[int]) -> list[Finding]:
    """Optimisers that were never asked to step, though others were or many backward passes were made."""
    idle = [k for k, opt in enumerate(scene.optimizers) if id(opt) not in stepped]
    if not idle or (passes < 3 if len(idle) == len(scene.optimizers) else steps < 8):
        return []
    names = [scene.parameter_names[id(p)] for k in idle for g in scene.optimizers[k].param_groups for p in g["params"]]
    which = "The optimizer" if len(scene.optimizers) == 1 else f"Optimizer {idle[0]}"
    return [
        Finding(
            "untrained-parameter",
            "optimizer" if len(scene.optimizers) == 1 else _common(names),
            f"{which} was never stepped, although backward() ran {passes} times: {_listed(names)} stay as they are.",
            "Call optimizer.step(), with parentheses, after backward().",
            {"parameters": names[:16]},
            None,
            steps,
        )
    ]


def _common(names: list[str]) -> str:
    """The module that holds all of some parameters, or the first's."""
    parts = [n.split(".")[:-1] for n in names]
    shared = []
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return ".".join(shared or parts[0] or [names[0]])


def unregistered(plan: Plan, scene: Scene, step: int) -> list[Finding]:
    """Leaves of the graph that the model holds where it does not see them: in a plain list or dict, or as a tensor."""
    unknown = {k for k in plan.leaf_ids if k not in scene.parameter_names}
    if not unknown:
        return []
    found = []
    for path, module in scene.modules.items():
        for name, value in vars(module).items():
            if name.startswith("_") and name in ("_modules", "_parameters", "_buffers"):
                continue
            held = _held(value)
            hits = [t for t in held if id(t) in unknown]
            if hits:
                place = f"{path}.{name}" if path else name
                plain = isinstance(value, Tensor)
                found.append(
                    Finding(
                        "untrained-parameter",
                        place,
                        f"{len(hits)} tensors in {place} get gradients but are no parameters of the model, so no "
                        "optimizer made from model.parameters() changes them.",
                        "Wrap the tensor in nn.Parameter."
                        if plain
                        else "Use nn.ModuleList (or ModuleDict) instead of a plain list or dict.",
                        {"tensors": len(hits)},
                        None,
                        step,
                    )
                )
    return found


def _held(value: Any) -> list[Tensor]:
    """Tensors with gradients in an attribute that the module does not register."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Module):
        return list(value.parameters())
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [t for x in value[:256] for t in _held(x) if isinstance(x, (Tensor, Module, list, tuple, dict))]
    return []


def _subtrees(names: set[str], all_names: set[str]) -> list[tuple[str, list[str]]]:
    """The given parameters by the largest modules of which they are all parameters: ``[(module or name, names)]``."""
    found: dict[str, list[str]] = {}
    others = all_names - names
    for name in sorted(names):
        parts = name.split(".")
        place = name
        for k in range(1, len(parts)):
            prefix = ".".join(parts[:k])
            if not any(o.startswith(prefix + ".") for o in others):
                place = prefix
                break
        found.setdefault(place, []).append(name)
    return [(n[0] if len(n) == 1 and not p else p, n) for p, n in found.items()]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
