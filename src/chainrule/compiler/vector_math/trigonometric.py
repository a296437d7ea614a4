"""sin and cos: x = n pi + r (n half-integral for cos), sin(r) on [-pi/2, pi/2]; huge arguments by Payne and Hanek."""

import math
from fractions import Fraction

from .power import two_product
from .reduction import payne_hanek
from .rounding import magic

SIN = {
    "float": (-0.16666659712791443, 0.00833306834101677, -0.0001980965753318742, 2.605740519356914e-06),
    "double": (-0.16666666666666666, 0.008333333333333207, -0.0001984126984121236, 2.755731921152606e-06,
               -2.5052106898463096e-08, 1.6058940612382606e-10, -7.643007109481582e-13, 2.7212703467745194e-15),
}  # fmt: skip
# pi in parts: whole mantissas where products are fused, 32 bits each where they are not
PI_FUSED = {
    "float": (3.1415927410125732, -8.742277657347586e-08, -3.4302964993752066e-15),
    "double": (3.141592653589793, 1.2246467991473532e-16, -2.9947698097183397e-33),
}


def _split_pi():
    """31 bits at a time, so that n times a part is exact for n of up to 22 bits."""
    parts, rest = [], Fraction(31415926535897932384626433832795028841971693993751058209749445923, 10**64)
    for _ in range(3):
        scale = Fraction(2) ** (30 - math.floor(math.log2(rest)))
        parts.append(float(int(rest * scale) / scale))
        rest -= Fraction(parts[-1])
    return (*parts, float(rest))


PI_PLAIN = _split_pi()
LIMIT = {"float": 32768.0, "double": 1048576.0}


def _reduced(w, x, half):
    """x = n pi + r: ``(r, t)``, the lowest bit of t's pattern telling odd n; n is half-integral if ``half`` is 0.5."""
    if x.type == "float" and not w.fma:
        r, t = _reduced(w, x.widen(), half)
        odd = w.emit("i32", f"trunc {w.of('i64')} {t.bits().name} to {w.of('i32')}")
        return r.narrow(), odd.from_bits()
    t = w.mad(x, 1 / math.pi, x.const(-half)) + magic(x) if half else w.mad(x, 1 / math.pi, x.const(magic(x)))
    n = t - magic(x)
    if half:
        n = n + 0.5
    parts = PI_FUSED[x.type] if w.fma else PI_PLAIN
    r = x
    for part in parts:
        r = w.mad(n, -part, r)
    return r, t


def reduce_pair(w, x):
    """x = n pi / 2 + r + l with n whole, of doubles: ``(r, l, t)``; l is what rounding took from r."""
    t = w.mad(x, 2 / math.pi, x.const(magic(x)))
    n = t - magic(x)
    *first, second, third = (part / 2 for part in (PI_FUSED["double"] if w.fma else PI_PLAIN))
    a = x
    for part in first:
        a = w.mad(n, -part, a)
    if w.fma:
        p, lost = two_product(w, n, n.const(second))
        lost = w.mad(n, third, lost)
    else:
        p, lost = n * second, n * third
    r = a - p
    b = r - a
    return r, ((a - (r - b)) - (p + b)) - lost, t


def _sine(w, x, half):
    limit = LIMIT[x.type]
    r, t = _reduced(w, x, half)
    flip = t.bits() << (31 if x.type == "float" else 63)
    if half:
        flip = flip ^ (1 << (31 if x.type == "float" else 63))

    def slow():
        return payne_hanek(w, x, 1 if half else 0)

    r, flip = w.rarely(~(x.abs() <= limit), slow, r, flip)
    z = r * r
    p = w.poly(z, SIN[x.type]) if x.type == "float" else w.poly2(z, SIN[x.type])
    y = w.mad(r * z, p, r).max(-1.0).min(1.0)  # rounding alone could leave [-1, 1]
    return (y.bits() ^ flip).from_bits()


def sin(w, x):
    y = _sine(w, x, 0)
    return x.eq(0.0).where(x, y)


def cos(w, x):
    return _sine(w, x, 0.5)


FUNCTIONS = {"sin": (1, sin), "cos": (1, cos)}
