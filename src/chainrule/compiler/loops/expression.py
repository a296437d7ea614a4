"""The text of each element-wise function, on vectors or single numbers."""

from .. import vector_math
from .text import FAST, SHORT_FLOATS, SIZES, TYPES, is_float, number, suffix, vector

_FLOAT_OPS = {"add": "fadd", "sub": "fsub", "mul": "fmul"}
_INT_OPS = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
_FLOAT_COMPARE = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
_INT_COMPARE = {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}
_ROUND = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "rint"}
COSTLY = {
    "div": 4, "sqrt": 5, "rsqrt": 8, "reciprocal": 4, "floor_divide": 12, "remainder": 12, "fmod": 12, "exp": 12,
    "exp2": 10, "expm1": 20, "log": 14, "log2": 14, "log10": 14, "log1p": 16, "tanh": 18, "sigmoid": 16, "erf": 24,
    "erfc": 30, "erfinv": 30, "sin": 20, "cos": 20, "tan": 26, "asin": 20, "acos": 20, "atan": 20, "atan2": 26,
    "sinh": 26, "cosh": 22, "asinh": 26, "acosh": 26, "atanh": 26, "hypot": 8, "logaddexp": 30, "pow": 30,
}  # fmt: skip


def emit(w, fn, lanes, args, kinds, dtype, target):
    """The result's name; ``args`` are names of type ``vector(kind, lanes)``, ``dtype`` is the result's."""
    kind = kinds[0]
    if fn == "id":
        return args[0]
    if fn == "convert":
        return convert(w, args[0], kind, dtype, lanes)
    if fn == "where":
        return _where(w, lanes, args, kinds)
    if kind in SHORT_FLOATS:
        wide = [convert(w, a, k, "float32", lanes) for a, k in zip(args, kinds, strict=True)]
        y = emit(w, fn, lanes, wide, ["float32"] * len(args), "float32" if dtype in SHORT_FLOATS else dtype, target)
        return convert(w, y, "float32", dtype, lanes) if dtype in SHORT_FLOATS else y
    if fn in _FLOAT_COMPARE:
        return _compare(w, fn, lanes, args, kind)
    t = vector(kind, lanes)
    if fn in ("isnan", "isinf", "isfinite", "signbit"):
        return _class(w, fn, lanes, args[0], kind)
    if is_float(kind):
        return _float(w, fn, lanes, args, kind, t, target)
    return _integer(w, fn, lanes, args, kind, t)


def _where(w, lanes, args, kinds):
    t = vector(kinds[1], lanes)
    cond = args[0] if kinds[0] == "bool" else convert(w, args[0], kinds[0], "bool", lanes)
    return w.op(f"select {vector('bool', lanes)} {cond}, {t} {args[1]}, {t} {args[2]}")


def _compare(w, fn, lanes, args, kind):
    t = vector(kind, lanes)
    if is_float(kind):
        return w.op(f"fcmp {_FLOAT_COMPARE[fn]} {t} {args[0]}, {args[1]}")
    how = _INT_COMPARE[fn]
    if fn not in ("eq", "ne"):
        how = ("u" if unsigned(kind) else "s") + how
    return w.op(f"icmp {how} {t} {args[0]}, {args[1]}")


def unsigned(dtype):
    return dtype.startswith("u") or dtype == "bool"


def _class(w, fn, lanes, x, kind):
    t = vector(kind, lanes)
    if not is_float(kind):
        if fn == "signbit" and not unsigned(kind):
            return w.op(f"icmp slt {t} {x}, {number(0, kind, lanes)}")
        return number(fn == "isfinite", "bool", lanes)
    if fn == "isnan":
        return w.op(f"fcmp uno {t} {x}, {x}")
    if fn == "signbit":
        whole = f"int{8 * SIZES[kind]}"
        bits = w.op(f"bitcast {t} {x} to {vector(whole, lanes)}")
        return w.op(f"icmp slt {vector(whole, lanes)} {bits}, {number(0, whole, lanes)}")
    a = call(w, "fabs", lanes, [x], kind)
    how = "oeq" if fn == "isinf" else "olt"
    return w.op(f"fcmp {how} {t} {a}, {number(float('inf'), kind, lanes)}")


