"""From a captured program to something that runs: the stages in order.

simplified -> fuse.groups -> kernels of each group -> plan.place -> machine code -> Schedule

A program that was compiled before comes from the disk instead (stored.py).
"""

import time
from functools import cache, cached_property

import numpy as np

from ..errors import UnsupportedError
from . import fuse, loops, products, stored
from .kernel import Kernel
from .order import ordered
from .plan import place
from .reference import evaluate
from .runtime import At, Check, CheckError, Copy, External, load_kernels
from .runtime.buffers import check_interpreter
from .runtime.jit import debugging
from .simplify import access, simplified
from .table import Call, Constant, Table, np_dtype
from .target import host, llvm_binding


def inputs_used(program):
    """The numbers of the inputs that are read or written."""
    read = {v for i in program.instrs for v in i.inputs}
    return {n for n, v in enumerate(program.inputs) if v in read or n in program.writes}


def product_of(instr):
    """The product that a ``dot`` is, and its operands as (base, offset in elements)."""
    a, b, *more = instr.inputs
    (a_base, a_strides, a_offset), (b_base, b_strides, b_offset) = access(a), access(b)
    p = products.Product(
        a.dtype, a.shape[-2], b.shape[-1], a.shape[-1], a.shape[:-2], tuple(a_strides), tuple(b_strides),
        accumulate=bool(more),
    )  # fmt: skip
    return p, {"a": (a_base, a_offset), "b": (b_base, b_offset), "c": (instr.output, 0)}


product_plan = cache(products.plan)


class Stages:
    """The seconds that each stage took, by name."""

    def __init__(self):
        self.seconds = {}
        self.last = time.perf_counter()

    def done(self, name):
        now = time.perf_counter()
        self.seconds[name] = now - self.last
        self.last = now


