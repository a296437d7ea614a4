"""log and its relatives: x = 2**e m with m around 1, f = m - 1, and a polynomial."""

import math
import struct

from .exponential import LN2, bias

# log(1 + f) = f - f**2 / 2 + f**3 (c0 + c1 f + ...) for |f| <= 1/3, in the base of the name
LOG_F32 = {
    "log": (1.0, -0.5, 0.3333320617675781, -0.24999818205833435, 0.20010912418365479, -0.16679693758487701,
            0.1399800330400467, -0.12193817645311356, 0.14022217690944672, -0.12855316698551178),
    "log2": (1.4426950408889634, -0.7213475108146667, 0.4808965027332306, -0.3606719672679901, 0.28869688510894775,
             -0.24061483144760132, 0.2019423544406891, -0.17615579068660736, 0.20232440531253815,
             -0.18459917604923248),
    "log10": (0.4342944819032518, -0.21714724600315094, 0.1447642743587494, -0.10857239365577698,
              0.0869063213467598, -0.07245077937841415, 0.060792092233896255, -0.05283169820904732,
              0.060899753123521805, -0.05628977343440056),
}  # fmt: skip
# log((1 + s) / (1 - s)) = 2 s + s z (c0 + c1 z + ...), z = s * s, for m in [sqrt(1/2), sqrt(2)]
ATANH = (0.6666666666666735, 0.39999999999409114, 0.2857142874379296, 0.22222198413220648, 0.18183573399132935,
         0.15313800141208217, 0.14798629018273235)  # fmt: skip
LOG10_2 = {
    "float": (0.30102920532226562, 7.9034151667660e-7),
    "double": (3.01029995663611771306e-01, 3.69423907715893078616e-13),
}
LOWEST = {"float": 2.0**-126, "double": 2.0**-1022}


def split(w, x, start=None):
    """x = 2**e m: ``(m, e, k)`` with m from ``start`` to twice that, e as a float and k as an integer."""
    start = start or (2 / 3 if x.type == "float" else math.sqrt(0.5))
    fraction, one = bias(x)
    up = 2.0 ** (fraction + 2)
    small = x < LOWEST[x.type]
    bits = small.where(x * up, x).bits()
    offset = x.const(start).bits()
    if x.type == "float":
        k = (bits - offset) >> fraction
    else:  # no arithmetic shift of 64 bits before AVX-512: keep it positive, and subtract after
        lowest = struct.unpack("<q", struct.pack("<d", start))[0] - ((one - 1) << fraction)
        k = (bits - lowest).shr(fraction) - (one - 1)
    m = (bits - (k << fraction)).from_bits()
    e = to_float(w, k) - small.where(x.const(float(fraction + 2)), 0.0)
    return m, e, k


def to_float(w, k):
    """A small integer as a float, without the conversion of 64 bits that only AVX-512 has."""
    if k.type == "i32":
        return k.to_float()
    magic = 6755399441055744.0
    bits = int.from_bytes(struct.pack("<d", magic), "little")
    return (k + bits).from_bits() - magic


def core(w, f, e, name="log"):
    """log(2**e (1 + f)) for f in [-1/3, 1/3] (float) or [sqrt(1/2) - 1, sqrt(2) - 1] (double)."""
    if f.type == "float":
        return _core32(w, f, e, name)
    s = f / (f + 2.0)
    z = s * s
    r = w.poly2(z, ATANH) * z
    half = f * f * 0.5
    high, low = LN2["double"]
    # f - (half - s (half + r)): exact where it matters, as in fdlibm
    y = w.mad(s, half + r, e * low)
    return w.mad(e, high, f - (half - y))


def _core32(w, f, e, name):
    c = LOG_F32[name]
    p = w.poly(f, c[1:])
    if name == "log":
        high, low = LN2["float"]
        y = w.mad(f * f, p, e * low) if not w.fma else w.mad(f * f, p, f)
        return w.mad(e, math.log(2), y) if w.fma else (f + y) + e * high
    y = p * f
    head = float(_single(c[0]))
    tail = c[0] - head
    if name == "log2":
        return w.mad(f, head, w.mad(f, tail, y * f)) + e
    high, low = LOG10_2["float"]
    return w.mad(e, high, w.mad(f, head, w.mad(e, low, w.mad(f, tail, y * f))))


def _single(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def specials(w, x, y):
    """log's values where x is not positive and finite."""
    bad = x.not_ge(0.0).where(x.const(math.nan), x.eq(0.0).where(x.const(-math.inf), x))
    usual = (x > 0.0) & (x < math.inf)
    return usual.where(y, bad)


def log(w, x, name="log"):
    m, e, _ = split(w, x)
    f = m - 1.0
    if x.type == "double" and name != "log":
        return specials(w, x, other_base(w, f, e, name))
    return specials(w, x, core(w, f, e, name))


def other_base(w, f, e, name):
    """log2 and log10 in double."""
    y = core(w, f, e * 0.0)
    if name == "log2":
        return w.mad(y, math.log2(math.e), e)
    high, low = LOG10_2["double"]
    return w.mad(e, high, w.mad(y, math.log10(math.e), e * low))


def log1p_core(w, x, extra=None):
    """log(1 + x) for x >= -1 finite; plus ``extra`` times ln 2."""
    u = x + 1.0
    lost = (x < 1.0).where(x - (u - 1.0), 1.0 - (u - x))
    m, e, k = split(w, u)
    fraction, one = bias(x)
    s = ((one - k) << fraction).from_bits()
    f = m - 1.0
    f = (x < 2.0 ** (fraction + 3)).where(w.mad(lost, s, f), f)  # beyond, what was lost does not count
    return core(w, f, e if extra is None else e + extra)


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
