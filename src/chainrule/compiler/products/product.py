"""What a matrix product is, and its normal form."""

from dataclasses import dataclass, replace
from math import prod

from chainrule.compiler.products.text import SIZES


@dataclass(frozen=True)
class Product:
    """``C = A @ B``, with strides in elements; ``None`` means C-contiguous.

    A is (*batch, m, k), B is (*batch, k, n), C is (*batch, m, n). A batch stride of 0 repeats an operand. The rows and
    columns of C must not overlap.
    """

    dtype: str  # "float32", "float64"
    m: int
    n: int
    k: int
    batch: tuple = ()
    a_strides: tuple | None = None  # (*batch, row, column)
    b_strides: tuple | None = None
    c_strides: tuple | None = None
    accumulate: bool = False  # C += A @ B


def contiguous(shape):
    """The strides of a C-contiguous array, in elements."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


@dataclass(frozen=True)
class Normal:
    """A product as the generators take it: C's columns are adjacent wherever they can be.

    ``swapped`` says that A and B changed places (C was computed transposed). A stride that no index ever uses is 1.
    """

    dtype: str
    m: int
    n: int
    k: int
    batch: tuple  # (size, a stride, b stride, c stride), outermost first
    a_row: int
    a_col: int
    b_row: int
    b_col: int
    c_row: int
    c_col: int
    accumulate: bool
    swapped: bool

    @property
    def batches(self):
        """How many products there are."""
        return prod(size for size, *_ in self.batch)

    @property
    def elements(self):
        """Elements of C."""
        return self.m * self.n * self.batches

    @property
    def flops(self):
        return 2 * self.k * self.elements

    @property
    def bytes(self):
        """Read and written."""
        of_c = self.m * self.n * (2 if self.accumulate else 1)
        return SIZES[self.dtype] * self.batches * (self.m * self.k + self.k * self.n + of_c)


def normal(p):
    """The normal form of a product."""
    strides = []
    for given, shape in ((p.a_strides, (p.m, p.k)), (p.b_strides, (p.k, p.n)), (p.c_strides, (p.m, p.n))):
        strides.append(tuple(given) if given is not None else contiguous((*p.batch, *shape)))
    (*a_batch, a_row, a_col), (*b_batch, b_row, b_col), (*c_batch, c_row, c_col) = strides
    batch = _collapsed(list(zip(p.batch, a_batch, b_batch, c_batch, strict=True)))
    m, n = p.m, p.n
    # A batch that only A and C go along is more rows; one that only B and C go along is more columns.
    if len(batch) == 1 and m:
        size, sa, sb, sc = batch[0]
        if sb == 0 and (m == 1 or (sa == m * a_row and sc == m * c_row)):
            if m == 1:
                a_row, c_row = sa, sc
            m, batch = m * size, []
    strides = (a_row, a_col, b_row, b_col, c_row, c_col)
    q = Normal(p.dtype, m, n, p.k, tuple(batch), *strides, p.accumulate, False)
    return _unit(_oriented(_unit(q)))


def _collapsed(batch):
    """Neighbouring batch dimensions that lie behind each other become one."""
    out = []
    for size, *steps in (dim for dim in batch if dim[0] != 1):
        if out and all(outer == size * inner for outer, inner in zip(out[-1][1:], steps, strict=True)):
            out[-1] = (out[-1][0] * size, *steps)
        else:
            out.append((size, *steps))
    return out


def _unit(q):
    """Strides along sizes of 1 say nothing: make them what is easiest."""
    if q.m == 1:
        q = replace(q, a_row=q.k if q.a_col == 1 else 1, c_row=q.n if q.c_col == 1 else 1)
    if q.n == 1:
        q = replace(q, b_col=1, c_col=1)
    if q.k == 1:
        q = replace(q, a_col=1 if q.a_row != 1 else q.m, b_row=q.n if q.b_col == 1 else 1)
    return q


def _oriented(q):
    """C and its factors transposed, where that lets vectors run along memory."""
    if (q.n == 1 and q.m > 1) or (q.c_col != 1 and q.c_row == 1):
        return replace(
            q,
            m=q.n,
            n=q.m,
            batch=tuple((size, sb, sa, sc) for size, sa, sb, sc in q.batch),
            a_row=q.b_col,
            a_col=q.b_row,
            b_row=q.a_col,
            b_col=q.a_row,
            c_row=q.c_col,
            c_col=q.c_row,
            swapped=not q.swapped,
        )
    return q
