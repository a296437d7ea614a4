"""Registers turned around, and sums within registers."""

from chainrule.compiler.products.text import FLAGS, vector


class _Shuffle:
    """Shuffles of two vectors of ``lanes`` elements, each one instruction; a *part* is 16 bytes."""

    def __init__(self, t, scalar, lanes, size):
        self.t, self.kind, self.lanes = t, vector(scalar, lanes), lanes
        self.inside = 16 // size  # elements in a part
        self.parts = lanes // self.inside

    def __call__(self, a, b, order):
        text = ", ".join(f"i32 {i}" for i in order)
        return self.t.let(f"shufflevector {self.kind} {a}, {self.kind} {b}, <{self.lanes} x i32> <{text}>")

    def mixed(self, a, b, step, half):
        """In every part: the low or high half of ``a`` and ``b``, ``step`` elements of one and of the other in turn."""
        order = []
        for part in range(0, self.lanes, self.inside):
            first = part + half * (self.inside // 2)
            for i in range(first, first + self.inside // 2, step):
                order += [*range(i, i + step), *range(self.lanes + i, self.lanes + i + step)]
        return self(a, b, order)

    def pairs(self, a, b, step):
        return self.mixed(a, b, step, 0), self.mixed(a, b, step, 1)

    def every_other(self, a, b, odd):
        """The even or the odd parts of ``a``, then those of ``b``."""
        parts = [w + p * self.inside for w in (0, self.lanes) for p in range(odd, self.parts, 2)]
        return self(a, b, [first + i for first in parts for i in range(self.inside)])


def turned(t, places, scalar, size):
    """Rows of memory as columns: vector j holds element j of every row.

    There are as many vectors as 32 bytes hold elements, or as a register does that is shorter.
    """
    lanes = len(places)
    short = min(lanes, 32 // size)
    piece, shuffle = vector(scalar, short), _Shuffle(t, scalar, lanes, size)
    rows = [t.load(piece, place, size) for place in places]
    inside = shuffle.inside
    if lanes > short:  # a register takes row i of the first part and row i of the next
        order = ", ".join(f"i32 {i}" for i in range(lanes))
        rows = [
            t.let(f"shufflevector {piece} {rows[i]}, {piece} {rows[i + inside]}, <{lanes} x i32> <{order}>")
            for first in range(0, lanes, 2 * inside)
            for i in range(first, first + inside)
        ]
    groups = [_turned_parts(shuffle, rows[i : i + inside]) for i in range(0, len(rows), inside)]
    if len(groups) == 1:
        return groups[0]
    return [shuffle.every_other(a, b, odd) for odd in (0, 1) for a, b in zip(*groups, strict=True)]


def _turned_parts(shuffle, rows):
    """The square of rows and elements in every part, turned."""
    if len(rows) == 2:
        return list(shuffle.pairs(*rows, 1))
    (a, b), (c, d) = shuffle.pairs(rows[0], rows[1], 1), shuffle.pairs(rows[2], rows[3], 1)
    return [*shuffle.pairs(a, c, 2), *shuffle.pairs(b, d, 2)]


def summed(t, vectors, scalar, size):
    """One vector whose element i is the sum of the elements of vector i; as many vectors as elements."""
    lanes = len(vectors)
    shuffle = _Shuffle(t, scalar, lanes, size)

    def plus(pair):
        return t.let(f"fadd {FLAGS} {shuffle.kind} {pair[0]}, {pair[1]}")

    step = 1
    while len(vectors) > 1:
        twos = list(zip(vectors[::2], vectors[1::2], strict=True))
        if step < shuffle.inside:
            vectors = [plus(shuffle.pairs(a, b, step)) for a, b in twos]
        else:
            vectors = [plus((shuffle.every_other(a, b, 0), shuffle.every_other(a, b, 1))) for a, b in twos]
        step *= 2
    return vectors[0]
