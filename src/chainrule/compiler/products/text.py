"""Writing LLVM text: fresh names, loops, vectors and masks."""

from contextlib import contextmanager

SIZES = {"float32": 4, "float64": 8}
NAMES = {"float32": "float", "float64": "double"}
_SHORT = {"float": "f32", "double": "f64"}
FLAGS = "nsz arcp contract afn"


class Text:
    """The lines of one function, in order."""

    def __init__(self, target):
        self.target = target
        self.lines = []
        self.declared = set()
        self._count = 0

    def emit(self, line):
        """One line without a result."""
        self.lines.append("  " + line)

    def let(self, expression):
        """One instruction; the name of its result."""
        self._count += 1
        self.lines.append(f"  %v{self._count} = {expression}")
        return f"%v{self._count}"

    def fresh(self, stem):
        """A name for a block."""
        self._count += 1
        return f"{stem}{self._count}"

    def block(self, label):
        """Begin a block (the one before must have ended)."""
        self.lines.append(f"{label}:")

    # Integers.

    def _fold(self, a, b, op, sign):
        if isinstance(a, int) and isinstance(b, int):
            return op(a, b)
        return self.let(f"{sign} i64 {a}, {b}")

    def add(self, a, b):
        """a + b, i64 names or Python ints."""
        if a == 0:
            return b
        return a if b == 0 else self._fold(a, b, lambda x, y: x + y, "add nsw")

    def mul(self, a, b):
        """a * b."""
        if a == 0 or b == 0:
            return 0
        if a == 1:
            return b
        return a if b == 1 else self._fold(a, b, lambda x, y: x * y, "mul nsw")

    def sub(self, a, b):
        """a - b."""
        return a if b == 0 else self._fold(a, b, lambda x, y: x - y, "sub nsw")

    def div(self, a, b):
        """a // b for a, b not negative."""
        return a if b == 1 else self._fold(a, b, lambda x, y: x // y, "udiv")

    def rem(self, a, b):
        """a % b for a, b not negative."""
        return 0 if b == 1 else self._fold(a, b, lambda x, y: x % y, "urem")

    def least(self, a, b):
        """min(a, b)."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        less = self.let(f"icmp slt i64 {a}, {b}")
        return self.let(f"select i1 {less}, i64 {a}, i64 {b}")

    # Control.

    @contextmanager
    def loop(self, start, stop, step=1):
        """``for i in range(start, stop, step)``: gives the name of i."""
        head, body, latch, done = (self.fresh(stem) for stem in ("head", "body", "latch", "done"))
        entry = self.fresh("entry")
        index, following = "%" + self.fresh("i"), "%" + self.fresh("n")
        self.emit(f"br label %{entry}")
        self.block(entry)
        self.emit(f"br label %{head}")
        self.block(head)
        self.emit(f"{index} = phi i64 [ {start}, %{entry} ], [ {following}, %{latch} ]")
        more = self.let(f"icmp slt i64 {index}, {stop}")
        self.emit(f"br i1 {more}, label %{body}, label %{done}")
        self.block(body)
        yield index
        self.emit(f"br label %{latch}")
        self.block(latch)
        self.emit(f"{following} = add nsw i64 {index}, {step}")
        self.emit(f"br label %{head}")
        self.block(done)

    def either(self, condition, yes, no=None):
        """``if condition: yes() else: no()``; ``condition`` may be a Python bool."""
        if isinstance(condition, bool):
            chosen = yes if condition else no
            return chosen and chosen()
        then, other, done = (self.fresh(stem) for stem in ("then", "other", "done"))
        self.emit(f"br i1 {condition}, label %{then}, label %{other}")
        self.block(then)
        yes()
        self.emit(f"br label %{done}")
        self.block(other)
        if no:
            no()
        self.emit(f"br label %{done}")
        self.block(done)

    def less(self, a, b):
        """a < b: a Python bool where both are known."""
        if isinstance(a, int) and isinstance(b, int):
            return a < b
        return self.let(f"icmp slt i64 {a}, {b}")

    # Memory and vectors.

    def at(self, pointer, scalar, offset):
        """The address ``offset`` elements on."""
        return pointer if offset == 0 else self.let(f"getelementptr inbounds {scalar}, ptr {pointer}, i64 {offset}")

    def load(self, kind, pointer, align, mask=None, scalar=None, lanes=0):
        """A vector or scalar; with a mask zeros where it is off."""
        if mask is None:
            return self.let(f"load {kind}, ptr {pointer}, align {align}")
        name = f"@llvm.masked.load.v{lanes}{_SHORT[scalar]}.p0"
        self.declared.add(f"declare {kind} {name}(ptr, <{lanes} x i1>, {kind})")
        return self.let(
            f"call {kind} {name}(ptr align {align} {pointer}, <{lanes} x i1> {mask}, {kind} zeroinitializer)"
        )

    def store(self, kind, value, pointer, align, mask=None, scalar=None, lanes=0):
        """Store a vector or scalar, only the lanes that the mask has on."""
        if mask is None:
            self.emit(f"store {kind} {value}, ptr {pointer}, align {align}")
            return
        name = f"@llvm.masked.store.v{lanes}{_SHORT[scalar]}.p0"
        self.declared.add(f"declare void {name}({kind}, ptr, <{lanes} x i1>)")
        self.emit(f"call void {name}({kind} {value}, ptr align {align} {pointer}, <{lanes} x i1> {mask})")

    def splat(self, scalar, lanes, value):
        """A vector of one scalar (lanes 1: the scalar)."""
        if lanes == 1:
            return value
        first = self.let(f"insertelement <{lanes} x {scalar}> poison, {scalar} {value}, i64 0")
        kind = f"<{lanes} x {scalar}>"
        return self.let(f"shufflevector {kind} {first}, {kind} poison, <{lanes} x i32> zeroinitializer")

    def mask(self, lanes, count):
        """Lanes below ``count`` (a name or an int) are on."""
        if isinstance(count, int):
            return "<" + ", ".join(f"i1 {str(i < count).lower()}" for i in range(lanes)) + ">"
        small = self.let(f"trunc i64 {count} to i32")
        wide = self.splat("i32", lanes, small)
        order = "<" + ", ".join(f"i32 {i}" for i in range(lanes)) + ">"
        return self.let(f"icmp ult <{lanes} x i32> {order}, {wide}")

    def multiply_add(self, kind, scalar, lanes, a, b, c):
        """a * b + c, rounded once where the machine can."""
        if not self.target.fma:
            product = self.let(f"fmul {FLAGS} {kind} {a}, {b}")
            return self.let(f"fadd {FLAGS} {kind} {product}, {c}")
        name = "@llvm.fma." + (f"v{lanes}" if lanes > 1 else "") + _SHORT[scalar]
        self.declared.add(f"declare {kind} {name}({kind}, {kind}, {kind})")
        return self.let(f"call {kind} {name}({kind} {a}, {kind} {b}, {kind} {c})")


def vector(scalar, lanes):
    """The type of ``lanes`` scalars."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"
