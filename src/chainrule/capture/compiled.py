"""``compile``: a function whose calls run as one native program, captured at the first call of each kind."""

import functools
import gc
import os
import sys
import threading
import time
import types
import warnings
import weakref
from contextlib import contextmanager

import numpy as np

from ..compiler import driver, rules  # noqa: F401 (rules enter themselves into the lowering)
from ..compiler.symbol import Symbol
from ..config import modes, switches
from ..errors import CaptureError
from ..handle import Tensor
from .arguments import describe, inside_transform, rebuilt, shape_of, signature
from .draws import other_generators, restore_generators
from .entry import Entry
from .explain import Explanation
from .fast import MISS
from .levels import Levels
from .nesting import flatten
from .reach import Reach
from .tracer import RunEagerly, Tracer

MOST_KINDS = 16  # programs kept per function; a function that needs more runs eagerly, with a warning


# While a function is captured its tensors have no values: other threads' calls wait.
capturing = threading.RLock()
_functions = weakref.WeakSet()


_forking = threading.local()  # whether this thread, which forks, holds ``capturing``
FORK_WAIT = 60.0  # seconds that a fork waits for a capture in another thread


def _before_fork():
    """In the middle of a capture tensors have no values, and nobody would give them back in the child."""
    _forking.held = capturing.acquire(timeout=FORK_WAIT)


def _after_fork():
    if _forking.held:
        capturing.release()


def _after_fork_in_child():
    """In the child nobody holds the locks that other threads of the parent held."""
    global capturing
    capturing = threading.RLock()
    tracer = switches.tracer
    if tracer is not None and tracer.thread != threading.get_ident():
        tracer.__exit__()
    for f in list(_functions):
        f.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)


