"""What a function can reach: the tensors, modules and optimisers behind its names.

Found by walking its closure, the globals its code names, default arguments, and from there containers, modules,
optimisers, plain objects and other functions of the user's. Nothing is called.
"""

import types

from ..handle import Tensor
from ..nn import Module
from ..optim import Optimizer

_PLAIN = (int, float, bool, str, bytes, complex, type(None))
_PACKAGE = __name__.split(".")[0]
_LIMIT = 200_000  # objects; beyond it the walk stops


class Reach:
    """tensors: id -> (tensor, path).  modules, optimizers: in the order found.  numbers: ``(holder, key, value)`` of
    Python numbers that functions read by name, where ``holder[key]`` is the place (a cell counts as a list)."""

    def __init__(self, function):
        self.tensors = {}
        self.modules = []
        self.optimizers = []
        self.numbers = []
        self.seen = set()
        self.stack = []
        self.push(function, getattr(function, "__name__", "the function"))
        while self.stack and len(self.seen) < _LIMIT:
            self.visit(*self.stack.pop())

    def push(self, x, path):
        if not isinstance(x, (*_PLAIN, type)) and id(x) not in self.seen:
            self.seen.add(id(x))
            self.stack.append((x, path))

    def visit(self, x, path):
        if isinstance(x, Tensor):
            self.tensors[id(x)] = (x, path)
            if x._grad is not None:
                self.push(x._grad, f"{path}.grad")
        elif isinstance(x, Module):
            self.modules.append(x)
            for table in ("_parameters", "_buffers", "_modules"):
                for name, v in x.__dict__.get(table, {}).items():
                    self.push(v, f"{path}.{name}")
            for name, v in x.__dict__.items():
                if name[:1] != "_" and not name.startswith("_") and name != "training":
                    self.push(v, f"{path}.{name}")
            if type(x).__module__.split(".")[0] != _PACKAGE:
                self.function(type(x).forward, path)
        elif isinstance(x, Optimizer):
            self.optimizers.append(x)
            for group in x.param_groups:
                for p in group["params"]:
                    self.push(p, f"{path}.params")
            for p, state in x.state.items():
                if isinstance(p, Tensor):
                    for name, t in state.items():
                        if isinstance(t, Tensor):
                            self.push(t, f"{path}.state[...][{name!r}]")
        elif isinstance(x, types.FunctionType):
            self.function(x, path)
        elif isinstance(x, types.MethodType):
            self.push(x.__self__, path)
            self.push(x.__func__, path)
        elif isinstance(x, dict):
            for k, v in x.items():
                self.push(v, f"{path}[{k!r}]")
        elif isinstance(x, (list, tuple, set, frozenset)):
            for i, v in enumerate(x):
                self.push(v, f"{path}[{i}]")
        elif isinstance(x, types.ModuleType):
            pass
        elif hasattr(x, "__wrapped__"):
            self.push(x.__wrapped__, path)
        elif hasattr(x, "__dict__") and (type(x).__module__ or "").split(".")[0] not in (_PACKAGE, "numpy", "builtins"):
            for k, v in vars(x).items():
                self.push(v, f"{path}.{k}")

    def function(self, f, path):
        code = getattr(f, "__code__", None)
        if code is None or (f.__module__ or "").split(".")[0] == _PACKAGE:
            return
        for name, cell in zip(code.co_freevars, f.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            self.named(value, name, cell, "cell_contents")
        names = set(code.co_names)
        inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
        while inner:
            c = inner.pop()
            names.update(c.co_names)
            inner += [k for k in c.co_consts if isinstance(k, types.CodeType)]
        for name in names:
            if name in f.__globals__:
                value = f.__globals__[name]
                if isinstance(value, types.ModuleType):
                    if value.__name__.split(".")[0] not in (_PACKAGE, "numpy", "math"):
                        for attribute in names:
                            if attribute in vars(value):
                                self.push(vars(value)[attribute], f"{name}.{attribute}")
                else:
                    self.named(value, name, f.__globals__, name)
        for value in (*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()):
            self.push(value, path)

    def named(self, value, name, holder, key):
        if type(value) in (int, float, bool, str):
            self.numbers.append((holder, key, value))
        else:
            self.push(value, name)

    def signature(self):
        """What must be the same for a compiled step to be right: which tensors, in which modes."""
        return (
            tuple([(id(t), t._requires_grad) for t, _ in self.tensors.values()]),
            tuple([(id(m), m.training) for m in self.modules]),
        )


def same(holder, key, value):
    """Is the number still what it was?"""
    now = holder.get(key) if isinstance(holder, dict) else getattr(holder, key, None)
    return now is value or (type(now) is type(value) and now == value)
