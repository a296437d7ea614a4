"""Writes into a part of an array: the copy of the base, and the loop over the piece."""

from ..ir import contiguous
from .access import Place, forms, injective, source, squeeze, through
from .nodes import Access, Graph, Store, member, read


def scatter_graphs(group):
    """``[(graph, in_place)]`` of an update or scatter group: the copy, which does nothing if base and output share
    their memory, and the piece."""
    root = group.instrs[-1]
    base, out = root.inputs[0], root.output
    return [(_copy(base, out), True), (_piece(group, root, out), False)]


def _copy(base, out):
    sizes, place = squeeze(out.shape)
    g = Graph(sizes, ())
    from_, _, _ = source(base)
    if from_.instr is not None and from_.instr.op == "scalar":
        node = g.const(from_.instr.params["value"], out.dtype)
    else:
        node = g.load(base, place)
    p = g.pointer(out, out.dtype, ("out", out))
    g.stores.append(Store(node, Access(p, out.dtype, place.strides, 0)))
    return g.finish()


def _piece(group, root, out):
    g = Graph(group.sizes, ())
    made = {}
    for i in group.instrs[:-1]:
        member(g, group, i, made)
    own = contiguous(g.sizes)
    piece, n = root.inputs[-1], len(g.sizes)
    index = forms(piece.shape, Place(own, 0), g.sizes)
    node = read(g, piece, index, made)
    others = [v for v in group.outputs if v is not out]
    for v in others:
        place = group.places[v]
        g.stores.append(Store(made[v], Access(g.pointer(v, v.dtype, ("out", v)), v.dtype, place.strides, place.offset)))
    pointer = g.pointer(out, out.dtype, ("out", out))
    if root.op == "update":
        place = through(index, n, piece.shape, root.params["strides"], root.params["offset"])
        access = Access(pointer, out.dtype, place.strides, place.offset)
        if not injective(place.strides, g.sizes):
            _overlap(g, place, root.params["fn"])
    else:
        access = _indexed(g, root, index, n, pointer, out, made)
    g.stores.append(Store(node, access, root.params["fn"]))
    g.finish()
    if root.op == "scatter" and root.params["along"]:
        d = root.params["dim"]
        touched = {k for k, c in enumerate(index[d][0]) if c}
        g.red |= touched
        g.serial |= touched
    elif root.op == "scatter":
        d = root.params["dim"]
        for f in index[d : d + len(root.inputs[1].shape)]:
            touched = {k for k, c in enumerate(f[0]) if c}
            g.red |= touched
            g.serial |= touched
    return g.finish()


def _overlap(g, place, fn):
    """The dims whose points meet the same elements run in order; dims that stride over all the others stay free."""
    reach = 0
    free = []
    for s, d in sorted((abs(s), d) for d, s in enumerate(place.strides)):
        if s > reach and g.sizes[d] > 1:
            free.append(d)
        elif g.sizes[d] > 1:
            free = []
        reach += s * (g.sizes[d] - 1)
    bound = {d for d in range(len(g.sizes)) if d not in free}
    g.red |= bound
    if fn == "set":
        g.serial |= bound


def _indexed(g, root, index, n, pointer, out, made):
    base, at_ = root.inputs[0], root.inputs[1]
    d, strides = root.params["dim"], list(contiguous(base.shape))
    if root.params["along"]:
        which = read(g, at_, index, made)
        rest = [s if k != d else 0 for k, s in enumerate(strides)]
        place = through(index, n, root.inputs[2].shape, rest, 0)
    else:
        k = len(at_.shape)
        which = read(g, at_, index[d : d + k], made)
        left = (*base.shape[:d], *base.shape[d + 1 :])
        place = through(index[:d] + index[d + k :], n, left, (*strides[:d], *strides[d + 1 :]), 0)
    return Access(pointer, out.dtype, place.strides, place.offset, which, strides[d], base.shape[d])
