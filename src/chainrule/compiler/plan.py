"""Where every value lies: in the caller's arrays, in constants, or in the arena, whose places are used again.

``place`` walks the groups in order. A value lives from the group that makes it to the last one that reads it; its
place in the arena is the first gap that is large enough (first fit). A result may take the place of an input that
ends in the same group where the kernel allows it, and the new value of a parameter is written where the old one lies
unless somebody still reads that later.
"""

from dataclasses import dataclass, field

from . import loops

LINE = 64


@dataclass
class Plan:
    """home: value -> ("arena", offset), ("input", number), ("output", number) or ("constant", value); values that
    share memory with another have its home.  copies: (value, input number) still to be copied at the end."""

    home: dict = field(default_factory=dict)
    copies: list = field(default_factory=list)
    work: dict = field(default_factory=dict)  # (group number, name) -> offset
    arena: int = 0
    live: list = field(default_factory=list)  # bytes of the arena in use, per group

    def text(self):
        """The plan for people."""
        lines = [f"arena: {self.arena} bytes, at most {max(self.live, default=0)} in use at once"]
        for v, (kind, where) in sorted(self.home.items(), key=lambda item: item[0].id):
            lines.append(
                f"  %{v.id}: {v.type_text()} in {kind} {where if not hasattr(where, 'id') else '%' + str(where.id)}"
            )
        for v, number in self.copies:
            lines.append(f"  %{v.id} is copied to input {number} at the end")
        return "\n".join(lines)


class Gaps:
    """Free places of an arena that grows."""

    def __init__(self):
        self.free = []  # (offset, size), in order
        self.end = 0

    def take(self, size):
        size = -(-max(size, 1) // LINE) * LINE
        best = None
        for k, (_, n) in enumerate(self.free):
            if n >= size and (best is None or n < self.free[best][1]):
                best = k
        if best is not None:
            start, n = self.free[best]
            if n == size:
                del self.free[best]
            else:
                self.free[best] = (start + size, n - size)
            return start
        if self.free and sum(self.free[-1]) == self.end:  # grow the last gap
            start, _ = self.free.pop()
        else:
            start = self.end
        self.end = start + size
        return start

    def give(self, start, size):
        size = -(-max(size, 1) // LINE) * LINE
        self.free.append((start, size))
        self.free.sort()
        merged = []
        for s, n in self.free:
            if merged and sum(merged[-1]) == s:
                merged[-1] = (merged[-1][0], merged[-1][1] + n)
            else:
                merged.append((s, n))
        self.free = merged


def place(program, groups, works):
    """The plan for ``groups`` (in order); ``works[k]``: {name: bytes} of scratch buffers that group k needs."""
    plan = Plan()
    last, first_made = {}, {}
    readers = {}
    for k, g in enumerate(groups):
        for v in g.inputs:
            last[v] = k
            readers.setdefault(v, []).append(k)
        for v in g.outputs:
            first_made[v] = k
    for v in program.constants:
        plan.home[v] = ("constant", v)
    for n, v in enumerate(program.inputs):
        plan.home[v] = ("input", n)
    fixed = {}
    for n, v in enumerate(program.outputs):
        if v in first_made and v not in fixed:
            fixed[v] = ("output", n)
    for number, v in program.writes.items():
        old = program.inputs[number]
        k = first_made.get(v)
        after = [r for r in readers.get(old, ()) if k is None or r > k]
        own = k is not None and old in groups[k].inputs
        if k is None or v in fixed or after or (own and not loops.may_alias(groups[k], v, old)):
            plan.copies.append((v, number))
        else:
            fixed[v] = ("input", number)
    ends = {}
    pinned = {v for v, _ in plan.copies} | {v for v in program.outputs if v not in fixed}
    for v, k in first_made.items():
        ends.setdefault(len(groups) if v in pinned else last.get(v, k), []).append(v)
    gaps, sizes = Gaps(), {}
    in_use = 0
    owner = {}  # offset of a place -> value that holds it now
    for k, g in enumerate(groups):
        dying = {v for v in g.inputs if plan.home[v][0] == "arena" and last[v] == k and v not in pinned}
        for v in g.outputs:
            if v in fixed:
                plan.home[v] = fixed[v]
                continue
            for old in dying:
                if sizes[plan.home[old][1]] >= v.nbytes and owner[plan.home[old][1]] is old and old.nbytes == v.nbytes:
                    if loops.may_alias(g, v, old):
                        plan.home[v] = plan.home[old]
                        owner[plan.home[old][1]] = v
                        dying.discard(old)
                        break
            else:
                start = gaps.take(v.nbytes)
                plan.home[v] = ("arena", start)
                sizes[start] = v.nbytes
                owner[start] = v
                in_use += v.nbytes
        temporary = []
        for name, n in works[k].items():
            start = gaps.take(n)
            plan.work[k, name] = start
            temporary.append((start, n))
        plan.live.append(in_use + sum(n for _, n in temporary))
        for start, n in temporary:
            gaps.give(start, n)
        for v in ends.get(k, ()):
            kind, start = plan.home[v]
            if kind == "arena" and owner.get(start) is v:
                gaps.give(start, sizes[start])
                in_use -= sizes[start]
                del owner[start]
    plan.arena = gaps.end
    return plan
