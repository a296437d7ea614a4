"""What a function can reach: the tensors, modules and optimisers behind its names.

Found by walking its closure, the globals its code names, default arguments, and from there containers, modules,
optimisers, plain objects, classes and other functions of the user's. Nothing is called.

What the code names and finds there is what a program is made for: numbers, which objects they are, what lists hold.
"""

import functools
import itertools
import random
import sys
import types
from collections import deque
from dis import opmap
from operator import is_

import numpy as np

from ..config import switches
from ..errors import CaptureError
from ..handle import Tensor
from ..nn import Module
from ..nn.modules import _hooks
from ..optim import Optimizer

_PLAIN = (int, float, bool, str, bytes, complex, type(None))
_NUMBERS = (int, float, bool, str)
_IDENTITY = (Tensor, Module, Optimizer)
_EVERYWHERE = (
    _hooks._global_forward_pre_hooks,
    _hooks._global_forward_hooks,
    _hooks._global_backward_pre_hooks,
    _hooks._global_backward_hooks,
)  # called with every module
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_HOOKS += ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
_TABLES = ("_parameters", "_buffers", "_modules")
_PACKAGE = __name__.split(".")[0]
_LIMIT = 200_000  # objects; beyond it the walk stops
_LISTS = (list, set, frozenset, deque)
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, type, types.ModuleType)
_LONG = 2000  # of longer lists only the length is compared
_LARGE = 1 << 16  # bytes; of larger NumPy arrays nothing is
_MISSING = object()
_ITERATORS = (types.GeneratorType, map, zip, filter, enumerate, reversed, itertools.count, itertools.cycle)
_ITERATORS += tuple([type(iter(x)) for x in ([], (), {}, {}.values(), {}.items(), set(), range(1), "")])


@functools.lru_cache(4096)
def global_names(code):
    """The names that code looks up among globals, apart from those of attributes."""
    names, text, more = {}, code.co_code, 0
    for i in range(0, len(text), 2):
        op, arg = text[i], text[i + 1] | more
        more = arg << 8 if op == opmap["EXTENDED_ARG"] else 0
        if op == opmap["LOAD_GLOBAL"]:
            names[code.co_names[arg >> 1]] = None
        elif op in (opmap["LOAD_NAME"], opmap["STORE_GLOBAL"]):
            names[code.co_names[arg]] = None
    return names


class Contents:
    """What a list, a set, a dict or a small array held."""

    __slots__ = ("held", "keys", "of")

    def __init__(self, x):
        self.of = x
        self.keys = list(x) if isinstance(x, dict) else None
        self.held = x.tobytes() if isinstance(x, np.ndarray) else list(self.values()) if len(x) <= _LONG else len(x)

    def values(self):
        return self.of.values() if self.keys is not None else self.of

    def holds(self):
        """Is it the same now?"""
        x, held = self.of, self.held
        if type(held) is list:
            if len(x) != len(held):
                return False
            if not all(map(is_, self.values(), held)) and not all(map(alike, self.values(), held)):
                return False
            return self.keys is None or list(x) == self.keys
        return len(x) == held if type(held) is int else x.tobytes() == held


def alike(now, before):
    """The same object, or a number or text that is equal."""
    return now is before or (type(before) in _NUMBERS and type(now) is type(before) and now == before)


def installed(file, name):
    """Is a module the standard library's or an installed one, so that no state of the user's is expected in it?"""
    top = name.split(".")[0]
    return top == _PACKAGE or top in sys.stdlib_module_names or "site-packages" in (file or "") or top == "numpy"


