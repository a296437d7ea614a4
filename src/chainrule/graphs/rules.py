"""The rule of an operator as text, read off the rule itself.

A rule takes the operator namespace first and mentions its arguments only through operators. Called with symbols in
place of arrays it writes itself down: the rule of ``div`` gives ``1 / b`` and ``-a / b / b``. Where that does not work
(a rule that looks at values or shapes) the family says what kind of rule it is.
"""

import re
from functools import lru_cache

from .numbers import number

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Symbol:
    """A piece of formula: its text, and how tightly its outermost operator binds (3: atom, 2: product, 1: sum)."""

    __slots__ = ("rank", "text")
    __hash__ = None

    def __init__(self, text, rank=3):
        self.text, self.rank = text, rank

    def at(self, rank):
        return self.text if self.rank >= rank else f"({self.text})"

    def __add__(self, other):
        return Symbol(f"{self.text} + {shown(other).at(1)}", 1)

    def __radd__(self, other):
        return shown(other) + self

    def __sub__(self, other):
        return Symbol(f"{self.text} - {shown(other).at(2)}", 1)

    def __rsub__(self, other):
        return shown(other) - self

    def __mul__(self, other):
        other = shown(other)
        if self.text == "g":
            return other if other.text != "1" else self
        return other if self.text == "1" else Symbol(f"{self.at(2)}·{other.at(2)}", 2)

    def __rmul__(self, other):
        return shown(other) * self

    def __truediv__(self, other):
        return Symbol(f"{self.at(2)} / {shown(other).at(3)}", 2)

    def __rtruediv__(self, other):
        return shown(other) / self

    def __pow__(self, other):
        return Symbol(f"{self.at(3)}^{shown(other).at(3)}", 3)

    def __rpow__(self, other):
        return shown(other) ** self

    def __neg__(self):
        return Symbol(f"-{self.at(2)}", 2)

    def __matmul__(self, other):
        return Symbol(f"{self.at(2)} @ {shown(other).at(3)}", 2)

    def __invert__(self):
        return Symbol(f"not {self.at(3)}", 2)

    def __and__(self, other):
        return Symbol(f"{self.at(0)} and {shown(other).at(0)}", -1)

    def __or__(self, other):
        return Symbol(f"{self.at(0)} or {shown(other).at(0)}", -1)


def _comparison(sign):
    return lambda self, other: Symbol(f"{self.at(1)} {sign} {shown(other).at(1)}", 0)


for _name, _sign in (("lt", "<"), ("le", "≤"), ("gt", ">"), ("ge", "≥"), ("eq", "="), ("ne", "≠")):
    setattr(Symbol, f"__{_name}__", _comparison(_sign))


def shown(x):
    """Anything that may stand in a rule as a Symbol."""
    if isinstance(x, Symbol):
        return x
    if isinstance(x, (int, float)):
        return Symbol(number(x), 3 if x >= 0 else 2)
    raise TypeError("a rule with other things than numbers and operators")


class Formulas:
    """The namespace of operators that writes down what is called."""

    recorded = True

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        binary = _BINARY.get(name)
        if binary is not None:
            return lambda a, b: binary(shown(a), shown(b))

        def call(*args, **params):
            if params:
                raise TypeError("a rule with parameters")
            if name == "logical_not":
                return ~shown(*args)
            return Symbol(f"{name.removeprefix('fast_')}({', '.join(shown(a).text for a in args)})")

        return call


_BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "eq": lambda a, b: Symbol(f"{a.text} = {b.text}", 0),
    "ne": lambda a, b: Symbol(f"{a.text} ≠ {b.text}", 0),
    "logical_and": lambda a, b: a & b,
    "logical_or": lambda a, b: a | b,
}


def derivative(call, argument, names=None, result="y"):
    """The local derivative of a call's result in one argument as a formula, or "" where it can't be written so."""
    prim = call.primitive
    if prim is None or prim.family != "pointwise" or prim.partials is None or argument >= len(prim.partials):
        return ""
    names = names or letters(len(call.inputs))
    params = tuple(
        sorted((k, v) for k, v in (call.params or {}).items() if isinstance(v, (int, float, str, type(None))))
    )
    if len(params) != len(call.params or {}):
        return ""
    return _derivative(prim, argument, tuple(names), result, params)


@lru_cache(maxsize=4096)
def _derivative(prim, argument, names, result, params):
    p = prim.partials[argument]
    if p is None:
        return ""
    given = [Symbol(n, 3 if n.isidentifier() else 2) for n in names]
    try:
        found = shown(p(Formulas(), Symbol(result), *given, **dict(params)) if callable(p) else p)
        chosen = None if prim.selects is None else prim.selects[argument]
        if chosen is not None:
            when = shown(chosen(Formulas(), Symbol(result), *given, **dict(params)))
            found = Symbol(f"{found.at(1)} where {when.text}, else 0", 0)
    except Exception:  # a rule that looks at values: not a formula
        return ""
    return found.text if len(found.text) <= 120 else ""


def letters(n):
    return tuple("x" if n == 1 else _LETTERS[i] if i < 26 else f"x{i}" for i in range(n))


def rule(call, argument):
    """The rule by which a gradient passes a call, in general terms: ``∂(a·b)/∂a = b``."""
    prim = call.primitive
    names = letters(len(call.inputs))
    whole = f"{call.operator}({', '.join(names)})"
    sign = _SIGNS.get(call.operator)
    if sign is not None and len(names) == 2:
        whole = f"({names[0]}{sign}{names[1]})"
    text = derivative(call, argument, names)
    if text:
        return f"∂{whole}/∂{names[argument]} = {text}" + (f", y = {whole}" if re.search(r"\by\b", text) else "")
    if prim is None:
        return f"{call.operator}: the backward of the user's own function"
    if prim.family == "linear":
        return f"{call.operator} is linear: its transpose, applied to the gradient"
    if prim.family == "bilinear":
        return f"{call.operator} is linear in each factor: the gradient times the other factor, transposed"
    if prim.family == "reduction":
        return f"{call.operator}: the gradient, spread over what was reduced, times ∂y/∂x"
    return f"{call.operator}: its vector–Jacobian product"


_SIGNS = {
    "add": " + ", "sub": " - ", "mul": "·", "div": " / ", "pow": "^", "matmul": " @ ", "mv": " @ ", "mm": " @ ",
    "bmm": " @ ", "dot": " @ ", "gt": " > ", "lt": " < ", "ge": " ≥ ", "le": " ≤ ", "eq": " = ", "ne": " ≠ ",
}  # fmt: skip


def formula(node, names):
    """The call that made a node with its arguments' names (or values): ``a + b``, ``tanh(x)``."""
    sign = _SIGNS.get(node.operator)
    if sign is not None and len(names) == 2:
        return f"{names[0]}{sign}{names[1]}"
    if node.operator == "neg" and len(names) == 1:
        return f"-{names[0]}"
    if node.operator == "square" and len(names) == 1:
        return f"{names[0]}²"
    return f"{node.operator}({', '.join(n[1:-1] if n.startswith('(-') else n for n in names)})"
