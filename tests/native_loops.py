"""Runs a core program by its groups: loops natively, products and calls with NumPy. For tests of fuse and loops."""

import ctypes

import numpy as np

from chainrule.compiler import fuse, loops, reference
from chainrule.compiler.runtime import jit
from chainrule.compiler.target import host

GUARD = 256  # bytes around every output that must not change


def fresh(shape, dtype):
    """An array of garbage with guard zones around it, only element-aligned."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.full(size + 2 * GUARD + 64, 0xA5, np.uint8)
    start = GUARD + (-raw.ctypes.data - GUARD) % 64 + np.dtype(dtype).itemsize
    return raw, start, raw[start : start + size].view(dtype).reshape(shape)


class Native:
    """A program's groups, compiled; ``run`` calls them in order."""

    def __init__(self, program, target=None):
        self.program, self.target = program, target or host()
        self.groups = fuse.groups(program)
        self.made = {}
        kernels, shared = [], {}
        for g in self.groups:
            if g.kind not in ("dot", "call"):
                self.made[g] = loops.generate(g, self.target, apart=True)
                for k, _, _ in self.made[g]:
                    kernels.append(k)
                    shared |= dict(k.support)
        self.kernels = kernels
        self.library = jit.load_kernels(kernels, self.target, shared) if kernels else None

    def run(self, arrays, parts=1):
        """``(outputs, writes)``; ``parts``: into how many runs the chunks are cut."""
        p = self.program
        known = {v: np.ascontiguousarray(a) for v, a in zip(p.inputs, arrays, strict=True)}
        known |= {v: np.ascontiguousarray(a) for v, a in p.constants.items()}
        guards = []
        for g in self.groups:
            if g.kind in ("dot", "call"):
                self.opaque(g, known)
                continue
            for v in g.outputs:
                raw, start, known[v] = fresh(v.shape, v.dtype)
                guards.append((raw, start, start + known[v].nbytes))
            work = None
            for k, operands, starts in self.made[g]:
                for o in operands:
                    if isinstance(o, tuple) and work is None:
                        work = np.full(o[1], 0x5A, np.uint8)
                self.call(k, [work if isinstance(o, tuple) else known[o] for o in operands], parts, starts)
        for raw, start, end in guards:
            assert (raw[:start] == 0xA5).all() and (raw[end:] == 0xA5).all(), "written outside an output"
        return [known[v] for v in p.outputs], {k: known[v] for k, v in p.writes.items()}

    def opaque(self, g, known):
        (i,) = g.instrs
        xs = []
        for v in i.inputs:
            if v not in known:  # a view that a product reads as it is
                base = v.instr.inputs[0]
                known[v] = reference.run(v.instr, [known[base]])
            xs.append(known[v])
        results = reference.run(i, xs)
        for v, a in zip(i.outputs, results if i.op == "call" else (results,), strict=True):
            known[v] = np.ascontiguousarray(a)

    def call(self, kernel, arrays, parts=1, starts=()):
        run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(
            self.library.address(kernel.name)
        )
        pointers = np.array([a.ctypes.data for a in arrays] or [0], np.uintp)
        pointers[: len(starts)] += np.array(starts, np.uintp)
        scratch = np.zeros(kernel.scratch + 128, np.uint8)
        at = scratch.ctypes.data + (-scratch.ctypes.data) % 64
        edges = np.linspace(0, kernel.chunks, min(parts, kernel.chunks) + 1).astype(int)
        for low, high in reversed(list(zip(edges[:-1], edges[1:], strict=True))):
            scratch[:] = 0xFF
            run(pointers.ctypes.data, low, high, at)
