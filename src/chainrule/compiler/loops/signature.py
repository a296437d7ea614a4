"""What a group's kernels depend on, as a key: groups of equal keys differ only in which arrays they read and write."""

from .access import source


def signature(group, apart=False):
    """``(key, values, starts)``: equal keys have equal kernels, with the values in the same roles.

    With ``apart`` the place where a group starts in an array it reads, or updates, is no part of the key; ``starts``
    has it, in bytes, for the values for which it is not zero.
    """
    numbers = {}
    first = _first_elements(group) if apart else {}

    def name(v):
        """A value's number; what it is where it is no array."""
        i = v.instr
        if v not in group.places and i is not None:
            if i.op == "scalar":
                return ("scalar", repr(i.params["value"]), v.dtype)
            if i.op == "iota":
                return ("iota", numbers.setdefault(v, len(numbers)), i.params["dim"], v.shape, v.dtype)
        return (numbers.setdefault(v, len(numbers)), v.shape, v.dtype)

    written = group.instrs[-1].output
    parts = [group.kind, tuple(group.sizes), tuple(sorted(group.red)), group.base is None]
    for i in group.instrs:
        p = i.params
        parts.append((i.op, p.get("fn"), p.get("dim"), p.get("along")))
        parts.append((tuple(p.get("dims", ())), tuple(p.get("strides", ()))))
        parts.append(
            p["offset"] - first.get(written if i.op == "update" else i.inputs[0], 0) if "offset" in p else None
        )
        if i.op == "scalar":
            parts.append(repr(p["value"]))
        for u in i.inputs:
            base, strides, offset = source(u)
            if base is not u:
                offset -= first.get(base, 0)
            parts.append((name(base), u.shape, tuple(strides), offset, name(u) if base is not u else None))
        v = i.output
        parts.append((name(v), group.places.get(v), tuple(group.along.get(v, ()))))
    parts.append(tuple(name(v) for v in group.outputs))
    return tuple(parts), list(numbers), {v: n * v.itemsize for v, n in first.items() if n}


def _first_elements(group):
    """The least offset at which the group's reads of each array start, and at which its update writes."""
    first = {}
    written = group.instrs[-1].output
    for i in group.instrs:
        for nr, u in enumerate(i.inputs):
            base, _, offset = source(u)
            if i.op == "view":
                base, offset = i.inputs[0], i.params["offset"]
            if base in group.places or (base.instr is not None and base.instr.op in ("scalar", "iota")):
                continue
            if nr == 0 and i.op in ("update", "scatter"):
                base, offset = u, 0  # read as a whole
            first[base] = min(first.get(base, offset), offset)
        if i.op == "update":
            at = i.params["offset"]
            first[written] = min(first.get(written, at), at)
    return first