def call(w, name, lanes, args, kind, flags=""):
    """A call of an LLVM intrinsic whose operands and result have one type."""
    t = vector(kind, lanes)
    listed = ", ".join(f"{t} {a}" for a in args)
    return w.op(f"call {flags}{' ' if flags else ''}{t} @llvm.{name}.{suffix(kind, lanes)}({listed})")


def _float(w, fn, lanes, args, kind, t, target):
    if fn in _FLOAT_OPS:
        return w.op(f"{_FLOAT_OPS[fn]} {FAST} {t} {args[0]}, {args[1]}")
    # no arcp or afn on these: they would become estimates
    if fn == "div":
        return w.op(f"fdiv nsz {t} {args[0]}, {args[1]}")
    if fn == "reciprocal":
        return w.op(f"fdiv nsz {t} {number(1, kind, lanes)}, {args[0]}")
    if fn == "neg":
        return w.op(f"fneg {t} {args[0]}")
    if fn == "abs":
        return call(w, "fabs", lanes, args, kind)
    if fn == "sqrt":
        return call(w, "sqrt", lanes, args, kind, "nsz")
    if fn == "rsqrt":
        return w.op(f"fdiv nsz {t} {number(1, kind, lanes)}, {call(w, 'sqrt', lanes, args, kind, 'nsz')}")
    if fn in ("max", "min"):
        return call(w, fn + "imum", lanes, args, kind, "nsz")
    if fn in ("fmax", "fmin"):
        return call(w, fn[1:] + "num", lanes, args, kind, "nsz")
    if fn == "copysign":
        return call(w, "copysign", lanes, args, kind)
    if fn == "fma":
        if target.fma:
            return call(w, "fma", lanes, args, kind)
        product = w.op(f"fmul {FAST} {t} {args[0]}, {args[1]}")
        return w.op(f"fadd {FAST} {t} {product}, {args[2]}")
    if fn == "sign":
        return _sign(w, lanes, args[0], kind, t)
    if fn in _ROUND:
        return call(w, _ROUND[fn], lanes, args, kind)
    if fn in ("fmod", "remainder", "floor_divide"):
        return _modulo(w, fn, lanes, args, kind, t)
    return _mathematical(w, fn, lanes, args, kind, target)


def _sign(w, lanes, x, kind, t):
    zero, one, minus = (number(k, kind, lanes) for k in (0, 1, -1))
    b = vector("bool", lanes)
    up, down = w.op(f"fcmp ogt {t} {x}, {zero}"), w.op(f"fcmp olt {t} {x}, {zero}")
    y = w.op(f"select {b} {down}, {t} {minus}, {t} {x}")  # zeros and NaN stay
    return w.op(f"select {b} {up}, {t} {one}, {t} {y}")


def _modulo(w, fn, lanes, args, kind, t):
    """NumPy's divmod of floats: the remainder has the divisor's sign, the quotient is its floor."""
    a, c = args
    b, zero = vector("bool", lanes), number(0, kind, lanes)
    mod = w.op(f"frem {t} {a}, {c}")
    if fn == "fmod":
        return mod
    some = w.op(f"fcmp one {t} {mod}, {zero}")
    below, under = w.op(f"fcmp olt {t} {c}, {zero}"), w.op(f"fcmp olt {t} {mod}, {zero}")
    differ = w.op(f"xor {b} {below}, {under}")
    fix = w.op(f"and {b} {some}, {differ}")
    fixed = w.op(f"fadd {t} {mod}, {c}")
    if fn == "remainder":
        y = w.op(f"select {b} {fix}, {t} {fixed}, {t} {mod}")
        flat = call(w, "copysign", lanes, [zero, c], kind)
        none = w.op(f"fcmp oeq {t} {y}, {zero}")
        return w.op(f"select {b} {none}, {t} {flat}, {t} {y}")
    q = w.op(f"fsub {t} {a}, {mod}")
    q = w.op(f"fdiv {t} {q}, {c}")
    less = w.op(f"fsub {t} {q}, {number(1, kind, lanes)}")
    q = w.op(f"select {b} {fix}, {t} {less}, {t} {q}")
    down = call(w, "floor", lanes, [q], kind)
    gap = w.op(f"fsub {t} {q}, {down}")
    far = w.op(f"fcmp ogt {t} {gap}, {number(0.5, kind, lanes)}")
    up = w.op(f"fadd {t} {down}, {number(1, kind, lanes)}")
    y = w.op(f"select {b} {far}, {t} {up}, {t} {down}")
    plain = w.op(f"fdiv {t} {a}, {c}")
    none = w.op(f"fcmp oeq {t} {c}, {zero}")
    return w.op(f"select {b} {none}, {t} {plain}, {t} {y}")


