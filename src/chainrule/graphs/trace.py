"""Watching a function run: every operator call with its inputs, its results and the module it belongs to.

The binder reports each call to ``switches.anomaly`` while that is set; the tracer stands there (and hands on to anomaly
mode, if that was on). Values are copied, so that nothing that happens later changes what was seen.
"""

import sys
import threading

import numpy as np

from ..config import enable_grad, switches
from ..handle import Tensor
from ..nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from ..node import Node, call_site
from ..ops.random import default_generator


class Record:
    """One call. ``inputs``: tensors' keys (see ``Tracer.key``), Python numbers or None."""

    __slots__ = ("inputs", "module", "outputs", "params", "primitive", "seq", "site", "tensors")

    def __init__(self, primitive, inputs, tensors, outputs, params, module, site, seq):
        self.primitive = primitive
        self.inputs = inputs
        self.tensors = tensors  # the outputs themselves: an id stays taken as long as its object lives
        self.outputs = outputs
        self.params = params
        self.module = module
        self.site = site
        self.seq = seq


class Constant:
    """A tensor that no recorded call made, with its value when it was first used."""

    __slots__ = ("module", "tensor", "value")

    def __init__(self, tensor, module):
        self.tensor = tensor
        self.value = snapshot(tensor._data)
        self.module = module


def snapshot(a):
    """A copy of an array; what is no NumPy array (a batch) is taken as it is."""
    return np.array(a) if isinstance(a, (np.ndarray, np.generic)) else a


class Tracer:
    """A context in which operator calls of this thread are recorded.

    names: ``{id(module): path}`` of the modules whose paths are known.
    """

    def __init__(self, names=None):
        self.names = names or {}
        self.modules = []
        self.roots = []  # (path, module) of modules that no variable holds: named by their class
        self.by_node = {}
        self.made = {}  # key of a result -> (record, output number)
        self.constants = {}  # key -> Constant
        self.seen = {}  # (node, output number) -> value, of results of functions of the user's
        self.buffers = {}  # what running a module may change: id -> (buffer, its value and version before)
        self.place = None  # set by the evaluator of expressions: the column

    def __enter__(self):
        self.before = switches.anomaly
        self.random = default_generator.get_state()
        self.thread = threading.get_ident()
        self.grad = enable_grad()
        self.grad.__enter__()
        self.hooks = [
            register_module_forward_pre_hook(self.enter_module),
            register_module_forward_hook(self.leave_module, always_call=True),
        ]
        switches.anomaly = self
        return self

    def __exit__(self, *exc):
        switches.anomaly = self.before
        for hook in self.hooks:
            hook.remove()
        self.grad.__exit__(*exc)

    def enter_module(self, module, args):
        if threading.get_ident() == self.thread:
            path = self.names.get(id(module))
            if path is None:
                inside = self.modules[-1] if self.modules else ""
                path = self.free(f"{inside}.{type(module).__name__}".lstrip("."))
                self.roots.append((path, module))
                for name, inner in module.named_modules():
                    self.names.setdefault(id(inner), f"{path}.{name}" if name else path)
            self.modules.append(path)
            for buffer in module._buffers.values():
                if buffer is not None and id(buffer) not in self.buffers:
                    self.buffers[id(buffer)] = buffer, snapshot(buffer._data), buffer._version

    def free(self, path):
        """A path that no other module has: a number is added where there are several of one class."""
        taken, k = {p for p, _ in self.roots}, 1
        while (path if k == 1 else f"{path}{k}") in taken:
            k += 1
        return path if k == 1 else f"{path}{k}"

    def restore(self):
        """Undo what the run left behind: running statistics of modules, and the state of the random numbers.

        Only once the graph is built: until then what was saved is checked against the versions.
        """
        for buffer, value, version in self.buffers.values():
            if buffer._data.shape == value.shape and buffer._version != version:
                buffer._data[...] = value
                buffer._cell[0] = version
        default_generator.set_state(self.random)

    def leave_module(self, module, args, output):
        if threading.get_ident() == self.thread and self.modules:
            self.modules.pop()

    @staticmethod
    def key(t):
        """What a tensor without a graph is found by: its memory at one version."""
        return id(t._data), t._version

    def check_forward(self, primitive, inputs, out):
        """Called by the binder after each operator."""
        if self.before is not None:
            self.before.check_forward(primitive, inputs, out)
        if threading.get_ident() != self.thread:
            return
        outs = out if isinstance(out, tuple) else (out,)
        node = next((t._node for t in outs if t._node is not None), None)
        # The binder's own name for the static parameters; a call that recorded nothing keeps them nowhere else.
        params = sys._getframe(1).f_locals.get("params") if node is None else node.params
        module = self.modules[-1] if self.modules else ""
        keys = [self.note(x, module) if isinstance(x, Tensor) else x for x in inputs]
        site = self.place if self.place is not None else call_site(3)
        seq = Node((), None, None).seq if node is None else node.seq
        record = Record(primitive, keys, outs, [snapshot(t._data) for t in outs], dict(params or {}), module, site, seq)
        if node is not None:
            self.by_node[node] = record
        for nr, t in enumerate(outs):
            self.made[self.key(t)] = (record, nr)

    def note(self, t, module):
        key, node = self.key(t), t._node
        if node is not None and node.primitive is None and (node, t._output_nr) not in self.seen:
            self.seen[(node, t._output_nr)] = snapshot(t._data)
        if node is None and key not in self.made and key not in self.constants:
            self.constants[key] = Constant(t, module)
        return key

    def check_backward(self, node, g, grads):
        if self.before is not None:
            self.before.check_backward(node, g, grads)
