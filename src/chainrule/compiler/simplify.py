"""Passes over a captured program, each a function of a program that changes it in place and keeps it well-formed.

* ``results``: every result is made by an instruction of its own.
* ``prune``: nothing that nobody needs.
* ``add_into``: adding something that is zero but for one region adds to that region only.
* ``share_products``: products of neighbouring slices with one matrix (the inputs of all time steps times the weight)
  are one product.
* ``stack_sums``: a sum of products (a shared weight's gradient, over time steps) is one product of stacked operands.
"""

from .builder import number
from .ir import Instr, contiguous, verify

LEAST = 4  # products that are worth joining


def simplified(program):
    """All passes in order; the program is verified after each."""
    for step in (results, prune, add_into, share_products, stack_sums, prune, renumber):
        step(program)
        verify(program)
    return program


def access(v):
    """``(base, strides, offset)`` of a value, in elements."""
    if v.instr is not None and v.instr.op == "view":
        return v.instr.inputs[0], v.instr.params["strides"], v.instr.params["offset"]
    return v, contiguous(v.shape), 0


def results(program):
    taken = set(program.inputs) | set(program.constants)

    def own(v):
        if v in taken or v.instr is None or v.instr.op in ("view", "scalar", "iota"):
            copy = program.value(v.shape, v.dtype)
            copy.instr = Instr("map", (v,), {"fn": "id"}, (copy,))
            program.instrs.append(copy.instr)
            v = copy
        taken.add(v)
        return v

    program.outputs = [own(v) for v in program.outputs]
    program.writes = {k: v for k, v in program.writes.items() if v is not program.inputs[k]}
    for k, v in program.writes.items():
        if v in program.outputs or v.instr is None or v.instr.op in ("view", "scalar", "iota"):
            program.writes[k] = own(v)


def prune(program):
    """Draws of random numbers stay: they move the generator on."""
    needed = set(program.outputs) | set(program.writes.values())
    kept = []
    for i in reversed(program.instrs):
        if any(v in needed for v in i.outputs) or (i.op == "call" and i.params["name"].startswith("random.")):
            kept.append(i)
            needed.update(i.inputs)
    program.instrs = kept[::-1]
    program.constants = {v: a for v, a in program.constants.items() if v in needed}


def renumber(program):
    """Numbers in the order in which values are made: later stages sort by them."""
    made = [v for i in program.instrs for v in i.outputs]
    for k, v in enumerate([*program.inputs, *program.constants, *made]):
        v.id = k
    program._next = len(program.inputs) + len(program.constants) + len(made)


def results_of(program):
    return set(program.outputs) | set(program.writes.values())


# ---- sums of regions


def add_into(program):
    """``x + update(zeros, piece)`` is ``update(x, piece, fn=add)``."""
    uses = program.uses()
    fixed = results_of(program)

    def region(v):
        i = v.instr
        if i is None or i.op != "update" or i.params["fn"] != "set" or len(uses[v]) != 1 or v in fixed:
            return None
        base = i.inputs[0].instr
        if base is not None and base.op == "map" and base.params["fn"] == "id" and number(base.inputs[0]) == 0:
            return i
        return None

    for i in program.instrs:
        if i.op != "map" or i.params["fn"] != "add" or i.inputs[0].shape != i.inputs[1].shape:
            continue
        for x, u in (i.inputs, i.inputs[::-1]):
            found = region(u)
            if found is None or x is u or (x.instr is not None and x.instr.op in ("view", "scalar", "iota")):
                continue
            i.op, i.inputs = "update", (x, found.inputs[1])
            i.params = {**found.params, "fn": "add"}
            break


# ---- products


def dots(program):
    """The products of two matrices."""
    return [i for i in program.instrs if i.op == "dot" and len(i.output.shape) == 2]


def share_products(program):
    """Products whose left operands lie behind each other in one array and whose right operand is the same."""
    made_at = {v: k for k, i in enumerate(program.instrs) for v in i.outputs}
    families = {}
    for i in dots(program):
        a, b = i.inputs
        base, strides, offset = access(a)
        if base is a or strides[1] != 1:
            continue
        families.setdefault((base, b, a.shape, strides), []).append((offset, i))
    insert = {}
    for (base, b, (m, k), strides), members in families.items():
        members.sort(key=lambda pair: pair[0])
        offsets = [o for o, _ in members]
        step = m * strides[0]
        if len(members) < LEAST or any(y - x != step for x, y in zip(offsets, offsets[1:], strict=False)):
            continue
        n = b.shape[1]
        rows = m * len(members)
        first = min((i for _, i in members), key=lambda i: made_at[i.output])
        if any(made_at.get(v, -1) > made_at[first.output] for v in (base, b)):
            continue
        whole = program.value((rows, k), base.dtype)
        view = Instr("view", (base,), {"strides": strides, "offset": offsets[0]}, (whole,), first.site)
        whole.instr = view
        product = program.value((rows, n), base.dtype)
        dot = Instr("dot", (whole, b), {}, (product,), first.site)
        product.instr = dot
        insert[id(first)] = [view, dot]
        for t, (_, i) in enumerate(members):
            part = i.output  # the old product becomes a view of the large one
            i.op, i.inputs, i.params = "view", (product,), {"strides": (n, 1), "offset": t * m * n}
            part.instr = i
    program.instrs = [x for i in program.instrs for x in (*insert.get(id(i), ()), i)]
    compose(program)