class Made:
    """What the compiler makes of a captured program, stage by stage; ``table()`` is what the runtime needs of it.

    The program is simplified in place.
    """

    def __init__(self, program, target, stages):
        self.target = target
        # By which number a call or a constant is known in the table.
        calls = [i for i in program.instrs if i.op == "call"]
        self.call_number = {id(i): k for k, i in enumerate(calls)}
        self.constant_number = {v: k for k, v in enumerate(program.constants)}
        self.program = simplified(program)
        stages.done("simplify")
        self.groups = ordered(program, fuse.groups(program))
        stages.done("fuse")
        self.generate()
        stages.done("kernels")
        self.plan = place(program, self.groups, self.works)
        stages.done("plan")

    def generate(self):
        """kernels: per group a list of (kernel or Call, operands, offsets in bytes); an operand is a value or the
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
                instr = g.instrs[0]
                out.append((Call(self.call_number[id(instr)]), [*instr.inputs, *instr.outputs], ()))
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

    def table(self):
        program, plan = self.program, self.plan
        used = {o for ks in self.kernels for _, operands, _ in ks for o in operands if not isinstance(o, str)}
        homes = {plan.home[v][:2] for v in used} | {home for _, home in plan.copies}
        written = set(program.writes)
        table = Table(arena=plan.arena, used=sorted(inputs_used(program)))
        buffers = table.buffers
        for n, v in enumerate(program.inputs):
            if ("input", n) in homes:
                buffers[f"in{n}"] = External(v.shape, np_dtype(v.dtype), writable=n in written)
                table.inputs.append(n)
        for n, v in enumerate(program.outputs):
            if n not in program.checks:
                buffers[f"out{n}"] = External(v.shape, np_dtype(v.dtype), writable=True)
                table.outputs.append(n)
        for v in program.constants:
            if v in used:
                buffers[f"const{v.id}"] = Constant(self.constant_number[v])
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

        numbers, waiting = {}, {}  # waiting: checks that were made and not looked at yet, and their numbers
        checks = {program.outputs[n]: n for n in program.checks}
        lasting = {("input", n) for n in program.writes} | {("output", n) for n in program.lasting}

        def look():
            """The task that looks at the checks that are waiting."""
            at = tuple([buffer(v, -1)[0] for v in waiting])
            table.tasks.append((Check(tuple(waiting.values())), at, ()))
            waiting.clear()

        for k, ks in enumerate(self.kernels):
            made = {v: checks[v] for v in self.groups[k].outputs if v in checks}
            if waiting and not made:
                look()
            waiting.update(made)
            if table.commit is None and any(plan.home[v][:2] in lasting for v in self.groups[k].outputs):
                table.commit = len(table.tasks)
            for kernel, operands, offsets in ks:
                at = [buffer(o, k) for o in operands]
                starts = [a + b for (_, a), b in zip(at, offsets or [0] * len(at), strict=True)]
                if isinstance(kernel, Kernel):
                    what = numbers.setdefault(kernel.name, len(numbers))
                    if what == len(table.kernels):
                        table.kernels.append(kernel)
                else:
                    what = kernel
                table.tasks.append((what, tuple(name for name, _ in at), tuple(starts) if any(starts) else ()))
        if waiting:
            look()
        for v, (kind, number) in plan.copies:
            (name, start), target = buffer(v, -1), ("in" if kind == "input" else "out") + str(number)
            table.tasks.append((Copy(v.nbytes), (name, target), (start, 0) if start else ()))
        return table


class Native:
    """A captured program as machine code. ``call(arrays)`` takes one array per input of the program, in C order, and
    gives the arrays of its outputs (anything for checks); arrays of inputs that the program writes are changed. Raises
    CheckError with the number of an output that is a check and true; nothing lasting is changed then. With ``whole`` it
    may come from the disk as a whole; what stands in ``detail`` is then made when somebody asks."""

    def __init__(self, program, target=None, debug=None, threads=None, timing=False, whole=True):
        self.program = program
        stages = Stages()
        self.target = host(target) if target is None or isinstance(target, str) else target
        self.debug = debug
        calls = [i for i in program.instrs if i.op == "call"]
        constants = list(program.constants.values())
        name = stored.name_of(program, self.target) if whole and not (debugging() if debug is None else debug) else None
        found = stored.load(name, self.target) if name else None
        self.whole = found is not None  # it came from the disk
        if self.whole:
            self.table, self.library = found
            stages.done("load")
        else:
            if name:
                stages.done("look up")
            self.detail = made = Made(program, self.target, stages)
            self.table = made.table()
            kernels = self.table.kernels
            shared = {symbol: text for k in kernels for symbol, text in k.support}
            self.library = load_kernels(kernels, self.target, shared, debug)
            stages.done("machine code")
            if name:
                stored.save(name, self.table, self.library)
                stages.done("save")
            self.library.objects = {}
        self.schedule = self.table.schedule(self.library, calls, constants, guard=bool(debug))
        stages.done("schedule")
        self.inputs, self.arena, self.stages = self.table.inputs, self.schedule.arena, stages.seconds
        if timing:
            for name, seconds in self.stages.items():
                print(f"compile: {name} {seconds * 1e3:.1f} ms")

    @cached_property
    def detail(self):
        return Made(self.program, self.target, Stages())

    groups = property(lambda self: self.detail.groups)
    plan = property(lambda self: self.detail.plan)

    @property
    def finished(self):
        """Whether the last call came to its end."""
        return self.schedule.finished

    @finished.setter
    def finished(self, is_so):
        self.schedule.finished = is_so

    @property
    def used(self):
        """The numbers of the program's inputs that are read or written."""
        return set(self.table.used)

    def __call__(self, arrays, outputs=None):
        if outputs is None:
            outputs = [np.empty(v.shape, np_dtype(v.dtype)) for v in self.program.outputs]
        self.schedule((*[arrays[n] for n in self.inputs], *[outputs[n] for n in self.table.outputs]))
        return outputs


def prepare(backend="native", **options):
    """Bring LLVM into memory, which takes longer than compiling a small program. Says nothing if it is absent."""
    try:
        if backend == "native":
            llvm_binding()
    except UnsupportedError:
        pass  # the first call will say so


def require(backend="native", target=None, **options):
    """Raise if there is no compiler here, or not for this target: before a function is captured."""
    if backend == "native":
        check_interpreter()
        if target is None or isinstance(target, str):
            host(target)


def build(program, backend="native", whole=True, **options):
    """Something that runs the captured program: a ``Native``, or the reference."""
    if backend == "reference":
        return Reference(simplified(program))
    return Native(program, whole=whole, **options)


class Reference:
    """The program run one instruction at a time with NumPy."""

    def __init__(self, program):
        self.program = program
        self.stages = {}
        self.used = inputs_used(program)
        self.finished = False

    def __call__(self, arrays, outputs=None):
        self.finished = False
        results, writes = evaluate(self.program, arrays)
        for n in self.program.checks:
            if results[n]:
                raise CheckError(n)
        results = [np.array(a) for a in results]
        writes = {k: np.array(a) for k, a in writes.items()}
        for k, a in writes.items():
            np.copyto(arrays[k], a)
        self.finished = True
        return results
