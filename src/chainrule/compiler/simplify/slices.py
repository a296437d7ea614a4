"""Products of neighbouring slices of one array with the same matrix: one product of all of them."""

from ..ir import Instr, contiguous
from .tidy import access

LEAST = 4  # products that are worth joining
ROWS = 64  # rows of what products are joined to: more would hardly gain, and keep more alive


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
        if base is a or strides[1] != 1 or 0 in a.shape:
            continue
        families.setdefault((base, b, a.shape, strides), []).append((offset, i))
    insert = {}
    for (base, b, (m, k), strides), members in families.items():
        members.sort(key=lambda pair: pair[0])
        for part in parts(members, max(LEAST, ROWS // m)):
            join(program, part, base, b, m, k, strides, made_at, insert)
    program.instrs = [x for i in program.instrs for x in (*insert.get(id(i), ()), i)]
    compose(program)


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


def parts(items, most):
    """Runs of at most ``most`` items."""
    return [items[i : i + most] for i in range(0, len(items), most)]


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
