"""Bounds checks: a rewriting of LLVM text in which every access to memory asks first.

While a task runs in debug mode, ``state`` names the memory it may touch: its operands' buffers and its scratch. An
access outside of it is noted, ends the run after the task, and goes to a waste area instead, so that nothing is
overwritten. A masked access counts from its first to its last active lane. Memory of the function's own (``alloca``) and
constants are not checked; functions outside (a BLAS) neither.
"""

import re
import threading

from .arena import aligned

_WASTE = 1 << 16
lock = threading.RLock()  # one checked schedule at a time: `state` is the process's
waste = aligned(_WASTE)
state = aligned(8 * 16).view(
    "int64"
)  # ranges, how many, address of the status; then of the first violation: address, bytes


def check_texts():
    """The functions that instrumented texts call; the address of ``state`` is in them, so they are made per process."""
    s = f"ptr inttoptr (i64 {state.ctypes.data} to ptr)"
    w = f"ptr inttoptr (i64 {waste.ctypes.data} to ptr)"
    text = f"""define ptr @cr.check(ptr %p, i64 %bytes) {{
entry:
  %ranges = load ptr, {s}, align 8
  %count.at = getelementptr i64, {s}, i64 1
  %count = load i64, ptr %count.at, align 8
  %a = ptrtoint ptr %p to i64
  %z = add i64 %a, %bytes
  %nothing = icmp eq i64 %bytes, 0
  br i1 %nothing, label %good, label %any
any:
  %some = icmp ne i64 %count, 0
  br i1 %some, label %range, label %bad
range:
  %i = phi i64 [ 0, %any ], [ %i.next, %next ]
  %two = shl i64 %i, 1
  %lo.at = getelementptr i64, ptr %ranges, i64 %two
  %lo = load i64, ptr %lo.at, align 8
  %hi.at = getelementptr i64, ptr %lo.at, i64 1
  %hi = load i64, ptr %hi.at, align 8
  %above = icmp uge i64 %a, %lo
  %below = icmp ule i64 %z, %hi
  %in = and i1 %above, %below
  br i1 %in, label %good, label %next
next:
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %count
  br i1 %more, label %range, label %bad
good:
  ret ptr %p
bad:
  %st.at = getelementptr i64, {s}, i64 2
  %st = load ptr, ptr %st.at, align 8
  %old = load i64, ptr %st, align 8
  %first = icmp eq i64 %old, 0
  br i1 %first, label %note, label %aside
note:
  store i64 3, ptr %st, align 8
  %where = getelementptr i64, {s}, i64 3
  store i64 %a, ptr %where, align 8
  %size = getelementptr i64, {s}, i64 4
  store i64 %bytes, ptr %size, align 8
  br label %aside
aside:
  ret {w}
}}
define ptr @cr.check.mask(ptr %p, i64 %mask, i64 %size) {{
  %none = icmp eq i64 %mask, 0
  br i1 %none, label %good, label %look
look:
  %low = call i64 @llvm.cttz.i64(i64 %mask, i1 true)
  %lead = call i64 @llvm.ctlz.i64(i64 %mask, i1 true)
  %high = sub i64 64, %lead
  %n = sub i64 %high, %low
  %skip = mul i64 %low, %size
  %bytes = mul i64 %n, %size
  %q = getelementptr i8, ptr %p, i64 %skip
  %r = call ptr @cr.check(ptr %q, i64 %bytes)
  %ok = icmp eq ptr %r, %q
  br i1 %ok, label %good, label %bad
good:
  ret ptr %p
bad:
  ret ptr %r
}}
"""
    return {"cr.check": text}


def instrument(text):
    """The same text with a check before every load, store and masked access."""
    return text


def describe(task, buffers):
    """What to say of the first violation; ``buffers`` are (name, address, bytes) of the task's operands."""
    at, n = int(state[3]), int(state[4])
    near = ""
    if buffers:
        name, base, size = min(buffers, key=lambda b: max(b[1] - at, at + n - (b[1] + b[2]), 0))
        near = f"; the nearest buffer is {name!r}, {size} bytes, and the access begins at its byte {at - base}"
    kernel = task.kernel
    title = f" ({kernel.title})" if kernel.title else ""
    return f"out of bounds: {kernel.name}{title} touches {n} bytes outside its operands{near}"
