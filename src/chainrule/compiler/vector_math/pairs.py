"""hypot, logaddexp and softplus."""

import math

from .exponential import exp
from .lanes import wide
from .logarithm import core


def _log1p_unit(w, z):
    """log(1 + z) for z between 0 and 1: 1 + z or half of it is near 1, exactly."""
    far = z > 0.5
    return core(w, far.where(w.mad(z, 0.5, z.const(-0.5)), z), far.where(z.const(1.0), 0.0))


def hypot(w, x, y, single):
    a, b = x.abs(), y.abs()
    edge = a.eq(math.inf) | b.eq(math.inf)
    if single:
        r = w.mad(a, a, b * b).sqrt()
    else:
        big = (a > 2.0**500) | (b > 2.0**500)
        small = (a < 2.0**-400) & (b < 2.0**-400)
        down = big.where(a.const(2.0**-600), small.where(a.const(2.0**600), 1.0))
        up = big.where(a.const(2.0**600), small.where(a.const(2.0**-600), 1.0))
        c, d = a * down, b * down
        r = w.mad(c, c, d * d).sqrt() * up
    return edge.where(a.const(math.inf), r)


def logaddexp(w, x, y, single):
    """max + log1p(exp(-|x - y|)); where that cancels, its error is that of the larger term (so no short ways here)."""
    larger = x.max(y)
    t = _log1p_unit(w, exp(w, -(x - y).abs()))
    r = x.eq(y).where(x + math.log(2.0), larger + t)
    return (x.isnan() | y.isnan()).where(x + y, (larger.abs() < math.inf).where(r, larger))


def softplus(w, x):
    """log(1 + exp(x))."""
    return x.max(0.0) + _log1p_unit(w, exp(w, -x.abs(), fine=True))


FUNCTIONS = {"hypot": (2, wide(hypot)), "logaddexp": (2, wide(logaddexp)), "softplus": (1, softplus)}
