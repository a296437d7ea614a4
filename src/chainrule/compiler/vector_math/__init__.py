"""Elementary functions as LLVM text, for vectors of float32 and float64.

``function(name, dtype, lanes, target)`` returns the symbol to call and the texts a module needs for it. A function
takes and returns vectors of ``lanes`` elements (plain scalars for one lane). ``names`` maps each name to its number of
arguments. At most 2 ULP in float32 and 4 in float64 over the whole range (``logaddexp`` in float64: of the larger
argument, where the sum nearly cancels it); zeros, infinities, NaN and subnormal numbers as in NumPy.

Polynomials are derived by ``tools/minimax.py``. A lane's result depends on its arguments alone: not on the width, nor
on the neighbours. Without fused products (``target.fma``) the texts differ, and so may the last bit.
"""

from .registry import function, names

__all__ = ["function", "names"]
