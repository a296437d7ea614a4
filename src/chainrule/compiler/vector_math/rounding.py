"""Rounding to whole numbers, square roots, and other functions of a few instructions."""


def magic(x):
    """1.5 * 2**23 or 1.5 * 2**52: added to a small number, it leaves the nearest whole one in the low bits."""
    return 12582912.0 if x.type == "float" else 6755399441055744.0


def nearest(w, x):
    """A small number (|x| < 2**22 or 2**51) rounded to the nearest whole one: ``(n, t)``; the low bits of t hold n."""
    t = x + magic(x)
    return t - magic(x), t


def _plain(w, x, adjust):
    """Rounding without the instruction for it: adding 2**p pushes the fraction out."""
    big = 8388608.0 if x.type == "float" else 4503599627370496.0
    a = x.abs()
    r = (a + big) - big
    r = adjust(r.copysign(x))
    return (a < big).where(r.copysign(x), x)


def rint(w, x):
    return w.intrinsic("roundeven", x) if w.fma else _plain(w, x, lambda r: r)


def floor(w, x):
    return w.intrinsic("floor", x) if w.fma else _plain(w, x, lambda r: r - (r > x).where(r.const(1.0), 0.0))


def ceil(w, x):
    return w.intrinsic("ceil", x) if w.fma else _plain(w, x, lambda r: r + (r < x).where(r.const(1.0), 0.0))


def trunc(w, x):
    if w.fma:
        return w.intrinsic("trunc", x)
    return _plain(w, x, lambda r: r - (r.abs() > x.abs()).where(r.const(1.0).copysign(x), 0.0))


def sign(w, x):
    one = x.const(1.0).copysign(x)
    return (x.eq(0.0)).where(x.const(0.0), x.isnan().where(x, one))


def sqrt(w, x):
    return x.sqrt()


def rsqrt(w, x):
    return 1.0 / x.sqrt()


def reciprocal(w, x):
    return 1.0 / x


FUNCTIONS = {
    "round": (1, rint),
    "floor": (1, floor),
    "ceil": (1, ceil),
    "trunc": (1, trunc),
    "sign": (1, sign),
    "sqrt": (1, sqrt),
    "rsqrt": (1, rsqrt),
    "reciprocal": (1, reciprocal),
}
