"""erf and erfc: a polynomial around 0, else exp(-x**2) P(q) / (1 + 2 x) with q = (x - k) / (x + k).

The form is Shepherd and Laframboise's (1981).
"""

import numpy as np

from .exponential import power_of_two
from .power import exp_pair, exp_short, two_product
from .rounding import nearest

# erf(x) / x in powers of x**2, |x| <= 1/2
SMALL = (1.1283791670955126, -0.376126389031832, 0.11283791670906582, -0.026866170627359562, 0.00522397728905412,
         -0.0008548290664313235, 0.00012052999432180732, -1.4837515806532208e-05, 1.464150143595185e-06)  # fmt: skip
# exp(x**2) erfc(x) (1 + 2 x) in powers of (x - 3) / (x + 3), 1/2 <= x <= 27.3
SCALED = (1.2530080582697296, -0.135621106124581, -0.04756229435343362, 0.1296451587027365, -0.11927366341639059,
          0.06830802734502638, -0.0237705148920996, 0.0025293917947748143, 0.0018886900266243713,
          -0.0007798320316249332, -0.00010515738597764925, 0.00012509771028527497, 4.9386818165281106e-06,
          -2.009352115861301e-05, -7.009732326609753e-07, 3.4532788037633147e-06, 3.0271289290419973e-07,
          -5.846325490727343e-07, -8.402451575702773e-08, 7.140111140378627e-08, 8.591463026881581e-09)  # fmt: skip
# the same for float32 results: (x - 2) / (x + 2), x <= 10.2, computed in double
SCALED_SHORT = (1.2769783852282641, -0.09276376481716224, -0.16603085654303384, 0.16404879747604703,
                -0.05421076106698726, -0.008006471384049233, 0.008656719140981102, 0.0011502302057247128,
                -0.0012618490221309518, -0.00023107498654077835)  # fmt: skip
SMALL_SHORT = (
    1.1283791652377506,
    -0.37612603453782295,
    0.1128270382799103,
    -0.026748546712746096,
    0.004698743303415827,
)
# float32: erf(x) / x in powers of x**2, |x| <= 0.85; -log2(erfc(x)) in powers of x, 0.85 <= x <= 3.95; 2**r, |r| <= 1/2
NEAR = (1.1283791670955126, -0.37612593173980713, 0.11282889544963837, -0.02680809795856476, 0.00505885761231184,
        -0.0006354448851197958)  # fmt: skip
FAR = (0.00016590043378528208, 1.62738037109375, 0.9184256196022034, 0.1506832391023636, -0.03242851421236992,
       0.004482226446270943, -0.00029213205561973155)  # fmt: skip
EXP2 = (1.0, 0.6931470036506653, 0.24022239446640015, 0.055507004261016846, 0.009671693667769432,
        0.0013274549274773598)  # fmt: skip


def _times(w, a, z, c):
    """a (c0 + c1 z + ...), with more of c0 than a number of the type holds."""
    head = float(np.float32(c[0])) if a.type == "float" else c[0]
    tail = c[0] - head if a.type == "float" else 1.533545961316588e-17
    return w.mad(a, head, a * w.mad(z, w.poly2(z, c[1:]), z.const(tail)))


def _both(w, x, short):
    """erf near 0 and erfc elsewhere, of |x|: ``(a, small, rest)``."""
    a = x.abs().min(10.2 if short else 28.0)
    z, zl = two_product(w, a, a) if not short else (a * a, None)
    small = a * w.poly2(z, SMALL_SHORT) if short else _times(w, a, z, SMALL)
    k, c = (2.0, SCALED_SHORT) if short else (3.0, SCALED)
    p = w.poly2((a - k) / (a + k), c) / (a + a + 1.0)
    e = exp_short(w, -z) if short else exp_pair(w, -z, -zl)
    return a, small, e * p


def _wide(body):
    def function(w, x):
        return body(w, x, False) if x.type == "double" else body(w, x.widen(), True).narrow()

    return function


def _erf(w, x, short):
    a, small, rest = _both(w, x, short)
    y = (a < 0.5).where(small, 1.0 - rest)
    return y.copysign(x)


def erf(w, x):
    if x.type == "double":
        return _erf(w, x, False)
    a = x.abs().min(3.95)
    near = _times(w, a, a * a, NEAR)
    u = w.poly2(a, FAR)
    n, t = nearest(w, -u)
    p = w.poly(-u - n, EXP2)
    far = w.mad(-p, power_of_two(w, t), p.const(1.0))
    return (a < 0.85).where(near, far).copysign(x)


def _erfc(w, x, short):
    a, small, rest = _both(w, x, short)
    # left of 0 it is 1 + erf(|x|)
    left = x < 0.0
    near = left.where(1.0 + small, 1.0 - small)
    far = left.where(2.0 - rest, rest)
    return (a < 0.5).where(near, far)


FUNCTIONS = {"erf": (1, erf), "erfc": (1, _wide(_erfc))}
