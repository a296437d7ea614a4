"""Writes into parts of an array: each is the root of a group, and those that fill one array together share a group.

``f`` is the state of the walk in fuse.py.
"""

from .group import MOST_INSTRS, MOST_POINTERS
from .loops.access import meet, repeats, source, squeeze


def root(f, i):
    """Take an update or scatter: its space is the piece's, whose producers may join."""
    piece = i.inputs[-1]
    g = chained(f, i)
    if g is None:
        sizes, _ = squeeze(piece.shape)
        g = f.new(i.op, sizes)
        g.store[i.output] = None
        f.home[i.output] = g
    g.members.append(i)
    g.roots.append(i)
    if not filled(g):
        start_from(f, g, i.inputs[0])
    index = f.split_forms(g, piece.shape, lambda: squeeze(g.sizes)[1])
    f.read(g, piece, index)
    if i.op == "scatter":
        at = i.inputs[1]
        d = i.params["dim"]
        part = index if i.params["along"] else index[d : d + len(at.shape)]
        f.read(g, at, part, whole=True)


def start_from(f, g, base):
    """Note that the group goes on from what ``base`` holds."""
    below = source(base)[0]
    if below.instr is None or below.instr.op != "scalar":
        if base.instr is not None and base.instr.op in ("view", "iota"):
            f.needed.add(base)
        f.use(g, base, None, memory=True)


def chained(f, i):
    """The group of the update that goes on from this one's result, if both can be one kernel: pieces of one shape that
    do not meet, and that nobody else waits for."""
    v, piece = i.output, i.inputs[-1]
    uses = f.uses.get(v, {})
    if i.op != "update" or i.params["fn"] != "set" or len(uses) != 1 or v in f.results:
        return None
    (g, places) = next(iter(uses.items()))
    if g.kind != "update" or places != {None} or g.sizes != squeeze(piece.shape)[0] or not g.alive:
        return None
    last = g.roots[-1]
    if last.inputs[0] is not v or last.params["fn"] != "set" or piece.shape != last.inputs[1].shape:
        return None
    if len(g.members) >= MOST_INSTRS or len(g.reads) >= MOST_POINTERS:
        return None
    if any(source(u)[0] is v for m in g.members for u in m.inputs[m is last :]):  # a later piece is picked from it
        return None
    made = source(piece)[0]
    if made in f.results or made in f.uses:  # whoever else wants the piece wants it soon
        return None
    if any(meet(i.params, other.params, piece.shape) for other in g.roots):
        return None
    f.uses.pop(v)
    f.needed.discard(v)
    g.reads.discard(v)
    return g


def filled(g):
    """Whether nothing of what was in the array matters: the pieces cover it, or later writes will."""
    if g.kind != "update":
        return False
    return g.roots[-1].params.get("fresh") or (all(i.params["fn"] == "set" for i in g.roots) and covered(g.roots))


def covered(roots):
    """Whether pieces that do not meet are as many elements as the array has."""
    piece = roots[0].inputs[1]
    return not repeats(roots[0].params, piece.shape) and piece.size * len(roots) == roots[0].output.size
