"""How a product is cut: register tiles, blocks for the caches, chunks for the threads."""

from dataclasses import dataclass
from math import ceil, prod

from chainrule.compiler.products.text import SIZES

L1, L2 = 32 << 10, 1 << 20


@dataclass(frozen=True)
class Columns:
    """Neighbouring tiles of equal width."""

    first: int  # index of the first tile
    tiles: int
    start: int  # column
    vectors: int
    lanes: int
    masked: bool

    @property
    def width(self):
        return self.vectors * self.lanes


@dataclass(frozen=True)
class Rows:
    """Neighbouring tiles of equal height."""

    first: int
    tiles: int
    start: int
    rows: int


@dataclass(frozen=True)
class Cut:
    """All that is decided about a product before its text is written."""

    rows: tuple  # Rows groups
    columns: tuple  # Columns groups
    k_block: int
    row_step: int  # row tiles in a chunk
    row_chunks: int
    column_chunks: int
    pack_a: int  # how many panels of A (64 bytes of rows) are copied at a time; 0: none
    pack_b: str | None  # "copy", "turn", "gather"

    @property
    def row_tiles(self):
        return sum(g.tiles for g in self.rows)

    @property
    def column_tiles(self):
        return sum(g.tiles for g in self.columns)

    @property
    def width(self):
        return max(g.width for g in self.columns)

    @property
    def height(self):
        return max(g.rows for g in self.rows)


def _balanced(total, most):
    """``total`` in as few parts of at most ``most`` as can be, sizes one apart at most: ((parts, size), ...)."""
    parts = ceil(total / most)
    big = ceil(total / parts)
    fewer = big * parts - total
    return [(count, size) for count, size in ((parts - fewer, big), (fewer, big - 1)) if count]


def _row_groups(m, most, even):
    """``even``: all but the last of ``most`` rows; else sizes one apart at most."""
    parts = [(m // most, most), (1, m % most)] if even else _balanced(m, most)
    groups, first, start = [], 0, 0
    for count, rows in parts:
        if count and rows:
            groups.append(Rows(first, count, start, rows))
            first, start = first + count, start + count * rows
    return tuple(groups)


def _column_groups(n, most, lanes, masks):
    """``masks``: the last vector may be partly outside; else what remains is done one column at a time."""
    groups, first, start = [], 0, 0
    whole = ceil(n / lanes) if masks else n // lanes
    if whole:
        for count, vectors in _balanced(whole, most):
            width = vectors * lanes
            masked = start + count * width > n
            groups.append(Columns(first, count, start, vectors, lanes, masked))
            first, start = first + count, start + count * width
    if start < n:
        groups.append(Columns(first, 1, start, n - start, 1, False))
    return tuple(groups)


def _cycles(rows, columns, k, itemsize):
    """A rough price of the tiles, to compare cuts."""
    total = 0
    for c in columns:
        wide = 1.0 if c.lanes * itemsize == 64 else 0.5
        for r in rows:
            sums = r.rows * c.vectors
            loads = 0.5 * r.rows + wide * c.vectors
            latency = 4.8 if sums >= 4 else 5.0 / min(4, 8 // sums)  # a sum waits for the one before it
            step = max(sums * wide, loads, latency) + 0.1 * loads
            total += r.tiles * c.tiles * (step * (k + 2) + 12 + 1.5 * sums + 2 * r.rows)
    return total * (1 + 0.02 * len(rows) * len(columns))


def _grid(q, row_tiles, column_tiles, room, wanted, price_of_a, pack_b):
    """Into how many chunks the rows and the columns are cut; each chunk packs its own part of the operands."""
    best = None
    for row_step in range(1, row_tiles + 1):
        rows = ceil(row_tiles / row_step)
        if row_step > 1 and rows == ceil(row_tiles / (row_step - 1)):
            continue
        columns = min(column_tiles, max(ceil(wanted / rows), ceil(column_tiles / room)))
        columns = ceil(column_tiles / ceil(column_tiles / columns))
        # Cycles per element: of the product, then of packing B in each chunk of rows and A in each chunk of columns.
        uneven = rows * row_step * columns * ceil(column_tiles / columns) / (row_tiles * column_tiles)
        price = uneven * q.m * q.n * 0.03 + rows * q.n * _PRICES[pack_b] + columns * q.m * price_of_a
        price *= 1 + max(0, wanted - rows * columns) / wanted
        if best is None or price < best[0]:
            best = (price, rows, columns)
    return best[1:]


_PRICES = {None: 0.1, "copy": 0.4, "turn": 0.8, "gather": 4.0}


def _k_block(q, size):
    """Steps along K that are done at a time: a tile's rows of A stay in the L1 cache, a panel of B in the L2 cache."""
    deepest = 2048 // size
    if q.k <= 1.5 * deepest:
        return q.k
    return ceil(ceil(q.k / ceil(q.k / deepest)) / 16) * 16


def cut(q, target, threads):
    """The cut of a product in normal form."""
    size = SIZES[q.dtype]
    full = target.lanes(size)
    masks = target.vector_bytes >= 32
    k_block = _k_block(q, size)
    pack_a = q.a_row == 1 and q.a_col != 1 and q.m >= 16 and q.n >= 64 and k_block * q.a_col * size > 4 * L1
    best = None
    for lanes in (full, full // 2, full // 4):
        if lanes < 2 or lanes * size < 16 or (lanes < full and q.n >= 4 * full):
            continue
        for vectors in range(1, 7):
            columns = _column_groups(q.n, vectors, lanes, masks)
            most = (target.registers - 1 - vectors) // vectors
            for high in range(1, min(most, 16) + 1):
                if pack_a and high not in (4, 8):
                    continue
                rows = _row_groups(q.m, high, pack_a)
                price = _cycles(rows, columns, q.k, size)
                if best is None or price < best[0]:
                    best = (price, rows, columns)
    _, rows, columns = best
    width, height = max(c.width for c in columns), max(r.rows for r in rows)
    row_tiles, column_tiles = sum(r.tiles for r in rows), sum(c.tiles for c in columns)

    pack_b = None
    if q.b_col != 1:
        pack_b = "turn" if q.b_row == 1 else "gather"
    elif row_tiles >= 4 and min(q.k, 512) * q.n * size > 4 * L1 and q.b_row * size >= 1024:
        pack_b = "copy"
    if row_tiles == 1:
        k_block = q.k
    if q.m == 1 and not pack_b and q.k * q.n * size > L1:
        # Whole rows of B at a time: memory is read in order.
        k_block = 8

    wanted = max(1, min((4 if q.flops > 5e7 else 8) * threads, int(q.flops / 1.25e5)))
    wanted = ceil(wanted / prod(dim[0] for dim in q.batch))
    room = column_tiles
    if pack_b:
        room = max(1, int(L2 * 0.6 / (max(k_block, 1) * size * width)))  # column tiles that stay in L2
    if q.m == 1 and k_block < q.k:
        wanted, room = 1, column_tiles
    unit = 64 // size // height if pack_a else 1  # row tiles that stay together
    price_of_a = 1.0 if pack_a else 0.3 if q.m * q.k * size > L2 // 2 else 0.05
    row_chunks, column_chunks = _grid(q, ceil(row_tiles / unit), column_tiles, room, wanted, price_of_a, pack_b)
    row_step = ceil(ceil(row_tiles / unit) / row_chunks) * unit
    return Cut(rows, columns, k_block, row_step, row_chunks, column_chunks, 8 if pack_a else 0, pack_b)
