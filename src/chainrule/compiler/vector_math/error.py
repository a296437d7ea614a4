"""erf and erfc: a polynomial around 0, else exp(-x**2) P(q) / (1 + 2 x) with q = (x - k) / (x + k) (Shepherd and Laframboise)."""

from .power import exp_pair, two_product

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
# erf(x) / x in float32 as a quotient of polynomials in x**2, |x| <= 3.92
TOP = (1.12837915, 1.90381101e-01, 5.27454234e-02, 3.76454593e-03, 2.84861378e-04, 2.05031498e-06)
BOTTOM = (1.0, 5.02053604e-01, 1.14098676e-01, 1.49670683e-02, 1.16228110e-03, 3.80929669e-05)


def _both(w, x, short):
    """erf near 0 and erfc elsewhere, of |x|: ``(a, small, rest)``."""
    a = x.abs().min(10.2 if short else 28.0)
    z, zl = two_product(w, a, a) if not short else (a * a, None)
    small = a * w.poly2(z, SMALL_SHORT if short else SMALL)
    k, c = (2.0, SCALED_SHORT) if short else (3.0, SCALED)
    p = w.poly2((a - k) / (a + k), c) / (a + a + 1.0)
    e = exp_pair(w, -z, -zl if zl else z.const(0.0))
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
    c = x.max(-3.92).min(3.92)
    z = c * c
    y = c * w.poly(z, TOP) / w.poly(z, BOTTOM)
    return y.max(-1.0).min(1.0)


def _erfc(w, x, short):
    a, small, rest = _both(w, x, short)
    # left of 0 it is 1 + erf(|x|)
    left = x < 0.0
    near = left.where(1.0 + small, 1.0 - small)
    far = left.where(2.0 - rest, rest)
    return (a < 0.5).where(near, far)


FUNCTIONS = {"erf": (1, erf), "erfc": (1, _wide(_erfc))}
