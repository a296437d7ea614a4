"""LLVM text: types, constants, and a writer with fresh names and loops."""

import struct

TYPES = {
    "float64": "double", "float32": "float", "float16": "half", "bfloat16": "i16", "int64": "i64", "int32": "i32",
    "int16": "i16", "int8": "i8", "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64", "bool": "i1",
}  # fmt: skip
SIZES = {"float64": 8, "int64": 8, "uint64": 8, "float32": 4, "int32": 4, "uint32": 4, "float16": 2, "bfloat16": 2,
         "int16": 2, "uint16": 2, "int8": 1, "uint8": 1, "bool": 1}  # fmt: skip
SHORT_FLOATS = ("float16", "bfloat16")  # computed in float32
FAST = "nsz arcp contract afn"


def is_float(dtype):
    return "float" in dtype


def element(dtype):
    """The type of one number in a register."""
    return TYPES[dtype]


def stored(dtype):
    """The type of one number in memory."""
    return "i8" if dtype == "bool" else TYPES[dtype]


def vector(dtype, lanes):
    t = TYPES[dtype]
    return t if lanes == 1 else f"<{lanes} x {t}>"


def memory(dtype, lanes):
    t = stored(dtype)
    return t if lanes == 1 else f"<{lanes} x {t}>"


def suffix(dtype, lanes):
    """How intrinsics name a type: v16f32."""
    t = {"double": "f64", "float": "f32", "half": "f16"}.get(TYPES[dtype], TYPES[dtype])
    return t if lanes == 1 else f"v{lanes}{t}"


def number(x, dtype, lanes=1):
    """A constant."""
    if is_float(dtype):
        x = float(x)
        if dtype in ("float16", "bfloat16"):
            one = _short(x, dtype)
        else:
            if dtype == "float32":
                x = _f32(x)
            one = f"0x{struct.unpack('<Q', struct.pack('<d', x))[0]:016X}"
    elif dtype == "bool":
        one = "true" if x else "false"
    else:
        bits = 8 * SIZES[dtype]
        one = str((int(x) + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1)))
    if lanes == 1:
        return one
    return f"splat ({TYPES[dtype]} {one})"


def _f32(x):
    try:
        return struct.unpack("<f", struct.pack("<f", x))[0]
    except OverflowError:
        return float("inf") if x > 0 else float("-inf")


def _short(x, dtype):
    if dtype == "float16":
        try:
            return f"0xH{struct.unpack('<H', struct.pack('<e', x))[0]:04X}"
        except OverflowError:
            return "0xH7C00" if x > 0 else "0xHFC00"
    bits = struct.unpack("<I", struct.pack("<f", _f32(x)))[0]
    if x == x:
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFFFFFF
    bits = bits >> 16 & 0xFFFF
    return str(bits - 0x10000 if bits >= 0x8000 else bits)


class Writer:
    """Lines of one function. Names are %1x, labels L1; ``needs`` and ``support`` collect what the text refers to."""

    def __init__(self, half=True):
        self.half = half  # whether the processor converts float16
        self.lines = []
        self.count = 0
        self.support = {}
        self.block = "entry"
        self.head = []  # allocas

    def fresh(self, stem="v"):
        self.count += 1
        return f"%{stem}{self.count}"

    def op(self, text):
        """``%new = text``; returns the name."""
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def do(self, text):
        self.lines.append("  " + text)

    def label(self, name):
        self.lines.append(f"{name}:")
        self.block = name

    def alloca(self, type_):
        name = self.fresh("a")
        self.head.append(f"  {name} = alloca {type_}")
        return name

    def new_label(self):
        self.count += 1
        return f"b{self.count}"

    def jump(self, label):
        self.do(f"br label %{label}")

    def loop(self, low, high, step, body, guard=False):
        """``for i in range(low, high, step): body(i)``; without ``guard`` it runs at least once."""
        if not guard and _constant(low) and _constant(high) and int(low) + step >= int(high):
            return body(low)
        enter, out = self.new_label(), self.new_label()
        if guard:
            if _constant(low) and _constant(high):
                if int(low) >= int(high):
                    return None
                self.jump(enter)
            else:
                c = self.op(f"icmp slt i64 {low}, {high}")
                self.do(f"br i1 {c}, label %{enter}, label %{out}")
        else:
            self.jump(enter)
        before = self.block
        self.label(enter)
        i, after = self.fresh("i"), self.fresh("i")
        spot = len(self.lines)
        self.lines.append("")
        body(i)
        self.do(f"{after} = add nsw i64 {i}, {step}")
        c = self.op(f"icmp slt i64 {after}, {high}")
        self.do(f"br i1 {c}, label %{enter}, label %{out}")
        self.lines[spot] = f"  {i} = phi i64 [ {low}, %{before} ], [ {after}, %{self.block} ]"
        self.label(out)
        return None


def _constant(x):
    return isinstance(x, int) or not str(x).startswith("%")
