"""From a group to its kernels."""

import hashlib
import re
from math import prod

from ..kernel import Kernel
from .access import Place, source
from .expression import COSTLY
from .nest import Nest
from .nodes import build
from .scatter import scatter_graphs
from .signature import signature
from .space import Space
from .stages import within
from .text import SIZES
from .twofold import halve

_made = {}  # (signature, target, apart) -> [(kernel, numbers of its operands among the group's values, starts)]


def generate(group, target, apart=False):
    """``[(Kernel, operands)]`` for a group of kind loops, update or scatter, in the order in which they run.

    With ``apart`` it is ``[(Kernel, operands, offsets)]``: where in its operands a kernel starts is no part of the
    kernel but bytes to be added to their addresses, so that the slices of a loop over time share their kernels.

    ``operands`` are, one per pointer: values (what the kernel reads, then what it writes), or ``("work", bytes)`` for a
    workspace that all kernels of the group share. Raises NotImplementedError for an element-wise function that has no
    native text for its dtype.

    >>> from chainrule.compiler import fuse, ir, target
    >>> p = ir.Program()
    >>> x = p.input((100,), "float32")
    >>> p.outputs = [p.reduce("sum", p.map("mul", x, x), (0,))]
    >>> [(kernel, operands)] = generate(fuse.groups(p)[0], target.host())
    >>> kernel.title, kernel.bytes, operands
    ('mul, sum[0] f32[]', 404, (%0, %2))
    """
    key, values, first = signature(group, apart)
    found = _made.get((key, target, apart))
    if found is None:
        number = {v: k for k, v in enumerate(values)}
        found = []
        for kernel, operands, starts in _generate(group, target, apart):
            # kept relative to where this group starts in its arrays
            starts = [s - _first(o, first, group, found) for s, o in zip(starts, operands, strict=False)]
            found.append((kernel, tuple(o if isinstance(o, tuple) else number[o] for o in operands), starts))
        if len(_made) >= 4096:
            _made.clear()
        _made[key, target, apart] = found
    filled = []
    for kernel, numbers, starts in found:
        operands = tuple(o if isinstance(o, tuple) else values[o] for o in numbers)
        if apart:
            starts = tuple(s + _first(o, first, group, filled) for s, o in zip(starts, operands, strict=False))
            filled.append((kernel, operands, starts))
        else:
            filled.append((kernel, operands))
    return filled


def _first(operand, first, group, before):
    """Where a kernel starts in an operand. An update's first kernel copies the whole base, if any of it is left."""
    copy = group.base is not None and not before
    if isinstance(operand, tuple) or (copy and operand is group.instrs[-1].output):
        return 0
    return first.get(operand, 0)


def _generate(group, target, apart):
    if all(v.size == 0 for v in group.outputs):
        return []
    if group.kind in ("update", "scatter"):
        made = []
        for graph, in_place in scatter_graphs(group):
            if prod(graph.sizes):
                made.append(_kernel(graph, Space(graph, target), target, group, apart, in_place))
        return made
    graph = build(group)
    space = Space(graph, target)
    if space.partial is None:
        return [_kernel(graph, space, target, group, apart)]
    rest = halve(graph, space)
    first = _kernel(graph, space, target, group, apart)
    return [first, _kernel(rest, Space(rest, target), target, group, apart)]


def _starts(graph):
    """Take the least offset of each pointer's accesses out of them: bytes per operand."""
    accesses = list({id(a): a for a in graph.accesses()}.values())
    starts = [0] * len(graph.operands)
    for pointer in range(len(starts)):
        mine = [a for a in accesses if a.pointer == pointer]
        least = min((a.offset for a in mine), default=0)
        if least and len({a.dtype for a in mine}) == 1:
            for a in mine:
                a.offset -= least
            starts[pointer] = least * SIZES[mine[0].dtype]
    return tuple(starts)


