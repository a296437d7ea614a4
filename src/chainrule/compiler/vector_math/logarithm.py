"""log and its relatives: x = 2**e m with m around 1, f = m - 1, and a polynomial."""

import math

import numpy as np

from . import avx512
from .exponential import LN2, bias

# log(1 + f) = f (c0 + c1 f + ...) for f in [-1/4, 1/2], in the base of the name
LOG_F32 = {
    "log": (1.0, -0.5, 0.3333345353603363, -0.2500011622905731, 0.19990715384483337, -0.1664644032716751,
           0.1447858363389969, -0.1316959410905838, 0.10479972511529922, -0.04517826810479164),
    "log2": (1.4426950408889634, -0.7213475108146667, 0.4809000790119171, -0.3606761693954468,
            0.28840601444244385, -0.24014116823673248, 0.20884369313716888, -0.19009113311767578,
            0.1515670120716095, -0.06548841297626495),
    "log10": (0.4342944819032518, -0.21714724600315094, 0.14476534724235535, -0.10857373476028442,
             0.08681818097829819, -0.0723033919930458, 0.06289898604154587, -0.05714196711778641,
             0.04531453549861908, -0.019457358866930008),
}  # fmt: skip
# log((1 + s) / (1 - s)) = 2 s + s z (c0 + c1 z + ...), z = s * s, for (1 + s) / (1 - s) in [3/4, 3/2]
ATANH = (0.666666666666666, 0.40000000000056685, 0.2857142855582414, 0.2222222429721306, 0.18181665815665224,
         0.15391114364119263, 0.13173551836475886, 0.1384340195352943)  # fmt: skip
ATANH_SHORT = (0.666666630798394, 0.40000864701689637, 0.28506904679517214, 0.24102095110272603)  # fmt: skip
LOG10_2 = {
    "float": (0.30102920532226562, 7.9034151667660e-7),
    "double": (3.01029995663611771306e-01, 3.69423907715893078616e-13),
}
LOWEST = {"float": 2.0**-126, "double": 2.0**-1022}


def split(w, x):
    """x = 2**e m with m from 3/4 to 3/2, for x > 0 and finite: ``(m, e, k)``, e as a float, k as an integer or None.

    Where the CPU has instructions for it, other x give e and m that make the logarithm right as well.
    """
    if avx512.available(w, x):
        m = avx512.getmant(w, x)
        e = avx512.getexp(w, x)
        return m, (m < 1.0).where(e + 1.0, e), None
    fraction, one = bias(x)
    small = x < LOWEST[x.type]
    bits = small.where(x * 2.0 ** (fraction + 2), x).bits()
    if x.type == "float":
        k = (bits - x.const(0.75).bits()) >> fraction
    else:  # no arithmetic shift of 64 bits before AVX-512: keep it positive, and subtract after
        k = (bits - (1 << (fraction - 1))).shr(fraction) - (one - 1)
    m = (bits - (k << fraction)).from_bits()
    return m, to_float(w, k) - small.where(x.const(float(fraction + 2)), 0.0), k


def _shrink(w, x, e, k):
    """x * 2**-e, for the e and k of ``split``."""
    if k is None:
        return avx512.scalef(w, x, -e)
    fraction, one = bias(x)
    return x * ((one - k) << fraction).from_bits()


def to_float(w, k):
    """A small integer as a float, without the conversion of 64 bits that only AVX-512 has."""
    if k.type == "i32":
        return k.to_float()
    shift = w.const(1.5 * 2.0**52, "double")
    return (k + shift.bits()).from_bits() - shift


def core(w, f, e=None, name="log", single=False):
    """log(2**e (1 + f)) for f in [-1/4, 1/2]; ``single``: computed in double, but for a float32 result."""
    if f.type == "float":
        return _core32(w, f, e, name)
    s = f / (f + 2.0)
    z = s * s
    if single:
        y = w.mad(s * z, w.poly(z, ATANH_SHORT), s + s)
        return y if e is None else w.mad(e, math.log(2.0), y)
    half = f * f * 0.5
    y = s * w.mad(z, w.poly2(z, ATANH), half)
    high, low = LN2["double"]
    if e is None:
        return f - (half - y)
    # f - (half - s (half + r)): exact where it matters, as in fdlibm
    return w.mad(e, high, f - (half - w.mad(e, low, y)))


def _core32(w, f, e, name):
    """As ``core``, of floats, in the base of ``name``."""
    c = LOG_F32[name]
    p = w.poly(f, c[1:])
    if name == "log":
        high, low = LN2["float"]
        y = w.mad(f * f, p, e * low) if not w.fma else w.mad(f * f, p, f)
        return w.mad(e, math.log(2), y) if w.fma else (f + y) + e * high
    y = p * f
    head = float(np.float32(c[0]))
    tail = c[0] - head
    if name == "log2":
        return w.mad(f, head, w.mad(f, tail, y * f)) + e
    high, low = LOG10_2["float"]
    return w.mad(e, high, w.mad(f, head, w.mad(e, low, w.mad(f, tail, y * f))))


def specials(w, x, y):
    """log's values where x is not positive and finite."""
    bad = x.not_ge(0.0).where(x.const(math.nan), x.eq(0.0).where(x.const(-math.inf), x))
    usual = (x > 0.0) & (x < math.inf)
    return usual.where(y, bad)


def log(w, x, name="log"):
    m, e, k = split(w, x)
    f = m - 1.0
    y = core(w, f, e, name) if x.type == "float" or name == "log" else other_base(w, f, e, name)
    return y if k is None else specials(w, x, y)


def other_base(w, f, e, name):
    """log2 and log10 in double."""
    y = core(w, f)
    if name == "log2":
        return w.mad(y, math.log2(math.e), e)
    high, low = LOG10_2["double"]
    return w.mad(e, high, w.mad(y, math.log10(math.e), e * low))


def log1p_core(w, x, extra=None, single=False):
    """log(1 + x) for x >= -1 finite; plus ``extra`` times ln 2."""
    u = x + 1.0
    lost = (x < 1.0).where(x - (u - 1.0), 1.0 - (u - x))
    m, e, k = split(w, u)
    fraction, _ = bias(x)
    f = m - 1.0
    f = (x < 2.0 ** (fraction + 3)).where(f + _shrink(w, lost, e, k), f)  # beyond, what was lost does not count
    return core(w, f, e if extra is None else e + extra, single=single)


def log1p(w, x):
    y = log1p_core(w, x).copysign(x)
    bad = (x > -1.0).where(x, x.eq(-1.0).where(x.const(-math.inf), x.const(math.nan)))
    return ((x > -1.0) & (x < math.inf)).where(y, x.isnan().where(x, bad))


FUNCTIONS = {
    "log": (1, log),
    "log2": (1, lambda w, x: log(w, x, "log2")),
    "log10": (1, lambda w, x: log(w, x, "log10")),
    "log1p": (1, log1p),
}
