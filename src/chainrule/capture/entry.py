"""One captured program with everything around it: where its inputs come from at each call, and where results go."""

from functools import cached_property
from itertools import repeat
from operator import setitem
from sys import getrefcount

import numpy as np

from ..compiler import driver
from ..compiler.runtime import CheckError, ScheduleError
from ..compiler.symbol import Symbol
from ..config import modes, switches
from ..errors import CaptureError, FreedGraphError, GradientError, ShapeError
from ..handle import Tensor
from .conditions import Conditions
from .fast import fast_call
from .nesting import flatten, unflatten
from .training import CompiledBackward, Cut


def seen_through(t, steps):
    """A view of a tensor."""
    before, modes.grad = modes.grad, True  # a tensor without gradient has views without
    try:
        for primitive, params in steps:
            t = primitive(t, **params)
    finally:
        modes.grad = before
    return t


class Entry(Conditions):
    """sources: per input of the program (kind, where): the array of an argument ("leaf"), of a tensor ("tensor"), of
    optimiser state ("state"), of a gradient ("grad"), or a number ("number").  outs: per result ("value", number of the
    program's output), ("same", tensor or number of the argument), ("view", (the same, steps, whether gradients flow))
    of its memory, ("grad", the same) its gradient, or ("other", object).  grads: (tensor, number of the output that
    becomes its gradient, or None)."""

    unflatten = staticmethod(unflatten)

    def __init__(self, compiled, tracer, reach, call, out, out_spec):
        self.compiled = compiled
        leaves, self.spec, self.named = call
        flat = not self.named and all(s is None for s in self.spec[2])
        self.leaves = len(leaves)
        b = tracer.lowering
        self.lowering, self.program, self.calls = b, b.program, b.calls
        self.out_spec = out_spec
        self.objects = [x for x in leaves if not isinstance(x, Tensor)]
        self.flat = flat  # the arguments were no containers
        self.example = [x._requires_grad if isinstance(x, Tensor) else (x,) for x in leaves]
        self.like = [(x._data.shape, x._data.dtype) if isinstance(x, Tensor) else None for x in leaves]
        given = {id(x): i for i, x in enumerate(leaves) if isinstance(x, Tensor)}
        known = {**dict.fromkeys(reach.tensors), **dict.fromkeys(given)}
        there = {id(o) for o in reach.optimizers}
        if any(id(o) not in there for o, *_ in tracer.states):  # an optimiser that the function makes anew at each call
            tracer.states = [s for s in tracer.states if id(s[0]) in there or id(s[0]) not in tracer.born()]
            tracer.made_state = [m for m in tracer.made_state if id(m[0]) in there or id(m[0]) not in tracer.born()]
        known.update(dict.fromkeys(id(o.state[p][n]) for o, p, n, _ in tracer.states))
        lasting = [item.tensor for item in tracer.lifted.values() if id(item.tensor) in known]
        tracer.lift(lasting)
        # Tensors that were there before and are no results of this function, and by what their memory holds now.
        self.standing = {id(t) for t in lasting if t._node is None}
        self.symbols = {id(t._data): t for t in lasting if t._node is None}
        self.cut = self.differentiate(tracer, out, known)
        own = tracer.locals(known)
        for item in tracer.lifted.values():  # its first value is a constant of the program
            if id(item.tensor) in own and item.value in b.program.inputs:
                b.program.inputs.remove(item.value)
                b.program.constants[item.value] = np.array(item.array, driver.np_dtype(item.value.dtype), order="C")
        writes, grads = tracer.effects(own)
        self.arguments = given
        self.own = {i: x for i, x in enumerate(leaves) if isinstance(x, Tensor) and id(x) in reach.tensors}
        gradients = {id(g): given.get(id(t), t) for t, _ in grads if (g := t._grad) is not None and g._node is None}
        values = self.results(tracer, b, out, given, known, gradients)
        self.grads, self.first_grad = [], len(values)
        for t, value in grads:
            self.grads.append((given.get(id(t), t), None if value is None else len(values)))
            if value is not None:
                values.append(value)
        self.last_grad = len(values)
        self.fresh = {number for t, number in self.grads if isinstance(t, int)}  # an argument keeps its gradient
        self.kept = [None] * len(values)  # the tensors of gradients, used again while nobody else holds them
        self.level = None  # what levels.py has added: from output number `extra` on
        self.checks = {len(values) + k: check for k, check in enumerate(b.checks.values())}
        values += b.checks
        self.program.checks = range(self.last_grad, len(values))
        self.program.lasting = range(self.first_grad, self.last_grad)
        self.saved = slice(len(values), None)
        if self.cut is not None:
            values += self.cut.forward
        self.program.outputs, self.program.writes = values, writes
        self.where_from(tracer, reach, given, writes)
        # A program that trains is another one while somebody watches.
        trains = grads or tracer.hypers or any(self.sources[i][0] == "grad" for i in self.written)
        self.listeners = switches.listeners if trains else None
        self.when(tracer, reach, grads)
        self.later = tracer.later
        self.made = [(o, p, tuple(n)) for o, p, n in tracer.made_state]
        del self.symbols, self.standing

    def differentiate(self, tracer, out, known):
        """The backward pass of results through which gradients can flow, or None."""
        results = [
            x
            for x in out
            if isinstance(x, Tensor) and x._node is not None and id(x) not in known and self.alias(tracer, x) is None
        ]
        leaves = [item.tensor for item in tracer.lifted.values() if item.tensor._requires_grad]
        if not results or not leaves:
            return None
        self.differentiable = results = list({id(x): x for x in results}.values())
        b = tracer.lowering
        mark, operators = b.mark(), len(b.graph)

        def tried(results):
            try:
                return Cut(tracer, results, leaves)
            except FreedGraphError:  # the function has done the backward pass itself
                b.rollback(mark)
                del b.graph[operators:]
                return None

        whole = tried(results)
        if whole is not None or len(results) == 1:
            return whole
        alive = []
        for x in results:
            if tried([x]) is not None:
                alive.append(x)
                b.rollback(mark)
                del b.graph[operators:]
        self.differentiable = alive
        return tried(alive) if alive else None

    def alias(self, tracer, x):
        """``(tensor, steps, whether gradients flow)`` if a result lies in the memory of a tensor that was there before,
        else None."""
        tracer.lift((x,))
        base, steps = (x, ()) if x._base is None else (x._base, tuple(x._view))
        if id(base) in self.standing:
            return base, steps, x._requires_grad
        if type(base._data) is not Symbol or base._requires_grad:
            return None
        t = self.symbols.get(id(base._data))  # it was detached from that one
        return None if t is None else (t, steps, False)

    def results(self, tracer, b, out, given, known, gradients):
        """Fill ``outs``; the values of the program's first outputs."""
        self.outs, values, places = [], [], {}
        tracer.lift([x for x in out if isinstance(x, Tensor) and type(x._data) is Symbol])
        for x in out:
            if isinstance(x, Symbol):
                raise CaptureError("compile: the function returns an array of a captured tensor; return the tensor")
            if not isinstance(x, Tensor):
                self.outs.append(("other", x))
            elif id(x) in given or id(x) in known:
                self.outs.append(("same", given.get(id(x), x)))
            elif id(x) in gradients:  # the .grad of another one
                self.outs.append(("grad", gradients[id(x)]))
            elif id(x) in places:  # twice the same
                self.outs.append(("value", places[id(x)]))
            elif (alias := self.alias(tracer, x)) is not None:
                t, steps, flows = alias
                self.outs.append(("view", (given.get(id(t), t), steps, flows)))
            else:
                places[id(x)] = len(values)
                data = x._data if type(x._data) is Symbol else Symbol(b, b.constant(x._data))
                self.outs.append(("value", len(values)))
                values.append(data.value)
        if self.cut is not None:
            at = {id(x): k for k, x in enumerate(out)}
            self.differentiable = [self.outs[at[id(x)]][1] for x in self.differentiable]
        return values

    def where_from(self, tracer, reach, given, writes):
        states = {id(item.tensor): (o, p, n) for o, p, n, item in tracer.states}
        hypers = dict(tracer.hypers)
        by_value = {}
        for item in tracer.lifted.values():
            by_value.setdefault(item.value, item)
        self.sources, self.written = [], []
        for i, v in enumerate(self.program.inputs):
            if v in hypers:
                self.sources.append(("number", hypers[v]))
                continue
            t = by_value[v].tensor
            if id(t) in given:
                self.sources.append(("leaf", given[id(t)]))
            elif id(t) in states:
                self.sources.append(("state", states[id(t)]))
            elif id(t) in tracer.parents:
                parent = tracer.parents[id(t)]
                self.sources.append(("leafgrad", given[id(parent)]) if id(parent) in given else ("grad", parent))
            else:
                self.sources.append(("tensor", t))
            if i in writes:
                self.written.append(i)
            v.name = v.name or reach.tensors.get(id(t), (None, None))[1]

    def build(self, options, whole=True):
        """Make the machine code. ``whole``: it may come from the disk, without the stages in between."""
        self.executable = driver.build(self.program, whole=whole, **options)
        self.read(self.executable.used)
        self.shapes = [(v.shape, driver.np_dtype(v.dtype)) for v in self.program.outputs]
        if self.cut is not None:
            self.backward = driver.build(self.cut.program, whole=whole, **options)

    @cached_property
    def fast(self):
        """The short way of a call, made at the second one."""
        return fast_call(self)

    def forget_state(self):
        """Undo the optimiser state that the capture made."""
        for optimizer, p, names in self.made:
            for n in names:
                optimizer.state[p].pop(n, None)
            if not optimizer.state[p]:
                del optimizer.state[p]

    # ---- a call

    def arrays(self, leaves):
        """The inputs of the program, as arrays in C order."""
        out = []
        for kind, source in self.sources:
            if kind == "leaf":
                a = leaves[source]._data
            elif kind == "tensor":
                a = source._data
            elif kind == "number":
                a = source.array
            elif kind == "state":
                optimizer, p, name = source
                a = optimizer.state[p][name]._data
            elif kind == "grad":
                a = source._grad._data
            elif kind == "leafgrad":
                a = leaves[source]._grad._data
            else:
                a = None
            out.append(a)
        return out

    def outputs(self):
        """Arrays for the results: new ones, and for gradients those of the last call if nobody else holds them."""
        arrays = []
        kept = self.kept
        for k, (shape, dtype) in enumerate(self.shapes):
            if k in self.checks:
                arrays.append(None)
            elif self.first_grad <= k < self.last_grad:
                t = kept[k]
                # held by `kept`, `t`, the parameter and getrefcount itself; the array by the tensor and getrefcount
                if t is None or k in self.fresh or getrefcount(t) > 4 or getrefcount(t._data) > 2:
                    t = kept[k] = Tensor._wrap(np.empty(shape, dtype))
                arrays.append(t._data)
            elif self.level is not None and 0 <= k - self.extra < len(self.level.places):
                arrays.append(self.level.places[k - self.extra])
            else:
                arrays.append(np.empty(shape, dtype))
        return arrays

    def __call__(self, leaves, fresh=False):
        """``fresh``: optimiser state was made for this call; it goes again if the program does not come to its end."""
        for optimizer, p, names in self.made:
            if any(n not in optimizer.state[p] for n in names):
                group = next(g for g in optimizer.param_groups if any(q is p for q in g["params"]))
                optimizer._complete_state(p, group)
                fresh = True
        self.executable.finished = False  # a signal's error may come before the program has begun
        try:
            return self.call(leaves)
        except BaseException:
            if fresh and not self.executable.finished:
                self.forget_state()
            raise

    def call(self, leaves):
        if self.cut is None:
            return self.given_back(leaves, self.run(leaves))
        used = list(self.cut.leaves)
        holder = []

        def run():
            values = self.run(leaves)
            holder.append(values)
            results = [Tensor._wrap(values[k]) for k in self.differentiable]
            return results, values[self.saved], self.backward_of

        own = [self.current(t, leaves) for t in used]
        places = set(self.differentiable)

        def again():
            """The differentiable results once more, recorded."""
            if self.program.writes or self.grads or any(name.startswith("random.") for name, _ in self.calls):
                raise GradientError(
                    f"compile: create_graph=True through {self.compiled.__name__}, which changes tensors or draws "
                    "random numbers, so that it can't be run again; take the gradient inside the compiled function"
                )
            out, _ = flatten(self.compiled.eager(leaves, self.spec, self.named))
            return [out[k] for k, (kind, what) in enumerate(self.outs) if kind == "value" and what in places]

        before, modes.grad = modes.grad, True  # results without gradients are not among these
        try:
            results = CompiledBackward.apply(run, again, *own)
        finally:
            modes.grad = before
        return self.given_back(leaves, holder[0], dict(zip(self.differentiable, results, strict=True)))

    def current(self, t, leaves):
        """The tensor of this call that stood for ``t`` in the capture."""
        where = self.arguments.get(id(t))
        return t if where is None else leaves[where]

    def backward_of(self, arrays):
        return self.backward([np.asarray(a, order="C") for a in arrays])

    def run(self, leaves):
        arrays = self.arrays(leaves)
        values = self.outputs()
        fresh = values
        try:
            values = self.execute(arrays, values)
        except CheckError as failed:
            self.complain(failed.number, leaves)
        except BaseException:
            self.interrupted(leaves)
            raise
        if values is not fresh:  # the reference gives arrays of its own
            for mine, given in zip(fresh, values, strict=True):
                if mine is not None:
                    np.copyto(mine, given)
            values = fresh
        self.noted(leaves)
        if self.level is not None:
            self.level.noted(leaves, values[self.extra + len(self.level.places) :])
        return values

    def execute(self, arrays, values):
        try:
            return self.executable(arrays, values)
        except ScheduleError as error:
            if error.index < 0:
                raise
        return self.fitted(arrays, values)

    def noted(self, leaves):
        """What the program has written is known to the tensors: their versions, and the gradients."""
        for i in self.written:
            kind, source = self.sources[i]
            t = leaves[source] if kind == "leaf" else source if kind == "tensor" else None
            if t is not None and t._cell is not None:
                t._bump()
        for t, number in self.grads:
            t = leaves[t] if isinstance(t, int) else t
            t._grad = None if number is None else self.kept[number]
        for schedule, args in self.later:
            schedule.step(*args)

    def interrupted(self, leaves):
        """An error ended the program before it wrote anything; or one that a signal raises came right after it."""
        if self.executable.finished:
            self.noted(leaves)

    def complain(self, k, leaves):
        """A check failed while the program ran, and ended it before it wrote anything."""
        b = self.lowering
        raise self.checks[k].failed(b.program, self.arrays(leaves)) from None

    def fitted(self, arrays, values):
        """The same with arrays that do not lie as the program expects them: copies, copied back."""
        for i in self.written:
            if not arrays[i].flags.writeable:
                raise ShapeError(
                    f"compile: the step writes to {self.program.inputs[i].name or 'an argument'}, whose memory is "
                    "read-only or several of whose elements share one place (it was expanded); clone() it before the "
                    "call"
                )
        fit = [np.empty(v.shape, driver.np_dtype(v.dtype)) for v in self.program.inputs]
        for own, given in zip(fit, arrays, strict=True):
            if given is not None:
                np.copyto(own, given)
        try:
            return self.executable(fit, values)
        finally:
            if self.executable.finished:  # in one call, inside which no Ctrl-C comes
                written = self.written
                list(map(setitem, [arrays[i] for i in written], repeat(...), [fit[i] for i in written]))

    def given_back(self, leaves, values, differentiable=()):
        """What the function returns."""
        out, made = [], dict(differentiable)
        for kind, what in self.outs:
            if kind == "value":
                if what not in made:
                    made[what] = Tensor._wrap(values[what])
                out.append(made[what])
            elif kind == "grad":
                out.append((leaves[what] if isinstance(what, int) else what)._grad)
            elif kind == "view":
                t, steps, flows = what
                t = leaves[t] if isinstance(t, int) else t
                out.append(seen_through(t if flows else t.detach(), steps))
            elif kind == "same":
                out.append(leaves[what] if isinstance(what, int) else what)
            else:
                out.append(what)
        return unflatten(out, self.out_spec)
