"""Three instructions of AVX-512 on floating-point exponents, for vectors of any number of registers."""

_SHORT = {"float": ("ps", 32), "double": ("pd", 64)}
MANTISSA_3_4 = 0b1111  # getmant to [3/4, 3/2); a negative number gives NaN


def available(w, x):
    """Can vectors like ``x`` use them (the vector is wide enough, the target has them)?"""
    return w.target.vector_bytes == 64 and w.lanes * _SHORT[x.type][1] >= 128


def scalef(w, x, n):
    """x * 2**floor(n), rounded once."""
    return _call(w, "scalef", [x, n], [])


def getexp(w, x):
    """floor(log2(|x|)) as a float, of subnormal numbers too; -inf for 0, inf for inf."""
    return _call(w, "getexp", [x], [])


def getmant(w, x):
    """The mantissa, between 3/4 and 3/2; 1 for 0 and inf, NaN for what is below 0."""
    return _call(w, "getmant", [x], [f"i32 {MANTISSA_3_4}"])


def _call(w, name, xs, constants, lanes=None):
    """One instruction per register of 512 bits; vectors of several are taken apart and put together."""
    type, lanes = xs[0].type, lanes or w.lanes
    short, size = _SHORT[type]
    bits = size * lanes
    if bits > 512:
        half = lanes // 2
        parts = []
        for start in (0, half):
            pick = ", ".join(f"i32 {start + i}" for i in range(half))
            pieces = [
                w.emit(
                    type,
                    f"shufflevector <{lanes} x {type}> {x.name}, <{lanes} x {type}> poison, <{half} x i32> <{pick}>",
                )
                for x in xs
            ]
            parts.append(_call(w, name, pieces, constants, half))
        low, high = parts
        pick = ", ".join(f"i32 {i}" for i in range(lanes))
        return w.emit(
            type, f"shufflevector <{half} x {type}> {low.name}, <{half} x {type}> {high.name}, <{lanes} x i32> <{pick}>"
        )
    symbol, t, mask = f"@llvm.x86.avx512.mask.{name}.{short}.{bits}", f"<{lanes} x {type}>", f"i{max(lanes, 8)}"
    rounding = ["i32 4"] if bits == 512 else []
    given = [*(f"{t} {x.name}" for x in xs), *constants, f"{t} zeroinitializer", f"{mask} -1", *rounding]
    kinds = [*[t] * len(xs), *("i32" for _ in constants), t, mask, *("i32" for _ in rounding)]
    w.texts[symbol] = f"declare {t} {symbol}({', '.join(kinds)})"
    return w.emit(type, f"call {t} {symbol}({', '.join(given)})")
