"""What a group's kernels depend on, as a key: groups of equal keys differ only in which arrays they read and write."""

from .access import source


def signature(group):
    """``(key, values)``: equal keys have equal kernels, with the values in the same roles."""
    numbers = {}

    def name(v):
        """A value's number; what it is where it is no array."""
        i = v.instr
        if v not in group.places and i is not None:
            if i.op == "scalar":
                return ("scalar", repr(i.params["value"]), v.dtype)
            if i.op == "iota":
                return ("iota", numbers.setdefault(v, len(numbers)), i.params["dim"], v.shape, v.dtype)
        return (numbers.setdefault(v, len(numbers)), v.shape, v.dtype)

    parts = [group.kind, tuple(group.sizes), tuple(sorted(group.red))]
    for i in group.instrs:
        p = i.params
        parts.append(
            (i.op, p.get("fn"), p.get("dim"), p.get("dims"), p.get("along"), p.get("strides"), p.get("offset"))
        )
        if i.op == "scalar":
            parts.append(repr(p["value"]))
        for u in i.inputs:
            base, strides, offset = source(u)
            parts.append((name(base), u.shape, strides, offset, name(u) if base is not u else None))
        v = i.output
        parts.append((name(v), group.places.get(v), tuple(group.along.get(v, ()))))
    parts.append(tuple(name(v) for v in group.outputs))
    return tuple(parts), list(numbers)
