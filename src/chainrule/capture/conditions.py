"""When a captured program is the right one: for the world as it is now, and for the arguments of a call."""

from numpy import ndarray

from ..config import switches
from ..handle import Tensor
from .reach import Reach, same


def grouped(optimizer):
    """Which parameters an optimiser has, in which groups."""
    return [[id(p) for p in g["params"]] for g in optimizer.param_groups]


def root_of(array):
    """The array that owns an array's memory."""
    while type(array.base) is ndarray:
        array = array.base
    return array


def is_whole(array):
    """Is it all of its memory, in C order?"""
    return array.flags.c_contiguous and root_of(array).size == array.size


class Conditions:
    """What has to be as it was when the program was captured: the base of ``Entry``, which sets ``sources``,
    ``written``, ``arguments``, ``own``, ``fresh`` and ``listeners`` first."""

    def when(self, tracer, reach, grads):
        """The conditions under which the program is right."""
        self.hypers = [number for _, number in tracer.hypers] + tracer.fixed
        self.numbers = reach.numbers
        self.contents = reach.contents
        self.structure, self.signature = reach.structure, reach.signed
        self.groups = [(o, grouped(o)) for o in {id(n.optimizer): n.optimizer for n in self.hypers}.values()]
        self.owners = [self.arguments.get(id(t), t) for t in tracer.owners]
        changed = {id(t) for t, _ in grads}
        self.presence = [
            (item.tensor, item.before.get("_grad") is not None)
            for item in tracer.lifted.values()
            if id(item.tensor) in changed and id(item.tensor) not in tracer.zeroed
        ]
        # The same of arguments, by number.
        self.has_grad = [(self.arguments[id(t)], present) for t, present in self.presence if id(t) in self.arguments]
        self.presence = [(t, present) for t, present in self.presence if id(t) not in self.arguments]

    def read(self, used):
        """The inputs with the numbers ``used`` are read or written, no others."""
        self.tensors = []  # (tensor, whether it requires a gradient) of state
        self.kinds = []  # (tensor, shape, dtype) of state
        self.known = {id(where) for kind, where in self.sources if kind == "tensor"}
        kinds = [self.sources[k] for k in self.written]
        self.changes_arguments = any(kind == "leaf" for kind, _ in kinds)
        arrays = [where._data for kind, where in kinds if kind == "tensor"]
        arrays += [
            o.state[p][n]._data
            for o, p, n in [where for kind, where in kinds if kind == "state"]
            if n in o.state.get(p, ())
        ]
        self.roots = {id(root_of(a)) for a in arrays}
        for k in range(len(self.sources)):
            kind, where = self.sources[k]
            if k not in used:
                self.sources[k] = ("unused", None)
            elif kind == "grad":
                self.presence.append((where, True))
            elif kind == "leafgrad":
                self.has_grad.append((where, True))
            elif kind == "tensor":
                self.tensors.append((where, where._requires_grad))
                self.kinds.append((where, where._data.shape, where._data.dtype))
        self.slow = bool(self.own or self.changes_arguments or self.fresh or self.has_grad or self.owners)

    def stale(self):
        """Was it made for somebody who does not watch any more?"""
        return bool(self.listeners) and self.listeners != switches.listeners

    def fits(self, leaves):
        """Do the arguments stand to the function's state as they did when it was captured?"""
        for t in self.owners:
            if not is_whole((leaves[t] if isinstance(t, int) else t)._data):
                return False
        for i, present in self.has_grad:
            if (leaves[i]._grad is not None) is not present:
                return False
        for i, x in enumerate(leaves):
            if isinstance(x, Tensor):
                known = self.own.get(i)
                if known is not None or id(x) in self.known:
                    if known is not x:
                        return False
                elif self.roots and self.meets(x):
                    return False
        return not self.changes_arguments or not self.meet(leaves)

    def meets(self, x):
        """Does an argument lie in memory that the program writes?"""
        return id(root_of(x._data)) in self.roots

    def meet(self, leaves):
        """Do arguments share memory, of which one is changed?"""
        ids = [id(root_of(x._data)) for x in {id(x): x for x in leaves if isinstance(x, Tensor)}.values()]
        return len(set(ids)) < len(ids)

    def holds(self):
        """Is the program right for the world as it is now?"""
        if self.listeners is not None and self.listeners != switches.listeners:
            return False
        for holder, key, value in self.numbers:
            if not same(holder, key, value):
                return False
        for contents in self.contents:
            if not contents.holds():
                return False
        for number in self.hypers:
            if not number.renew():
                return False
        for t, present in self.presence:
            if (t._grad is not None) is not present:
                return False
        for t, requires in self.tensors:
            if t._requires_grad is not requires:
                return False
        for t, shape, dtype in self.kinds:
            if t._data.shape != shape or t._data.dtype != dtype:
                return False
        if switches.structure != self.structure:
            if Reach(self.compiled.function, self.objects).signed != self.signature:
                return False
            self.structure = switches.structure
        for optimizer, groups in self.groups:
            if grouped(optimizer) != groups:
                return False
        return True