@contextmanager
def uncollected():
    """Without automatic garbage collection: a capture makes many objects and drops few, and looking through all of
    them again and again would take a fifth of its time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


class CompiledFunction:
    """What ``compile`` returns. Call it like the function; ``explain`` shows what became of it."""

    def __init__(self, function, options):
        functools.update_wrapper(self, function)
        if not hasattr(self, "__name__"):  # a partial, an object with __call__
            inner = getattr(function, "func", function)
            self.__name__ = self.__qualname__ = getattr(inner, "__name__", type(inner).__name__)
        self.function = function
        self.options = options
        self.kinds = {}  # signature of the arguments -> list of entries, newest first
        self.log = []  # a line per compilation, for people
        self.lock = threading.RLock()
        _functions.add(self)
        self.gave_up = False
        self.single = 0  # captures for one call, because the function changed objects of Python's
        self.last = None  # the short way of the program used last

    def __get__(self, instance, owner=None):
        """As a method: the instance is bound, and compiled for on its own."""
        if instance is None:
            return self
        bound = CompiledFunction(self.function.__get__(instance, owner), self.options)
        try:
            instance.__dict__[self.function.__name__] = bound
        except AttributeError:
            pass
        return bound

    def __reduce__(self):
        """Copies and pickles are those of the function; programs are made again."""
        if isinstance(self.function, types.MethodType):
            return CompiledFunction, (self.function, self.options)
        return self.__qualname__

    def __repr__(self):
        return f"<compiled {self.__name__}, {len(self.log)} programs>"

    def __call__(self, *args, **kwargs):
        tracer = switches.tracer
        if tracer is not None and tracer.thread == threading.get_ident():  # inside another capture: part of it
            return self.function(*args, **kwargs)
        with self.lock:
            if self.last is not None and not kwargs and tracer is None:
                result = self.last(args)
                if result is not MISS:
                    return result
            with capturing:
                return self.run(args, kwargs)

    def run(self, args, kwargs):
        leaves, spec = flatten((args, kwargs)) if kwargs else flatten(args)
        if any(isinstance(x, Tensor) and inside_transform(x) for x in leaves):
            return self.function(*args, **kwargs)
        key = (signature(leaves), shape_of(spec), bool(kwargs), modes.grad)
        entries = self.kinds.get(key)
        if entries is not None:
            for entry in entries:
                if entry.holds() and entry.fits(leaves):
                    self.last = entry.fast
                    return entry(leaves)
        return self.first_call(key, leaves, spec, bool(kwargs))

    def first_call(self, key, leaves, spec, named):
        """A call of a kind not seen before: capture, compile, run."""
        first = [who.first_sight(self) for who in switches.listeners]  # all of them are asked
        if self.gave_up or modes.swapped or any(first):
            return self.eager(leaves, spec, named)
        for known in self.kinds.values():
            known[:] = [e for e in known if not e.stale()]
        if sum(map(len, self.kinds.values())) + self.single >= MOST_KINDS:
            self.gave_up = True
            warnings.warn(
                f"compile: {self.__name__} was compiled {MOST_KINDS} times for arguments or state of different kinds "
                "and runs uncompiled from now on; see .compilations for what differed. Pass numbers that change as "
                "tensors, and pad inputs to a few shapes.",
                stacklevel=4,
            )
            return self.eager(leaves, spec, named)
        start = time.perf_counter()
        try:
            with uncollected():
                entry = self.capture(leaves, spec, named)
        except RunEagerly:
            self.single += 1
            return self.eager(leaves, spec, named)
        if entry.once:
            self.single += 1
        else:
            self.kinds.setdefault(key, []).insert(0, entry)
        entry.holds()
        self.log.append(describe(leaves))
        if os.environ.get("CHAINRULE_LOG", "") not in ("", "0"):
            print(self.told(entry, time.perf_counter() - start), file=sys.stderr)
        return entry(leaves, fresh=True)

    def told(self, entry, seconds):
        """One line about a compilation."""
        runs = getattr(entry, "executable", None)  # a function that somebody listens to has several
        stages = {} if runs is None else runs.stages
        stages = {"capture": seconds - sum(stages.values()), **stages}
        text = f"chainrule.compile: {self.__name__}({self.log[-1]}): {seconds * 1e3:.0f} ms ("
        text += ", ".join(f"{name} {s * 1e3:.0f}" for name, s in stages.items()) + ")"
        if hasattr(runs, "library"):
            names = {k.name for k in runs.table.kernels}
            cached = "all" if runs.whole else str(len(names & set(runs.library.cached)))
            text += f", {len(runs.schedule.tasks)} tasks, {len(names)} kernels, {cached} of them from the cache"
        return text

    def eager(self, leaves, spec, named):
        args, kwargs = rebuilt(leaves, spec, named)
        return self.function(*args, **kwargs)

    @property
    def compilations(self):
        """One text per compilation: the arguments it was for."""
        return list(self.log)

    def capture(self, leaves, spec, named, explain=False):
        """Run the function on symbols; the program and what it does."""
        driver.require(**self.options)
        reach = Reach(self.function, leaves)
        tracer = Tracer()
        tensors = [t for t, _ in reach.tensors.values()] + [t for t in leaves if isinstance(t, Tensor)]
        drawn = other_generators(reach.generators)
        tracer.parents = {id(t._grad): t for t in tensors if t._grad is not None}
        done = False
        try:
            with tracer:
                for t in leaves:
                    if isinstance(t, Tensor):
                        tracer.lift_one(t, alone=True)
                for t, _ in reach.tensors.values():
                    if id(t) not in tracer.parents:
                        tracer.lift_one(t)
                args, kwargs = rebuilt(leaves, spec, named)
                listeners = () if explain else switches.listeners
                try:
                    for who in listeners:
                        who.begin(tracer)
                    result = self.function(*args, **kwargs)
                finally:
                    tapes = [t for t in [who.end() for who in listeners] if t is not None]
                out, out_spec = flatten(result)
                entry = Entry(self, tracer, reach, (leaves, spec, named), out, out_spec)
                del result, args, kwargs
                self.look_for_leaks(tracer, leaves, out)
                if other_generators(reach.generators) != drawn:
                    raise CaptureError(
                        "compile: the function draws random numbers from NumPy or Python's random. A captured function "
                        "runs once, so they would be the same at each call: use torch.rand, randn or randint, or draw "
                        "outside and pass a tensor."
                    )
                entry.once = self.look_for_changes(reach)
            done = True
        finally:
            if not done:
                tracer.undo_state()
                reach.restore()
                restore_generators(drawn)
        if explain:
            entry.program.history = [("captured", repr(entry.program))]
        if tapes and entry.cut is None and entry.listeners:
            return Levels(entry, tapes, self.options)
        try:
            entry.build(self.options, whole=not explain)
        except BaseException:
            entry.forget_state()
            raise
        return entry

    def look_for_leaks(self, tracer, leaves, out):
        """Traced tensors must not stay in the user's objects: their values do not exist."""
        ours = tracer.lifted
        for x in out:
            if isinstance(x, types.GeneratorType):
                raise CaptureError("compile: the function is a generator; collect what it yields and return a list")
            if not isinstance(x, (Tensor, int, float, str, type(None))):
                for t, _ in Reach(None, [x]).tensors.values():
                    if type(t._data) is Symbol and id(t) not in ours:
                        raise CaptureError(
                            f"compile: the function returns a {type(x).__name__} that holds tensors; return them in "
                            "tuples, lists, dicts or dataclasses"
                        )
        for t, path in Reach(self.function, leaves).tensors.values():
            if type(t._data) is Symbol and id(t) not in ours:
                parent = any(p._grad is t for p, _ in tracer.grads.values()) or any(
                    item.tensor._grad is t for item in ours.values()
                )
                if not parent and not path.endswith(".grad"):
                    if constant(tracer.lowering.program, t._data.value):
                        raise RunEagerly  # a mask or a table, made when it is first needed
                    raise CaptureError(
                        f"compile: the function stores a tensor that it computes in {path}. A captured function runs "
                        "once, so that would happen only at the first call: return the tensor instead, or register "
                        "a buffer and write to it with copy_()."
                    )

    def look_for_changes(self, reach):
        """Python numbers, lists and modes that the function reads must be the same afterwards: a compiled step would
        not change them again. Something that it made when it was not there yet (a cache) or a flag that it set makes
        the program one for this call only: then True."""
        changes = [c for c in reach.changes() if not hasattr(c[2], "compilations")]
        for name, before, now in changes:
            if type(before) in (int, float, str) or type(before) is list or (name == "training" and before is not now):
                raise CaptureError(
                    f"compile: the function changes {name} (it was {shortened(before)}). A captured function runs "
                    "once, so that would happen only at the first call: count and collect outside, or keep the number "
                    "in a tensor and change it with add_() or copy_()."
                )
        return bool(changes)

    def explain(self, *args, **kwargs):
        """What the compiler makes of a call with these arguments: see ``Explanation``. Nothing is run or changed."""
        leaves, spec = flatten((args, kwargs)) if kwargs else flatten(args)
        with self.lock, capturing:
            try:
                entry = self.capture(leaves, spec, bool(kwargs), explain=True)
            except RunEagerly:
                raise CaptureError(
                    "explain: the first step of this optimiser differs from the others and runs uncompiled; make one "
                    "step first"
                ) from None
            arrays = [None if a is None else np.array(a) for a in entry.arrays(leaves)]
            entry.forget_state()
        return Explanation(entry, arrays)


def constant(program, value):
    """Does a value depend on nothing that can be another one at the next call?"""
    inputs, seen, stack = set(program.inputs), {value}, [value]
    while stack:
        v = stack.pop()
        if v in inputs or (v.instr is not None and v.instr.op == "call"):
            return False
        more = [] if v.instr is None else [x for x in v.instr.inputs if x not in seen]
        seen.update(more)
        stack += more
    return True


def shortened(x):
    text = repr(x)
    return text if len(text) < 60 else f"a {type(x).__name__} of {len(x)}"
