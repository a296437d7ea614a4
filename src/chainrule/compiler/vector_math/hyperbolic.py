"""tanh, sigmoid, sinh, cosh and the inverse functions, from expm1, exp and log1p."""

import math

from .exponential import EXP, LN2, LOG2E, bias, exp, power_of_two, reduce
from .lanes import wide
from .logarithm import log1p_core
from .rounding import magic

# sinh(r) = r + r**3 (c0 + ...), cosh(r) = 1 + r**2 (c0 + ...) for |r| <= ln(2) / 2, to double precision
SINH = tuple(1 / math.factorial(k) for k in (3, 5, 7, 9, 11, 13))
COSH = tuple(1 / math.factorial(k) for k in (2, 4, 6, 8, 10, 12, 14))
SINH_SHORT = (0.16666541988184985, 0.00836673095020012)
COSH_SHORT = (0.5000000079247784, 0.04166626573766763, 0.0013946367979126078)


# float32: tanh(x) / x in powers of x**2 for |x| <= 0.56, exp(2 r) for |r| <= ln(2) / 4
TANH = (-0.3333331346511841, 0.1333245038986206, -0.05383800342679024, 0.021011941134929657, -0.006188297178596258)
EXP_TWICE = (1.0, 2.0, 1.9999995231628418, 1.3333213329315186, 0.666714072227478, 0.26781216263771057,
             0.08798440545797348)  # fmt: skip


def tanh(w, x):
    return _tanh32(w, x) if x.type == "float" else _tanh64(w, x)


def _tanh32(w, x):
    """A polynomial near 0, else 1 - 2 / (1 + exp(2 |x|))."""
    a = x.abs().min(9.2)
    z = a * a
    near = w.mad(a * z, w.poly(z, TANH), a)
    t = w.mad(a, 2.0 * LOG2E, a.const(magic(a)))
    r = w.mad(t - magic(a), -math.log(2.0) / 2, a)
    e = w.poly(r, EXP_TWICE) * power_of_two(w, t)
    far = 1.0 - 2.0 / (e + 1.0)
    return (a < 0.55).where(near, far).copysign(x)


def _tanh64(w, x):
    """With z = exp(-2 |x|): (1 - z) / (1 + z) near 0, with 1 - z as -expm1, elsewhere 1 - 2 z / (1 + z)."""
    a = x.abs().min(19.2)
    t = w.mad(a, -2.0 * LOG2E, a.const(magic(a)))
    n = t - magic(a)
    high, low = LN2["double"]
    r = w.mad(n, low / 2, w.mad(n, high / 2, a))  # half of what is left: the coefficients carry the powers of two
    c = [-c * (-2.0) ** (i + 2) for i, c in enumerate(EXP["double"])]
    p = w.mad(r * r, w.poly2(r, c), r + r)  # 1 - exp(-2 r)
    s = power_of_two(w, t)
    z = w.mad(-s, p, s)
    v = w.mad(s, p, 1.0 - s)
    near = a < 0.55
    q = near.where(v, z + z) / (z + 1.0)
    return near.where(q, 1.0 - q).copysign(x)


def sigmoid(w, x):
    """exp(min(x, 0)) / (1 + exp(-|x|)), the sum's rounding made good."""
    z = exp(w, -x.abs(), fine=True)
    d = z + 1.0
    y = (x < 0.0).where(z, 1.0) / d
    return w.mad(y, (d - 1.0) - z, y)


def _halves(w, a, single):
    """sinh of r, cosh of r less 1, and 2**(n-2) + 2**(-n-2), 2**(n-2) - 2**(-n-2), for a = n ln 2 + r >= 0."""
    r, n, t = reduce(w, a)
    z = r * r
    s = w.mad(r * z, w.poly(z, SINH_SHORT if single else SINH), r)
    c = z * w.poly(z, COSH_SHORT if single else COSH)
    fraction, _ = bias(a)
    up, quarter = t.bits() << fraction, a.const(0.25).bits()
    grow, shrink = (quarter + up).from_bits(), (quarter - up).from_bits()
    shrink = (a < 40.0).where(shrink, 0.0)
    return s, c, grow + shrink, grow - shrink


def _top(x):
    """From here on sinh and cosh are infinite."""
    return 89.6 if x.type == "float" else 710.6


def sinh(w, x, single):
    a = x.abs()
    s, c, plus, minus = _halves(w, a.min(_top(a)), single)
    y = (w.mad(s, plus, c * minus) + minus) * 2.0
    return (a < 2.0**-14 if single else a < 2.0**-28).where(x, y.copysign(x))


def cosh(w, x, single):
    a = x.abs()
    s, c, plus, minus = _halves(w, a.min(_top(a)), single)
    return (w.mad(c, plus, s * minus) + plus) * 2.0


def asinh(w, x, single):
    a = x.abs()
    big = a > 2.0**54
    b = big.where(a.const(1.0), a)
    z = b * b
    u = big.where(a, b + z / ((z + 1.0).sqrt() + 1.0))
    y = log1p_core(w, u, big.where(a.const(1.0), 0.0), single)
    return (a < math.inf).where(y, a).copysign(x)


def acosh(w, x, single):
    big = x > 2.0**54
    t = big.where(x.const(1.0), x) - 1.0
    u = big.where(x, t + w.mad(t, t, t + t).sqrt())
    y = log1p_core(w, u, big.where(x.const(1.0), 0.0), single)
    return (x < math.inf).where((x >= 1.0).where(y, x.const(math.nan)), x)


def atanh(w, x, single):
    a = x.abs()
    y = log1p_core(w, (a + a) + (a + a) * a / (1.0 - a), None, single) * 0.5
    y = (a < 1.0).where(y, a.eq(1.0).where(a.const(math.inf), a.const(math.nan)))
    return x.isnan().where(x, y.copysign(x))


FUNCTIONS = {
    "tanh": (1, tanh),
    "sigmoid": (1, sigmoid),
    "sinh": (1, wide(sinh, native=True)),
    "cosh": (1, wide(cosh, native=True)),
    "asinh": (1, wide(asinh, native=True)),
    "acosh": (1, wide(acosh, native=True)),
    "atanh": (1, wide(atanh, native=True)),
}