def _mathematical(w, fn, lanes, args, kind, target):
    """A function of vector_math, on as many lanes as a register has."""
    if fn not in vector_math.names:
        raise NotImplementedError(f"loops: no native text for the function {fn!r}; keep the operator as a call")
    width = min(lanes, target.lanes(SIZES[kind]))
    symbol, texts = vector_math.function(fn, kind, width, target)
    w.support.update(texts)
    t = vector(kind, width)
    parts = []
    for start in range(0, lanes, width):
        picked = [part(w, a, kind, lanes, start, width) for a in args]
        parts.append(w.op(f"call {t} {symbol}({', '.join(f'{t} {a}' for a in picked)})"))
    return joined(w, parts, kind, width)


def part(w, x, kind, lanes, start, width):
    """Some neighbouring lanes of a vector."""
    if width == lanes:
        return x
    t = vector(kind, lanes)
    if width == 1:
        return w.op(f"extractelement {t} {x}, i64 {start}")
    order = ", ".join(f"i32 {start + k}" for k in range(width))
    return w.op(f"shufflevector {t} {x}, {t} poison, <{width} x i32> <{order}>")


def joined(w, parts, kind, width):
    """Vectors side by side as one."""
    while len(parts) > 1:
        t = vector(kind, width)
        order = ", ".join(f"i32 {k}" for k in range(2 * width))
        parts = [
            w.op(f"shufflevector {t} {a}, {t} {b}, <{2 * width} x i32> <{order}>")
            for a, b in zip(parts[::2], parts[1::2], strict=True)
        ]
        width *= 2
    return parts[0]


def _integer(w, fn, lanes, args, kind, t):
    if kind == "bool":
        one = {"add": "or", "mul": "and", "max": "or", "min": "and", "fmax": "or", "fmin": "and"}.get(fn, fn)
        if one in ("or", "and", "xor"):
            return w.op(f"{one} {t} {args[0]}, {args[1]}")
        if one == "not":
            return w.op(f"xor {t} {args[0]}, {number(True, 'bool', lanes)}")
        if one == "abs":
            return args[0]
        raise NotImplementedError(f"loops: {fn!r} of bool has no native text; convert the operands first")
    if fn in _INT_OPS:
        return w.op(f"{_INT_OPS[fn]} {t} {args[0]}, {args[1]}")
    b, zero = vector("bool", lanes), number(0, kind, lanes)
    if fn == "neg":
        return w.op(f"sub {t} {zero}, {args[0]}")
    if fn == "not":
        return w.op(f"xor {t} {args[0]}, {number(-1, kind, lanes)}")
    if fn in ("floor", "ceil", "trunc", "round"):
        return args[0]
    if fn == "abs":
        if unsigned(kind):
            return args[0]
        return w.op(f"call {t} @llvm.abs.{suffix(kind, lanes)}({t} {args[0]}, i1 false)")
    if fn in ("max", "min", "fmax", "fmin"):
        return call(w, ("u" if unsigned(kind) else "s") + fn[-3:], lanes, args, kind)
    if fn == "sign":
        up = w.op(f"icmp ne {t} {args[0]}, {zero}")
        y = w.op(f"zext {b} {up} to {t}")
        if unsigned(kind):
            return y
        down = w.op(f"icmp slt {t} {args[0]}, {zero}")
        return w.op(f"select {b} {down}, {t} {number(-1, kind, lanes)}, {t} {y}")
    if fn in ("shl", "shr"):
        return _shift(w, fn, lanes, args, kind, t)
    if fn in ("div", "floor_divide", "remainder", "fmod"):
        return _divide(w, fn, lanes, args, kind, t)
    if fn == "fma":
        product = w.op(f"mul {t} {args[0]}, {args[1]}")
        return w.op(f"add {t} {product}, {args[2]}")
    if fn == "pow":
        return _int_power(w, lanes, args, kind, t)
    raise NotImplementedError(f"loops: {fn!r} of {kind} has no native text; convert the operands first")


