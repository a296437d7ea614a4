"""Sums over the steps of a loop: of products, and of sums over rows."""

from ..ir import Instr, contiguous
from .slices import parts
from .tidy import access, results_of

LEAST = 4  # terms that are worth joining
ROWS = 128  # rows of what they are joined to: more would hardly gain, and keep more alive


def stack_sums(program):
    """``sum over t of A_t @ B_t`` as few products of operands stacked along the summed dimension; sums over the rows of
    matrices that were stacked for that as sums over the rows of the stack."""
    uses, fixed = program.uses(), results_of(program)
    stacks = Stacks(program, uses, fixed)
    kinds = sums(program, uses, fixed)
    written = set(program.writes.values())  # its memory holds something else until the end
    done, drop = set(), set()
    rows = []
    for last in reversed(program.instrs):
        if id(last) in done or last.op != "map" or last.params["fn"] != "add":
            continue
        kind = kinds.get(last.inputs[0])
        if kind is None or kinds.get(last.inputs[1]) != kind:
            continue
        terms, adds = leaves(last)
        done.update(id(i) for i in adds)
        k = kind[1][0]
        if len(terms) < LEAST or not 0 < k <= ROWS // 2:  # few, or long enough by themselves
            continue
        terms.sort(key=lambda i: stacks.at[id(i)])
        if kind[0] == "reduce":
            rows.append((last, k, terms, adds))
            continue
        made = []
        for part in cut(terms, k):
            left = stacks.stack([turned(i.inputs[0]) for i in part], part)
            right = stacks.stack([access(i.inputs[1]) + (i.inputs[1].shape,) for i in part], part)
            if made and last.output not in written:
                made = [stacks.product(left, right, part, made[0])]
            else:
                made.append(stacks.product(left, right, part))
        drop.update(stacks.replace(last, made), (id(i) for i in (*terms, *adds) if i is not last))
    for last, k, terms, adds in rows:
        found = [
            (stacks.stack([access(i.inputs[0]) + (i.inputs[0].shape,) for i in part], part, make=False), part)
            for part in cut(terms, k)
        ]
        if all(whole for whole, _ in found):
            made = [stacks.column_sums(whole, part) for whole, part in found]
            drop.update(stacks.replace(last, made), (id(i) for i in (*terms, *adds) if i is not last))
    stacks.finish(drop)


