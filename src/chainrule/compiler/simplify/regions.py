"""Sums with arrays that are zero but for one region: the gradients of slices."""

from ..builder import number
from ..loops.access import repeats
from .tidy import results_of


def add_into(program):
    """``x + update(zeros, piece)`` is ``update(x, piece, fn=add)``."""
    uses = program.uses()
    fixed = results_of(program)

    def region(v):
        i = v.instr
        if i is None or i.op != "update" or i.params["fn"] != "set" or len(uses[v]) != 1 or v in fixed:
            return None
        if repeats(i.params, i.inputs[1].shape):  # an element that is set twice would be added twice
            return None
        base = i.inputs[0].instr
        if base is not None and base.op == "map" and base.params["fn"] == "id" and number(base.inputs[0]) == 0:
            return i
        return None

    for i in program.instrs:
        if i.op != "map" or i.params["fn"] != "add" or i.inputs[0].shape != i.inputs[1].shape:
            continue
        for x, u in (i.inputs, i.inputs[::-1]):
            found = region(u)
            if found is None or x is u or (x.instr is not None and x.instr.op in ("view", "scalar", "iota")):
                continue
            i.op, i.inputs = "update", (x, found.inputs[1])
            i.params = {**found.params, "fn": "add"}
            break