def _shift(w, fn, lanes, args, kind, t):
    """As NumPy: by the width or more gives 0, or the sign when an integer with sign goes right."""
    x, by = args
    b, bits = vector("bool", lanes), 8 * SIZES[kind]
    far = w.op(f"icmp uge {t} {by}, {number(bits, kind, lanes)}")
    if fn == "shr" and not unsigned(kind):
        near = w.op(f"select {b} {far}, {t} {number(bits - 1, kind, lanes)}, {t} {by}")
        return w.op(f"ashr {t} {x}, {near}")
    near = w.op(f"select {b} {far}, {t} {number(0, kind, lanes)}, {t} {by}")
    y = w.op(f"{'shl' if fn == 'shl' else 'lshr'} {t} {x}, {near}")
    return w.op(f"select {b} {far}, {t} {number(0, kind, lanes)}, {t} {y}")


def _divide(w, fn, lanes, args, kind, t):
    """As NumPy: by zero gives 0, the quotient is rounded down, the lowest number by -1 wraps."""
    a, c = args
    b, zero, one = vector("bool", lanes), number(0, kind, lanes), number(1, kind, lanes)
    none = w.op(f"icmp eq {t} {c}, {zero}")
    if unsigned(kind):
        safe = w.op(f"select {b} {none}, {t} {one}, {t} {c}")
        y = w.op(f"{'udiv' if fn in ('div', 'floor_divide') else 'urem'} {t} {a}, {safe}")
        return w.op(f"select {b} {none}, {t} {zero}, {t} {y}")
    negative = w.op(f"icmp eq {t} {c}, {number(-1, kind, lanes)}")
    either = w.op(f"or {b} {none}, {negative}")
    safe = w.op(f"select {b} {either}, {t} {one}, {t} {c}")
    if fn in ("div", "floor_divide"):
        q = w.op(f"sdiv {t} {a}, {safe}")
        if fn == "floor_divide":
            back = w.op(f"mul {t} {q}, {safe}")
            rest = w.op(f"icmp ne {t} {back}, {a}")
            signs = w.op(f"xor {t} {a}, {safe}")
            differ = w.op(f"icmp slt {t} {signs}, {zero}")
            down = w.op(f"and {b} {rest}, {differ}")
            q = w.op(f"add {t} {q}, {w.op(f'sext {b} {down} to {t}')}")
        minus = w.op(f"sub {t} {zero}, {a}")
        y = w.op(f"select {b} {negative}, {t} {minus}, {t} {q}")
        return w.op(f"select {b} {none}, {t} {zero}, {t} {y}")
    r = w.op(f"srem {t} {a}, {safe}")  # 0 where the divisor is 0 or -1
    if fn == "fmod":
        return r
    some = w.op(f"icmp ne {t} {r}, {zero}")
    signs = w.op(f"xor {t} {r}, {c}")
    differ = w.op(f"icmp slt {t} {signs}, {zero}")
    fix = w.op(f"and {b} {some}, {differ}")
    more = w.op(f"add {t} {r}, {c}")
    return w.op(f"select {b} {fix}, {t} {more}, {t} {r}")