def cut(terms, k):
    """The parts that are joined, of terms of k rows. A backward pass meets the steps from the last to the first; all
    sums take them the same way round, and are cut from the same end, so that two that need the same stack share it.
    The first part is half as long: what all the others read is still alive then."""
    most = max(LEAST, ROWS // k)
    first = most // 2 if len(terms) > most else 0
    found = [terms[:first], *parts(terms[first:], most)]
    return [part if ascending(part) else part[::-1] for part in found if part]


def ascending(terms):
    """Whether one of the operands runs through an array in this order, slice by slice."""
    if len(terms) < 2:
        return True
    for x, y in zip(terms[0].inputs, terms[1].inputs, strict=True):
        (base, _, low), (other, _, high) = access(x), access(y)
        if base is other and high > low:
            return True
    return False


def sums(program, uses, fixed):
    """Value -> what kind of products, or of sums over rows, it is a sum of, or one of, where they are all alike and
    nobody else reads it or what lies between. The kind has the shape of an operand that is stacked. One walk, so that
    long sums of other things cost nothing."""
    kinds = {}
    for i in program.instrs:
        v = i.outputs[0]
        if len(uses.get(v, ())) != 1 or v in fixed:
            continue
        if i.op == "dot" and len(v.shape) == 2:
            kinds[v] = i.op, i.inputs[1].shape, v.shape, v.dtype
        elif i.op == "reduce" and i.params["fn"] == "sum" and tuple(i.params["dims"]) == (0,) and len(v.shape) == 1:
            kinds[v] = i.op, i.inputs[0].shape, v.shape, v.dtype
        elif i.op == "map" and i.params["fn"] == "add" and i.inputs[0] in kinds:
            if kinds[i.inputs[0]] == kinds.get(i.inputs[1]):
                kinds[v] = kinds[i.inputs[0]]
    return kinds


def leaves(last):
    """The terms of a sum, and the additions that make it up."""
    terms, adds, stack = [], [last], list(last.inputs)
    while stack:
        i = stack.pop().instr
        if i.op != "map":
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

    def __init__(self, program, uses, fixed):
        self.program, self.uses, self.fixed = program, uses, fixed
        self.at = {id(i): k for k, i in enumerate(program.instrs)}
        self.before, self.after = {}, {}  # id of an instruction -> new ones
        self.known = {}
        self.stacked = []
        self.until = {}  # a stack -> where the last product stands that reads it

    def new(self, op, inputs, params, shape, dtype, where, late=False):
        v = self.program.value(shape, dtype)
        v.instr = Instr(op, inputs, params, (v,), where.site)
        (self.after if late else self.before).setdefault(id(where), []).append(v.instr)
        return v

    def made(self, v):
        return -1 if v.instr is None else self.at.get(id(v.instr), -1)

    def stack(self, pieces, terms, make=True):
        """``(base, strides, offset, shape)`` of the whole. Pieces that lie behind each other already are not moved.
        Where they would have to be and ``make`` is false: None."""
        base, strides, offset, (k, n) = pieces[0]
        shape = (len(pieces) * k, n)
        if all(
            b is base and s == strides and o == offset + t * k * strides[0] for t, (b, s, o, _) in enumerate(pieces)
        ):
            return base, strides, offset, shape
        key = (k, n), tuple((b, s, o) for b, s, o, _ in pieces)
        found, since = self.known.get(key, (None, 0))
        ends = [self.at[id(i)] for i in terms]
        if found is None or since > max(ends):  # a stack of inputs may stand behind this sum
            if not make:
                return None
            found = self.write(pieces, terms)
            made = any(self.made(b) >= 0 for b, *_ in pieces)
            self.known[key] = found, -1 if made else min(ends)
        self.until[found] = max(self.until.get(found, -1), *ends)
        return found, (n, 1), 0, shape

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
        whole = wide
        for t in order:
            base, strides, offset, _ = pieces[t]
            if self.made(base) >= 0:
                place, late = base.instr, True
            piece = base
            if base.shape != (k, n) or tuple(strides) != contiguous((k, n)) or offset:
                piece = self.new("view", (base,), {"strides": strides, "offset": offset}, (k, n), dtype, place, late)
            params = {"strides": (n, 1), "offset": t * k * n, "fn": "set", "fresh": whole is wide}
            whole = self.new("update", (whole, piece), params, shape, dtype, place, late)
        if late:
            self.stacked.append((whole, pieces, place))
        return whole

    def read_from(self, whole, pieces, place):
        """Who reads a piece after all have been written reads it from the whole, so that the piece itself can go. Who
        reads it after the last product has read the whole gets a copy made before that: it must not keep the whole."""
        k, n = pieces[0][3]
        starts = {}
        for t, (base, strides, offset, _) in enumerate(pieces):
            if base.shape == (k, n) and tuple(strides) == contiguous((k, n)) and not offset and base not in self.fixed:
                starts[base] = t * k * n
        end = self.until[whole]
        rows, copies = {}, {}  # piece -> itself as a view of the whole, and as a copy

        def row(v):
            if v not in rows:
                params = {"strides": contiguous((k, n)), "offset": starts[v]}
                rows[v] = self.new("view", (whole,), params, (k, n), v.dtype, place, True)
            return rows[v]

        def copy(v):
            if v not in copies:
                params = {"fn": "id", "apart": True}
                copies[v] = self.new("map", (row(v),), params, (k, n), v.dtype, self.program.instrs[end])
            return copies[v]

        readers = {self.at[id(i)] for v in starts for i in self.uses[v]}
        for at in sorted(k for k in readers if k > self.at[id(place)]):
            i = self.program.instrs[at]
            if not any(v in starts for v in i.inputs):  # it reads another stack instead
                continue
            if i.op == "view" and at <= end:
                i.params = {**i.params, "offset": i.params["offset"] + starts[i.inputs[0]]}
                i.inputs = (whole,)
            else:
                i.inputs = tuple(v if v not in starts else row(v) if at <= end else copy(v) for v in i.inputs)

    def product(self, left, right, terms, total=None):
        place = max(terms, key=lambda i: self.at[id(i)])
        base, strides, offset, (rows, m) = left
        a = self.new("view", (base,), {"strides": tuple(strides[::-1]), "offset": offset}, (m, rows), base.dtype, place)
        base, strides, offset, shape = right
        b = self.new("view", (base,), {"strides": tuple(strides), "offset": offset}, shape, base.dtype, place)
        more = () if total is None else (total,)
        return self.new("dot", (a, b, *more), {}, (m, shape[1]), base.dtype, place)

    def column_sums(self, whole, terms):
        place = max(terms, key=lambda i: self.at[id(i)])
        base, strides, offset, shape = whole
        x = self.new("view", (base,), {"strides": tuple(strides), "offset": offset}, shape, base.dtype, place)
        return self.new("reduce", (x,), {"fn": "sum", "dims": (0,)}, shape[1:], place.output.dtype, place)

    def replace(self, last, made):
        """Let ``last`` be the sum of new values; the ids of instructions that are not needed then."""
        total = made[0]
        for v in made[1:]:
            total = self.add(total, v, last)
        i = total.instr
        last.op, last.inputs, last.params = i.op, i.inputs, i.params
        return {id(i)}

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
