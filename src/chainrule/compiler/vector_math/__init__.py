"""Elementary functions as LLVM text, for vectors of float32 and float64.

``function(name, dtype, lanes, target)`` returns the symbol to call and the texts a module needs for it. A function takes
and returns vectors of ``lanes`` elements (plain scalars for one lane). ``names`` maps each name to its number of arguments.
"""

from .registry import function, names

__all__ = ["function", "names"]
