"""What is computed in which pass over the reduced dims, and what waits in scratch memory between passes."""

from .nodes import Access, Store
from .space import copies, node_cost
from .text import SIZES

SCRATCH = -1  # the pointer number of scratch memory
RECOMPUTE = 8  # cost units up to which a row is computed again rather than kept
ROOM = 1 << 18  # bytes of scratch per thread


class Stage:
    """One pass: the reductions it feeds, what it stores, and the nodes it needs, in order."""

    def __init__(self):
        self.reduces = []
        self.stores = []
        self.nodes = []
        self.unroll = 1  # copies of the loop body, if the vector dim is one of the reduced
        self.kept = {}  # node -> the access where an earlier pass has left it


def plan(graph, space):
    """``(stages, last stores, bytes of scratch)``; the last stores vary along no reduced dim."""
    red = graph.red | graph.serial
    count = 1 + max((n.stage - 1 for n in graph.nodes if n.kind == "reduce"), default=-1)
    inner = [s for s in graph.stores if within(s, graph)]
    outer = [s for s in graph.stores if s not in inner]
    count = max([count, *(s.node.stage + 1 for s in inner)])
    stages = [Stage() for _ in range(count)]
    for n in graph.nodes:
        if n.kind == "reduce":
            stages[n.stage - 1].reduces.append(n)
    for s in inner:
        stages[s.node.stage].stores.append(s)
    stored = {s.node: s.access for s in inner if s.mode == "set"}
    used, kept = 0, {}
    for t in reversed(range(count)):
        stage = stages[t]
        roots = [a for r in stage.reduces for a in r.args] + [s.node for s in stage.stores]
        roots += [s.access.index for s in stage.stores if s.access.index is not None]
        seen = set()
        todo = list(roots)
        while todo:
            n = todo.pop()
            if n in seen:
                continue
            seen.add(n)
            if n.dims & red and n.stage < t and n.kind not in ("load", "const", "iota") and costly(n, red):
                if n not in kept:
                    if n in stored:
                        kept[n] = stored[n]
                    else:
                        access, size = _scratch(n, graph, space, used)
                        if used + size > ROOM:
                            todo.extend(_needs(n))
                            continue
                        kept[n] = access
                        used += size
                        stages[n.stage].stores.append(Store(n, access))
                stage.kept[n] = kept[n]
                continue
            if n.kind == "reduce":
                continue
            todo.extend(_needs(n))
        stage.nodes = [n for n in graph.nodes if n in seen]
        stage.unroll = copies(sum(node_cost(n) for n in stage.nodes if space.vec in n.dims), bool(stage.reduces))
    return stages, outer, used


def within(store, graph):
    """Whether a store happens in a pass over the reduced dims, not after the last."""
    red = graph.red | graph.serial
    return bool(store.node.dims & red) or _moves(store, red)


def _moves(store, red):
    return bool(red) and (
        store.mode == "add" or store.access.index is not None or any(store.access.strides[d] for d in red)
    )


def _needs(n):
    more = (n.access.index,) if n.access is not None and n.access.index is not None else ()
    return (*n.args, *more)


def costly(n, red):
    """Whether computing a row's node again costs more than reading it back."""
    total, todo, seen = 0, [n], set()
    while todo:
        m = todo.pop()
        if m in seen or not m.dims & red:
            continue
        seen.add(m)
        total += node_cost(m)
        if total > RECOMPUTE:
            return True
        if m.kind != "reduce":
            todo.extend(_needs(m))
    return False


def _scratch(n, graph, space, used):
    strides = [0] * len(graph.sizes)
    step = 1
    local = space.vec is not None and space.vec not in graph.red
    if local:
        strides[space.vec] = 1
        step = space.lanes * space.unroll
    for d in reversed(space.red):
        strides[d] = step
        step *= graph.sizes[d]
    access = Access(SCRATCH, n.dtype, strides, used // SIZES[n.dtype])
    access.local = local
    size = -(-step * SIZES[n.dtype] // 64) * 64
    return access, size
