"""exp, exp2, expm1: x = n ln 2 + r, a polynomial in r, and 2**n by the exponent's bits."""

import math

from . import avx512
from .rounding import magic, nearest

LOG2E = math.log2(math.e)
# ln 2 in two parts; the first has so few bits that n times it is exact even where nothing fuses.
LN2 = {"float": (0.693359375, -2.12194440e-4), "double": (6.93147180369123816490e-01, 1.90821492927058770002e-10)}
# exp(r) = 1 + r + c2 r**2 + ... for |r| <= ln(2) / 2
EXP = {
    "float": (0.4999999701976776, 0.16666541993618011, 0.04166749492287636, 0.008366730064153671,
              0.0013865524670109153),
    "double": (0.5000000000000006, 0.1666666666666659, 0.041666666666572885, 0.008333333333388019,
               0.001388888893275919, 0.00019841269723859607, 2.4801503872688028e-05, 2.7557401746384964e-06,
               2.762658994563703e-07, 2.5056082877553664e-08),
}  # fmt: skip
# 2**r = 1 + c1 r + ... for |r| <= 1/2
EXP2 = {
    "float": (0.6931471824645996, 0.24022644758224487, 0.055503588169813156, 0.009618834592401981,
              0.0013391326647251844, 0.00015241088112816215),
    "double": (0.6931471805599453, 0.2402265069591013, 0.05550410866482224, 0.009618129107594306,
               0.0013333558146387157, 0.00015403530456988224, 1.5252733798808994e-05, 1.3215435302337308e-06,
               1.0178089573899282e-07, 7.0737855582402124e-09, 4.449545745361451e-10),
}  # fmt: skip


def bias(x):
    """(bits of the fraction, exponent of 1.0) of a float type."""
    return (23, 127) if x.type in ("float", "i32") else (52, 1023)


def power_of_two(w, t):
    """2**n where ``t`` is n with the rounding constant added; n within the normal exponents."""
    fraction, _ = bias(t)
    one = t.const(1.0).bits()
    return ((t.bits() << fraction) + one).from_bits()


def scale(w, p, n, t):
    """p * 2**n, rounded once where the result is subnormal; |n| may be twice the largest exponent."""
    if avx512.available(w, p):
        return avx512.scalef(w, p, n)
    fraction, one = bias(p)
    whole = t.bits() - t.const(magic(p)).bits()
    both = whole + 2 * one
    half = both.shr(1)
    return p * (half << fraction).from_bits() * ((both - half) << fraction).from_bits()


def reduce(w, x):
    """x = n ln 2 + r: ``(r, n, t)``."""
    high, low = LN2[x.type]
    t = w.mad(x, LOG2E, x.const(magic(x)))
    n = t - magic(x)
    r = w.mad(n, -low, w.mad(n, -high, x))
    return r, n, t


def exp(w, x, fine=False):
    """``fine``: one more instruction, and an error of little more than half an ULP."""
    low, high = (-104.0, 88.8) if x.type == "float" else (-745.2, 709.8)
    r, n, t = reduce(w, x.max(low).min(high))
    poly = w.poly2 if x.type == "double" else w.poly
    if fine or x.type == "double":
        p = w.mad(r * r, poly(r, EXP[x.type]), r) + 1.0
    else:
        p = poly(r, (1.0, 1.0, *EXP[x.type]))
    return scale(w, p, n, t)


def exp2(w, x):
    low, high = (-150.5, 128.5) if x.type == "float" else (-1075.5, 1024.5)
    x = x.max(low).min(high)
    n, t = nearest(w, x)
    return scale(w, w.poly2(x - n, (1.0, *EXP2[x.type])), n, t)


def expm1(w, x):
    """2 (2**(n-1) p + 2**(n-1) - 1/2) with p = exp(r) - 1: the halves keep n = 128 in range."""
    low, high = (-18.0, 88.8) if x.type == "float" else (-38.0, 709.8)
    r, _, t = reduce(w, x.max(low).min(high))
    p = w.mad(r * r, w.poly2(r, EXP[x.type]), r)
    half = ((t.bits() << bias(x)[0]) + t.const(0.5).bits()).from_bits()
    y = w.mad(half, p, half - 0.5) * 2.0
    tiny = 2.0**-26 if x.type == "float" else 2.0**-55
    return (x.abs() < tiny).where(x, y)


FUNCTIONS = {"exp": (1, exp), "exp2": (1, exp2), "expm1": (1, expm1)}
