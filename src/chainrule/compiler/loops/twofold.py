"""Reductions in two stages: partial results of fixed blocks in a workspace, then the rest of the group."""

from .nodes import Access, Graph, Store
from .text import SIZES


def halve(graph, space):
    """Leave in ``graph`` the first stage, storing the blocks' results; return the graph of the second stage."""
    block = space.partial
    par = sorted(d for d in space.par if d != block)
    blocks = graph.sizes[block]
    sizes = [graph.sizes[d] for d in par]
    count = 1
    strides = {}
    for d in reversed(par):
        strides[d] = count
        count *= graph.sizes[d]
    strides[block] = count
    count *= blocks
    reduces = [n for n in graph.nodes if n.kind == "reduce"]
    offsets, total = [], 0
    for r in reduces:
        offsets.append(total)
        total += -(-count * SIZES[r.dtype] // 64) * 64
    work = ("work", total)

    rest = Graph([*sizes, blocks], {len(sizes)})
    made = {}

    def access(r, k, of):
        p = of.pointer(work, "int8")
        if of is graph:
            line = [strides.get(d, 0) for d in range(len(graph.sizes))]
        else:
            line = [strides[d] for d in [*par, block]]
        return Access(p, r.dtype, line, offsets[k] // SIZES[r.dtype])

    for k, r in enumerate(reduces):
        load = rest.node("load", r.dtype, access=access(r, k, rest))
        made[r] = rest.node("reduce", r.dtype, fn=r.fn, args=(load,))

    def copy(n):
        if n in made:
            return made[n]
        args = tuple(copy(a) for a in n.args)
        a = n.access
        if a is not None:
            index = copy(a.index) if a.index is not None else None
            a = moved(a, index)
        strides = [*[n.strides[d] for d in par], 0] if n.strides else ()
        made[n] = rest.node(n.kind, n.dtype, fn=n.fn, args=args, access=a, strides=strides, value=n.value)
        return made[n]

    def moved(a, index):
        p = rest.pointer(graph.operands[a.pointer], graph.dtypes[a.pointer], ("moved", a.pointer))
        return Access(p, a.dtype, [*[a.strides[d] for d in par], 0], a.offset, index, a.step, a.limit)

    later = [s for s in graph.stores if s.node.stage > 0]
    graph.stores = [s for s in graph.stores if s.node.stage == 0]
    for s in later:
        rest.stores.append(Store(copy(s.node), moved(s.access, None), s.mode))
    graph.nodes = [n for n in graph.nodes if n.stage == 0 or n.kind == "reduce"]
    for k, r in enumerate(reduces):
        graph.stores.append(Store(r, access(r, k, graph)))
    graph.finish()
    return rest.finish()
