"""Where every value lies: in the caller's arrays, in constants, or in the arena, whose places are used again.

A value lives from the group that makes it to the last one that reads it. Values are placed from the largest to the
smallest, each at the least offset where nothing else is at that time. The arrays of the program's results are tried
first: their memory is free until the result is made (a weight's gradient, for most of the step). A result may take
the place of an input that ends in the same group where the kernel allows it, and the new value of a parameter is
written where the old one lies unless somebody still reads that later.
"""

from bisect import insort
from dataclasses import dataclass, field

from . import commit, loops

LINE = 64
MOST = 1500  # blocks that are placed by size; more are placed in order, which takes less time and more memory
LEAST = 1024  # bytes of a result whose memory is worth using before the result is there


@dataclass
class Plan:
    """home: value -> ("arena", offset), ("input", number), ("output", number) or ("constant", value); values that
    share memory with another have its home.  copies: (value, home) still to be copied at the end."""

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
        for v, (kind, number) in self.copies:
            lines.append(f"  %{v.id} is copied to {kind} {number} at the end")
        return "\n".join(lines)


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
    free = max(commit.stops(program, groups), default=-1) + 1  # from here on lasting memory may be written
    for n, v in enumerate(program.outputs):
        if v in first_made and v not in fixed and n not in program.checks:
            if n in program.lasting and first_made[v] < free:
                plan.copies.append((v, ("output", n)))
            else:
                fixed[v] = ("output", n)
    for number, v in program.writes.items():
        old = program.inputs[number]
        k = first_made.get(v)
        after = [r for r in readers.get(old, ()) if k is None or r > k]
        own = k is not None and old in groups[k].inputs
        if k is None or k < free or v in fixed or after or (own and not loops.may_alias(groups[k], v, old)):
            plan.copies.append((v, ("input", number)))
        else:
            fixed[v] = ("input", number)
    added = {g.outputs[0]: g.instrs[0].inputs[2] for g in groups if g.kind == "dot" and len(g.instrs[0].inputs) == 3}
    carry(plan, fixed, added, first_made, {("output", n) for n in program.lasting}, free)
    since = {("output", n): free for n in program.lasting}
    blocks = blocks_of(program, plan, groups, fixed, last, first_made)
    for k, work in enumerate(works):
        blocks += [Block(n, k, k, (), (k, name)) for name, n in work.items()]
    spots, plan.arena = min(
        (arranged(sorted(blocks, key=key), fixed, first_made, since, len(groups)) for key in orders(len(blocks))),
        key=lambda found: found[1],
    )
    for b in blocks:
        name, at = spots[b]
        if b.work:
            plan.work[b.work] = at
        for v in b.values:
            plan.home[v] = (*name, at)
    if any(plan.home[v] != plan.home[c] for v, c in added.items()):
        raise AssertionError("plan: a product that is added to another lies elsewhere")
    plan.live = [0] * len(groups)
    for b in blocks:
        for k in range(b.start, min(b.end + 1, len(groups))):
            plan.live[k] += b.size
    return plan


def carry(plan, fixed, added, first_made, lasting, free):
    """Products that are added to a product that is added to ...: all lie where the last one has to."""
    for v in [v for v in fixed if v in added]:
        chain = [v]
        while chain[-1] in added:
            chain.append(added[chain[-1]])
        if fixed[v] in lasting and first_made[chain[-1]] < free:
            plan.copies.append((v, fixed.pop(v)))
        else:
            fixed.update(dict.fromkeys(chain, fixed[v]))


def orders(n):
    """Orders in which to place n blocks; the arrangement that takes least memory is kept."""
    by_size = lambda b: (-b.size, b.start)  # noqa: E731
    by_area = lambda b: (-b.size * (b.end - b.start + 1), b.start)  # noqa: E731
    by_time = lambda b: (b.start, -b.size)  # noqa: E731
    by_life = lambda b: (b.start - b.end, -b.size)  # noqa: E731
    return [by_time] if n > MOST else [by_size] if n > MOST // 3 else [by_size, by_area, by_life, by_time]


def arranged(blocks, fixed, first_made, since, last):
    """Places for the blocks in this order: ``({block: (pool, offset)}, size of the arena)``."""
    # A result's memory is free until the group that makes it, lasting memory from the group ``since`` on.
    until, size = {}, {}
    for v, home in fixed.items():
        if home[0] == "output" and v.nbytes >= LEAST:
            until[home] = min(first_made[v], until.get(home, last))
            size[home] = v.nbytes // LINE * LINE
    pools = {home: Pool(size[home], k, since.get(home, 0)) for home, k in until.items()}
    arena = Pool(None, last + 1, 0)
    order = sorted(pools, key=lambda name: pools[name].size)
    spots = {}
    for b in blocks:
        for name in order:
            at = pools[name].take(b) if not b.work else None
            if at is not None:
                break
        else:
            name, at = ("arena",), arena.take(b)
        spots[b] = name, at
    return spots, arena.end


class Block:
    """Memory for values that follow each other in one place, from the group ``start`` to the group ``end``."""

    __slots__ = ("end", "size", "start", "values", "work")

    def __init__(self, size, start, end, values, work=None):
        self.size = -(-max(size, 1) // LINE) * LINE
        self.start, self.end, self.values, self.work = start, end, values, work


def blocks_of(program, plan, groups, fixed, last, first_made):
    """The blocks of all values without a fixed home: a result takes the place of an input that ends in its group where
    the kernel allows it."""
    pinned = {v for v, _ in plan.copies} | {v for v in program.outputs if v not in fixed}
    block_of, blocks = {}, []
    for k, g in enumerate(groups):
        dying = [v for v in g.inputs if v in block_of and last[v] == k and v not in pinned]
        for v in g.outputs:
            if v in fixed:
                plan.home[v] = fixed[v]
                continue
            end = len(groups) if v in pinned else last.get(v, k)
            for old in dying:
                if old.nbytes == v.nbytes and block_of[old].end == k and loops.may_alias(g, v, old):
                    block = block_of[v] = block_of[old]
                    block.values.append(v)
                    block.end = end
                    dying.remove(old)
                    break
            else:
                block = block_of[v] = Block(v.nbytes, k, end, [v])
                blocks.append(block)
    return blocks


class Pool:
    """One piece of memory, of a fixed size or growing, in use only from the group ``since`` and before ``until``."""

    def __init__(self, size, until, since):
        self.size, self.until, self.since = size, until, since
        self.taken = []  # (offset, end offset, first group, last group), sorted
        self.end = 0

    def take(self, b):
        """The least offset at which the block overlaps no other in time and place, or None."""
        if b.end >= self.until or b.start < self.since or (self.size is not None and b.size > self.size):
            return None
        at = 0
        for start, end, first, last in self.taken:
            if first <= b.end and b.start <= last:
                if start - at >= b.size:
                    break
                if end > at:
                    at = end
        if self.size is not None and at + b.size > self.size:
            return None
        insort(self.taken, (at, at + b.size, b.start, b.end))
        self.end = max(self.end, at + b.size)
        return at