def _int_power(w, lanes, args, kind, t):
    """Square and multiply, all bits of the exponent."""
    base, left = args
    b, y = vector("bool", lanes), number(1, kind, lanes)
    bits = 8 * SIZES[kind]
    one = number(1, kind, lanes)
    for k in range(bits):
        bit = w.op(f"and {t} {left}, {one}")
        odd = w.op(f"icmp ne {t} {bit}, {number(0, kind, lanes)}")
        more = w.op(f"mul {t} {y}, {base}")
        y = w.op(f"select {b} {odd}, {t} {more}, {t} {y}")
        if k < bits - 1:
            base = w.op(f"mul {t} {base}, {base}")
            left = w.op(f"lshr {t} {left}, {one}")
    return y


def convert(w, x, old, new, lanes):
    """A C cast; to bool: whether it is not zero."""
    if old == new or (TYPES[old] == TYPES[new] and not is_float(old) and not is_float(new)):
        return x
    if "float16" in (old, new) and not w.half:
        raise NotImplementedError("loops: this processor does not convert float16; keep the operator as a call")
    if old == "bfloat16" or (old == "float16" and new != "float32"):
        x, old = _widen(w, x, old, lanes), "float32"
        return convert(w, x, old, new, lanes)
    if new == "bfloat16" or (new == "float16" and old != "float32"):
        x = convert(w, x, old, "float32", lanes)
        return _round_short(w, x, lanes) if new == "bfloat16" else convert(w, x, "float32", new, lanes)
    t, u = vector(old, lanes), vector(new, lanes)
    if new == "bool":
        if is_float(old):
            return w.op(f"fcmp une {t} {x}, {number(0, old, lanes)}")
        return w.op(f"icmp ne {t} {x}, {number(0, old, lanes)}")
    if is_float(old) and is_float(new):
        return w.op(f"{'fpext' if SIZES[old] < SIZES[new] else 'fptrunc'} {t} {x} to {u}")
    if is_float(old):
        if new == "uint64":
            return w.op(f"fptoui {t} {x} to {u}")
        # as the processor does: towards zero through 32 or 64 bits, then the low bits
        through = "int64" if new in ("int64", "uint32") else "int32"
        y = w.op(f"fptosi {t} {x} to {vector(through, lanes)}")
        return convert(w, y, through, new, lanes)
    if is_float(new):
        return w.op(f"{'uitofp' if unsigned(old) else 'sitofp'} {t} {x} to {u}")
    if SIZES[old] < SIZES[new] or old == "bool":
        return w.op(f"{'zext' if unsigned(old) else 'sext'} {t} {x} to {u}")
    return w.op(f"trunc {t} {x} to {u}")


def _widen(w, x, old, lanes):
    """A 16-bit float as float32; bfloat16 is held as the upper half of one."""
    if old == "float16":
        return w.op(f"fpext {vector(old, lanes)} {x} to {vector('float32', lanes)}")
    bits = w.op(f"zext {vector(old, lanes)} {x} to {vector('int32', lanes)}")
    bits = w.op(f"shl {vector('int32', lanes)} {bits}, {number(16, 'int32', lanes)}")
    return w.op(f"bitcast {vector('int32', lanes)} {bits} to {vector('float32', lanes)}")


def _round_short(w, x, lanes):
    """float32 to bfloat16, to nearest even."""
    t, k = vector("int32", lanes), lambda n: number(n, "int32", lanes)
    bits = w.op(f"bitcast {vector('float32', lanes)} {x} to {t}")
    odd = w.op(f"and {t} {w.op(f'lshr {t} {bits}, {k(16)}')}, {k(1)}")
    up = w.op(f"add {t} {w.op(f'add {t} {bits}, {k(0x7FFF)}')}, {odd}")
    nan = w.op(f"fcmp uno {vector('float32', lanes)} {x}, {x}")
    quiet = w.op(f"or {t} {bits}, {k(0x400000)}")
    bits = w.op(f"select {vector('bool', lanes)} {nan}, {t} {quiet}, {t} {up}")
    return w.op(f"trunc {t} {w.op(f'lshr {t} {bits}, {k(16)}')} to {vector('bfloat16', lanes)}")
