"""Runs a parsed expression on tensors under a tracer, so that every value is seen."""

import numpy as np

from ... import ops
from ...errors import ArgumentError, ArgumentValueError, ChainruleError
from ...handle import Tensor, wrap
from ...primitive.registry import functions
from ..trace import Tracer
from .parse import parse
from .tokens import ExpressionError

LARGEST = 1_000_000  # elements of a result
_ONE = (
    "abs acos acosh asin asinh atan atanh cos cosh erf exp expm1 log log10 log1p log2 neg reciprocal relu rsqrt "
    "sigmoid sign sin sinh sqrt square tan tanh max min mean sum prod std var norm det inv trace softplus gelu silu "
    "elu softmax log_softmax logsumexp transpose cumsum floor ceil round"
).split()
_TWO = "atan2 dot maximum minimum matmul outer pow mul add sub div hypot".split()
FUNCTIONS = {**dict.fromkeys(_ONE, (1,)), **dict.fromkeys(_TWO, (2,)), "where": (3,), "clamp": (3,)}
FUNCTIONS["max"] = FUNCTIONS["min"] = (1, 2)
FUNCTIONS["softmax"] = FUNCTIONS["log_softmax"] = FUNCTIONS["logsumexp"] = FUNCTIONS["cumsum"] = (1,)
CONSTANTS = {"pi": np.pi, "e": np.e}
_OPERATORS = {
    "+": "add", "-": "sub", "*": "mul", "/": "true_divide", "@": "matmul", "**": "pow", "<": "lt", "<=": "le",
    ">": "gt", ">=": "ge", "==": "eq", "!=": "ne",
}  # fmt: skip
_OTHER = {"max": "amax", "min": "amin", "transpose": "t", "div": "true_divide", "det": "det", "inv": "inverse"}
_LAST = ("softmax", "log_softmax", "logsumexp", "cumsum")
_KNOWN = None


def known():
    """``{name: function}`` of the public operators, filled once."""
    global _KNOWN
    if _KNOWN is None:
        _KNOWN = {}
        for f in functions:
            for name in (f.name, *f.aliases):
                _KNOWN.setdefault(name, f.visible)
    return _KNOWN


