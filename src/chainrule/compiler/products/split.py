"""Products that are computed in parts: along K where C is too small to share, or where C's columns are not adjacent."""

from dataclasses import replace
from math import prod

from chainrule.compiler.products.text import SIZES


def split(q):
    """``(parts, pieces)``: pieces are (product, byte offsets of a, b and the result).

    With 0 parts the product is to be done as it is; otherwise the pieces write their results behind each other into a
    workspace, part after part, C-contiguous.
    """
    batch = prod(dim[0] for dim in q.batch)
    direct = q.c_col == 1
    parts = 1
    if batch * q.m * q.n <= 4096 and q.k >= 4096:
        parts = min(16, q.k // 2048)
    elif q.m == 1 and q.b_col == 1 and batch == 1 and q.k >= 64 and q.k * q.n >= 1 << 18:
        parts = 4  # a vector times a matrix that fills the cache: each part reads whole rows
    if parts == 1 and direct:
        return 0, []
    size = SIZES[q.dtype]
    inner = q.m * q.n
    steps, place = [], inner
    for extent, *_ in reversed(q.batch):
        steps.append(place)
        place *= extent
    dims = tuple((e, a, b, c) for (e, a, b, *_), c in zip(q.batch, reversed(steps), strict=True))
    bare = replace(q, c_row=q.n, c_col=1, accumulate=False, bias=None, batch=dims, epilogue=None, extras=())
    if parts == 1:
        return 1, [(bare, ())]
    depth = q.k // parts
    along = (parts, depth * q.a_col, depth * q.b_row, place)
    pieces = [(replace(bare, k=depth, batch=(along, *dims)), ())]
    rest = q.k - depth * parts
    if rest:
        done = parts * depth
        pieces.append((replace(bare, k=rest), (done * q.a_col * size, done * q.b_row * size, parts * place * size)))
        parts += 1
    return parts, pieces
