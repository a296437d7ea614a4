"""Merging groups of equal iteration spaces that read the same values: one pass instead of two.

``f`` is the state of the walk in fuse.py.
"""

from .group import MOST_INSTRS, MOST_POINTERS
from .loops.access import points, source, still


def merge_all(f, takers, v):
    """Merge groups that read ``v`` at the same place of equal spaces; returns the groups that are left."""
    left = []
    for g in sorted(takers, key=lambda g: -g.key):
        for h in left:
            if f.only_place(v, g) == f.only_place(v, h) and mergeable(f, h, g):
                merge(f, h, g)
                break
        else:
            left.append(g)
    return left


def mergeable(f, g, h):
    if g.kind != "loops" or h.kind != "loops" or g.sizes != h.sizes:
        return False
    if g.red != h.red and g.red and h.red:
        return False
    if g.red != h.red:  # maps in a group with reductions: they must not need rows of another kind
        whole = h if g.red else g
        if any(still(p, whole.sizes) not in (frozenset(), g.red | h.red) for p in whole.places.values()):
            return False
    if len(g.members) + len(h.members) > MOST_INSTRS:
        return False
    if len(g.reads | h.reads) + len(g.store) + len(h.store) > MOST_POINTERS:
        return False
    if g.reads & h.store.keys() or h.reads & g.store.keys():
        return False
    if f.checks.isdisjoint(g.store) != f.checks.isdisjoint(h.store):  # checks come first, and alone
        return False
    for u in g.places.keys() & h.places.keys():
        if g.places[u] != h.places[u] or g.along.get(u) != h.along.get(u):
            return False
    low, high = bounds(f, g, h)
    return high is None or high - low > 1e-6


def bounds(f, g, h):
    """The keys between which a group that is both must lie."""
    low = 0.0
    for v in (*g.store, *h.store):
        low = max([low, *(k.key for k in f.uses.get(v, ()) if k is not g and k is not h)])
    keys = [f.home[u].key for u in g.reads | h.reads if u in f.home]
    return low, min(keys, default=None)


def merge(f, g, h):
    low, high = bounds(f, g, h)
    if not (low < g.key and (high is None or g.key < high)):
        if high is None:
            f.top += 1.0
            g.key = f.top
        else:
            g.key = (low + high) / 2
    have = {id(i) for i in g.members}
    g.members += [i for i in h.members if id(i) not in have]
    # members stand last first: an order by the number of the value is one
    g.members.sort(key=lambda i: -i.outputs[0].id)
    g.places.update(h.places)
    g.along.update(h.along)
    g.store.update(h.store)
    g.reads |= h.reads
    g.reads -= g.places.keys()
    g.red = g.red | h.red
    for v in h.store:
        f.home[v] = g
    for v in h.reads | h.places.keys():
        uses = f.uses.get(v)
        if uses and h in uses:
            uses.setdefault(g, set()).update(uses.pop(h))
    for uses in uses_of_leaves(f, h):
        if h in uses:  # it may have been among them twice
            uses.setdefault(g, set()).update(uses.pop(h))
    h.alive = False


def uses_of_leaves(f, h):
    found = []
    for i in h.members:
        for u in i.inputs:
            uses = f.uses.get(source(u)[0])
            if uses and h in uses:
                found.append(uses)
    return found


def siblings(f):
    """Merge groups of equal spaces that read the same arrays."""
    readers = {}
    for g in f.groups:
        if g.alive and g.kind == "loops":
            for v in g.reads:
                if v.size * 4 >= points(g.sizes):
                    readers.setdefault(v, []).append(g)
    for v, found in readers.items():
        if v.size == 1 and len(found) > 4:
            continue  # a learning rate or the like: merging would only make kernels that are not shared
        for a, b in zip(found, found[1:], strict=False):
            if a.alive and b.alive and a is not b and f.uses[v].get(a) == f.uses[v].get(b):
                g, h = (a, b) if a.key > b.key else (b, a)
                if g.red == h.red and mergeable(f, g, h):
                    merge(f, g, h)
