"""Results that are made by instructions of their own, nothing that nobody needs, numbers in order; and what several
passes ask about a program."""

from ..ir import Instr, contiguous


def results(program):
    taken = set(program.inputs) | set(program.constants)

    def own(v):
        if v in taken or v.instr is None or v.instr.op in ("view", "scalar", "iota"):
            copy = program.value(v.shape, v.dtype)
            copy.instr = Instr("map", (v,), {"fn": "id"}, (copy,))
            program.instrs.append(copy.instr)
            v = copy
        taken.add(v)
        return v

    program.outputs = [own(v) for v in program.outputs]
    program.writes = {k: v for k, v in program.writes.items() if v is not program.inputs[k]}
    for k, v in program.writes.items():
        if v in program.outputs or v.instr is None or v.instr.op in ("view", "scalar", "iota"):
            program.writes[k] = own(v)


def prune(program):
    """Draws of random numbers stay: they move the generator on."""
    needed = set(program.outputs) | set(program.writes.values())
    kept = []
    for i in reversed(program.instrs):
        if any(v in needed for v in i.outputs) or (i.op == "call" and i.params["name"].startswith("random.")):
            kept.append(i)
            needed.update(i.inputs)
    program.instrs = kept[::-1]
    program.constants = {v: a for v, a in program.constants.items() if v in needed}


def renumber(program):
    """Numbers in the order in which values are made: later stages sort by them."""
    made = [v for i in program.instrs for v in i.outputs]
    for k, v in enumerate([*program.inputs, *program.constants, *made]):
        v.id = k
    program._next = len(program.inputs) + len(program.constants) + len(made)


def results_of(program):
    return set(program.outputs) | set(program.writes.values())


def access(v):
    """``(base, strides, offset)`` of a value, in elements."""
    if v.instr is not None and v.instr.op == "view":
        return v.instr.inputs[0], v.instr.params["strides"], v.instr.params["offset"]
    return v, contiguous(v.shape), 0
