"""How a primitive becomes core instructions.

Most need nothing: a view is found out by applying its kernel to an array laid out alike, everything else by running
its eager kernel on symbols, so an operator is written once. ``RULES`` holds those whose kernels ask for values or go
about it in a way that only pays on arrays. What has neither is called out to: its kernel runs in Python, inside the
compiled step.
"""

import threading
from functools import partial

import numpy as np

from ..errors import CaptureError, ChainruleError, IndexRangeError, ShapeError
from ..node import call_site, site_text
from ..primitive.quiet import QUIET, mute, restore
from ..primitive.registry import primitives
from .builder import Builder, Unlowered, as_dtype, number
from .checks import Check
from .ir import Value
from .symbol import Symbol, unknown_shape
from .twins import building, ruled, twin

RULES = {}
_SMALL = ("float16", "bfloat16")


def lowers(*names):
    """Say that the function below is the rule for primitives of these names: ``rule(*arrays, **params)``."""

    def add(rule):
        for name in names:
            RULES[name] = rule
            ruled[primitives[name].kernel] = rule
        return rule

    return add


class namespace:
    """The operator namespace on symbols: ``o.mean(x, dim=...)`` lowers that primitive."""

    recorded = False

    def __init__(self, builder):
        self.builder = builder

    def __getattr__(self, name):
        primitive = primitives[name]
        return lambda *arrays, **params: self.builder.lower(primitive, arrays, params)


class Lowering(Builder):
    """A builder that takes the binder's calls."""

    def __init__(self):
        super().__init__()
        self.calls = []  # (primitive name, why) of those that run in Python
        self.graph = []  # (primitive name, results) in the order of the calls, for people
        self.origin = {}  # value of a view -> value that its base had when it was made
        self.checks = {}  # value, true if something is wrong -> Check
        self.bound = None  # the call that is being lowered: (eager kernel, arrays, params)

    def check(self, wrong, message, error=IndexRangeError, again=None):
        """When the program runs, raise ``error(message)`` if the symbol ``wrong`` is true, before anything is written.

        ``again``: (function, arrays), which raises the eager error if it is called with the values.
        """
        value = wrong.value
        if value not in self.checks and number(value) is not False:
            self.checks[value] = Check(value, error, message, again or self.bound, call_site(3))

    def mark(self):
        return super().mark(), len(self.checks)

    def rollback(self, mark):
        super().rollback(mark[0])
        for value in list(self.checks)[mark[1] :]:
            del self.checks[value]

    def symbol(self, value):
        return Symbol(self, value)

    def bind(self, primitive, arrays, params):
        if self.thread != threading.get_ident():  # the capture has begun since the arrays were looked at
            arrays = [self.original(a) if type(a) is Symbol else a for a in arrays]
            token = mute(QUIET)
            try:
                result = primitive.kernel(*arrays, **params)
            finally:
                restore(token)
            return np.asarray(result) if primitive.outputs == 1 else result
        self.program.site = call_site(3)
        mark = self.mark()
        self.depth += 1
        before = building(self)
        bound, self.bound = self.bound, (partial(primitive.kernel, **params), arrays)
        try:
            try:
                result = self.lower(primitive, arrays, params)
            except (Unlowered, TypeError, ValueError, AttributeError, IndexError, KeyError) as why:
                if isinstance(why, ChainruleError):
                    raise
                self.rollback(mark)
                result = self.call_out(primitive, arrays, params, why)
        finally:
            self.depth -= 1
            self.bound = bound
            building(before)
        self.graph.append((primitive.name, result))
        return result

    def lower(self, primitive, arrays, params):
        # The kernel gets symbols of its own, to which it may write.
        inputs, small = [], False
        for a in arrays:
            if type(a) is Symbol:
                value = a.value
                small = small or value.dtype in _SMALL
                a = Symbol(self, value)
            inputs.append(a)
        if small and not primitive.view and primitive.name not in ("cast", "to_copy"):
            raise Unlowered("16-bit floats")
        rule = RULES.get(primitive.name)
        if rule is not None:
            result = rule(*inputs, **params)
        elif primitive.view and primitive.outputs == 1:
            result = self.part(inputs[0].value, lambda a: primitive.kernel(a, **params))
            self.origin[result] = self.origin.get(inputs[0].value, inputs[0].value)
        else:
            token = mute(QUIET)
            try:
                result = twin(primitive.kernel)(*inputs, **params)
            finally:
                restore(token)
        if primitive.outputs == 1:
            return self.own(result)
        results = tuple([self.own(r) for r in result])
        if primitive.view:
            for r in results:
                self.origin[r.value] = self.origin.get(inputs[0].value, inputs[0].value)
        return results

    def part(self, v, function):
        """A view; where the value does not lie as the eager one would, of a copy."""
        try:
            return self.viewed(v, function)
        except ShapeError:
            return self.viewed(self.copy(v), function)

    def own(self, result):
        """A result as a symbol that nobody writes to."""
        if isinstance(result, Symbol):
            return Symbol(self, result.value)
        if isinstance(result, (np.ndarray, np.generic, bool, int, float)):
            return Symbol(self, self.constant(np.asarray(result)))
        return Symbol(self, result) if isinstance(result, Value) else result  # a batch of vmap with a symbol in it

    def call_out(self, primitive, arrays, params, why):
        """The eager kernel, run in Python when the compiled step gets there."""
        symbols = [a for a in arrays if type(a) is Symbol]
        slots = [a if type(a) is not Symbol else None for a in arrays]
        places = [i for i, a in enumerate(arrays) if type(a) is Symbol]
        kernel, single = primitive.kernel, primitive.outputs == 1

        def function(*given):
            full = list(slots)
            for i, a in zip(places, given, strict=True):
                full[i] = a
            token = mute(QUIET)
            try:
                result = kernel(*full, **params)
            finally:
                restore(token)
            return (np.asarray(result),) if single else tuple([np.asarray(r) for r in result])

        types = result_types(primitive, function, [a.value for a in symbols])
        self.calls.append((primitive.name, str(why)))
        values = self.call(primitive.name, function, [self.dense(a.value) for a in symbols], types)
        result = tuple([Symbol(self, v) for v in values])
        return result[0] if single else result


def result_types(primitive, function, values):
    """Shapes and dtypes of a kernel's results, from a run on arrays of ones (matrices: of the identity; integers: of
    zeros, so that they are valid indices)."""
    errors, found = [], []
    for fill in (1, 0):
        try:
            results = function(*[example(v, fill) for v in values])
            found.append([(r.shape, r.dtype.name) for r in results])
        except Exception as error:
            errors.append(error)
        if found and not any(v.dtype == "bool" for v in values):
            return found[0]
    if found and all(types == found[0] for types in found):
        return found[0]
    if found:
        errors.insert(0, "it depends on a mask")
    if isinstance(errors[0], ChainruleError):
        raise errors[0]
    raise CaptureError(unknown_shape(primitive.name, site_text(call_site(4))))


def example(v, fill):
    dtype = as_dtype(v.dtype)
    if dtype.kind in "fV":
        if len(v.shape) >= 2 and v.shape[-1] == v.shape[-2]:
            return np.array(np.broadcast_to(np.eye(v.shape[-1]) * (1 + fill), v.shape)).astype(dtype)
        return np.full(v.shape, 0.5 + 0.25 * fill).astype(dtype)
    return np.full(v.shape, fill if dtype.kind == "b" else 0, dtype)
