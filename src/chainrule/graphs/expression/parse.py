"""From tokens to a program: a list of instructions for a stack machine, in the order of computation.

Operators bind as in Python: comparisons, then + -, then * / @, then a sign in front, then ** (from the right), then
calls, an index and ``.T``. The parser keeps its own stack of what is open, so depth is bounded by a number and not by
Python's stack.

An instruction is ``(what, argument, column)``: ("number", 2.0), ("name", "x"), ("operator", "+"),
("call", ("tanh", 1)), ("list", length), ("index", count), ("store", name).
"""

from .tokens import ExpressionError, tokens

DEEPEST = 200  # brackets within brackets
LARGEST = 10_000  # elements of a list
_BINARY = {
    "<": 1, "<=": 1, ">": 1, ">=": 1, "==": 1, "!=": 1, "+": 2, "-": 2, "*": 3, "/": 3, "@": 3, "**": 5,
}  # fmt: skip
_SIGN = 4  # how tightly a sign in front binds


class _Bracket:
    """An open bracket: what it belongs to, and how many elements it has so far."""

    __slots__ = ("column", "count", "kind", "name")

    def __init__(self, kind, name, column):
        self.kind, self.name, self.column, self.count = kind, name, column, 0


class Parser:
    """Reads one expression, or several statements separated by ``;``."""

    def __init__(self, text, functions=None, values=()):
        self.text, self.functions, self.values = text, functions, values
        self.program = []
        self.open = []  # operators and brackets that wait, innermost last
        self.depth = 0
        self.stored = []

    def fail(self, message, column):
        raise ExpressionError(message, self.text, column)

    def parse(self):
        """The program; each statement ends with a "store" (of None where it has no name)."""
        stream = tokens(self.text)
        wants_value, target, empty = True, None, True
        kind, value, column = next(stream)
        before = None
        while True:
            if wants_value:
                if kind == "number":
                    number = float(value)
                    if number == float("inf"):
                        self.fail(f"{value[:20]} is too large for a float", column)
                    self.program.append(("number", number, column))
                    wants_value = False
                elif kind == "name":
                    following = next(stream)
                    if following[1] == "=" and following[0] == "sign" and empty and target is None:
                        target = (value, column)
                        kind, value, column = next(stream)
                        continue
                    if following[1] == "(" and following[0] == "sign":
                        self.check_function(value, column)
                        self.enter(_Bracket("call", value, column), following[2])
                        before, empty = value, False
                        kind, value, column = next(stream)
                        if kind == "sign" and value == ")":
                            self.leave(")", column, True)
                            wants_value = False
                            kind, value, column = next(stream)
                        continue
                    self.program.append(("name", value, column))
                    wants_value, empty, before = False, False, value
                    kind, value, column = following
                    continue
                elif kind == "sign" and value in "+-" and len(value) == 1:
                    self.open.append(("sign", value, column))
                elif kind == "sign" and value in "([" and len(value) == 1:
                    self.enter(_Bracket("group" if value == "(" else "list", None, column), column)
                    if value == "[":
                        before = value
                elif kind == "sign" and value == "]" and before == "[":
                    self.fail("an empty list has no value", column)
                elif kind == "end" and empty and self.program:
                    break  # a semicolon at the end
                else:
                    self.expected(kind, value, column)
                empty = False
                before = value
            elif kind == "sign" and value in _BINARY:
                self.reduce(_BINARY[value], right=value == "**")
                if _BINARY[value] == 1 and self.open and self.open[-1][0] == "operator":
                    if _BINARY[self.open[-1][1]] == 1:
                        self.fail("comparisons can't be chained; use where twice", column)
                self.open.append(("operator", value, column))
                wants_value = True
            elif kind == "sign" and value == "(":
                self.fail(
                    f"a sign is missing before the bracket; a product is written {str(before)[:20]}*(...)", column
                )
            elif kind == "sign" and value == "[":
                self.enter(_Bracket("index", None, column), column)
                wants_value = True
            elif kind == "sign" and value == ".T":
                self.program.append(("call", ("transpose", 1), column))
            elif kind == "sign" and value == ",":
                self.reduce(0)
                top = self.open[-1] if self.open else None
                if top is None or top[1].kind == "group":
                    self.fail("a comma outside of a list or a call", column)
                top[1].count += 1
                wants_value = True
            elif kind == "sign" and value in ")]":
                self.leave(value, column)
            elif kind == "end" or (kind == "sign" and value == ";"):
                self.finish(target, column)
                target, empty = None, True
                if kind == "end":
                    break
                wants_value = True
            elif kind == "sign" and value == "=":
                self.fail("'=' gives a name at the start of a statement; to compare write ==", column)
            else:
                self.fail(f"a sign is missing before {value[:20]!r}; a product is written with *", column)
            kind, value, column = next(stream)
        return self.program

    def check_function(self, name, column):
        """Unknown functions are found here, before what they are given is read."""
        if self.functions is None or name in self.functions:
            return
        if name in self.values or name in self.stored:
            self.fail(f"{name} is a value, not a function; a product is written {name}*(...)", column)
        self.fail(f"unknown function {name[:40]!r}; there are {', '.join(sorted(self.functions))}", column)

    def expected(self, kind, value, column):
        if kind == "end" and self.innermost() is not None:
            bracket = self.innermost()
            self.fail(f"the bracket of column {bracket.column} is never closed", column)
        if kind == "end" and not self.program and not self.open:
            self.fail("the expression is empty", column)
        self.fail(
            f"expected a value, got {value[:20]}" if kind == "end" else f"expected a value, got {value[:20]!r}", column
        )

    def enter(self, bracket, column):
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"brackets are nested deeper than {DEEPEST}", column)
        self.open.append(("bracket", bracket, column))

    def innermost(self):
        return next((x[1] for x in reversed(self.open) if x[0] == "bracket"), None)

    def reduce(self, rank, right=False):
        """Emit the operators that bind more tightly than one of ``rank`` that comes now."""
        while self.open and self.open[-1][0] != "bracket":
            kind, value, column = self.open[-1]
            own = _SIGN if kind == "sign" else _BINARY[value]
            if own < rank or (own == rank and (right or (rank == 1))):
                break
            if kind == "sign" and rank == 5:  # -x**2 is -(x**2)
                break
            self.open.pop()
            if kind == "operator":
                self.program.append(("operator", value, column))
            elif value == "-":
                self.program.append(("call", ("neg", 1), column))

    def leave(self, sign, column, empty=False):
        """A closing bracket."""
        self.reduce(0)
        if not self.open:
            self.fail(f"there is no open bracket for this '{sign}'", column)
        bracket = self.open[-1][1]
        if (sign == ")") != (bracket.kind in ("group", "call")):
            wanted = ")" if sign == "]" else "]"
            self.fail(f"expected '{wanted}' for the bracket of column {bracket.column}, got '{sign}'", column)
        self.open.pop()
        self.depth -= 1
        count = 0 if empty else bracket.count + 1
        if bracket.kind == "call":
            self.program.append(("call", (bracket.name, count), bracket.column))
        elif bracket.kind == "list":
            if count > LARGEST:
                self.fail(f"a list of more than {LARGEST} elements", bracket.column)
            self.program.append(("list", count, bracket.column))
        elif bracket.kind == "index":
            self.program.append(("index", count, bracket.column))

    def finish(self, target, column):
        """The end of a statement."""
        self.reduce(0)
        if self.open:
            self.fail(f"the bracket of column {self.innermost().column} is never closed", column)
        name, place = target or (None, column)
        if name is not None and name in self.stored:
            self.fail(f"{name!r} has a value already; every name stands for one value", place)
        self.stored.append(name)
        self.program.append(("store", name, place))


def parse(text, functions=None, values=()):
    """The program of an expression. Raises ExpressionError with the column.

    functions: the names that may be called (None: any).  values: names that are values, for the error text.
    """
    return Parser(text, functions, values).parse()


def parse_value(text):
    """A number, vector or matrix as nested lists of floats: ``[[1, -2], [3, 4e-1]]``. Raises ExpressionError."""
    stack, program = [], parse(text, ())
    for i, (what, argument, column) in enumerate(program, 1):
        if what == "number":
            stack.append(argument)
        elif what == "list":
            values = stack[-argument:]
            del stack[-argument:]
            stack.append(values)
        elif what == "call" and argument == ("neg", 1) and isinstance(stack[-1], float):
            stack[-1] = -stack[-1]
        elif what == "store" and argument is None and len(stack) == 1 and i == len(program):
            return stack[0]
        else:
            raise ExpressionError("expected a number, a vector or a matrix", text, column)
    raise ExpressionError("expected one value", text, len(text) + 1)


__all__ = ["ExpressionError", "parse", "parse_value"]
