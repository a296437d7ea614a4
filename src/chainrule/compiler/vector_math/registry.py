"""Which functions there are, and the text of each, made once per dtype, width and target."""

from functools import lru_cache

import numpy as np

from ..target import host
from . import (
    division,
    erfinv,
    error,
    exponential,
    hyperbolic,
    inverse,
    logarithm,
    pairs,
    power,
    rounding,
    tangent,
    trigonometric,
)
from .text import Value, Writer

_MODULES = (
    rounding, exponential, logarithm, hyperbolic, error, erfinv, trigonometric, tangent, inverse, power, pairs,
    division,
)  # fmt: skip
# name -> (how many arguments, writer of the body)
_TABLE = {name: entry for module in _MODULES for name, entry in module.FUNCTIONS.items()}

names = {name: count for name, (count, _) in _TABLE.items()}
_TYPES = {"float32": ("float", "f32"), "float64": ("double", "f64")}
_INLINE = 64  # longer bodies are called: inlining gains them nothing, and costs compile time each time


def function(name, dtype, lanes, target=None):
    """The LLVM function ``name`` on vectors of ``lanes`` elements of ``dtype`` (float32 or float64).

    Returns ``(symbol, texts)``: the symbol to call with ``names[name]`` arguments of type ``<lanes x T>`` (``T``
    itself for one lane), and a dict from symbols to definitions and declarations, all of which the module must hold
    (once each). ``target`` (default: this machine) says what the CPU can do. Raises ValueError for an unknown name or
    dtype.

    >>> symbol, texts = function("exp", "float32", 16)
    >>> symbol
    '@cr.exp.f32.v16'
    """
    symbol, texts = _function(name, np.dtype(dtype).name, lanes, target or host())
    return symbol, dict(texts)


@lru_cache(maxsize=4096)
def _function(name, dtype, lanes, target):
    if name not in _TABLE:
        raise ValueError(f"vector_math: no function {name!r}; there are {', '.join(sorted(_TABLE))}")
    if dtype not in _TYPES:
        raise ValueError(f"vector_math: {name} of {dtype}: expected float32 or float64; convert the operands first")
    if lanes < 1 or lanes & (lanes - 1):
        raise ValueError(f"vector_math: {name}: lanes must be a power of two, got {lanes}")
    count, body = _TABLE[name]
    type, short = _TYPES[dtype]
    w = Writer(lanes, target)
    arguments = [Value(w, type, f"%x{i}") for i in range(count)]
    result = body(w, *arguments)
    symbol = f"@cr.{name}.{short}.v{lanes}"
    attributes = "alwaysinline nounwind" if len(w.lines) <= _INLINE else "noinline nounwind"
    return symbol, {**w.texts, symbol: w.define(symbol, result, arguments, attributes)}
