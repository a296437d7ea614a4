"""Writes into a part of an array: the copy of the base, and the loop over the piece."""

from ..ir import contiguous
from .access import Place, forms, injective, source, squeeze, through
from .nodes import Access, Graph, Store, member, read


def scatter_graphs(group):
    """``[(graph, in_place)]`` of an update or scatter group: the copy, which does nothing if base and output share
    their memory, and the pieces; no copy where the pieces are all there is."""
    out = group.instrs[-1].output
    pieces = (_pieces(group, out), False)
    return [pieces] if group.base is None else [(_copy(group.base, out), True), pieces]


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


def _pieces(group, out):
    g = Graph(group.sizes, ())
    made = {}
    for i in group.instrs:
        if i not in group.roots:
            member(g, group, i, made)
    for v in group.outputs:
        if v is not out:
            p = g.pointer(v, v.dtype, ("out", v))
            place = group.places[v]
            g.stores.append(Store(made[v], Access(p, v.dtype, place.strides, place.offset)))
    pointer = g.pointer(out, out.dtype, ("out", out))
    for root in reversed(group.roots):
        _piece(g, root, pointer, made)
    return g.finish()


def _piece(g, root, pointer, made):
    out, piece, n = root.output, root.inputs[-1], len(g.sizes)
    index = forms(piece.shape, Place(contiguous(g.sizes), 0), g.sizes)
    node = read(g, piece, index, made)
    if root.op == "update":
        place = through(index, n, piece.shape, root.params["strides"], root.params["offset"])
        access = Access(pointer, out.dtype, place.strides, place.offset)
        if not injective(place.strides, g.sizes):
            _overlap(g, place, root.params["fn"])
    else:
        access = _indexed(g, root, index, n, pointer, out, made)
    g.stores.append(Store(node, access, root.params["fn"]))
    g.finish()
    if root.op == "scatter":
        d = root.params["dim"]
        for f in index[d : d + (1 if root.params["along"] else len(root.inputs[1].shape))]:
            touched = {k for k, c in enumerate(f[0]) if c}
            g.red |= touched
            g.serial |= touched


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
