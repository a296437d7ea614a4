"""One captured program with everything around it: where its inputs come from at each call, and where results go."""

import numpy as np

from ..compiler.symbol import Symbol
from ..config import switches
from ..errors import CaptureError, IndexRangeError
from ..func.tree import unflatten
from ..handle import Tensor
from .reach import Reach, same

ndarray = np.ndarray
_new = object.__new__


class Entry:
    """sources: per input of the program a function ``leaves -> array``.  outs: per result ("value", number) or
    ("leaf", argument number) or ("other", object).  grads: (tensor, number of the value or None)."""

    @classmethod
    def of(cls, compiled, tracer, reach, leaves, out, out_spec):
        self = cls()
        self.compiled = compiled
        program = tracer.lowering.program
        self.program, self.lowering = program, tracer.lowering
        self.calls = tracer.lowering.calls
        self.out_spec = out_spec
        given = {id(x): i for i, x in enumerate(leaves) if isinstance(x, Tensor)}
        known = {**dict.fromkeys(reach.tensors), **dict.fromkeys(given)}
        known.update(dict.fromkeys(id(o.state[p][n]) for o, p, n, _ in tracer.states))
        b = tracer.lowering
        writes, grads = tracer.effects(out, known)
        # What is returned
        self.outs = []
        values = []
        for x in out:
            if not isinstance(x, Tensor):
                if isinstance(x, Symbol):
                    raise CaptureError("compile: the function returns an array of a captured tensor; return the tensor")
                self.outs.append(("other", x))
            elif id(x) in given or id(x) in known:
                self.outs.append(("same", x if id(x) not in given else given[id(x)]))
            else:
                data = x._data if type(x._data) is Symbol else Symbol(b, b.constant(x._data))
                self.outs.append(("value", len(values)))
                values.append(data.value)
        self.returned = len(values)
        self.grads = []
        for t, _before, value in grads:
            self.grads.append((t, None if value is None else len(values)))
            if value is not None:
                values.append(value)
        self.checks = [(len(values) + k, message) for k, (_, message) in enumerate(b.checks)]
        values += [v for v, _ in b.checks]
        program.outputs = values
        program.writes = writes
        self.trainable = [
            x for x in out if isinstance(x, Tensor) and x._requires_grad and x._node is not None and id(x) not in known
        ]
        # Where inputs come from
        states = {id(item.tensor): (o, p, n) for o, p, n, item in tracer.states}
        hypers = dict(tracer.hypers)
        by_value = {}
        for item in tracer.lifted.values():
            by_value.setdefault(item.value, item)
        self.sources = []
        self.written = []
        self.tensors = []  # (tensor, requires_grad) that must stay as they were
        for i, v in enumerate(program.inputs):
            if v in hypers:
                self.sources.append(("number", hypers[v]))
                continue
            item = by_value[v]
            t = item.tensor
            if id(t) in given:
                self.sources.append(("leaf", given[id(t)]))
            elif id(t) in states:
                self.sources.append(("state", states[id(t)]))
            elif id(t) in tracer.parents:
                self.sources.append(("grad", tracer.parents[id(t)]))
            else:
                self.sources.append(("tensor", t))
                self.tensors.append((t, t._requires_grad))
            if i in writes:
                self.written.append(i)
            v.name = v.name or reach.tensors.get(id(t), (None, None))[1]
        # Conditions
        self.conditions = tracer.conditions
        self.numbers = reach.numbers
        self.structure = switches.structure
        self.signature = reach.signature()
        self.made = [(o, p, tuple(n)) for o, p, n in tracer.made_state]
        zeroed = tracer.zeroed
        self.presence = [
            (t, (item.before.get("_grad") is not None))
            for item in tracer.lifted.values()
            for t in (item.tensor,)
            if id(t) not in zeroed and t._requires_grad and any(g[0] is t for g in grads)
        ]
        return self

    def holds(self, leaves):
        """Is the program right for the world as it is now?"""
        for holder, key, value in self.numbers:
            if not same(holder, key, value):
                return False
        for read, how, other, answer in self.conditions:
            if getattr(float(read()), how)(other) is not answer:
                return False
        for t, present in self.presence:
            if (t._grad is not None) is not present:
                return False
        for t, requires in self.tensors:
            if t._requires_grad is not requires:
                return False
        if switches.structure != self.structure:
            if Reach(self.compiled.function).signature()[1] != self.signature[1]:
                return False
            self.structure = switches.structure
        return True

    def arrays(self, leaves):
        """The inputs of the program, as arrays."""
        out = []
        for kind, source in self.sources:
            if kind == "leaf":
                out.append(leaves[source]._data)
            elif kind == "tensor":
                out.append(source._data)
            elif kind == "state":
                optimizer, p, name = source
                out.append(optimizer.state[p][name]._data)
            elif kind == "grad":
                out.append(source._grad._data)
            else:
                out.append(np.array(source()))
        return out

    def __call__(self, leaves):
        for optimizer, p, names in self.made:
            if any(n not in optimizer.state[p] for n in names):
                optimizer._complete_state(
                    p, next(g for g in optimizer.param_groups if any(q is p for q in g["params"]))
                )
        arrays = self.arrays(leaves)
        values = self.executable(arrays)
        for k, message in self.checks:
            if values[k]:
                raise IndexRangeError(f"compile: {message} (what the step computed has been written already)")
        for i in self.written:
            kind, source = self.sources[i]
            t = leaves[source] if kind == "leaf" else source if kind == "tensor" else None
            if t is not None and t._cell is not None:
                t._bump()
        for t, number in self.grads:
            if number is None:
                t._grad = None
            else:
                old = t._grad
                a = values[number]
                if old is not None and old._data is a:
                    continue
                t._grad = Tensor._wrap(a)
        out = []
        for kind, what in self.outs:
            if kind == "value":
                out.append(Tensor._wrap(values[what]))
            elif kind == "same":
                out.append(leaves[what] if isinstance(what, int) else what)
            else:
                out.append(what)
        return unflatten(out, self.out_spec)