def compose(program):
    """Views of views, which come of turning products into views, as views of the base."""
    for i in program.instrs:
        if i.op != "view":
            continue
        base = i.inputs[0].instr
        if base is None or base.op != "view":
            continue
        own = contiguous(i.inputs[0].shape)
        # the inner view must be contiguous, so that elements of its buffer are elements of the base's
        if base.params["strides"] != own and i.inputs[0].size > 1:
            raise AssertionError("a view of a strided view")
        i.inputs = base.inputs
        i.params = {"strides": i.params["strides"], "offset": i.params["offset"] + base.params["offset"]}


def stack_sums(program):
    """``sum over t of A_t @ B_t`` as one product of the operands stacked along the summed dimension."""
    uses = program.uses()
    fixed = results_of(program)
    at = {id(i): k for k, i in enumerate(program.instrs)}
    done, insert, drop = set(), {}, set()
    for last in reversed(program.instrs):
        if id(last) in done or last.op != "map" or last.params["fn"] != "add" or len(last.output.shape) != 2:
            continue
        terms, adds = leaves(last, uses, fixed)
        products = [i for i in terms if i is not None and i.op == "dot"]
        if len(products) < LEAST or len(products) != len(terms):
            continue
        shapes = {(i.inputs[0].shape, i.inputs[1].shape, i.output.dtype) for i in products}
        if len(shapes) != 1:
            continue
        (m, k), (_, n) = products[0].inputs[0].shape, products[0].inputs[1].shape
        if k > 128:  # long enough by itself
            continue
        products.sort(key=lambda i: at[id(i)])
        done.update(id(i) for i in adds)
        left = stacked(program, [turned(program, i.inputs[0], insert, i) for i in products], products, insert)
        right = stacked(program, [i.inputs[1] for i in products], products, insert)
        before = insert.setdefault(id(last), [])
        total = program.value((m, len(products) * k), left[0].dtype)
        base, strides, offset = left
        view = Instr("view", (base,), {"strides": strides[::-1], "offset": offset}, (total,), last.site)
        total.instr = view
        other = program.value((len(products) * k, n), left[0].dtype)
        base, strides, offset = right
        view2 = Instr("view", (base,), {"strides": strides, "offset": offset}, (other,), last.site)
        other.instr = view2
        before += [view, view2]
        drop.update(id(i) for i in (*products, *adds) if i is not last)
        last.op, last.inputs, last.params = "dot", (total, other), {}
    program.instrs = [x for i in program.instrs for x in (*insert.get(id(i), ()), i) if id(x) not in drop]


def leaves(last, uses, fixed):
    """The terms of a sum, and the additions that make it up; a term that is used elsewhere is a term, whatever it
    is. None stands for a value that no instruction makes."""
    terms, adds, stack = [], [last], list(last.inputs)
    if last.inputs[0].shape != last.inputs[1].shape:
        return [None], []
    while stack:
        v = stack.pop()
        i = v.instr
        alone = len(uses.get(v, ())) == 1 and v not in fixed
        if i is not None and alone and i.op == "map" and i.params["fn"] == "add":
            if all(x.shape == v.shape for x in i.inputs):
                adds.append(i)
                stack += i.inputs
                continue
        terms.append(i if alone else None)
    return terms, adds


def turned(program, a, insert, where):
    """The transpose of a matrix, as a view."""
    base, strides, offset = access(a)
    if base is not a and strides[::-1] == contiguous(a.shape[::-1]) and offset == 0 and base.shape == a.shape[::-1]:
        return base
    out = program.value(a.shape[::-1], a.dtype)
    out.instr = Instr("view", (base,), {"strides": tuple(strides[::-1]), "offset": offset}, (out,), where.site)
    insert.setdefault(id(where), []).append(out.instr)
    return out


def stacked(program, pieces, places, insert):
    """Matrices (k, n) on top of each other: ``(base, strides, offset)`` of (len * k, n). If they lie like that already
    nothing is copied; otherwise each is written to its place in one array as soon as it is there."""
    k, n = pieces[0].shape
    found = [access(v) for v in pieces]
    base, strides, offset = found[0]
    if all(b is base and s == strides and o == offset + t * k * strides[0] for t, (b, s, o) in enumerate(found)):
        return base, tuple(strides), offset
    zero = program.value((), pieces[0].dtype)
    zero.instr = Instr("scalar", (), {"value": 0.0}, (zero,), places[0].site)
    shape = (len(pieces) * k, n)
    wide = program.value(shape, pieces[0].dtype)
    wide.instr = Instr("view", (zero,), {"strides": (0, 0), "offset": 0}, (wide,), places[0].site)
    whole = program.value(shape, pieces[0].dtype)
    whole.instr = Instr("map", (wide,), {"fn": "id"}, (whole,), places[0].site)
    insert.setdefault(id(places[0]), []).extend([zero.instr, wide.instr, whole.instr])
    for t, (v, where) in enumerate(zip(pieces, places, strict=True)):
        after = program.value(shape, v.dtype)
        params = {"strides": (n, 1), "offset": t * k * n, "fn": "set"}
        after.instr = Instr("update", (whole, v), params, (after,), where.site)
        insert.setdefault(id(where), []).append(after.instr)
        whole = after
    return whole, (n, 1), 0
