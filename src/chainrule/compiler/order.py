"""The order in which groups run: what frees memory comes as soon as it can.

The fuser's order is right but puts every parameter's update at the end, when its gradient has left the cache and the
activations behind it have been held for nothing. Here a group that makes nothing new, or less than it lets go of, runs
right after the group that made it possible; otherwise the fuser's order stays.
"""

import heapq

from . import commit

TINY = 64  # bytes
KEPT = 16  # groups that could have run next and are looked at again


def ordered(program, groups):
    """``groups`` in another order in which they can run; a parameter is written after everybody has read it."""
    made = {v: k for k, g in enumerate(groups) for v in g.outputs}
    readers = {}
    for k, g in enumerate(groups):
        for v in dict.fromkeys(g.inputs):
            readers.setdefault(v, []).append(k)
    after = [set() for _ in groups]  # what has to come before
    for k, g in enumerate(groups):
        after[k].update(made[v] for v in g.inputs if v in made)
    for number, v in program.writes.items():
        if v in made:
            k = made[v]
            for r in readers.get(program.inputs[number], ()):
                if r != k and k not in after[r]:
                    after[k].add(r)
    draws = [k for k, g in enumerate(groups) if g.kind == "call"]
    for a, b in zip(draws, draws[1:], strict=False):  # calls keep their order: random draws depend on it
        after[b].add(a)
    sequence = topological(after)
    if sequence is not None and commit.behind(program, groups, after, sequence):
        sequence = topological(after)
    if sequence is None:
        return groups
    then = [[] for _ in groups]
    missing = [len(a) for a in after]
    for k, a in enumerate(after):
        for b in a:
            then[b].append(k)
    held = set(program.outputs) | set(program.writes.values())  # has a place of its own
    left = {v: len(ks) for v, ks in readers.items()}

    def growth(k):
        """Bytes that the group takes minus those that it lets go of."""
        g = groups[k]
        taken = sum(v.nbytes for v in g.outputs if v not in held)
        return taken - sum(v.nbytes for v in dict.fromkeys(g.inputs) if v in made and v not in held and left[v] == 1)

    depth = [0] * len(groups)
    for k in sequence:
        depth[k] = 1 + max((depth[b] for b in after[k]), default=0)
    due = depth[:]  # what only leaves the program is wanted as soon as it can be; everything else when its readers are
    for k in reversed(sequence):
        if then[k]:
            due[k] = min(due[c] for c in then[k])

    def turn(k):
        """A few numbers (an optimiser's corrections) come first: much that waits for them could go early. The rest
        comes when it is wanted."""
        return sum(v.nbytes for v in groups[k].outputs) > TINY, due[k], k

    ready = [turn(k) for k, n in enumerate(missing) if n == 0]
    heapq.heapify(ready)
    waiting, near, out = {k for *_, k in ready}, [], []
    while waiting:
        k = None
        best = 0
        for c in near:
            if c in waiting and (n := growth(c)) <= best:
                if k is None or n < best:
                    k, best = c, n
        if k is None:
            k = heapq.heappop(ready)[-1]
            while k not in waiting:
                k = heapq.heappop(ready)[-1]
        waiting.discard(k)
        out.append(groups[k])
        near = [c for c in near if c in waiting][-KEPT:]
        for v in dict.fromkeys(groups[k].inputs):
            left[v] -= 1
            if left[v] == 1:
                near += [r for r in readers[v] if r in waiting]
        for c in then[k]:
            missing[c] -= 1
            if missing[c] == 0:
                waiting.add(c)
                heapq.heappush(ready, turn(c))
        near += [c for c in then[k] if c in waiting]
    return out


def topological(after):
    """An order that respects ``after``, or None if it contradicts itself: two parameters that are exchanged do that."""
    missing = [len(a) for a in after]
    then = [[] for _ in after]
    for k, a in enumerate(after):
        for b in a:
            then[b].append(k)
    out = [k for k, n in enumerate(missing) if n == 0]
    for k in out:
        for c in then[k]:
            missing[c] -= 1
            if missing[c] == 0:
                out.append(c)
    return out if len(out) == len(after) else None
