"""Payne and Hanek's reduction of huge arguments by pi/2, lane by lane with integers: the rare way of sin, cos and tan.

x = m 2**e with a whole m of 53 bits. Of the bits of 2/pi, those that only add multiples of 4 to x 2/pi are left out,
the next 192 are multiplied by m; the top two bits of the product (modulo 2**192) are the quadrant, the others the
fraction.
"""

_WORDS = 20


def _two_over_pi():
    """The bits of 2/pi as 64-bit words, after one word of zeros (pi by Machin's formula)."""
    bits = 64 * _WORDS + 64

    def arctan_inverse(n):
        total = term = (1 << bits) // n
        k, sign = 3, -1
        while term:
            term //= n * n
            total += sign * (term // k)
            k, sign = k + 2, -sign
        return total

    pi = 4 * (4 * arctan_inverse(5) - arctan_inverse(239))
    value = (2 << (2 * bits)) // pi >> (bits - 64 * _WORDS)
    words = [(value >> (64 * (_WORDS - 1 - i))) & (2**64 - 1) for i in range(_WORDS)]
    return [0, *(v - 2**64 if v >= 2**63 else v for v in words)]


def _lane():
    words = _two_over_pi()
    table = ", ".join(f"i64 {v}" for v in words)
    pieces = "\n".join(
        f"""  %i{j} = add i64 %word, {j}
  %p{j} = getelementptr i64, ptr @cr.two_over_pi, i64 %i{j}
  %w{j} = load i64, ptr %p{j}"""
        for j in range(4)
    )
    shifted = "\n".join(f"  %b{j} = call i64 @llvm.fshl.i64(i64 %w{j}, i64 %w{j + 1}, i64 %shift)" for j in range(3))
    return {
        "@llvm.fshl.i64": "declare i64 @llvm.fshl.i64(i64, i64, i64)",
        "@llvm.ctlz.i128": "declare i128 @llvm.ctlz.i128(i128, i1)",
        "@cr.two_over_pi": f"@cr.two_over_pi = internal constant [{len(words)} x i64] [{table}]",
        "@cr.payne_hanek": f"""define internal {{ double, i64 }} @cr.payne_hanek(double %x) noinline nounwind {{
entry:
  %bits = bitcast double %x to i64
  %e0 = lshr i64 %bits, 52
  %exponent = and i64 %e0, 2047
  %finite = icmp ult i64 %exponent, 2047
  %large = icmp ugt i64 %exponent, 1020
  %fine = and i1 %finite, %large
  br i1 %fine, label %reduce, label %leave
leave:
  %small = select i1 %finite, double %x, double 0x7FF8000000000000
  %none = insertvalue {{ double, i64 }} zeroinitializer, double %small, 0
  ret {{ double, i64 }} %none
reduce:
  %m0 = and i64 %bits, 4503599627370495
  %m = or i64 %m0, 4503599627370496
  %start = sub i64 %exponent, 1013
  %word = lshr i64 %start, 6
  %shift = and i64 %start, 63
{pieces}
{shifted}
  %m.w = zext i64 %m to i128
  %b2.w = zext i64 %b2 to i128
  %b1.w = zext i64 %b1 to i128
  %low = mul i128 %m.w, %b2.w
  %carry = lshr i128 %low, 64
  %mid0 = mul i128 %m.w, %b1.w
  %mid = add i128 %mid0, %carry
  %r1 = trunc i128 %mid to i64
  %mid.s = lshr i128 %mid, 64
  %mid.t = trunc i128 %mid.s to i64
  %top0 = mul i64 %m, %b0
  %r2 = add i64 %top0, %mid.t
  %q0 = lshr i64 %r2, 62
  %h0 = lshr i64 %r2, 61
  %h1 = and i64 %h0, 1
  %q1 = add i64 %q0, %h1
  %f1 = call i64 @llvm.fshl.i64(i64 %r2, i64 %r1, i64 2)
  %f0 = shl i64 %r1, 2
  %below = icmp slt i64 %f1, 0
  %flip = ashr i64 %f1, 63
  %g1 = xor i64 %f1, %flip
  %g0 = xor i64 %f0, %flip
  %g1.w = zext i64 %g1 to i128
  %g0.w = zext i64 %g0 to i128
  %g1.s = shl i128 %g1.w, 64
  %g = or i128 %g1.s, %g0.w
  %zeros = call i128 @llvm.ctlz.i128(i128 %g, i1 false)
  %g.n = shl i128 %g, %zeros
  %g.t = lshr i128 %g.n, 64
  %product = mul i128 %g.t, 14488038916154245684
  %product.s = lshr i128 %product, 64
  %product.t = trunc i128 %product.s to i64
  %whole = uitofp i64 %product.t to double
  %zeros.t = trunc i128 %zeros to i64
  %scale.e = sub i64 960, %zeros.t
  %scale.b = shl i64 %scale.e, 52
  %scale = bitcast i64 %scale.b to double
  %y0 = fmul double %whole, %scale
  %sign.x = and i64 %bits, -9223372036854775808
  %sign.f = and i64 %flip, -9223372036854775808
  %sign = xor i64 %sign.x, %sign.f
  %y.bits = bitcast double %y0 to i64
  %y.signed = xor i64 %y.bits, %sign
  %y = bitcast i64 %y.signed to double
  %minus = sub i64 0, %q1
  %negative = icmp slt i64 %bits, 0
  %q2 = select i1 %negative, i64 %minus, i64 %q1
  %q = and i64 %q2, 3
  %out0 = insertvalue {{ double, i64 }} zeroinitializer, double %y, 0
  %out = insertvalue {{ double, i64 }} %out0, i64 %q, 1
  ret {{ double, i64 }} %out
}}
""",
    }


LANE = _lane()


def quadrants(w, x):
    """x = q pi/2 + r lane by lane: ``(r, q)`` with r a double and q an i64 in 0..3 (inf gives NaN)."""
    w.texts.update(LANE)
    n, d, i = w.lanes, w.of("double"), w.of("i64")
    pair = f"{{ {d}, {i} }}"
    symbol = f"@cr.quadrants.v{n}"
    if n == 1:
        body = f"  %p = call {{ double, i64 }} @cr.payne_hanek(double %x)\n  ret {pair} %p"
    else:
        body = f"""  %xs = alloca {d}
  %rs = alloca {d}
  %qs = alloca {i}
  store {d} %x, ptr %xs
  br label %lane
lane:
  %k = phi i64 [ 0, %entry ], [ %next, %lane ]
  %px = getelementptr double, ptr %xs, i64 %k
  %pr = getelementptr double, ptr %rs, i64 %k
  %pq = getelementptr i64, ptr %qs, i64 %k
  %xk = load double, ptr %px
  %p = call {{ double, i64 }} @cr.payne_hanek(double %xk)
  %rk = extractvalue {{ double, i64 }} %p, 0
  %qk = extractvalue {{ double, i64 }} %p, 1
  store double %rk, ptr %pr
  store i64 %qk, ptr %pq
  %next = add i64 %k, 1
  %more = icmp ult i64 %next, {n}
  br i1 %more, label %lane, label %done
done:
  %r = load {d}, ptr %rs
  %q = load {i}, ptr %qs
  %o0 = insertvalue {pair} zeroinitializer, {d} %r, 0
  %o1 = insertvalue {pair} %o0, {i} %q, 1
  ret {pair} %o1"""
    w.texts[symbol] = f"define internal {pair} {symbol}({d} %x) noinline cold nounwind {{\nentry:\n{body}\n}}\n"
    name = "%" + w.new()
    w.lines.append(f"  {name} = call {pair} {symbol}({d} {x.name})")
    return w.emit("double", f"extractvalue {pair} {name}, 0"), w.emit("i64", f"extractvalue {pair} {name}, 1")


def payne_hanek(w, x, ahead):
    """For sin (``ahead`` 0) and cos (1): ``(r, flip)`` with the value sin(r), its sign bit flipped by ``flip``."""
    r, q = quadrants(w, x.widen() if x.type == "float" else x)
    q = q + ahead
    odd = (q & 1).ne(0)
    r = odd.where(1.5707963267948966 - r.abs(), r)
    flip = (q & 2) << 62
    if x.type == "double":
        return r, flip
    return r.narrow(), w.emit("i32", f"trunc {w.of('i64')} {flip.shr(32).name} to {w.of('i32')}")