def _kernel(graph, space, target, group, apart=False, in_place=False):
    """The kernel; with ``in_place`` it does nothing if its first and last pointers are the same."""
    _compact(graph)
    starts = _starts(graph) if apart else ()
    nest = Nest(graph, space, target)
    text = nest.text("NAME", in_place)
    flops = sum(_flops(n) * prod(space.size(d) for d in n.dims | (graph.red if n.kind == "reduce" else set()))
                for n in graph.nodes if n.kind in ("map", "reduce") and "float" in n.dtype)  # fmt: skip
    chunks = prod(space.size(d) for d in space.chunk_dims)
    # kernels of one name are one: the number of chunks, which the text need not know, is part of it
    name = "k_" + hashlib.sha256(f"{chunks} {text}".encode()).hexdigest()[:20]
    texts = {s.lstrip("@"): t for s, t in nest.w.support.items() if not s.startswith("@llvm.")}
    declares = [t.strip() for t in texts.values() if t.startswith("declare")]
    support = tuple(sorted((s, t) for s, t in texts.items() if not t.startswith("declare")))
    kernel = Kernel(
        name, re.sub(r"\bNAME\b", name, text), len(graph.operands), chunks, nest.scratch, flops,
        sum(_bytes(v) for v in graph.operands), (*(s for s, _ in support), *sorted(declares)), _title(group), support,
    )  # fmt: skip
    return kernel, tuple(graph.operands), starts


def _flops(n):
    return 1 if n.kind == "reduce" else COSTLY.get(n.fn, 1)


def _bytes(operand):
    return operand[1] if isinstance(operand, tuple) else operand.nbytes


def _title(group):
    """What the kernel does, for people: "sub, exp -> max, sum [512, 128]"."""
    parts = []
    for i in group.instrs:
        word = i.params["fn"] if i.op in ("map", "reduce") else i.op
        if i.op == "reduce":
            word = word + "[" + ",".join(map(str, i.params["dims"])) + "]"
        if i.op not in ("scalar",):
            parts.append(word)
    if len(parts) > 8:
        parts = [*parts[:4], f"... {len(parts) - 7} more ...", *parts[-3:]]
    return f"{', '.join(parts)} {group.outputs[0].type_text()}"


def _compact(graph):
    """Drop the pointers that nothing uses."""
    accesses = graph.accesses()
    used = sorted({a.pointer for a in accesses})
    new = {p: k for k, p in enumerate(used)}
    for a in accesses:
        a.pointer = new[a.pointer]
    graph.operands = [graph.operands[p] for p in used]
    graph.dtypes = [graph.dtypes[p] for p in used]


def may_alias(group, output, input):
    """Whether ``output`` may be stored in ``input``'s memory: each element of ``input`` is read only at the point where
    that element of ``output`` is stored, and before.

    An update or scatter whose base is ``input`` may, if it reads ``input`` as nothing else; a product if it is added to
    ``input``.
    """
    if output not in group.outputs or input not in group.inputs:
        return False
    if output.dtype != input.dtype or output.size != input.size:
        return False
    if group.kind == "dot":  # the array that the product is added to, and no other
        return input in group.instrs[0].inputs[2:] and input not in [source(u)[0] for u in group.instrs[0].inputs[:2]]
    if group.kind in ("update", "scatter"):
        if group.base is not input or group.instrs[-1].output is not output:
            return False
        reads = [u for i in group.instrs for u in i.inputs[i in group.roots :]]
        return all(u is not input and source(u)[0] is not input for u in reads)
    if group.kind != "loops":
        return False
    graph = group.graph = group.graph or build(group)
    place = Place(tuple(group.places[output].strides), group.places[output].offset)
    store = next(s for s in graph.stores if graph.operands[s.access.pointer] is output)
    # What is stored after the passes over the reduced dims reads nothing of an input that varies along them.
    passes = [s for s in graph.stores if within(s, graph)] if within(store, graph) else graph.stores
    stages = max([1, *(n.stage for n in graph.nodes if n.kind == "reduce"), *(s.node.stage + 1 for s in passes)])
    if stages > 1 and store.node.stage + 1 < stages:
        return False
    for a, p in _reads(graph, input):
        if a.pointer != p:
            continue
        if a.index is not None or (tuple(a.strides), a.offset) != (place.strides, place.offset):
            return False
    return True


def _reads(graph, input):
    p = graph.pointers.get(input)
    return [(n.access, p) for n in graph.nodes if n.kind == "load"]
