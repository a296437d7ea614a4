"""Write LLVM text as Python expressions: ``x * y + 1.0`` appends the lines and returns the name of the result.

A ``Value`` is a vector of ``lanes`` elements (a scalar for one lane) of one element type. No fast-math flag is ever
set: what is written is what is computed, so error-free transformations hold; where fusing is wanted, ``fma`` says so.
"""

import struct

_FLOATS = {"float": ("f32", 32), "double": ("f64", 64)}
_BITS = {"float": "i32", "double": "i64"}


def _constant(value, type):
    if type in _FLOATS:
        if type == "float":
            value = struct.unpack("f", struct.pack("f", value))[0] if abs(value) < 3.5e38 else value
        return "0x" + struct.pack(">d", value).hex().upper()
    if type == "i1":
        return "true" if value else "false"
    value = int(value)
    bits = int(type[1:])
    return str(value - (1 << bits) if value >= 1 << (bits - 1) else value)


class Value:
    """A named result: ``type`` is the element type (float, double, i1, i32, i64)."""

    __slots__ = ("name", "type", "w")

    def __init__(self, w, type, name):
        self.w = w
        self.type = type
        self.name = name

    @property
    def is_float(self):
        return self.type in _FLOATS

    @property
    def int_type(self):
        return _BITS[self.type]

    def const(self, value):
        """The constant ``value`` in every lane, of this value's type."""
        return self.w.const(value, self.type)

    def _two(self, f, i, other, swap=False):
        if not isinstance(other, Value):
            other = self.const(other)
        a, b = (other, self) if swap else (self, other)
        return self.w.emit(self.type, f"{f if self.is_float else i} {self.w.of(self.type)} {a.name}, {b.name}")

    def __add__(self, o):
        return self._two("fadd", "add", o)

    def __sub__(self, o):
        return self._two("fsub", "sub", o)

    def __mul__(self, o):
        return self._two("fmul", "mul", o)

    def __truediv__(self, o):
        return self._two("fdiv", "sdiv", o)

    def __radd__(self, o):
        return self._two("fadd", "add", o, True)

    def __rsub__(self, o):
        return self._two("fsub", "sub", o, True)

    def __rmul__(self, o):
        return self._two("fmul", "mul", o, True)

    def __rtruediv__(self, o):
        return self._two("fdiv", "sdiv", o, True)

    def __and__(self, o):
        return self._two("and", "and", o)

    def __or__(self, o):
        return self._two("or", "or", o)

    def __xor__(self, o):
        return self._two("xor", "xor", o)

    def __lshift__(self, o):
        return self._two("shl", "shl", o)

    def __rshift__(self, o):
        return self._two("ashr", "ashr", o)

    def shr(self, o):
        """Logical shift to the right."""
        return self._two("lshr", "lshr", o)

    def __invert__(self):
        return self ^ (1 if self.type == "i1" else -1)

    def __neg__(self):
        if self.is_float:
            return self.w.emit(self.type, f"fneg {self.w.of(self.type)} {self.name}")
        return 0 - self

    def _compare(self, f, i, o):
        if not isinstance(o, Value):
            o = self.const(o)
        op = f"fcmp {f}" if self.is_float else f"icmp {i}"
        return self.w.emit("i1", f"{op} {self.w.of(self.type)} {self.name}, {o.name}")

    def __lt__(self, o):
        return self._compare("olt", "slt", o)

    def __le__(self, o):
        return self._compare("ole", "sle", o)

    def __gt__(self, o):
        return self._compare("ogt", "sgt", o)

    def __ge__(self, o):
        return self._compare("oge", "sge", o)

    def eq(self, o):
        return self._compare("oeq", "eq", o)

    def ne(self, o):
        """Not equal; true for NaN."""
        return self._compare("une", "ne", o)

    def not_ge(self, o):
        """Less, or either is NaN."""
        return self._compare("ult", "slt", o)

    def isnan(self):
        return self._compare("uno", "", self)

    def where(self, yes, no):
        """``yes`` where this (i1) is true, else ``no``."""
        like = yes if isinstance(yes, Value) else no
        yes = yes if isinstance(yes, Value) else like.const(yes)
        no = no if isinstance(no, Value) else like.const(no)
        t = self.w.of(like.type)
        return self.w.emit(like.type, f"select {self.w.of('i1')} {self.name}, {t} {yes.name}, {t} {no.name}")

    def bits(self):
        """The bit pattern as an integer."""
        return self._convert("bitcast", self.int_type)

    def from_bits(self):
        """The float that has this bit pattern."""
        return self._convert("bitcast", "float" if self.type == "i32" else "double")

    def to_float(self):
        """The integer as the float of the same width."""
        return self._convert("sitofp", "float" if self.type == "i32" else "double")

    def widen(self):
        """float to double."""
        return self._convert("fpext", "double")

    def narrow(self):
        """double to float, rounded once."""
        return self._convert("fptrunc", "float")

    def _convert(self, op, type):
        return self.w.emit(type, f"{op} {self.w.of(self.type)} {self.name} to {self.w.of(type)}")

    def abs(self):
        return self.w.intrinsic("fabs", self)

    def sqrt(self):
        return self.w.intrinsic("sqrt", self)

    def copysign(self, sign):
        return self.w.intrinsic("copysign", self, sign)

    def max(self, o):
        """The larger; NaN in this value stays NaN (as ``maxps`` does it, in one instruction)."""
        o = self.const(o) if not isinstance(o, Value) else o
        return (o > self).where(o, self)

    def min(self, o):
        """The smaller; NaN in this value stays NaN."""
        o = self.const(o) if not isinstance(o, Value) else o
        return (o < self).where(o, self)


