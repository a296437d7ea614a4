"""What a function can reach: the tensors, modules and optimisers behind its names.

Found by walking its closure, the globals its code names, default arguments, and from there containers, modules,
optimisers, plain objects and other functions of the user's. Nothing is called.
"""

import sys
import types
from collections import deque

from ..handle import Tensor
from ..nn import Module
from ..optim import Optimizer

_PLAIN = (int, float, bool, str, bytes, complex, type(None))
_NUMBERS = (int, float, bool, str)
_IDENTITY = (Tensor, Module, Optimizer)
_TABLES = ("_parameters", "_buffers", "_modules")
_PACKAGE = __name__.split(".")[0]
_LIMIT = 200_000  # objects; beyond it the walk stops


def installed(file, name):
    """Is a module the standard library's or an installed one, so that no state of the user's is expected in it?"""
    top = name.split(".")[0]
    return top == _PACKAGE or top in sys.stdlib_module_names or "site-packages" in (file or "") or top == "numpy"


class Reach:
    """tensors: id -> (tensor, path).  modules, optimizers: in the order found.

    numbers: ``(holder, key, value)`` of what functions read by name and what a program is made for: Python numbers,
    and which tensor, module or optimiser it is; ``holder[key]`` is the place, or ``holder.key``.
    """

    def __init__(self, function):
        self.tensors = {}
        self.modules = []
        self.optimizers = []
        self.numbers = []
        self.maybe = []  # the same of objects' attributes and dicts' entries, which count if code names them
        self.names = set()
        self.names_of_cells = {}  # id -> name
        self.containers = []  # (list, dict or attributes, copy)
        self.seen = set()
        self.stack = deque()  # what is near comes first, so that the limit cuts off what is far
        self.push(function, getattr(function, "__name__", "the function"))
        while self.stack and len(self.seen) < _LIMIT:
            self.visit(*self.stack.popleft())

        self.numbers += [(h, k, v) for h, k, v in self.maybe if k in self.names]

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
            for table in _TABLES:
                for name, v in x.__dict__.get(table, {}).items():
                    self.push(v, f"{path}.{name}")
                self.keep(x.__dict__.get(table))
            self.keep(x.__dict__)
            for name, v in x.__dict__.items():
                if name[:1] != "_" and name != "training":
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
            self.keep(x)
            for k, v in x.items():
                if type(k) is str and (type(v) in _NUMBERS or isinstance(v, _IDENTITY)):
                    self.maybe.append((x, k, v))
                self.push(v, f"{path}[{k!r}]")
        elif isinstance(x, (list, tuple, set, frozenset)):
            if type(x) is list:
                self.keep(x)
            for i, v in enumerate(x):
                self.push(v, f"{path}[{i}]")
        elif isinstance(x, types.ModuleType):
            pass
        elif hasattr(x, "__wrapped__"):
            self.push(x.__wrapped__, path)
        elif isinstance(getattr(x, "__dict__", None), dict) and str(type(x).__module__).split(".")[0] not in (
            _PACKAGE,
            "numpy",
            "builtins",
        ):
            self.keep(vars(x))
            for k, v in vars(x).items():
                if type(v) in _NUMBERS or isinstance(v, _IDENTITY):
                    self.maybe.append((vars(x), k, v))
                self.push(v, f"{path}.{k}")

    def keep(self, container):
        if isinstance(container, (dict, list)):
            self.containers.append((container, container.copy()))

    def restore(self):
        """Put back what a failed capture left in containers and attributes."""
        for container, before in self.containers:
            if isinstance(container, list):
                if len(container) != len(before) or any(a is not b for a, b in zip(container, before, strict=True)):
                    container[:] = before
            elif len(container) != len(before) or any(container.get(k, self) is not v for k, v in before.items()):
                container.clear()
                container.update(before)
        for holder, key, value in self.numbers:
            if not same(holder, key, value):
                if isinstance(holder, dict):
                    holder[key] = value
                else:
                    setattr(holder, key, value)

    def function(self, f, path):
        code = getattr(f, "__code__", None)
        if code is None or installed(code.co_filename, getattr(f, "__module__", None) or ""):
            return
        for name, cell in zip(code.co_freevars, f.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            self.names_of_cells[id(cell)] = name
            self.named(value, name, cell, "cell_contents")
        names, inner = {}, [code]  # a dict: in the order of the code, which is the same in every process
        while inner:
            c = inner.pop()
            names.update(dict.fromkeys(c.co_names))
            self.names.update([k for k in c.co_consts if type(k) is str])
            inner += [k for k in c.co_consts if isinstance(k, types.CodeType)]
        self.names.update(names)
        for name in names:
            if name in f.__globals__:
                value = f.__globals__[name]
                if isinstance(value, types.ModuleType):
                    if not installed(getattr(value, "__file__", None), value.__name__):
                        for attribute in names:
                            if attribute in vars(value):
                                self.push(vars(value)[attribute], f"{name}.{attribute}")
                else:
                    self.named(value, name, f.__globals__, name)
        for value in (*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()):
            self.push(value, path)

    def named(self, value, name, holder, key):
        if type(value) in _NUMBERS:
            self.numbers.append((holder, key, value))
            return
        if isinstance(value, _IDENTITY):
            self.numbers.append((holder, key, value))
        self.push(value, name)

    def signature(self):
        """What must be the same for a compiled step to be right: which tensors, in which modes."""
        return [self.of_module(m) for m in self.modules]

    def of_module(self, m):
        d, ours = m.__dict__, type(m).__module__.split(".")[0] == _PACKAGE
        return (
            id(m),
            m.training,
            [id(t) for table in _TABLES for t in d[table].values()],
            [v for k, v in d.items() if type(v) in _NUMBERS and (ours or k in self.names)],
        )


def same(holder, key, value):
    """Is the number still what it was?"""
    try:
        now = holder.get(key) if isinstance(holder, dict) else getattr(holder, key, None)
    except ValueError:  # an empty cell
        return False
    return now is value or (type(value) in _NUMBERS and type(now) is type(value) and now == value)
