"""Native loops for groups of element-wise instructions, reductions, and indexed reads and writes.

``generate`` turns a group (see fuse.py) into LLVM text. A group becomes a graph of nodes (nodes.py) over an iteration
space; space.py orders, merges and cuts the dims; stages.py says what is computed in which pass over the reduced dims;
nest.py writes the loops, with expression.py and reductions.py for what is in them. Two-stage reductions: halves.py.
"""

from .generate import generate, may_alias

__all__ = ["generate", "may_alias"]
