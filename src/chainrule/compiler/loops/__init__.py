"""Native loops for groups of element-wise instructions, reductions, and indexed reads and writes.

``generate`` turns a group (see fuse.py) into LLVM text. A group becomes a graph of nodes (nodes.py) over an iteration
space; space.py orders, merges and cuts the dims and picks the vector dim; stages.py says what is computed in which pass
over the reduced dims; nest.py writes the loops. What is in them: expression.py (functions), memory.py (loads, stores),
accumulate.py and reductions.py (running results), tile.py (transposed reads). twofold.py cuts a long reduction in two
kernels, scatter.py makes the graphs of updates and scatters, signature.py finds groups that are alike.
"""

from .generate import generate, may_alias

__all__ = ["generate", "may_alias"]
