"""Where each item stands within its rank: as straight as the order allows, nothing closer than its extents permit.

Brandes and Köpf, "Fast and simple horizontal coordinate assignment" (2001): align each item with a median neighbour in
four ways, pack the aligned blocks, take the mean of the two middle results. The packing is by longest paths over the
blocks, which needs no recursion and does not have the flaw of the published one (Brandes, Walter, Zink, erratum 2020).
"""

from math import inf

from .layering import Proper

_FOUR_WAYS = 30_000  # items up to which blocks are aligned in four ways; beyond that in two


def _straight(g: Proper) -> tuple[list[list[int]], list[list[int]]]:
    """The neighbours that an item may line up with: where edges leave a shared chain, the chain goes on straight."""
    up, down = list(g.up), list(g.down)
    for item, following in g.spine.items():
        for v in g.down[item]:
            if v >= g.nodes and v != following:
                up[v] = []
        down[item] = [following]
    return up, down


def _conflicts(orders: list[list[int]], g: Proper, ups, position: list[int]) -> set[tuple[int, int]]:
    """Steps that cross a step between two stand-ins: long edges stay straight, the others give way."""
    found, n = set(), g.nodes
    for upper, lower in zip(orders, orders[1:], strict=False):
        left, scanned = 0, 0
        for i, v in enumerate(lower):
            inner = next((u for u in ups[v] if u >= n), None) if v >= n else None
            if inner is None and i < len(lower) - 1:
                continue
            right = position[inner] if inner is not None else len(upper)
            for w in lower[scanned : i + 1]:
                for u in g.up[w]:
                    if not left <= position[u] <= right and not (u >= n and w >= n and ups[w]):
                        found.add((u, w))
            scanned, left = i + 1, right
    return found


def _align(orders, neighbours, position, conflicts) -> tuple[list[int], list[int]]:
    """Blocks of aligned items, going through the ranks in the order given: ``(the block's first item, the next one)``.

    Both are per item; the next of a block's last item is its first.
    """
    size = len(position)
    root, link = list(range(size)), list(range(size))
    for row in orders:
        last = -1
        for v in row:
            near = neighbours[v]
            d = len(near)
            if d == 0:
                continue
            if d > 1:
                near = sorted(near, key=position.__getitem__)
            for m in ((d - 1) // 2, d // 2) if d % 2 == 0 else (d // 2,):
                u = near[m]
                if link[v] == v and last < position[u]:
                    if conflicts and ((u, v) in conflicts or (v, u) in conflicts):
                        continue
                    link[u] = v
                    root[v] = link[v] = root[u]
                    last = position[u]
    return root, link


def _pack(root, link, following, apart) -> list[float]:
    """Coordinates of the blocks packed towards the start, then pulled as close to their successors as these allow.

    following, apart: the next item in the rank, or -1, and how far from it the item must stay.
    """
    size = len(root)
    waiting = [0] * size
    for v in following:
        if v >= 0:
            waiting[root[v]] += 1
    x = [0.0] * size
    ready = [v for v in range(size) if root[v] == v and not waiting[v]]
    for block in ready:  # grows while it is read
        base, u = x[block], block
        while True:
            v = following[u]
            if v >= 0:
                r = root[v]
                least = base + apart[u]
                if x[r] < least:
                    x[r] = least
                waiting[r] -= 1
                if not waiting[r]:
                    ready.append(r)
            u = link[u]
            if u == block:
                break
    for block in reversed(ready):
        most, u = inf, block
        while True:
            v = following[u]
            if v >= 0:
                most = min(most, x[root[v]] - apart[u])
            u = link[u]
            if u == block:
                break
        if x[block] < most < inf:
            x[block] = most
    return [x[r] for r in root]


def _following(orders, before, after) -> tuple[list[int], list[float]]:
    following, apart = [-1] * len(before), [0.0] * len(before)
    for row in orders:
        for u, v in zip(row, row[1:], strict=False):
            following[u], apart[u] = v, after[u] + before[v]
    return following, apart


def straighten(orders: list[list[int]], g: Proper, before: list[float], after: list[float]) -> list[float]:
    """The cross coordinate of every item: neighbours in a rank are at least ``after[u] + before[v]`` apart."""
    size = len(g.rank)
    position = [0] * size
    for row in orders:
        for i, v in enumerate(row):
            position[v] = i
    up, down = _straight(g)
    conflicts = _conflicts(orders, g, up, position)
    mirrored = [list(reversed(row)) for row in orders]
    flipped = [0] * size
    for row in mirrored:
        for i, v in enumerate(row):
            flipped[v] = i
    directions = [(up, 1), (down, -1)] if size <= _FOUR_WAYS else [(up, 1)]
    found = []
    for rows, place, b, a, sign in ((orders, position, before, after, 1), (mirrored, flipped, after, before, -1)):
        following, apart = _following(rows, b, a)
        for neighbours, step in directions:
            root, link = _align(rows[::step], neighbours, place, conflicts)
            found.append([sign * x for x in _pack(root, link, following, apart)])
    if not size:
        return []
    # All are laid on the narrowest: those packed towards the start by their starts, the others by their ends.
    spans = [(min(x), max(x)) for x in found]
    low, high = min(spans, key=lambda s: s[1] - s[0])
    half = len(spans) // 2
    shifts = [low - s[0] for s in spans[:half]] + [high - s[1] for s in spans[half:]]
    if half == 1:
        p, q = shifts
        return [(x + p + y + q) / 2 for x, y in zip(*found, strict=True)]
    p, q, s, t = shifts
    cross = []
    for values in zip(*found, strict=True):
        four = sorted((values[0] + p, values[1] + q, values[2] + s, values[3] + t))
        cross.append((four[1] + four[2]) / 2)
    return cross
