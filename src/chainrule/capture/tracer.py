"""Running the user's function once on symbols, and writing down what it did to the world.

Tensors that the function meets and that were there before become inputs of the program when an operator first touches
them ("lifted"); afterwards every tensor is put back as it was. What differs between a lifted tensor before and after,
its memory and its ``.grad``, is what the compiled step will write.
"""

import gc
import threading
import weakref
from sys import getrefcount

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..compiler.builder import dtype_name, elsewhere
from ..compiler.lowering import Lowering
from ..compiler.symbol import Symbol
from ..config import hold, no_grad, switches
from ..errors import CaptureError
from ..handle import Tensor
from ..node import call_site, site_text
from ..optim import Optimizer
from ..tensors.inplace import assign
from .conditions import is_whole
from .draws import Draws, Source
from .options import Group, Hyper, Number

ndarray = np.ndarray
PATIENCE = 60.0  # seconds that other threads wait for a capture to end


class _Holder:
    """Something that holds one object."""


def _alone():
    holder = _Holder()
    holder.thing = Tensor()
    return getrefcount(holder.thing)


ALONE = _alone()  # what getrefcount says of an object that only one attribute holds


class RunEagerly(Exception):
    """This call can't be captured (an optimiser's first step differs from the others): run it as it is."""


class Lifted:
    """A tensor that the function met."""

    __slots__ = ("array", "before", "index", "symbol", "tensor", "value", "version")

    def __init__(self, tensor, value, index):
        self.tensor = tensor
        self.symbol = None  # the first one of this memory
        self.array = tensor._data
        self.before = dict(tensor.__dict__)
        self.version = None if tensor._cell is None else list(tensor._cell)
        self.value = value
        self.index = index


def latest(symbol):
    """What the memory of a symbol holds now."""
    while symbol.moved is not None:
        symbol = symbol.moved
    return symbol


def overlapping(items, changed):
    """Does an array of ``changed`` (ids of items) share memory with another one?"""
    spans = sorted(((*byte_bounds(item.array), k) for k, item in enumerate(items) if item.array.size))
    cluster, end = [], 0
    for start, stop, k in spans:
        if start >= end:
            cluster = []
        for other in cluster:
            a, b = items[other], items[k]
            if a.value is not b.value and (id(a) in changed or id(b) in changed):
                try:
                    if np.shares_memory(a.array, b.array, max_work=1000):
                        return True
                except np.exceptions.TooHardError:
                    return True
        cluster.append(k)
        end = max(end, stop)
    return False


