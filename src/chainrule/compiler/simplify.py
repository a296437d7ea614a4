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
ROWS = 256  # rows of what products are joined to: more would gain nothing and keep more alive


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
        for part in parts(members, max(LEAST, ROWS // m)):
            join(program, part, base, b, m, k, strides, made_at, insert)
    program.instrs = [x for i in program.instrs for x in (*insert.get(id(i), ()), i)]
    compose(program)


def parts(items, most):
    """Runs of at most ``most`` items."""
    return [items[i : i + most] for i in range(0, len(items), most)]


def join(program, members, base, b, m, k, strides, made_at, insert):
    """Make one product of neighbours."""
    offsets = [o for o, _ in members]
    step = m * strides[0]
    if len(members) < LEAST or any(y - x != step for x, y in zip(offsets, offsets[1:], strict=False)):
        return
    n = b.shape[1]
    rows = m * len(members)
    first = min((i for _, i in members), key=lambda i: made_at[i.output])
    if any(made_at.get(v, -1) > made_at[first.output] for v in (base, b)):
        return
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
    """``sum over t of A_t @ B_t`` as few products of operands stacked along the summed dimension."""
    uses, fixed = program.uses(), results_of(program)
    stacks = Stacks(program, fixed)
    kinds = sums(program, uses, fixed)
    done, drop = set(), set()
    for last in reversed(program.instrs):
        if id(last) in done or last.op != "map" or last.params["fn"] != "add":
            continue
        kind = kinds.get(last.inputs[0])
        if kind is None or kinds.get(last.inputs[1]) != kind:
            continue
        terms, adds = leaves(last)
        done.update(id(i) for i in adds)
        k = kind[0][1]
        if len(terms) < LEAST or k > ROWS // 2:  # few, or long enough by themselves
            continue
        terms.sort(key=lambda i: stacks.at[id(i)])
        if access(terms[0].inputs[0])[2] > access(terms[-1].inputs[0])[2]:
            terms.reverse()  # slices of one array, met from the last to the first
        total = None
        for part in parts(terms, max(LEAST, ROWS // k)):
            left = stacks.stack([turned(i.inputs[0]) for i in part], part)
            right = stacks.stack([access(i.inputs[1]) + (i.inputs[1].shape,) for i in part], part)
            product = stacks.product(left, right, part)
            total = product if total is None else stacks.add(total, product, last)
        made = total.instr
        last.op, last.inputs, last.params = made.op, made.inputs, made.params
        drop.update(id(i) for i in (*terms, *adds, made) if i is not last)
    stacks.finish(drop)


def sums(program, uses, fixed):
    """Value -> the shapes and dtype of the products that it is a sum of, or one of, where they are all alike and
    nobody else reads it or what lies between. One walk, so that long sums of other things cost nothing."""
    kinds = {}
    for i in program.instrs:
        v = i.outputs[0]
        if len(uses.get(v, ())) != 1 or v in fixed:
            continue
        if i.op == "dot" and len(v.shape) == 2:
            kinds[v] = i.inputs[0].shape, i.inputs[1].shape, v.dtype
        elif i.op == "map" and i.params["fn"] == "add" and i.inputs[0] in kinds:
            if kinds[i.inputs[0]] == kinds.get(i.inputs[1]):
                kinds[v] = kinds[i.inputs[0]]
    return kinds


def leaves(last):
    """The products of a sum, and the additions that make it up."""
    terms, adds, stack = [], [last], list(last.inputs)
    while stack:
        i = stack.pop().instr
        if i.op == "dot":
            terms.append(i)
        else:
            adds.append(i)
            stack += i.inputs
    return terms, adds


def turned(a):
    """The transpose of a matrix: ``(base, strides, offset, shape)``."""
    base, strides, offset = access(a)
    return base, tuple(strides[::-1]), offset, a.shape[::-1]


class Stacks:
    """Matrices (k, n) on top of each other in one array, each written to its place as soon as it is there."""

    def __init__(self, program, fixed):
        self.program, self.fixed = program, fixed
        self.at = {id(i): k for k, i in enumerate(program.instrs)}
        self.before, self.after = {}, {}  # id of an instruction -> new ones
        self.known = {}
        self.stacked = []

    def new(self, op, inputs, params, shape, dtype, where, late=False):
        v = self.program.value(shape, dtype)
        v.instr = Instr(op, inputs, params, (v,), where.site)
        (self.after if late else self.before).setdefault(id(where), []).append(v.instr)
        return v

    def made(self, v):
        return -1 if v.instr is None else self.at.get(id(v.instr), -1)

    def stack(self, pieces, terms):
        """``(base, strides, offset, shape)`` of the whole. Pieces that lie behind each other already are not moved."""
        base, strides, offset, (k, n) = pieces[0]
        whole = (len(pieces) * k, n)
        if all(
            b is base and s == strides and o == offset + t * k * strides[0] for t, (b, s, o, _) in enumerate(pieces)
        ):
            return base, strides, offset, whole
        key = tuple((b, s, o) for b, s, o, _ in pieces)
        found, since = self.known.get(key, (None, 0))
        ends = [self.at[id(i)] for i in terms]
        if found is None or since > max(ends):  # a stack of inputs may stand behind this sum
            found = self.write(pieces, terms)
            made = any(self.made(b) >= 0 for b, *_ in pieces)
            self.known[key] = found, -1 if made else min(ends)
        return found, (n, 1), 0, whole

    def write(self, pieces, terms):
        k, n = pieces[0][3]
        dtype = pieces[0][0].dtype
        shape = (len(pieces) * k, n)
        first = min(terms, key=lambda i: self.at[id(i)])
        order = sorted(range(len(pieces)), key=lambda t: self.made(pieces[t][0]))
        makers = [pieces[t][0].instr for t in order if self.made(pieces[t][0]) >= 0]
        late = self.made(pieces[order[0]][0]) >= 0
        place = makers[0] if makers else first
        zero = self.new("scalar", (), {"value": 0.0}, (), dtype, place, late)
        wide = self.new("view", (zero,), {"strides": (0, 0), "offset": 0}, shape, dtype, place, late)
        whole = self.new("map", (wide,), {"fn": "id"}, shape, dtype, place, late)
        for t in order:
            base, strides, offset, _ = pieces[t]
            if self.made(base) >= 0:
                place, late = base.instr, True
            piece = base
            if base.shape != (k, n) or tuple(strides) != contiguous((k, n)) or offset:
                piece = self.new("view", (base,), {"strides": strides, "offset": offset}, (k, n), dtype, place, late)
            params = {"strides": (n, 1), "offset": t * k * n, "fn": "set"}
            whole = self.new("update", (whole, piece), params, shape, dtype, place, late)
        if late:
            self.stacked.append((whole, pieces, place))
        return whole

    def read_from(self, whole, pieces, place):
        """Who reads a piece after all have been written reads it from the whole, so that the piece itself can go."""
        k, n = pieces[0][3]
        starts = {}
        for t, (base, strides, offset, _) in enumerate(pieces):
            if base.shape == (k, n) and tuple(strides) == contiguous((k, n)) and not offset and base not in self.fixed:
                starts[base] = t * k * n
        parts_of = {}
        for i in self.program.instrs[self.at[id(place)] + 1 :]:
            if not any(v in starts for v in i.inputs):
                continue
            if i.op == "view":
                i.params = {**i.params, "offset": i.params["offset"] + starts[i.inputs[0]]}
                i.inputs = (whole,)
                continue
            inputs = []
            for v in i.inputs:
                if v in starts:
                    if v not in parts_of:
                        params = {"strides": contiguous((k, n)), "offset": starts[v]}
                        parts_of[v] = self.new("view", (whole,), params, (k, n), v.dtype, place, True)
                    v = parts_of[v]
                inputs.append(v)
            i.inputs = tuple(inputs)

    def product(self, left, right, terms):
        place = max(terms, key=lambda i: self.at[id(i)])
        base, strides, offset, (rows, m) = left
        a = self.new("view", (base,), {"strides": tuple(strides[::-1]), "offset": offset}, (m, rows), base.dtype, place)
        base, strides, offset, shape = right
        b = self.new("view", (base,), {"strides": tuple(strides), "offset": offset}, shape, base.dtype, place)
        return self.new("dot", (a, b), {}, (m, shape[1]), base.dtype, place)

    def add(self, x, y, where):
        return self.new("map", (x, y), {"fn": "add"}, x.shape, x.dtype, where)

    def finish(self, drop):
        for whole, pieces, place in self.stacked:
            self.read_from(whole, pieces, place)
        out = []
        for i in self.program.instrs:
            for x in (*self.before.get(id(i), ()), i, *self.after.get(id(i), ())):
                if id(x) not in drop:
                    out.append(x)
        self.program.instrs = out
