"""From a captured program to something that runs: the stages in order.

simplified -> fuse.groups -> kernels of each group -> plan.place -> machine code -> Schedule
"""

import time
from functools import cache

import numpy as np

from . import fuse, loops, products
from .kernel import Kernel, Task
from .order import ordered
from .plan import place
from .reference import evaluate
from .runtime import Arena, At, Callout, External, Schedule, load_kernels
from .simplify import access
from .target import host


def inputs_used(program):
    """The numbers of the inputs that are read or written."""
    read = {v for i in program.instrs for v in i.inputs}
    return {n for n, v in enumerate(program.inputs) if v in read or n in program.writes}


def product_of(instr):
    """The product that a ``dot`` is, and its operands as (base, offset in elements)."""
    a, b = instr.inputs
    (a_base, a_strides, a_offset), (b_base, b_strides, b_offset) = access(a), access(b)
    p = products.Product(
        a.dtype, a.shape[-2], b.shape[-1], a.shape[-1], a.shape[:-2], tuple(a_strides), tuple(b_strides)
    )
    return p, {"a": (a_base, a_offset), "b": (b_base, b_offset), "c": (instr.output, 0)}


product_plan = cache(products.plan)


class Native:
    """A program as machine code. ``call(arrays)`` takes one array per input of the program, in C order, and gives the
    arrays of its outputs; arrays of inputs that the program writes are changed."""

    def __init__(self, program, target=None, debug=None, threads=None, timing=False):
        self.program = program
        self.stages = {}
        self.target = host(target) if target is None or isinstance(target, str) else target
        self.debug = debug
        start = time.perf_counter()
        self.groups = ordered(program, fuse.groups(program))
        start = self.stage("fuse", start)
        self.generate()
        start = self.stage("kernels", start)
        self.plan = place(program, self.groups, self.works)
        start = self.stage("plan", start)
        kernels = list({k.name: k for ks in self.kernels for k, _, _ in ks if isinstance(k, Kernel)}.values())
        self.distinct = kernels
        shared = {symbol: text for k in kernels for symbol, text in k.support}
        self.library = load_kernels(kernels, self.target, shared, debug)
        start = self.stage("machine code", start)
        self.schedule = self.schedule_of()
        self.stage("schedule", start)
        if timing:
            for name, seconds in self.stages.items():
                print(f"compile: {name} {seconds * 1e3:.1f} ms")

    def stage(self, name, start):
        now = time.perf_counter()
        self.stages[name] = now - start
        return now

    def generate(self):
        """kernels: per group a list of (kernel or Callout, operands, offsets in bytes); an operand is a value or the
        name of a scratch buffer."""
        self.kernels, self.works = [], []
        for g in self.groups:
            work, out = {}, []
            if g.kind == "dot":
                p, names = product_of(g.instrs[0])
                steps, work = product_plan(p, self.target)
                for step in steps:
                    operands = [names[o][0] if o in names else o for o in step.operands]
                    more = step.offsets or (0,) * len(operands)
                    size = names["c"][0].itemsize
                    offsets = [
                        m + (names[o][1] * size if o in names else 0) for o, m in zip(step.operands, more, strict=True)
                    ]
                    out.append((step.kernel, operands, offsets))
            elif g.kind == "call":
                out.append(self.callout(g.instrs[0]))
            else:
                for kernel, operands, starts in loops.generate(g, self.target, apart=True):
                    named = []
                    for o in operands:
                        if isinstance(o, tuple):
                            work[o[0]] = max(o[1], work.get(o[0], 0))
                            o = o[0]
                        named.append(o)
                    out.append((kernel, named, starts))
            self.kernels.append(out)
            self.works.append(work)

    @staticmethod
    def callout(instr):
        function, n = instr.params["function"], len(instr.inputs)

        def call(*arrays):
            for target, result in zip(arrays[n:], function(*arrays[:n]), strict=True):
                target[...] = result

        operands = tuple((v.shape, np_dtype(v.dtype)) for v in (*instr.inputs, *instr.outputs))
        name = instr.params["name"]
        return Callout(call, operands, name, name), [*instr.inputs, *instr.outputs], ()

    def schedule_of(self):
        program, plan = self.program, self.plan
        used = {o for ks in self.kernels for _, operands, _ in ks for o in operands if not isinstance(o, str)}
        used |= {program.inputs[n] for _, n in plan.copies}
        homes = {plan.home[v][:2] for v in used}
        buffers, self.inputs = {}, []
        written = set(program.writes)
        for n, v in enumerate(program.inputs):
            if ("input", n) in homes:
                buffers[f"in{n}"] = External(v.shape, np_dtype(v.dtype), writable=n in written)
                self.inputs.append(n)
        for n, v in enumerate(program.outputs):
            buffers[f"out{n}"] = External(v.shape, np_dtype(v.dtype), writable=True)
        for v, a in program.constants.items():
            if v in used:
                buffers[f"const{v.id}"] = np.ascontiguousarray(a)
        tasks = []
        spots = {}

        def buffer(o, k):
            """The buffer of an operand, and the bytes from its start."""
            more = ()
            if isinstance(o, str):
                kind, where = "arena", plan.work[k, o]
                size = self.works[k][o]
            else:
                kind, where, *more = plan.home[o]
                size = o.nbytes
            if kind == "arena":
                name = f"at{where}" if spots.get(where, size) == size else f"at{where}_{size}"
                spots.setdefault(where, size)
                buffers.setdefault(name, At(where, max(size, 1)))
                return name, 0
            if kind == "constant":
                return f"const{where.id}", 0
            return ("in" if kind == "input" else "out") + str(where), more[0] if more else 0

        self.task_groups = []
        for k, ks in enumerate(self.kernels):
            for kernel, operands, offsets in ks:
                at = [buffer(o, k) for o in operands]
                starts = [a + b for (_, a), b in zip(at, offsets or [0] * len(at), strict=True)]
                tasks.append(Task(kernel, tuple(name for name, _ in at), tuple(starts) if any(starts) else ()))
                self.task_groups.append(k)
        for v, number in plan.copies:
            name, start = buffer(v, -1)
            tasks.append(copy_task(v, name, start, f"in{number}"))
            self.task_groups.append(-1)
        self.arena = Arena(plan.arena, guard=bool(self.debug))
        return Schedule(self.library, tasks, buffers, arena=self.arena)

    def __call__(self, arrays, outputs=None):
        if outputs is None:
            outputs = [np.empty(v.shape, np_dtype(v.dtype)) for v in self.program.outputs]
        self.schedule((*[arrays[n] for n in self.inputs], *outputs))
        return outputs


def copy_task(v, source, start, target):
    """Copying a value when the program has ended."""

    def call(a, b):
        b[...] = a

    spec = (v.shape, np_dtype(v.dtype))
    return Task(Callout(call, (spec, spec), "copy", "copy"), (source, target), (start, 0))


def np_dtype(name):
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def build(program, backend="native", **options):
    """Something that runs the program: a ``Native``, or the reference."""
    if backend == "reference":
        return Reference(program)
    return Native(program, **options)


class Reference:
    """The program run one instruction at a time with NumPy."""

    def __init__(self, program):
        self.program = program
        self.stages = {}

    def __call__(self, arrays, outputs=None):
        results, writes = evaluate(self.program, arrays)
        results = [np.array(a) for a in results]
        writes = {k: np.array(a) for k, a in writes.items()}
        for k, a in writes.items():
            np.copyto(arrays[k], a)
        return results