class Reach:
    """tensors: id -> (tensor, path).  modules, optimizers: in the order found.

    numbers: ``(holder, key, value)`` of what functions read by name and what a program is made for: Python numbers,
    and which tensor, module, function or other object it is; ``holder[key]`` is the place, or ``holder.key``.
    contents: ``Contents`` of the lists, sets and dicts behind names.  signed, structure: ``signature()`` of the modules
    before the function is run, and the count of changes that it belongs to.
    """

    def __init__(self, function, more=()):
        """``more``: the arguments of the call; what they hold counts as well, tensors apart."""
        self.tensors = {}
        self.modules = []
        self.optimizers = []
        self.numbers = []
        self.maybe = []  # the same of objects' attributes and dicts' entries, which count if code names them
        self.perhaps = []  # (container, path, names that all have to be named by code for its contents to count)
        self.contents = []
        self.generators = []  # of random numbers that are not torch's
        self.classes = {}  # class -> path
        self.looked_up = set()  # (class, name)
        self.names = set()
        self.names_of_cells = {}  # id -> name
        self.containers = []  # (list, dict or attributes, copy)
        self.paths = {}  # id of a list -> where it was found
        self.seen = set()
        self.stack = deque()  # what is near comes first, so that the limit cuts off what is far
        self.push(function, getattr(function, "__name__", "the function"), ())
        for x in more:
            if not isinstance(x, Tensor):
                self.push(x, "an argument", ())
        while self.stack and len(self.seen) < _LIMIT:
            self.visit(*self.stack.popleft())
            if not self.stack:
                self.methods()
        names = self.names
        self.numbers += [(h, k, v) for h, k, v in self.maybe if k in names]
        for x, path, keys in self.perhaps:
            if names.issuperset(keys) and not (isinstance(x, dict) and any(type(k) is str and k in names for k in x)):
                if hasattr(type(x), "__next__"):
                    raise CaptureError(
                        f"compile: the function uses {path}, a {type(x).__name__}, which gives something else at each "
                        "call of next(). A captured function runs once: call next() outside and pass what it gives."
                    )
                self.contents.append(Contents(x))
        self.structure = switches.structure
        self.signed = self.signature()

    def push(self, x, path, keys):
        """``keys``: the names of attributes on the way to ``x``."""
        if not isinstance(x, _PLAIN) and id(x) not in self.seen:
            self.seen.add(id(x))
            self.stack.append((x, path, keys))

    def visit(self, x, path, keys):
        if isinstance(x, Tensor):
            self.tensors.setdefault(id(x), (x, path))
            if x._grad is not None:
                self.push(x._grad, f"{path}.grad", keys)
            for hook in hooks_of(x):
                self.push(hook, f"a hook of {path}", ())
        elif isinstance(x, Module):
            self.modules.append(x)
            for hook in hooks_of(x):
                self.push(hook, f"a hook of {path}", ())
            for table in _TABLES:
                for name, v in x.__dict__.get(table, {}).items():
                    if isinstance(v, Tensor) and self.tensors.get(id(v), ("", ".params"))[1].endswith(".params"):
                        self.tensors[id(v)] = v, f"{path}.{name}"  # a better name than the optimiser's
                    self.push(v, f"{path}.{name}", keys)
                self.keep(x.__dict__.get(table))
            self.keep(x.__dict__)
            for name, v in x.__dict__.items():
                if name[:1] != "_" and name != "training":
                    self.push(v, f"{path}.{name}", (*keys, name))
            if type(x).__module__.split(".")[0] != _PACKAGE:
                self.classes.setdefault(type(x), path)
                self.function(type(x).forward, path)
        elif isinstance(x, Optimizer):
            self.optimizers.append(x)
            for hook in hooks_of(x):
                self.push(hook, f"a hook of {path}", ())
            for group in x.param_groups:
                for p in group["params"]:
                    self.push(p, f"{path}.params", keys)
            for p, state in x.state.items():
                if isinstance(p, Tensor):
                    for name, t in state.items():
                        if isinstance(t, Tensor):
                            self.push(t, f"{path}.state[...][{name!r}]", keys)
        elif isinstance(x, types.FunctionType):
            self.function(x, path)
        elif isinstance(x, types.MethodType):
            self.push(x.__self__, path, keys)
            self.push(x.__func__, path, keys)
        elif isinstance(x, functools.partial):
            for part in (x.func, *x.args, *x.keywords.values()):
                self.push(part, path, keys)
        elif isinstance(x, type):
            self.class_(x, path)
        elif isinstance(x, dict):
            self.keep(x)
            self.perhaps.append((x, path, keys))
            for k, v in x.items():
                if type(k) is str:
                    self.maybe.append((x, k, v))
                self.push(v, f"{path}[{k!r}]", keys)
        elif isinstance(x, (*_LISTS, tuple)):
            if type(x) is list:
                self.keep(x, path)
            if not isinstance(x, (tuple, frozenset)):
                self.perhaps.append((x, path, keys))
            for i, v in enumerate(x):
                self.push(v, f"{path}[{i}]", keys)
        elif isinstance(x, np.ndarray):
            if x.nbytes <= _LARGE:
                self.perhaps.append((x, path, keys))
        elif isinstance(x, (np.random.Generator, np.random.RandomState, random.Random)):
            self.generators.append(x)
        elif isinstance(x, _ITERATORS):
            self.perhaps.append((x, path, keys))
        elif isinstance(x, types.ModuleType):
            pass
        elif hasattr(x, "__wrapped__"):
            self.push(x.__wrapped__, path, keys)
        elif str(type(x).__module__).split(".")[0] not in (_PACKAGE, "numpy", "builtins"):
            self.object(x, path, keys)
        elif hasattr(type(x), "__next__") and type(x).__module__.split(".")[0] == _PACKAGE:
            self.perhaps.append((x, path, keys))

    def object(self, x, path, keys):
        """An object of a class of the user's."""
        self.class_(type(x), path)
        attributes = getattr(x, "__dict__", None)
        if isinstance(attributes, dict):
            self.keep(attributes)
            for k, v in attributes.items():
                self.maybe.append((attributes, k, v))
                self.push(v, f"{path}.{k}", (*keys, k))
        for c in type(x).__mro__:
            slots = c.__dict__.get("__slots__", ())
            for k in (slots,) if isinstance(slots, str) else slots:
                v = getattr(x, k, _MISSING)
                if v is not _MISSING and not k.startswith("__"):
                    self.maybe.append((x, k, v))
                    self.push(v, f"{path}.{k}", (*keys, k))

    def class_(self, c, path):
        for base in c.__mro__:
            module = sys.modules.get(base.__module__)
            if not installed(getattr(module, "__file__", None), base.__module__):
                self.classes.setdefault(base, path)

    def methods(self):
        """Look into what classes have under the names that code mentions."""
        for c, path in list(self.classes.items()):
            for name, v in list(vars(c).items()):
                if (c, name) in self.looked_up or not (name in self.names or name[:2] == "__"):
                    continue
                self.looked_up.add((c, name))
                if isinstance(v, (staticmethod, classmethod)):
                    v = v.__func__
                if isinstance(v, property):
                    v = v.fget
                if isinstance(v, types.FunctionType):
                    self.push(v, f"{path}.{name}", ())
                elif name[:2] != "__" and not hasattr(type(v), "__get__"):
                    self.numbers.append((c, name, v))
                    self.push(v, f"{path}.{name}", ())

    def keep(self, container, path=""):
        if isinstance(container, (dict, list)):
            self.paths[id(container)] = path
            self.containers.append((container, container.copy()))

    def changes(self):
        """``(name, before, now)`` of what differs from what was found."""
        found = []
        for container, before in self.containers:
            if isinstance(container, list):
                if len(container) != len(before) or not all(map(alike, container, before)):
                    found.append((self.paths[id(container)], before, container))
                continue
            if len(container) == len(before) and all(map(is_, container.values(), before.values())):
                continue
            for k, now in container.items():
                old = before.get(k)
                if not alike(now, old) and not (type(now) is type(old) and isinstance(now, tuple) and now == old):
                    found.append((k, old, now))
            found += [(k, old, None) for k, old in before.items() if k not in container]
        known = {id(container) for container, _ in self.containers}
        for holder, key, value in self.numbers:
            if id(holder) not in known and not same(holder, key, value):
                now = holder.get(key) if isinstance(holder, dict) else getattr(holder, key, None)
                found.append((self.names_of_cells.get(id(holder), key), value, now))
        for contents in self.contents:
            if not isinstance(contents.of, (list, dict)) and not contents.holds():
                found.append((f"a {type(contents.of).__name__}", contents.held, contents.of))
        return found

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
        names, inner = {}, [code]  # dicts: in the order of the code, which is the same in every process
        looked_up = {}
        while inner:
            c = inner.pop()
            names.update(dict.fromkeys(c.co_names))
            looked_up.update(global_names(c))
            self.names.update([k for k in c.co_consts if type(k) is str])
            inner += [k for k in c.co_consts if isinstance(k, types.CodeType)]
        self.names.update(names)
        for name in looked_up:
            if name in f.__globals__:
                value = f.__globals__[name]
                if isinstance(value, types.ModuleType):
                    if not installed(getattr(value, "__file__", None), value.__name__):
                        for attribute in names:
                            if attribute in vars(value):
                                self.named(vars(value)[attribute], f"{name}.{attribute}", vars(value), attribute)
                else:
                    self.named(value, name, f.__globals__, name)
        for value in (*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()):
            self.push(value, path, ())

    def named(self, value, name, holder, key):
        # What is defined under its name hardly becomes something else.
        if not (isinstance(value, _FUNCTIONS) and getattr(value, "__name__", None) == key):
            self.numbers.append((holder, key, value))
        self.push(value, name, ())

    def signature(self):
        """What must be the same for a compiled step to be right: which tensors, in which modes."""
        hooked = [x for x in (*self.optimizers, *[t for t, _ in self.tensors.values()]) if hooks_of(x)]
        everywhere = list(map(id, users(_EVERYWHERE)))
        own = [(id(x), list(map(id, hooks_of(x)))) for x in hooked]
        return [self.of_module(m) for m in self.modules], own, everywhere

    def of_module(self, m):
        d, ours = m.__dict__, type(m).__module__.split(".")[0] == _PACKAGE
        return (
            id(m),
            m.training,
            list(map(id, hooks_of(m))),
            [id(t) for table in _TABLES for t in d[table].values()],
            [
                v if type(v) in _NUMBERS else None if v is None else id(v)
                for k, v in d.items()
                if k[:1] != "_" and (k in self.names or ours) and k != "training"
            ],
        )


def hooks_of(x):
    """The user's functions that were registered to be called with a tensor, a module or an optimiser."""
    if isinstance(x, Tensor):
        if x._hooks is None and x._accumulate_hooks is None:
            return ()
        tables = [x._hooks, x._accumulate_hooks]
    else:
        tables = [x.__dict__.get(name) for name in _HOOKS]
    return users(tables)


def users(tables):
    hooks = [hook for table in tables if table for hook in table.values()]
    return [hook for hook in hooks if str(getattr(hook, "__module__", "")).split(".")[0] != _PACKAGE]


def same(holder, key, value):
    """Is it still what it was?"""
    try:
        now = holder.get(key) if isinstance(holder, dict) else getattr(holder, key, None)
    except ValueError:  # an empty cell
        return False
    return alike(now, value)