class Writer:
    """The body of one function in the making. ``lanes`` elements per value, for a ``target``."""

    def __init__(self, lanes, target):
        self.lanes = lanes
        self.target = target
        self.fma = target.fma
        self.lines = []
        self.texts = {}  # what the function needs: symbol -> text
        self.block = "entry"
        self._next = 0

    def of(self, type):
        """The LLVM type of a value with elements of ``type``."""
        return type if self.lanes == 1 else f"<{self.lanes} x {type}>"

    def const(self, value, type):
        c = _constant(value, type)
        return Value(self, type, c if self.lanes == 1 else f"splat ({type} {c})")

    def new(self, prefix="v"):
        self._next += 1
        return f"{prefix}{self._next}"

    def emit(self, type, text):
        name = "%" + self.new()
        self.lines.append(f"  {name} = {text}")
        return Value(self, type, name)

    def mangled(self, type):
        """The suffix of an overloaded intrinsic."""
        short = _FLOATS[type][0] if type in _FLOATS else type
        return short if self.lanes == 1 else f"v{self.lanes}{short}"

    def intrinsic(self, name, *args):
        """Call an overloaded intrinsic whose operands and result share one type."""
        type = args[0].type
        symbol, t = f"@llvm.{name}.{self.mangled(type)}", self.of(type)
        self.texts[symbol] = f"declare {t} {symbol}({', '.join([t] * len(args))})"
        return self.emit(type, f"call {t} {symbol}({', '.join(f'{t} {a.name}' for a in args)})")

    def call(self, symbol, text, result, *args):
        """Call a function on values; ``text`` is its declaration or definition, ``result`` the element type."""
        self.texts[symbol] = text
        return self.emit(
            result, f"call {self.of(result)} {symbol}({', '.join(f'{self.of(a.type)} {a.name}' for a in args)})"
        )

    def mad(self, a, b, c):
        """``a * b + c``: fused where the target fuses, else rounded twice."""
        like = next(v for v in (a, b, c) if isinstance(v, Value))
        a, b, c = (v if isinstance(v, Value) else like.const(v) for v in (a, b, c))
        return self.intrinsic("fma", a, b, c) if self.fma else a * b + c

    def poly(self, x, coefficients):
        """A polynomial by Horner's rule, lowest power first."""
        p = x.const(coefficients[-1])
        for c in coefficients[-2::-1]:
            p = self.mad(p, x, c)
        return p

    def poly2(self, x, coefficients):
        """A long polynomial as two of half the length: a shorter chain of dependent operations."""
        if len(coefficients) < 5:
            return self.poly(x, coefficients)
        x2 = x * x
        return self.mad(self.poly(x2, coefficients[1::2]), x, self.poly(x2, coefficients[::2]))

    def any(self, condition):
        """One i1: is the condition true in any lane."""
        if self.lanes == 1:
            return condition.name
        symbol = f"@llvm.vector.reduce.or.v{self.lanes}i1"
        self.texts[symbol] = f"declare i1 {symbol}({self.of('i1')})"
        name = "%" + self.new()
        self.lines.append(f"  {name} = call i1 {symbol}({self.of('i1')} {condition.name})")
        return name

    def rarely(self, condition, slow, *values):
        """``values``, in lanes where the condition holds replaced by what ``slow()`` returns (called if any does)."""
        name, before = self.any(condition), self.block
        rare, join = self.new("rare"), self.new("join")
        self.lines.append(
            f'  br i1 {name}, label %{rare}, label %{join}, !prof !{{!"branch_weights", i32 1, i32 2000}}'
        )
        self.start(rare)
        others = [condition.where(b, a) for a, b in zip(values, slow(), strict=True)]
        after = self.block
        self.lines.append(f"  br label %{join}")
        self.start(join)
        return tuple(
            self.emit(a.type, f"phi {self.of(a.type)} [ {a.name}, %{before} ], [ {b.name}, %{after} ]")
            for a, b in zip(values, others, strict=True)
        )

    def start(self, block):
        self.lines.append(f"{block}:")
        self.block = block

    def define(self, symbol, result, arguments, attributes):
        """The whole definition; ``result`` and ``arguments`` are values."""
        t = self.of(result.type)
        head = ", ".join(f"{self.of(a.type)} {a.name}" for a in arguments)
        lines = [
            f"define internal {t} {symbol}({head}) {attributes} {{",
            "entry:",
            *self.lines,
            f"  ret {t} {result.name}",
        ]
        return "\n".join([*lines, "}"]) + "\n"
