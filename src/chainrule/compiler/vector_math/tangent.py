"""tan: x = q pi/2 + r, then sin(r) / cos(r) or -cos(r) / sin(r); float32 in double."""

import math

from .lanes import wide
from .reduction import quadrants
from .rounding import magic
from .trigonometric import LIMIT, PI_FUSED, PI_PLAIN, reduce_pair

# sin(r) / r and cos(r) in powers of r**2, |r| <= pi / 4
SIN = (-0.1666666666666663, 0.008333333333321822, -0.0001984126982933404, 2.75573135278437e-06,
       -2.5050732467227716e-08, 1.5895310495896919e-10)  # fmt: skip
COS = (1.0, -0.5, 0.04166666666666659, -0.001388888888887226, 2.480158728837429e-05, -2.7557314045151285e-07,
       2.0875682950193643e-09, -1.135762198902731e-11)  # fmt: skip
SIN_SHORT = (-0.16666654395971522, 0.008332147076389958, -0.0001951339389151427)
COS_SHORT = (1.0, -0.5, 0.0416666453005158, -0.0013887297342039416, 2.443096314026907e-05)


def tan(w, x, single):
    if single:
        return _tan_single(w, x)
    r, low, t = reduce_pair(w, x)

    def slow():
        r, q = quadrants(w, x)
        return r, r * 0.0, q

    r, low, q = w.rarely(~(x.abs() <= LIMIT["double"]), slow, r, low, t.bits())
    z = r * r
    s = w.mad(r * z, w.poly2(z, SIN), low) + r
    half = z * 0.5
    head = 1.0 - half
    c = head + (((1.0 - head) - half) + w.mad(z * z, w.poly2(z, COS[2:]), -(r * low)))
    odd = (q & 1).ne(0)
    y = odd.where(-c, s) / odd.where(s, c)
    return x.eq(0.0).where(x, y)


def _tan_single(w, x):
    """For x converted from float32, to its precision."""
    t = w.mad(x, 2 / math.pi, x.const(magic(x)))
    n = t - magic(x)
    r = x
    for part in PI_FUSED["double"][:2] if w.fma else PI_PLAIN[:3]:
        r = w.mad(n, -part / 2, r)
    r, q = w.rarely(~(x.abs() <= LIMIT["double"]), lambda: quadrants(w, x), r, t.bits())
    z = r * r
    s, c = w.mad(r * z, w.poly(z, SIN_SHORT), r), w.poly(z, COS_SHORT)
    odd = (q & 1).ne(0)
    return x.eq(0.0).where(x, odd.where(-c, s) / odd.where(s, c))


FUNCTIONS = {"tan": (1, wide(tan))}
