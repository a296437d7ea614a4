"""Expressions such as ``"q = x + y; f = tanh(q) * z"``: read by a parser of our own, never evaluated as Python."""

from .evaluate import FUNCTIONS, evaluate
from .parse import ExpressionError, parse, parse_value

__all__ = ["FUNCTIONS", "ExpressionError", "evaluate", "parse", "parse_value"]
