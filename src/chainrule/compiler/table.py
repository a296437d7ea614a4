"""A compiled program as data: its kernels, and the tasks that call them on named buffers.

It is what the compiler hands to the runtime, whether it was just made or read from the disk. What belongs to one
process only, functions that are called out to and the arrays of constants, stands in it as a number: their place in
the captured program.
"""

import json
from dataclasses import dataclass, field, fields

import numpy as np

from .builder import as_dtype as np_dtype
from .builder import dtype_name
from .kernel import Kernel, Task
from .runtime import Arena, At, Callout, Check, Copy, External, Schedule


@dataclass(frozen=True)
class Call:
    """In a task the place of a kernel: the ``number``-th call out to Python of the captured program."""

    number: int


@dataclass(frozen=True)
class Constant:
    """A buffer: the ``number``-th constant of the captured program."""

    number: int


@dataclass
class Table:
    """kernels: distinct.  tasks: ``(a kernel's number, Call, Copy or Check; names of buffers; bytes added to their
    addresses)``.  buffers: name -> At, External or Constant.  arena: bytes.  inputs: numbers of the program's inputs
    that are given to the schedule, before the outputs.  outputs: numbers of the outputs that are given to it.  used:
    numbers of the inputs that are read or written.  commit: the first task that writes to lasting memory, or None."""

    kernels: list = field(default_factory=list)
    tasks: list = field(default_factory=list)
    buffers: dict = field(default_factory=dict)
    arena: int = 0
    inputs: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    used: list = field(default_factory=list)
    commit: int | None = None

    def schedule(self, library, calls, constants, guard=False):
        """What runs it. ``calls``, ``constants``: the captured program's, in order."""
        made = {}

        def kernel(what):
            if type(what) is int:
                return self.kernels[what]
            if what not in made:
                made[what] = callout(calls[what.number]) if type(what) is Call else what
            return made[what]

        buffers = {
            name: np.ascontiguousarray(constants[b.number]) if type(b) is Constant else b
            for name, b in self.buffers.items()
        }
        tasks = [Task(kernel(what), names, offsets) for what, names, offsets in self.tasks]
        return Schedule(library, tasks, buffers, arena=Arena(self.arena, guard=guard), commit=self.commit)


def callout(instr):
    """A call out to Python, with arrays over its operands."""
    function, n = instr.params["function"], len(instr.inputs)

    def call(*arrays):
        for target, result in zip(arrays[n:], function(*arrays[:n]), strict=True):
            target[...] = result

    operands = tuple((v.shape, np_dtype(v.dtype)) for v in (*instr.inputs, *instr.outputs))
    return Callout(call, operands, instr.params["name"], instr.params["name"])


# ---- as text

_TEXTS = ("text", "needs", "support")  # of a kernel: what only making machine code of it needs
_KERNEL = tuple(f.name for f in fields(Kernel) if f.name not in _TEXTS)
_KINDS = {cls.__name__: cls for cls in (Call, Check, Copy, Constant, At, External)}


def packed(table):
    """The table as JSON."""
    number = {name: k for k, name in enumerate(table.buffers)}
    return json.dumps(
        {
            "kernels": [[getattr(k, f) for f in _KERNEL] for k in table.kernels],
            "tasks": [[_plain(what), [number[n] for n in names], offsets] for what, names, offsets in table.tasks],
            "buffers": [[name, _plain(b)] for name, b in table.buffers.items()],
            "arena": table.arena,
            "inputs": table.inputs,
            "outputs": table.outputs,
            "used": table.used,
            "commit": table.commit,
        },
        separators=(",", ":"),
    )


def unpacked(text):
    """The table of a JSON text; the kernels are without their LLVM text. Raises whatever a wrong text leads to."""
    d = json.loads(text)
    names = [name for name, _ in d["buffers"]]
    kernels = [Kernel(text="", **dict(zip(_KERNEL, _deep(k), strict=True))) for k in d["kernels"]]
    tasks = [(_object(what), tuple([names[k] for k in at]), tuple(offsets)) for what, at, offsets in d["tasks"]]
    for what, *_ in tasks:
        if type(what) is int and not 0 <= what < len(kernels):
            raise ValueError(f"table: there is no kernel {what}")
    buffers = {name: _object(b) for name, b in d["buffers"]}
    return Table(kernels, tasks, buffers, d["arena"], d["inputs"], d["outputs"], d["used"], d["commit"])


def _plain(x):
    """A number as it is, an object as its class and fields."""
    if type(x) is int:
        return x
    parts = [getattr(x, f.name) for f in fields(x)]
    return [type(x).__name__, *[dtype_name(p) if isinstance(p, np.dtype) else p for p in parts]]


def _object(x):
    if type(x) is int:
        return x
    cls = _KINDS[x[0]]
    parts = _deep(x[1:])
    if cls is External:
        parts = (parts[0], np_dtype(parts[1]), *parts[2:])
    return cls(*parts)


def _deep(x):
    """Lists as tuples, all the way down."""
    return tuple([_deep(y) if type(y) is list else y for y in x])