class Tracer:
    """What stands in ``switches.tracer`` while a function is captured."""

    def __init__(self):
        self.lowering = Lowering()
        self.thread = threading.get_ident()
        self.over = threading.Event()
        self.draws = Draws(self.lowering)
        self.lifted = {}  # id of a tensor -> Lifted, in order
        self.arrays = {}  # id of an array -> Lifted that has it
        self.hypers = []  # (value, Number): read at every call
        self.fixed = []  # options of optimisers that the program was made for
        self.states = []  # (optimizer, parameter, name, Lifted) of optimiser state
        self.made_state = []  # (optimizer, parameter, names) made by this capture
        self.young = None  # ids of what was made by this capture
        self.later = []  # (schedule, arguments of its step): called when the program has ended
        self.zeroed = set()  # ids of tensors whose gradient was forgotten before anybody looked at it
        self.grads = {}  # id of a tensor -> (tensor, its .grad before)
        self.owners = []  # tensors in whose memory places were counted
        self.kept = []  # what must stay alive while ids of it are keys

    # ---- the interface of anomaly mode, in whose place the tracer stands

    def check_forward(self, primitive, inputs, out):
        pass

    def check_backward(self, node, g, grads):
        pass

    # ---- running

    def __enter__(self):
        if switches.tracer is not None:
            raise CaptureError("compile: a compiled function was called while another one was being captured")
        if switches.anomaly is not None:
            raise CaptureError(
                "compile: anomaly mode is on, which checks values after each operator; switch it off or don't compile"
            )
        gc.collect(0)  # what is there grows older
        switches.tracer = switches.anomaly = self
        return self

    def __exit__(self, *exc):
        self.restore()
        switches.tracer = switches.anomaly = None
        self.over.set()

    def restore(self):
        """Every tensor as it was."""
        for item in self.lifted.values():
            d = item.tensor.__dict__
            d.update(item.before)  # first, for other threads that look at it
            for name in d.keys() - item.before.keys():
                del d[name]
            if item.version is not None:
                d["_cell"][:] = item.version
        for tensor, grad in self.grads.values():
            tensor._grad = grad

    def undo_state(self):
        """Forget optimiser state that this capture made."""
        for optimizer, p, names in self.made_state:
            for name in names:
                optimizer.state[p].pop(name, None)
            if not optimizer.state[p]:
                del optimizer.state[p]

    # ---- lifting

    def lift(self, inputs):
        if threading.get_ident() != self.thread:
            self.wait(inputs)
            return
        for t in inputs:
            if isinstance(t, Tensor):
                data = t._data
                if type(data) is ndarray:
                    self.lift_one(t)
                elif type(data) is Symbol and (t._base is not None or data.moved is not None):
                    self.refresh(t)

    def wait(self, inputs):
        """In another thread: until the tensors have their values again."""
        for t in inputs:
            data = t._data if isinstance(t, Tensor) else None
            if type(data) is Symbol and data.builder is self.lowering:
                if id(t) not in self.lifted:  # made of one that was
                    t._data = self.lowering.original(data)
                elif self.over.wait(PATIENCE):
                    hold(inputs)  # another capture may have begun
                else:
                    raise elsewhere()

    def refresh(self, t):
        """What a tensor's memory holds now, if it was changed through a relative."""
        if t._base is None or t._base is t:
            t._data = latest(t._data)
            return
        self.lift((t._base,))
        base, b = t._base._data, self.lowering
        if type(base) is Symbol and b.origin.get(t._data.value) is not base.value:

            def part(array):
                for primitive, params in t._view:
                    if hasattr(primitive, "nr"):  # one of several views
                        array = primitive.prim.kernel(array, **params)[primitive.nr]
                    else:
                        array = primitive.kernel(array, **params)
                return array

            memory = t._data.memory
            t._data = Symbol(b, b.part(base.value, part))
            t._data.memory = memory
            b.origin[t._data.value] = base.value

    def lift_one(self, t, alone=False):
        """Make a tensor with an array an input of the program.

        ``alone``: even if it is a view; of an argument the next call may give a view of something else.
        """
        if threading.get_ident() != self.thread or type(t._data) is not ndarray:
            return t._data
        array = t._data
        if t._base is not None and t._base is not t and not alone:
            base = t._base
            if type(base._data) is ndarray:
                self.lift_one(base)
            original = self.lifted.get(id(base))
            if original is not None and original.array.flags.c_contiguous and array.itemsize == original.array.itemsize:
                return self.lift_view(t, original)
        first = None if alone else self.arrays.get(id(array))  # arguments are others at the next call
        b = self.lowering
        value = b.program.input(array.shape, dtype_name(array.dtype)) if first is None else first.value
        lifted = Lifted(t, value, len(self.lifted))
        self.lifted[id(t)] = lifted
        if not alone:
            self.arrays.setdefault(id(array), lifted)
        lifted.symbol = Symbol(b, value) if first is None else first.symbol
        lifted.symbol.memory = weakref.ref(array)
        t._data = latest(lifted.symbol)
        if alone:
            t._base = t._view = None
        if t._node is not None:  # its graph lies outside: here it is a leaf
            t._node, t._output_nr = None, 0
        return t._data

    def lift_view(self, t, original):
        """A view made before: the same part of its base's symbol."""
        a, whole = t._data, original.array
        place = (a.__array_interface__["data"][0] - whole.__array_interface__["data"][0]) // a.itemsize
        b = self.lowering
        base = b.dense(original.tensor._data.value)
        value = b.view(base, a.shape, [s // a.itemsize for s in a.strides], place if a.size else 0)
        lifted = Lifted(t, value, len(self.lifted))
        self.lifted[id(t)] = lifted
        t._data = Symbol(b, value)
        t._data.memory = weakref.ref(a)
        return t._data

    def owns(self, t, operator):
        """``operator`` counts places in the memory of ``t``: it has to be all of an array, now and at every call."""
        item = self.lifted.get(id(t))
        if item is None:
            return
        if not is_whole(item.array):
            raise CaptureError(
                f"compile: {operator} at {site_text(call_site(3))} can't be captured: it counts places in the memory "
                "of a tensor that is part of a larger one, or not in order. Give it .clone(), or leave this part "
                "outside the compiled function."
            )
        self.owners.append(t)

    def forget_grad(self, p):
        """``zero_grad``: the gradient is gone, whatever it was."""
        if id(p) not in self.grads:
            self.grads[id(p)] = (p, p._grad)
            if id(p) not in self.lifted or self.lifted[id(p)].before.get("_grad") is p._grad:
                self.zeroed.add(id(p))
        p._grad = None

    def number(self, optimizer, group, key, place=None):
        """A number of an optimiser's group, read anew at each call."""
        b = self.lowering
        value = b.program.input((), "float64")
        number = Number(optimizer, group, key, place)
        self.hypers.append((value, number))
        return Hyper(b, value, number)

    def random(self, generator):
        return Source(self.draws, generator)

    # ---- optimisers

    def put_off(self, schedule, args):
        """A learning-rate schedule: a Python object that changes Python numbers, so its step stays in Python."""
        self.later.append((schedule, args))

    def optimizer_step(self, optimizer, closure):
        """A step of an optimiser whose update is element by element: its rule, run on symbols."""
        if closure is not None:
            raise CaptureError(
                f"compile: {type(optimizer).__name__}.step(closure) at {site_text(call_site(3))}: compute loss and "
                "gradients before the step instead"
            )
        if any(schedule.optimizer is optimizer for schedule, _ in self.later):
            raise CaptureError(
                f"compile: {type(optimizer).__name__}.step() at {site_text(call_site(3))} comes after the step of its "
                "learning-rate schedule. A compiled function calls schedules when its program has ended: call the "
                "schedule after the last optimizer.step(), or outside"
            )
        for number, group in enumerate(optimizer.param_groups):
            symbolic = self.group(optimizer, number, group)
            params = [p for p in group["params"] if p._grad is not None]
            for p in params:
                self.update(optimizer, symbolic, group, p)

    def group(self, optimizer, number, group):
        """The group with its numbers as symbols."""
        return Group(group, self, optimizer, number)

    def update(self, optimizer, symbolic, group, p):
        had = dict(optimizer.state[p]) if p in optimizer.state else None
        fresh = optimizer._complete_state(p, group)
        made = [name for name in optimizer.state.get(p, {}) if had is None or name not in had]
        if made:
            self.made_state.append((optimizer, p, made))
        if fresh and symbolic.get("dampening"):
            raise RunEagerly
        if p._data.size == 0:
            return
        self.lift((p, p._grad))
        b = self.lowering
        scalars, buffers = [], []
        for names, into in ((optimizer._scalars(symbolic), scalars), (optimizer._buffers(symbolic), buffers)):
            for name, _ in names:
                t = optimizer.state[p][name]
                self.lift((t,))
                self.states.append((optimizer, p, name, self.lifted[id(t)]))
                into.append((t, name))
        # In eager steps counters are Python floats.
        counts = [Symbol(b, b.convert(t._data.value, "float64"), weak=True) for t, _ in scalars]
        update, new = optimizer._rule(symbolic, False, *counts)
        arrays = [p._data, p._grad._data, *[t._data for t, _ in buffers]]
        own = [Symbol(b, a.value) for a in arrays]
        scratch = [Symbol(b, b.full(p._data.shape, 0, dtype_name(p._data.dtype))) for _ in range(2)]
        update(*own, *scratch)
        self.give(p, own[0])
        for (t, _), s in zip(buffers, own[2:], strict=True):
            self.give(t, s)
        for (t, _), s in zip(scalars, new, strict=True):
            if isinstance(s, Symbol):
                self.give(t, s)
            else:
                t._data = t._data.overwritten(Symbol(b, b.scalar(s, t._data.dtype)))

    def give(self, t, symbol):
        """A tensor's memory holds ``symbol`` from now on."""
        b = self.lowering
        value = b.convert(b.reshape(symbol.value, t._data.shape), t._data.dtype)
        if value is t._data.value:
            return
        if t._base is None or t._base is t:
            t._data = t._data.overwritten(Symbol(b, value))
        else:  # a view: it is written to its base
            with no_grad():
                assign(t, "step", Tensor._wrap(Symbol(b, value)))

    # ---- what was done

    def effects(self, own):
        """After the function has returned: ``writes`` {input number: value} and ``grads`` [(tensor, value or None)].

        ``own``: ids of tensors that the function made itself.
        """
        inputs = {v: i for i, v in enumerate(self.lowering.program.inputs)}
        grads = []
        seen = set()
        self.lift([item.tensor for item in list(self.lifted.values())])
        owners = [item.tensor for item in self.lifted.values()] + [t for t, _ in self.grads.values()]
        for t in owners:
            if id(t) in seen:
                continue
            seen.add(id(t))
            before = self.grads[id(t)][1] if id(t) in self.grads else self.lifted[id(t)].before.get("_grad")
            now = t._grad
            if now is before and id(t) not in self.zeroed:
                continue
            item = self.lifted.get(id(t))
            if item is not None and item.before.get("_node") is not None and now is not None:
                raise CaptureError(
                    "compile: backward() inside the function reaches a tensor that was computed outside, whose graph "
                    "lies outside too; compute it inside, or call backward() outside"
                )
            self.lift((now,))
            if now is not None and type(now._data) is not Symbol:
                now = Tensor._wrap(Symbol(self.lowering, self.lowering.constant(now._data)))
            grads.append((t, None if now is None else now._data.value))
        writes, changed, final, holders = {}, [], {}, {}
        for item in list(self.lifted.values()):
            symbol, old = item.tensor._data, item.value
            value = symbol.value
            if old not in inputs or id(item.tensor) in own:
                continue
            if final.setdefault(old, value) is not value or holders.setdefault(id(symbol), old) is not old:
                raise CaptureError(
                    f"compile: .data of a tensor of shape {tuple(value.shape)} was replaced, so that it shares memory "
                    "with other tensors than before; write to it with copy_() instead"
                )
            if value is not old:
                writes[inputs[old]] = value
                changed.append(item)
        if overlapping([item for item in self.lifted.values() if item.value in inputs], {id(item) for item in changed}):
            raise RunEagerly  # two names for one memory: the order of reads and writes counts
        return writes, grads

    def born(self):
        """ids of the tensors and optimisers made since the capture began: those of the youngest generation, because
        nothing is collected meanwhile."""
        if self.young is None:
            self.young = {id(x) for x in gc.get_objects(generation=0) if isinstance(x, (Tensor, Optimizer))}
        return self.young

    def locals(self, known):
        """ids of the lifted tensors that the function made itself: nobody but the capture holds them any more, or they
        are younger than the capture."""
        unknown = [item for item in self.lifted.values() if id(item.tensor) not in known]
        found = {id(item.tensor) for item in unknown if getrefcount(item.tensor) <= ALONE}
        if len(found) < len(unknown):  # some are results, or lie in the function's graph
            found |= {id(item.tensor) for item in unknown} & self.born()
        return found
