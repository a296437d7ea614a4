"""Where every value lies: in the caller's arrays, in constants, or in the arena, whose places are used again.

``place`` walks the groups in order. A value lives from the group that makes it to the last one that reads it; its
place in the arena is the smallest gap that is large enough. Before that, the arrays of the program's results are
tried, whose memory is free until the result is made (a weight's gradient, for most of the step). A result may take
the place of an input that ends in the same group where the kernel allows it, and the new value of a parameter is
written where the old one lies unless somebody still reads that later.
"""

from dataclasses import dataclass, field

from . import loops

LINE = 64
LEAST = 1024  # bytes of a result whose memory is worth using before the result is there


@dataclass
class Plan:
    """home: value -> ("arena", offset), ("input", number), ("output", number) or ("constant", value); values that
    share memory with another have its home.  copies: (value, input number) still to be copied at the end."""

    home: dict = field(default_factory=dict)  # the third member, if any, is an offset into the place
    copies: list = field(default_factory=list)
    work: dict = field(default_factory=dict)  # (group number, name) -> offset
    arena: int = 0
    live: list = field(default_factory=list)  # bytes of the arena in use, per group

    def text(self):
        """The plan for people."""
        lines = [f"arena: {self.arena} bytes, at most {max(self.live, default=0)} in use at once"]
        for v, (kind, where, *more) in sorted(self.home.items(), key=lambda item: item[0].id):
            where = f"{where} at {more[0]}" if more else where
            lines.append(
                f"  %{v.id}: {v.type_text()} in {kind} {where if not hasattr(where, 'id') else '%' + str(where.id)}"
            )
        for v, number in self.copies:
            lines.append(f"  %{v.id} is copied to input {number} at the end")
        return "\n".join(lines)


class Gaps:
    """Free places of an arena that grows, or of a place of a fixed size."""

    def __init__(self, fixed=None):
        self.free = [] if fixed is None else [(0, fixed)]  # (offset, size), in order
        self.fixed = fixed
        self.end = fixed or 0

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
        if self.fixed is not None:
            return None
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
    ends, places = {}, {}
    pinned = {v for v, _ in plan.copies} | {v for v in program.outputs if v not in fixed}
    end_of = {v: len(groups) if v in pinned else last.get(v, k) for v, k in first_made.items()}
    for v, k in end_of.items():
        ends.setdefault(k, []).append(v)
    # Pools: the arena, and each result's memory up to the group that makes it.
    arena = Gaps()
    pools = {("arena",): arena}
    until = {}
    for v, (kind, n) in fixed.items():
        if kind == "output" and v.nbytes >= LEAST:
            pools["output", n] = Gaps(v.nbytes // LINE * LINE)
            until["output", n] = first_made[v]
    order = sorted(until, key=lambda pool: pools[pool].fixed)
    in_use = 0
    owner, sizes = {}, {}  # (pool, offset) -> the value that is there now; the bytes taken for it

    def take(v):
        for pool in order:
            if end_of[v] < until[pool]:
                start = pools[pool].take(v.nbytes)
                if start is not None:
                    return pool, start
        return ("arena",), arena.take(v.nbytes)

    for k, g in enumerate(groups):
        dying = [v for v in g.inputs if v in end_of and v in places and end_of[v] == k]
        for v in g.outputs:
            if v in fixed:
                plan.home[v] = fixed[v]
                continue
            for old in dying:
                spot = places[old]
                fits = (
                    old.nbytes == v.nbytes and owner.get(spot) is old and end_of[v] < until.get(spot[0], end_of[v] + 1)
                )
                if fits and loops.may_alias(g, v, old):
                    places[v] = spot
                    owner[spot] = v
                    dying.remove(old)
                    break
            else:
                spot = places[v] = take(v)
                owner[spot], sizes[spot] = v, v.nbytes
                in_use += v.nbytes
            (pool, start) = places[v]
            plan.home[v] = ("arena", start) if pool == ("arena",) else (*pool, start)
        temporary = []
        for name, n in works[k].items():
            start = arena.take(n)
            plan.work[k, name] = start
            temporary.append((start, n))
        plan.live.append(in_use + sum(n for _, n in temporary))
        for start, n in temporary:
            arena.give(start, n)
        for v in ends.get(k, ()):
            spot = places.get(v)
            if spot is not None and owner.get(spot) is v:
                pools[spot[0]].give(spot[1], sizes[spot])
                in_use -= sizes[spot]
                del owner[spot]
    plan.arena = arena.end
    return plan
