"""Two ways to reuse a body: float32 computed in double, and a scalar function called for each lane."""


def by_lane(w, symbol, needs, *args):
    """``symbol`` (doubles to double, defined by ``needs``) on each lane of ``args``."""
    w.texts.update(needs)
    n, d = w.lanes, w.of("double")
    if n == 1:
        return w.emit("double", f"call double {symbol}({', '.join(f'double {a.name}' for a in args)})")
    vector = f"{symbol}.v{n}"
    take = "\n".join(f"  %s{i} = extractelement {d} %x{i}, i32 %k" for i in range(len(args)))
    head = ", ".join(f"{d} %x{i}" for i in range(len(args)))
    w.texts[vector] = f"""define internal {d} {vector}({head}) noinline cold nounwind {{
entry:
  br label %lane
lane:
  %k = phi i32 [ 0, %entry ], [ %next, %lane ]
  %y = phi {d} [ zeroinitializer, %entry ], [ %z, %lane ]
{take}
  %r = call double {symbol}({", ".join(f"double %s{i}" for i in range(len(args)))})
  %z = insertelement {d} %y, double %r, i32 %k
  %next = add i32 %k, 1
  %more = icmp ult i32 %next, {n}
  br i1 %more, label %lane, label %done
done:
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
