"""pow: exp(y log x), the logarithm in two doubles (float32: in one double)."""

import math

from .exponential import EXP, LN2, LOG2E, scale
from .logarithm import split
from .rounding import rint

# as ATANH and EXP, but only as long as a float32 result needs
_ATANH_SHORT = (0.6666666667585918, 0.39999995598347865, 0.28572112003836675, 0.22176055750128723, 0.19586257732303372)
# what follows 2/3 in ATANH when 2/3 is exact; y log(x) may be 700, so the relative error has to be 1e-20
TAIL = (0.4000000000000228, 0.2857142857008792, 0.22222222522172397, 0.18181784156835143, 0.15386767584693595,
        0.1325656686104693, 0.1319876119365325)  # fmt: skip
_MAGIC = 6755399441055744.0


def two_sum(a, b):
    """a + b and its rounding error, for |a| >= |b|."""
    s = a + b
    return s, b - (s - a)


def two_product(w, a, b):
    """a * b and its rounding error (Dekker's splitting where products are not fused; |a|, |b| < 2**970)."""
    p = a * b
    if w.fma:
        return p, w.intrinsic("fma", a, b, -p)

    def halves(x):
        t = x * 134217729.0
        high = t - (t - x)
        return high, x - high

    (ah, al), (bh, bl) = halves(a), halves(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def log_pair(w, m, e):
    """log(2**e m) as two doubles, for m in [sqrt(1/2), sqrt(2)]."""
    f = m - 1.0
    th, tl = two_sum(m.const(2.0), f)
    sh = f / th
    ph, pl = two_product(w, sh, th)
    sl = (((f - ph) - pl) - sh * tl) / th
    zh, zl = two_product(w, sh, sh)
    zl = w.mad(sh + sh, sl, zl)
    # 2/3 + z (2/5 + ...): only the first term needs its second half
    ch, cl = two_sum(m.const(2.0 / 3.0), zh * w.poly2(zh, TAIL))
    cl = cl + (w.mad(zl, 0.4, m.const(3.700743415417188e-17)))
    vh, vl = two_product(w, zh, sh)
    vl = w.mad(zh, sl, w.mad(zl, sh, vl))
    gh, gl = two_product(w, vh, ch)
    gl = w.mad(vh, cl, w.mad(vl, ch, gl))
    high, low = LN2["double"]
    rh, rl = two_sum(sh + sh, gh)
    rl = rl + (gl + (sl + sl))
    eh = e * high
    # e ln 2 is 0 or larger than log m
    nonzero = e.ne(0.0)
    big, small = nonzero.where(eh, rh), nonzero.where(rh, eh)
    lh, ll = two_sum(big, small)
    ll = ll + w.mad(e, low, rl)
    return two_sum(lh, ll)


def exp_pair(w, h, low_part):
    """exp(h + low_part), the latter tiny beside h."""
    t = w.mad(h, LOG2E, h.const(_MAGIC))
    n = t - _MAGIC
    high, low = LN2["double"]
    r = w.mad(n, -high, h)
    r = w.mad(n, -low, r) + low_part
    return scale(w, w.poly2(r, (1.0, 1.0, *EXP["double"])), n, t)


def _signs(w, x, y, magnitude):
    """From |x|**y (for positive finite |x|): the sign and every special case."""
    a = x.abs()
    whole = rint(w, y).eq(y)
    half = y * 0.5
    odd = whole & rint(w, half).ne(half)
    sign = odd.where(x.const(1.0).copysign(x), 1.0)
    nothing = a.eq(0.0)
    edge = nothing | a.eq(math.inf)
    vanish = nothing ^ (y < 0.0)
    r = edge.where(vanish.where(x.const(0.0), math.inf), magnitude)
    r = ((x < 0.0) & (a < math.inf) & ~whole).where(x.const(math.nan), r.copysign(sign))
    r = x.isnan().where(x, y.isnan().where(y, r))
    return (y.eq(0.0) | x.eq(1.0)).where(x.const(1.0), r)


def power(w, x, y):
    if x.type == "float":
        return _power32(w, x, y)
    m, e, _ = split(w, x.abs())
    lh, ll = log_pair(w, m, e)
    limit = 2.0**66  # what is larger overflows or vanishes, whatever x is
    b = y.min(limit).max(-limit)
    h, rest = two_product(w, b, lh)
    rest = w.mad(b, ll, rest)
    inside = h.abs() < 800.0
    bounded = h.max(-800.0).min(800.0)
    return _signs(w, x, y, exp_pair(w, bounded, inside.where(rest, 0.0)))


def _power32(w, x, y):
    u, v = x.abs().widen(), y.widen()
    m, e, _ = split(w, u)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    log = w.mad(e, math.log(2.0), w.mad(s * z, w.poly2(z, _ATANH_SHORT), s + s))
    h = (v.max(-1e30).min(1e30) * log).max(-200.0).min(200.0)
    t = w.mad(h, LOG2E, h.const(_MAGIC))
    n = t - _MAGIC
    r = w.mad(n, -math.log(2.0), h)
    p = w.poly2(r, (1.0, 1.0, *EXP["double"][:6]))
    fraction = 52
    s = ((t.bits() << fraction) + t.const(1.0).bits()).from_bits()
    return _signs(w, x, y, (p * s).narrow())


FUNCTIONS = {"pow": (2, power)}
