"""Passes over a captured program, each a function of a program that changes it in place and keeps it well-formed.

* ``results``: every result is made by an instruction of its own (tidy.py).
* ``prune``: nothing that nobody needs.
* ``add_into``: adding something that is zero but for one region adds to that region only (regions.py).
* ``share_products``: products of neighbouring slices with one matrix (the inputs of all time steps times the weight)
  are one product (slices.py).
* ``stack_sums``: a sum of products (a shared weight's gradient, over time steps) is one product of stacked operands, a
  sum of sums over rows (a bias's gradient) is one sum (stacks.py).
* ``renumber``: values are numbered in the order in which they are made.
"""

from ..ir import verify
from .regions import add_into
from .slices import share_products
from .stacks import stack_sums
from .tidy import access, prune, renumber, results

__all__ = ["access", "simplified"]


def simplified(program):
    """All passes in order; the program is verified after each, and its text kept if it has a ``history``."""
    for step in (results, prune, add_into, share_products, stack_sums, prune, renumber):
        step(program)
        verify(program)
        if program.history is not None:
            program.history.append((step.__name__, repr(program)))
    return program
