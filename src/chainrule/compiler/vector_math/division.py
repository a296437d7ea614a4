"""fmod, remainder and floor_divide, exact: one division where the quotient fits, else integers, lane by lane."""

import math

from .lanes import by_lane, wide
from .power import two_product
from .rounding import trunc

# x mod y for finite x, y > 0 as doubles: the whole mantissas, 11 bits of the quotient at a time. Else: ``other``.
_LANE = """define internal double @cr.fmod.lane(double %x, double %y, double %other) noinline nounwind {
entry:
  %xb = bitcast double %x to i64
  %yb = bitcast double %y to i64
  %ex0 = lshr i64 %xb, 52
  %ey0 = lshr i64 %yb, 52
  %fx = icmp ult i64 %ex0, 2047
  %fy = icmp ult i64 %ey0, 2047
  %finite = and i1 %fx, %fy
  %nonzero = icmp ne i64 %yb, 0
  %usual = and i1 %finite, %nonzero
  br i1 %usual, label %compare, label %leave
leave:
  ret double %other
compare:
  %less = icmp ult i64 %xb, %yb
  br i1 %less, label %same, label %divide
same:
  ret double %x
divide:
  %ex = call i64 @llvm.umax.i64(i64 %ex0, i64 1)
  %ey = call i64 @llvm.umax.i64(i64 %ey0, i64 1)
  %nx = icmp ne i64 %ex0, 0
  %ny = icmp ne i64 %ey0, 0
  %hx = select i1 %nx, i64 4503599627370496, i64 0
  %hy = select i1 %ny, i64 4503599627370496, i64 0
  %lx = and i64 %xb, 4503599627370495
  %ly = and i64 %yb, 4503599627370495
  %mx = or i64 %lx, %hx
  %my = or i64 %ly, %hy
  %m0 = urem i64 %mx, %my
  %d0 = sub i64 %ex, %ey
  br label %test
test:
  %m = phi i64 [ %m0, %divide ], [ %m2, %step ]
  %d = phi i64 [ %d0, %divide ], [ %d2, %step ]
  %more = icmp sgt i64 %d, 0
  br i1 %more, label %step, label %done
step:
  %s = call i64 @llvm.umin.i64(i64 %d, i64 11)
  %m1 = shl i64 %m, %s
  %m2 = urem i64 %m1, %my
  %d2 = sub i64 %d, %s
  br label %test
done:
  %low = icmp ule i64 %ey, 1075
  %up = select i1 %low, i64 2, i64 -52
  %e = add i64 %ey, %up
  %factor.b = shl i64 %e, 52
  %factor = bitcast i64 %factor.b to double
  %down = select i1 %low, double 0x3C90000000000000, double 1.0
  %mf = uitofp i64 %m to double
  %r0 = fmul double %mf, %factor
  %r = fmul double %r0, %down
  ret double %r
}
"""
_NEEDS = {
    "@llvm.umax.i64": "declare i64 @llvm.umax.i64(i64, i64)",
    "@llvm.umin.i64": "declare i64 @llvm.umin.i64(i64, i64)",
    "@cr.fmod.lane": _LANE,
}


def _divide(w, a, b, single):
    """a = q b + r for a, b >= 0 as doubles, where a / b is small enough: ``(a / b, q, r)``."""
    ratio = a / b
    q = trunc(w, ratio)
    if single or w.fma:  # a quotient of 29 bits times 24 bits is exact anyway
        r = w.mad(-q, b, a)
    else:
        p, e = two_product(w, q, b)
        r = (a - p) - e
    over = r < 0.0  # the division was rounded up to the next whole number
    q, r = over.where(q - 1.0, q), over.where(r + b, r)
    inside = a < b
    return ratio, inside.where(a.const(0.0), q), inside.where(a, r)


def _rest(w, x, y, single):
    """|x| mod |y|, of doubles (``single``: made from floats)."""
    a, b = x.abs(), y.abs()
    ratio, _, r = _divide(w, a, b, single)
    far = (ratio >= (2.0**29 if single else 2.0**52)) & (a < math.inf) & (b > 0.0)
    if not (single or w.fma):  # where the parts of a product would over- or underflow
        far = far | (((b < 2.0**-900) | (a > 2.0**960)) & (a < math.inf) & (b > 0.0) & (a >= b))
    return w.rarely(far, lambda: (by_lane(w, "@cr.fmod.lane", _NEEDS, a, b, r),), r)[0]


def fmod(w, x, y, single):
    return _rest(w, x, y, single).copysign(x)


def remainder(w, x, y, single):
    """Python's sign: that of y; NumPy's -0 too."""
    r = _rest(w, x, y, single).copysign(x)
    other = (r < 0.0) ^ (y < 0.0)
    return r.eq(0.0).where(r.copysign(y), other.where(r + y, r))


def floor_divide(w, x, y, single):
    a, b = x.abs(), y.abs()
    ratio, q, r = _divide(w, a, b, single)
    exact = x / y
    negative = (x.bits() ^ y.bits()) < 0
    q = (negative & (r > 0.0)).where(q + 1.0, q).copysign(exact)
    q = (ratio < (2.0**29 if single else 2.0**52)).where(q, exact)
    return (a.eq(math.inf) & (b > 0.0)).where(x.const(math.nan), q)


FUNCTIONS = {
    "fmod": (2, wide(fmod)),
    "remainder": (2, wide(remainder)),
    "floor_divide": (2, wide(floor_divide)),
}
