"""An expression's text as tokens, each with the column (from 1) where it starts."""

import re

from ...errors import ArgumentValueError

LONGEST = 100_000  # characters


class ExpressionError(ArgumentValueError):
    """An expression can't be read or computed. ``column`` (from 1) says where, ``text`` is the expression."""

    def __init__(self, message, text, column):
        self.message, self.text, self.column = message, text, column
        super().__init__(f"{message} (column {column}){pointer(text, column)}")

    def __reduce__(self):
        return ExpressionError, (self.message, self.text, self.column)


def pointer(text, column, width=72):
    """The part of the text around a column, with an arrow below."""
    start = max(0, column - 1 - width // 2)
    part = "".join(c if c.isprintable() else " " for c in text[start : start + width])
    lead, trail = "…" if start else "", "…" if start + width < len(text) else ""
    return f"\n  {lead}{part}{trail}\n  {' ' * (column - 1 - start + len(lead))}^"


_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<sign>\*\*|<=|>=|==|!=|\.T\b|[-+*/@<>=()\[\],;])"
)
_SAME = str.maketrans({"−": "-", "·": "*", "×": "*", "÷": "/", "≤": "<", "≥": ">"})
_HINTS = {
    "^": "powers are written x**2",
    "'": "there are no texts in an expression",
    '"': "there are no texts in an expression",
    ".": "values have no attributes, except .T for the transpose",
    "{": "vectors and matrices are written [1, 2] and [[1, 2], [3, 4]]",
    "%": "there is no remainder here",
    "&": "use where(a > 0, where(b > 0, 1, 0), 0)",
    "|": "there is no 'or' here",
    "!": "comparisons are < <= > >= == !=",
    "²": "powers are written x**2",
}


def tokens(text):
    """Yield ``(kind, value, column)``; the kinds are number, name, sign and end. Lazily, so errors come early."""
    at, n = 0, len(text)
    while at < n:
        if at > LONGEST:
            raise ExpressionError(f"the expression is longer than {LONGEST} characters", text, at + 1)
        c = text[at]
        if c in "≤≥":
            yield "sign", "<=" if c == "≤" else ">=", at + 1
            at += 1
            continue
        if c in "−·×÷":
            yield "sign", c.translate(_SAME), at + 1
            at += 1
            continue
        found = _TOKEN.match(text, at)
        if found is None:
            hint = f"; {_HINTS[c]}" if c in _HINTS else ""
            raise ExpressionError(f"unexpected character {c!r}{hint}", text, at + 1)
        kind, value = found.lastgroup, found.group()
        end = found.end()
        if kind == "number":
            if len(value) > 400:
                raise ExpressionError("a number of more than 400 characters", text, at + 1)
            if end < n and (text[end].isalnum() or text[end] == "_"):
                raise ExpressionError(
                    f"a sign is missing after {value[:20]}; a product is written {value[:20]}*x", text, end + 1
                )
        if kind != "space":
            yield kind, value, at + 1
        at = end
    yield "end", "the end", n + 1
