"""pow: exp(y log x), the logarithm in two doubles (float32: in one double)."""

import math

from .exponential import EXP, LN2, LOG2E, power_of_two, scale
from .logarithm import core, split
from .rounding import magic, nearest, rint

# exp(r) for |r| <= ln(2) / 2, as long as a float32 result needs
EXP_SHORT = (1.0, 1.000000032665137, 0.4999999408632887, 0.16666428646070477, 0.04166802065431886, 0.008374386199366464,
             0.0013843281847612894)  # fmt: skip
# what follows 2/3 in ATANH when 2/3 is exact; y log(x) may be 700, so the relative error has to be 1e-20
TAIL = (0.3999999999999972, 0.28571428571579854, 0.22222222190803478, 0.18181821565698056,
        0.15384404667709287, 0.13341200565738048, 0.1159151891807141, 0.1257659337796129)  # fmt: skip


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
    """log(2**e m) as two doubles, for m in [3/4, 3/2]."""
    f = m - 1.0
    th, tl = two_sum(m.const(2.0), f)
    inverse = 1.0 / th
    sh = f * inverse
    ph, pl = two_product(w, sh, th)
    sl = (((f - ph) - pl) - sh * tl) * inverse
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
    t = w.mad(h, LOG2E, h.const(magic(h)))
    n = t - magic(h)
    high, low = LN2["double"]
    r = w.mad(n, -high, h)
    r = w.mad(n, -low, r) + low_part
    return scale(w, w.poly2(r, (1.0, 1.0, *EXP["double"])), n, t)


def _signs(w, x, y, magnitude):
    """From |x|**y, which is right for positive finite |x| and any y but NaN: the sign and every special case."""
    usual = (x > 0.0) & (x < math.inf) & y.eq(y)
    return w.rarely(~usual, lambda: (_every_case(w, x, y, magnitude),), magnitude)[0]


def _every_case(w, x, y, magnitude):
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
    """The logarithm and its product with y in double, the rest of exp in float32."""
    m, e, _ = split(w, x.abs())
    log = core(w, (m - 1.0).widen(), e.widen(), single=True)
    h = (y.max(-1e30).min(1e30).widen() * log).max(-110.0).min(110.0)
    t = w.mad(h, LOG2E, h.const(magic(h)))
    n = t - magic(h)
    r = w.mad(n, -math.log(2.0), h).narrow()
    n, t = nearest(w, n.narrow())
    return _signs(w, x, y, scale(w, w.mad(r * r, w.poly(r, EXP["float"]), r) + 1.0, n, t))


def exp_short(w, h):
    """exp(h) in double, to the precision of float32, for 2**n in range."""
    t = w.mad(h, LOG2E, h.const(magic(h)))
    r = w.mad(t - magic(h), -math.log(2.0), h)
    return w.poly2(r, EXP_SHORT) * power_of_two(w, t)


FUNCTIONS = {"pow": (2, power)}
