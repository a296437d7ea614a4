"""Matrix products as native kernels: ``C = A @ B`` for any shape, strides and batch.

    steps, work = plan(Product("float32", m, n, k), target)
    for step in steps:  # in this order, each after the one before has ended
        step.kernel, step.operands  # operands: "a", "b", "c", or a buffer of ``work``
    work  # {"work0": bytes, ...}, 64-byte aligned, contents undefined

A kernel's chunks are whole tiles of C, and the order in which the products of an element are added depends on the shape
alone: no bit depends on the number of threads. C must not overlap A or B.

How it works (``tiles`` decides, ``blocked`` writes, from ``micro`` and ``pack``): C is cut into tiles that stay in
vector registers. Every step along K reads one vector row of B and one broadcast element of A per row of the tile. Small
operands are read where they lie; of large ones a block of B that fits the L2 cache, and of A if its rows are adjacent,
is first copied into the order in which it is read. B with adjacent rows is turned by shuffling registers, or, for few
rows and a long K, ``dot`` adds along K and within vectors at the end. The last columns are masked. With a long K the
product is cut along K (``split``), and ``finish`` adds the parts.
"""

from dataclasses import dataclass

from chainrule.compiler.kernel import Kernel
from chainrule.compiler.products.blocked import blocked
from chainrule.compiler.products.dot import dots, suits
from chainrule.compiler.products.finish import finish
from chainrule.compiler.products.product import Product, normal
from chainrule.compiler.products.split import split
from chainrule.compiler.products.text import SIZES
from chainrule.compiler.products.tiles import cut

__all__ = ["Product", "Step", "plan"]


@dataclass(frozen=True)
class Step:
    """One kernel and the names of what its operands stand for."""

    kernel: Kernel
    operands: tuple
    offsets: tuple = ()  # bytes added to each operand's address; empty: all zero


def plan(product, target, threads_hint=2):
    """``(steps, work)`` for a product: see the package's docstring.

    ``threads_hint`` only decides into how many chunks the tiles are gathered; the results' bits do not depend on it.

    >>> from chainrule.compiler.target import host
    >>> steps, work = plan(Product("float32", 64, 32, 128), host())
    >>> [(step.kernel.title, step.operands) for step in steps], work
    ([('matmul 64x32x128', ('a', 'b', 'c'))], {})

    Raises ``ValueError`` for a dtype other than float32 and float64.
    """
    if product.dtype not in SIZES:
        raise ValueError(
            f"products.plan: dtype must be float32 or float64, got {product.dtype!r}; "
            "convert the operands, or call out to the eager kernel"
        )
    q = normal(product)
    if q.m == 0 or q.n == 0 or any(size == 0 for size, *_ in q.batch):
        return [], {}
    names = ("b", "a", "c") if q.swapped else ("a", "b", "c")
    parts, pieces = split(q)
    if parts == 0:
        return [Step(_kernel(q, target, threads_hint), names)], {}
    inner = [Step(_kernel(piece, target, threads_hint), (*names[:2], "work0"), at) for piece, at in pieces]
    return [*inner, Step(finish(q, parts, target), ("c", "work0"))], {"work0": SIZES[q.dtype] * q.elements * parts}


def _kernel(q, target, threads):
    if suits(q, target):
        return dots(q, target, threads)
    return blocked(q, cut(q, target, threads), target)
