"""From a captured program to something that runs."""

import numpy as np

from .ir import verify
from .reference import evaluate


def simplified(program):
    """Without instructions whose results nobody needs. Draws of random numbers stay: they move the generator on."""
    needed = set(program.outputs) | set(program.writes.values())
    kept = []
    for i in reversed(program.instrs):
        if any(v in needed for v in i.outputs) or (i.op == "call" and i.params["name"].startswith("random.")):
            kept.append(i)
            needed.update(i.inputs)
    program.instrs = kept[::-1]
    program.constants = {v: a for v, a in program.constants.items() if v in needed}
    verify(program)
    return program


def build(program, backend="native", **options):
    return Reference(program)


class Reference:
    """The program run one instruction at a time with NumPy."""

    def __init__(self, program):
        self.program = program

    def __call__(self, arrays):
        outputs, writes = evaluate(self.program, arrays)
        outputs = [np.array(a) for a in outputs]
        writes = {k: np.array(a) for k, a in writes.items()}
        for k, a in writes.items():
            np.copyto(arrays[k], a)
        return outputs
