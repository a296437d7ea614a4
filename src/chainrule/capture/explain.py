"""What the compiler made of a call, stage by stage, as text that stays the same from run to run (times apart)."""

import time

import numpy as np

from ..compiler.driver import np_dtype
from ..compiler.kernel import Kernel, Task
from ..compiler.products import Product, plan
from ..compiler.runtime import Schedule, load_kernels
from ..compiler.target import host
from ..ops.random import get_rng_state, set_rng_state


class Explanation:
    """One program, stage by stage.

    operators: the operators in the order of the calls, as captured.  captured, simplified: the core instructions before
    and after the passes of ``compiler/simplify``.  passes: the name of each and the text after it.  groups: what
    becomes one kernel, product or call.  kernels: the distinct native kernels with their work.  plan: where every value
    lies, and the peak of the arena.  schedule: the tasks in order.  calls: operators that run in Python, and why.
    llvm(name), assembly(name): one kernel's text.
    measured(): a table of times.  ``print(explanation)`` shows all but the texts of the kernels.

    >>> import chainrule as torch
    >>> f = torch.compile(lambda x: (x * 2 + 1).sum())
    >>> e = f.explain(torch.ones(4))
    >>> print(e.simplified)
    input %0: f32[4]
    %1: f32[] = scalar value=2.0
    %2: f32[4] = map.mul %0, %1
    %3: f32[] = scalar value=1.0
    %4: f32[4] = map.add %2, %3
    %5: f32[] = reduce.sum %4, dims=(0,)
    return %5
    """

    def __init__(self, entry, arrays):
        self.entry = entry
        self.native = entry.executable
        (_, self.captured), *self.passes = entry.program.history
        self.simplified = repr(entry.program)
        self.arrays = arrays
        self.calls = list(dict.fromkeys(entry.calls))

    # ---- stages as text

    @property
    def operators(self):
        lines = []
        for name, result in self.entry.lowering.graph:
            results = result if isinstance(result, tuple) else (result,)
            lines.append(f"{name} -> " + ", ".join(r.value.type_text() for r in results))
        return "\n".join(lines)

    @property
    def groups(self):
        lines = []
        for k, g in enumerate(self.native.groups):
            reads = ", ".join(f"%{v.id}" for v in g.inputs)
            writes = ", ".join(f"%{v.id}: {v.type_text()}" for v in g.outputs)
            ops = " ".join(i.op + ("." + i.params["fn"] if "fn" in i.params else "") for i in g.instrs)
            lines.append(f"{k}: {g.kind} [{ops}] reads {reads or 'nothing'} writes {writes}")
        return "\n".join(lines)

    def _kernels(self):
        """(kernel, how often) in the order of first use."""
        count = {}
        for task in self.native.schedule.tasks:
            if isinstance(task.kernel, Kernel):
                count.setdefault(task.kernel.name, [task.kernel, 0])[1] += 1
        return list(count.values())

    @property
    def kernels(self):
        lines = [f"{'kernel':46} {'times':>5} {'chunks':>6} {'operations':>12} {'bytes':>12}  what"]
        for k, n in self._kernels():
            lines.append(f"{k.name[:46]:46} {n:5} {k.chunks:6} {k.flops:12} {k.bytes:12}  {k.title}")
        return "\n".join(lines)

    @property
    def plan(self):
        return self.native.plan.text()

    @property
    def peak_bytes(self):
        """Bytes of the arena: all that the program needs beside its inputs, results and constants."""
        return self.native.plan.arena

    @property
    def schedule(self):
        return "\n".join(
            f"{i}: {t.kernel.title or t.kernel.name} ({', '.join(t.buffers)})"
            for i, t in enumerate(self.native.schedule.tasks)
        )

    def llvm(self, kernel):
        """The LLVM text of a kernel, by name or number in ``kernels``."""
        return self._kernel(kernel).text

    def assembly(self, kernel):
        """The machine code of a kernel as assembly."""
        return self.native.library.assembly(self._kernel(kernel).name)

    def _kernel(self, which):
        kernels = [k for k, _ in self._kernels()]
        if isinstance(which, int):
            return kernels[which]
        for k in kernels:
            if k.name == which:
                return k
        raise KeyError(f"explain: no kernel {which!r}; there are {[k.name for k in kernels]}")

    def _changes(self):
        """The passes that changed something, with the instructions after them."""
        before = self.captured
        for name, after in self.passes:
            if after != before:
                yield f"core instructions after {name}", after
            before = after

    def __str__(self):
        parts = [
            ("operators", self.operators),
            ("core instructions as captured", self.captured),
            *self._changes(),
            ("groups", self.groups),
            ("kernels", self.kernels),
            ("memory", self.plan),
            ("schedule", self.schedule),
        ]
        if self.calls:
            parts.append(("called out to Python", "\n".join(f"{name}: {why}" for name, why in self.calls)))
        return "\n\n".join(f"=== {title}\n{text}" for title, text in parts)

    # ---- times

    def measured(self, rounds=20):
        """A table of the kernels with the share of time and of this machine's measured peaks. The program is run on
        copies of its inputs, so nothing of the user's is changed."""
        schedule, inputs = self.native.schedule, self.native.inputs
        flops, copies = peaks()
        schedule.timed = True
        best, drawn = None, get_rng_state()
        try:
            for _ in range(rounds):
                arrays = [None if a is None else a.copy() for a in self.arrays]
                values = self.entry.program.outputs
                outputs = [np.empty(values[n].shape, np_dtype(values[n].dtype)) for n in self.native.table.outputs]
                schedule((*[arrays[n] for n in inputs], *outputs))
                now = np.array(schedule.times())
                best = now if best is None else np.minimum(best, now)
        finally:
            schedule.timed = False
            set_rng_state(drawn)
        total = {}
        for task, ns in zip(schedule.tasks, best, strict=True):
            row = total.setdefault(task.kernel.name, [task.kernel, 0, 0])
            row[1] += 1
            row[2] += ns
        everything = max(best.sum(), 1)
        lines = [
            f"{best.sum() / 1e3:.1f} us in {len(schedule.tasks)} tasks; measured peaks on one thread: "
            f"{flops:.0f} GFLOP/s in products, {copies:.0f} GB/s in copies",
            f"{'us':>9} {'share':>6} {'times':>5} {'GFLOP/s':>8} {'of peak':>7} {'GB/s':>7} {'of peak':>7}  what",
        ]
        for kernel, n, ns in sorted(total.values(), key=lambda row: -row[2]):
            work, moved = getattr(kernel, "flops", 0) * n / max(ns, 1), getattr(kernel, "bytes", 0) * n / max(ns, 1)
            lines.append(
                f"{ns / 1e3:9.2f} {ns / everything:6.1%} {n:5} {work:8.1f} {work / flops:7.0%} {moved:7.1f} "
                f"{moved / copies:7.0%}  {kernel.title or kernel.name}"
            )
        return "\n".join(lines)


def peaks():
    """GFLOP/s of a matrix product that stays in cache, and GB/s of a copy that does not, on one thread."""
    n = 256
    steps, work = plan(Product("float32", n, n, n), host())
    a = {name: np.ones((n, n), np.float32) for name in "abc"} | {w: np.empty(s, np.uint8) for w, s in work.items()}
    step = Schedule(
        load_kernels([s.kernel for s in steps], host()),
        [Task(s.kernel, s.operands, s.offsets) for s in steps],
        a,
    )
    product = min(_time(step) for _ in range(20))
    x, y = np.ones(1 << 23, np.float32), np.empty(1 << 23, np.float32)
    copy = min(_time(lambda: np.copyto(y, x)) for _ in range(5))
    return 2 * n**3 / product / 1e9, 2 * x.nbytes / copy / 1e9


def _time(f):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start