class Machine:
    """A stack of values; an entry is ``(value, constant)``: constant if no variable is in it."""

    def __init__(self, text, variables, tracer):
        self.text, self.tracer = text, tracer
        self.variables = dict(variables)
        self.named = {}
        self.used = set()
        self.stack = []
        self.column = 1

    def fail(self, message, column=None):
        raise ExpressionError(message, self.text, column or self.column)

    def run(self, program):
        for what, argument, self.column in program:
            self.tracer.place = self.column
            getattr(self, what)(argument)
        return self.result

    def number(self, x):
        self.stack.append((x, True))

    def name(self, name):
        if name in self.variables:
            self.used.add(name)
            self.stack.append((self.variables[name], False))
        elif name in self.named:
            self.stack.append(self.named[name])
        elif name in CONSTANTS:
            self.stack.append((CONSTANTS[name], True))
        elif name in FUNCTIONS:
            self.fail(f"{name} is a function: write {name}(...)")
        else:
            shown = name if len(name) <= 40 else f"{name[:39]}…"
            self.fail(f"unknown name {shown!r}: give it a value, {shown}=...")

    def store(self, name):
        self.result = self.stack.pop()
        if name is not None:
            if name in self.variables or name in FUNCTIONS:
                self.fail(f"{name!r} is taken already; choose another name")
            self.named[name] = self.result

    def operator(self, sign):
        b, a = self.stack.pop(), self.stack.pop()
        if sign == "@" and not (isinstance(a[0], Tensor) and isinstance(b[0], Tensor)):
            self.fail("@ multiplies vectors and matrices; for numbers use *")
        self.put(_OPERATORS[sign], [a, b], sign)

    def call(self, argument):
        name, count = argument
        if count not in FUNCTIONS[name]:
            wanted = " or ".join(map(str, FUNCTIONS[name]))
            self.fail(f"{name} takes {wanted} argument{'s' if wanted != '1' else ''}, got {count}")
        args = self.stack[-count:]
        del self.stack[-count:]
        if name in ("max", "min") and count == 2:
            name = {"max": "maximum", "min": "minimum"}[name]
        self.put(_OTHER.get(name, name), args, name)

    def list(self, count):
        parts = self.stack[-count:]
        del self.stack[-count:]
        constant = all(c for _, c in parts)
        shapes = {tuple(x.shape) if isinstance(x, Tensor) else () for x, _ in parts}
        if len(shapes) != 1:
            self.fail("the rows of a matrix must have one length")
        if constant:
            rows = [x._data if isinstance(x, Tensor) else x for x, _ in parts]
            self.push(wrap(np.asarray(rows, np.float64)), True)
        else:
            self.push(self.apply(known()["stack"], [[self.tensor(x) for x, _ in parts]], "the list"), False)

    def index(self, count):
        places = self.stack[-count:]
        del self.stack[-count:]
        value, constant = self.stack.pop()
        if not isinstance(value, Tensor):
            self.fail("a number has no elements")
        if not all(isinstance(x, float) and x == int(x) for x, _ in places):
            self.fail("an index must be a whole number; elements are counted from 0")
        where = tuple(int(x) for x, _ in places)
        self.push(self.apply(ops.indexing.getitem, [value, where], "the index"), constant)

    # ---- applying

    def tensor(self, x):
        return x if isinstance(x, Tensor) else wrap(np.asarray(x, np.float64))

    def put(self, operator, args, shown):
        constant = all(c for _, c in args)
        values = [x for x, _ in args]
        if operator == "neg" and isinstance(values[0], float):
            self.stack.append((-values[0], constant))
            return
        tensors = [x for x in values if isinstance(x, Tensor)]
        self.check_size(operator, tensors)
        if not tensors or operator in ("maximum", "minimum", "where", "atan2", "hypot"):
            values = [self.tensor(x) for x in values]
        elif operator not in _OPERATORS.values() or not isinstance(values[0], Tensor):
            values = [self.tensor(x) if i == 0 else x for i, x in enumerate(values)]
        if operator == "where" and values[0]._data.dtype != bool:
            self.fail("the first argument of where must be a comparison, such as x > 0")
        extra = {"dim": -1} if operator in _LAST else {}
        if operator == "std" or operator == "var":
            extra = {"correction": 0}
        result = self.apply(known()[operator], values, shown, **extra)
        if constant and not np.isfinite(result._data).all():
            inputs = [x._data for x in values if isinstance(x, Tensor)]
            if all(np.isfinite(a).all() for a in inputs):
                self.fail(f"the result of {shown} is too large for a float, or not defined")
        if constant and result._data.ndim == 0 and result._data.dtype.kind == "f":
            result = float(result._data)
        self.push(result, constant)

    def apply(self, function, args, shown, **extra):
        try:
            return function(*args, **extra)
        except ChainruleError as error:
            self.fail(f"{shown}: {str(error).splitlines()[0]}")

    def check_size(self, operator, tensors):
        """Before computing: a product of a column and a row may be very much larger than both."""
        shapes = [tuple(t.shape) for t in tensors]
        size = 0
        try:
            if operator == "matmul" and len(shapes) == 2 and all(shapes):
                a, b = shapes
                size = int(np.prod(a[:-1], dtype=object)) * int(
                    np.prod(b[:-2] + b[-1:] if len(b) > 1 else (1,), dtype=object)
                )
            elif operator == "outer":
                size = tensors[0]._data.size * tensors[1]._data.size
            elif shapes:
                size = int(np.prod(np.broadcast_shapes(*shapes), dtype=object))
        except ValueError:
            return  # the operator says what is wrong
        if size > LARGEST:
            self.fail(f"a result of {size} elements is too large here (at most {LARGEST})")

    def push(self, value, constant):
        self.stack.append((value, constant))


def evaluate(text, values):
    """Compute an expression: ``(result, inputs, names, tracer)``.

    values: ``{name: number, nested lists, array or tensor}``; every one becomes a float64 variable.
    inputs, names: ``[(name, tensor)]`` of the variables, and of the named statements.
    Raises ExpressionError with the column where something is wrong.
    """
    program = parse(text, FUNCTIONS, values)
    variables = {name: variable(name, x) for name, x in values.items()}
    for name in variables:
        if not name.isidentifier() or name in FUNCTIONS:
            raise ArgumentValueError(f"{name!r} can't be the name of a variable here; choose another")
    with Tracer() as tracer:
        machine = Machine(text, variables, tracer)
        result, _ = machine.run(program)
    if not isinstance(result, Tensor):
        result = machine.tensor(result)
    names = [(name, t) for name, (t, _) in machine.named.items() if isinstance(t, Tensor)]
    if not any(t is result for _, t in names):
        free = next(k for k in ("f", "result", "the_result") if k not in variables and k not in machine.named)
        names.append((free, result))
    unused = [name for name in variables if name not in machine.used]
    if unused:
        raise ArgumentValueError(f"{unused[0]!r} has a value, but does not occur in the expression {text[:80]!r}")
    return result, list(variables.items()), names, tracer


def variable(name, x):
    """A float64 leaf from a number, nested lists, an array or a tensor."""
    try:
        a = np.array(x._data if isinstance(x, Tensor) else x, np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}: expected a number, a vector or a matrix, got {x!r:.80}") from None
    t = wrap(a)
    t._requires_grad = True
    return t
