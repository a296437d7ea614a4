"""The order of the items within each rank: few crossings, seeded by the order in which the program named its values.

Sweeps by barycentre (Sugiyama) down and up, a bounded number, keeping the best order met; small drawings are then
polished by exchanging neighbours while that removes crossings.
"""

from bisect import bisect_right, insort

from .layering import Proper

_SMALL = 600  # items up to which neighbours are exchanged one by one


def seed(g: Proper) -> list[int]:
    """A number per item: the visit order of a walk from the results to their inputs, operands in order.

    Drawn in that order a tree has no crossings, and an added node leaves the numbers of the others in sequence.
    """
    n = g.nodes
    operands: list[list[int]] = [[] for _ in range(n)]
    used = [False] * n
    for path in g.chains:
        if path:
            operands[path[-1]].append(path[0])
            used[path[0]] = True
    number, count = [-1] * len(g.rank), 0
    seen = [False] * n
    for root in [v for v in range(n) if not used[v]] + list(range(n)):
        if seen[root]:
            continue
        seen[root] = True
        stack = [(root, iter(operands[root]))]
        while stack:
            v, rest = stack[-1]
            for u in rest:
                if not seen[u]:
                    seen[u] = True
                    stack.append((u, iter(operands[u])))
                    break
            else:
                number[v] = count
                count += 1
                stack.pop()
    for path in g.chains:
        for item in path[1:-1]:
            if number[item] < 0:
                number[item] = number[path[0]]
    return number


def crossings(orders: list[list[int]], g: Proper, position: list[int]) -> int:
    """How many pairs of steps cross."""
    total, at = 0, position.__getitem__
    for row in orders:
        if len(row) < 2:
            continue
        reached: list[int] = []
        for v in row:
            near = g.down[v]
            if len(near) == 1:
                p = position[near[0]]
                if reached and p < reached[-1]:
                    total += len(reached) - bisect_right(reached, p)
                    insort(reached, p)
                else:
                    reached.append(p)
            elif near:
                targets = sorted(map(at, near))
                for p in targets:
                    total += len(reached) - bisect_right(reached, p)
                for p in targets:
                    insort(reached, p)
    return total


def _place(row: list[int], position: list[int]) -> None:
    for i, v in enumerate(row):
        position[v] = i


def _sort(row: list[int], neighbours: list[list[int]], position: list[int]) -> None:
    """Sort a rank by the mean position of its neighbours; items without any keep their slots."""
    at = position.__getitem__
    keyed = []
    for i, v in enumerate(row):
        near = neighbours[v]
        if len(near) == 1:
            keyed.append((position[near[0]], i))
        elif near:
            keyed.append((sum(map(at, near)) / len(near), i))
    if len(keyed) == len(row):
        keyed.sort()
        row[:] = [row[i] for _, i in keyed]
    else:
        slots = [i for _, i in keyed]
        keyed.sort()
        moved = [row[i] for _, i in keyed]
        for slot, v in zip(slots, moved, strict=True):
            row[slot] = v
    _place(row, position)


def _pair(first: list[int], second: list[int]) -> int:
    """Crossings between the steps of two neighbours when the first stands before the second."""
    return sum([a > b for a in first for b in second])


def _exchange(orders: list[list[int]], g: Proper, position: list[int]) -> None:
    """Swap neighbours in a rank while that lowers the number of crossings; every swap does, so it ends."""
    better, rounds = True, 0
    while better and rounds < 20:
        better, rounds = False, rounds + 1
        for row in orders:
            for i in range(len(row) - 1):
                v, w = row[i], row[i + 1]
                gain = 0
                for side in (g.up, g.down):
                    a, b = [position[x] for x in side[v]], [position[x] for x in side[w]]
                    gain += _pair(a, b) - _pair(b, a)
                if gain > 0:
                    row[i], row[i + 1] = w, v
                    position[v], position[w] = i + 1, i
                    better = True


def order(g: Proper) -> list[list[int]]:
    """The items of each rank in drawing order."""
    number = seed(g)
    orders = [sorted(row, key=lambda v: (number[v], v)) for row in g.ranks()]
    position = [0] * len(g.rank)
    for row in orders:
        _place(row, position)
    wide = [r for r, row in enumerate(orders) if len(row) > 1]
    if not wide:
        return orders
    best, fewest = [list(row) for row in orders], crossings(orders, g, position)
    small = len(g.rank) <= _SMALL
    sweeps, patience = (16, 4) if small else (6, 1)
    stale = 0
    for sweep in range(sweeps):
        if fewest == 0 or stale >= patience:
            break
        down = sweep % 2 == 0
        for r in wide if down else reversed(wide):
            _sort(orders[r], g.up if down else g.down, position)
        if small:
            _exchange(orders, g, position)
        elif down and sweep + 1 < sweeps:
            continue  # counting is dear: once for down and up
        now = crossings(orders, g, position)
        if now < fewest:
            best, fewest, stale = [list(row) for row in orders], now, 0
        else:
            stale += 1
    return best
