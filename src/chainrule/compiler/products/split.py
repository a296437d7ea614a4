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
    parts = _parts(q, batch)
    if parts == 1 and direct:
        return 0, []
    size = SIZES[q.dtype]
    inner = q.m * q.n
    steps, place = [], inner
    for extent, *_ in reversed(q.batch):
        steps.append(place)
        place *= extent
    dims = tuple((e, a, b, c) for (e, a, b, _), c in zip(q.batch, reversed(steps), strict=True))
    bare = replace(q, c_row=q.n, c_col=1, accumulate=False, batch=dims)
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


def _parts(q, batch):
    elements = batch * q.m * q.n
    if q.m == 1 and q.b_col == 1 and q.n > 1:
        # A vector times a matrix that fills the cache: each part reads whole rows of the matrix.
        return 4 if batch == 1 and q.k >= 64 and q.k * q.n >= 1 << 18 else 1
    if q.a_col == 1 and q.b_row == 1 and q.m <= 64 and elements > 512:
        return 1  # sums along K need no packing and have enough columns to share
    # Each part packs what it reads once, whereas parts of C would pack it again and again.
    if q.k < 2048 or elements > 1 << 18:
        return 1
    parts = min(16 if elements <= 4096 else 8, q.k // 1024)
    return parts if elements * parts <= batch * (q.m + q.n) * q.k else 1
