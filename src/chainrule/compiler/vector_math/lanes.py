"""Two ways to reuse a body: float32 computed in double, and a scalar function called for each lane."""


def by_lane(w, symbol, needs, *args):
    """``symbol`` (doubles to double, defined by ``needs``) on each lane of ``args``."""
    w.texts.update(needs)
    n, d = w.lanes, w.of("double")
    if n == 1:
        return w.emit("double", f"call double {symbol}({', '.join(f'double {a.name}' for a in args)})")
    vector = f"{symbol}.v{n}"
    count = range(len(args))
    head = ", ".join(f"{d} %x{i}" for i in count)
    stores = "\n".join(f"  %p{i} = alloca {d}\n  store {d} %x{i}, ptr %p{i}" for i in count)
    loads = "\n".join(
        f"  %e{i} = getelementptr double, ptr %p{i}, i64 %k\n  %s{i} = load double, ptr %e{i}" for i in count
    )
    w.texts[vector] = f"""define internal {d} {vector}({head}) noinline cold nounwind {{
entry:
  %ys = alloca {d}
{stores}
  br label %lane
lane:
  %k = phi i64 [ 0, %entry ], [ %next, %lane ]
{loads}
  %r = call double {symbol}({", ".join(f"double %s{i}" for i in count)})
  %y = getelementptr double, ptr %ys, i64 %k
  store double %r, ptr %y
  %next = add i64 %k, 1
  %more = icmp ult i64 %next, {n}
  br i1 %more, label %lane, label %done
done:
  %z = load {d}, ptr %ys
  ret {d} %z
}}
"""
    return w.emit("double", f"call {d} {vector}({', '.join(f'{d} {a.name}' for a in args)})")


def wide(body, native=False):
    """``body(w, *xs, single)`` on doubles; float32 is converted there and back (``native``: only if nothing fuses)."""

    def function(w, *xs):
        if xs[0].type == "double" or (native and w.fma):
            return body(w, *xs, single=xs[0].type == "float")
        return body(w, *(x.widen() for x in xs), single=True).narrow()

    return function
