"""asin, acos, atan and atan2: odd polynomials on a short range, the rest by symmetry."""

import math

import numpy as np

from .lanes import wide

# asin(s) / s in powers of s**2, s <= 1/2
ASIN = (1.0, 0.16666666666665375, 0.07500000000345503, 0.04464285682100631, 0.030381959450107906, 0.022371750302718783,
        0.01735982487203197, 0.013884019446005305, 0.012177376494296066, 0.006491930249296512, 0.01962880323761534,
        -0.01638484621579859, 0.03202420151404095)  # fmt: skip
ASIN_SHORT = (1.0, 0.16666753256271266, 0.07495261877229624, 0.04547544842942709, 0.02415169093149768,
              0.04221801886407257)  # fmt: skip
# atan(t) / t in powers of t**2, t <= tan(pi / 8)
ATAN = (1.0, -0.33333333333330123, 0.19999999999081844, -0.14285714194637467, 0.11111106626857187,
        -0.09090781767940444, 0.07690058967494605, -0.06641038385167569, 0.05692098478379745, -0.04357805977145858,
        0.021243889850194497)  # fmt: skip
ATAN_SHORT = (1.0, -0.3333331509409904, 0.1999846502915103, -0.14243404774177088, 0.10592832964165663,
              -0.060756714744101534)  # fmt: skip
TAN_PI_8 = math.tan(math.pi / 8)


def _arcsine(w, a, single):
    """asin(a) for a <= 1/2, else half of acos(a): ``(low, p)``."""
    low = a < 0.5
    z = low.where(a * a, w.mad(a, -0.5, a.const(0.5)))
    s = low.where(a, z.sqrt())
    return low, w.mad(s * z, w.poly2(z, (ASIN_SHORT if single else ASIN)[1:]), s)


def _split(x, value):
    """A constant of math as the nearest number of the type of ``x``, and the rest (of pi / 2, pi / 4 or pi)."""
    head = float(np.float32(value)) if x.type == "float" else value
    return head, (value - head) + value / math.pi * 1.2246467991473532e-16


def asin(w, x, single):
    low, p = _arcsine(w, x.abs(), single)
    head, tail = _split(x, math.pi / 2)
    return low.where(p, (head - (p + p)) + tail).copysign(x)


def acos(w, x, single):
    low, p = _arcsine(w, x.abs(), single)
    signed = p.copysign(x)
    far = (x < 0.0).where(x.const(math.pi), 0.0) + (signed + signed)
    head, tail = _split(x, math.pi / 2)
    return low.where(head - (signed - tail), far)


def _arctangent(w, y, x, single):
    """atan(y / x) for y, x >= 0, not both zero or infinite."""
    near, steep = y <= x * TAN_PI_8, y * TAN_PI_8 > x
    top = near.where(y, steep.where(-x, y - x))
    bottom = near.where(x, steep.where(y, y + x))
    (half, half_rest), (quarter, quarter_rest) = _split(x, math.pi / 2), _split(x, math.pi / 4)
    base = near.where(y.const(0.0), steep.where(y.const(half), quarter))
    rest = near.where(y.const(0.0), steep.where(y.const(half_rest), quarter_rest))
    t = top / bottom
    z = t * t
    p = w.poly2(z, (ATAN_SHORT if single else ATAN)[1:])
    return near.where(w.mad(t * z, p, t), base + (w.mad(t * z, p, rest) + t))


def atan(w, x, single):
    return _arctangent(w, x.abs(), x.const(1.0), single).copysign(x)


def atan2(w, y, x, single):
    b, a = y.abs(), x.abs()
    if not single or x.type == "float":  # the sum of both must not overflow, nor their quotient lose bits
        high, low, down, up = (100, -80, -20, 40) if single else (1000, -900, -100, 150)
        huge = (a > 2.0**high) | (b > 2.0**high)
        tiny = (a < 2.0**low) & (b < 2.0**low)
        s = huge.where(a.const(2.0**down), tiny.where(a.const(2.0**up), 1.0))
        a, b = a * s, b * s
    both = a.eq(math.inf) & b.eq(math.inf)
    a, b = both.where(a.const(1.0), a), both.where(b.const(1.0), b)
    r = _arctangent(w, b, b.eq(0.0).where(a.const(1.0), a), single)
    head, tail = _split(x, math.pi)
    r = (x.bits() < 0).where(head - (r - tail), r)
    return x.isnan().where(x, r.copysign(y))


FUNCTIONS = {
    "asin": (1, wide(asin, native=True)),
    "acos": (1, wide(acos, native=True)),
    "atan": (1, wide(atan, native=True)),
    "atan2": (2, wide(atan2, native=True)),
}
