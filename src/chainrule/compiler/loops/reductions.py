"""How the partial results of a reduction start, combine, and become one number."""

import numpy as np

from .text import number, vector


def identity(fn, dtype):
    """The number that changes nothing."""
    if fn in ("sum", "any"):
        return 0
    if fn in ("prod", "all"):
        return 1
    low = fn in ("max", "argmax")
    if dtype == "bool":
        return 0 if low else 1
    if "float" in dtype:
        return float("-inf") if low else float("inf")
    info = np.iinfo(dtype)
    return info.min if low else info.max


COMBINE = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and"}


def better(w, fn, dtype, lanes, new, old, new_at, old_at):
    """i1 (or a vector of it): the new pair comes before the old one: NaN first, then by value, then the lower index."""
    t, b, n = vector(dtype, lanes), vector("bool", lanes), vector("int64", lanes)
    if "float" in dtype:
        order = "ogt" if fn == "argmax" else "olt"
        ahead = w.op(f"fcmp {order} {t} {new}, {old}")
        same = w.op(f"fcmp oeq {t} {new}, {old}")
        new_nan, old_nan = w.op(f"fcmp uno {t} {new}, {new}"), w.op(f"fcmp uno {t} {old}, {old}")
        both = w.op(f"and {b} {new_nan}, {old_nan}")
        same = w.op(f"or {b} {same}, {both}")
        only = w.op(f"xor {b} {old_nan}, {number(True, 'bool', lanes)}")
        only = w.op(f"and {b} {new_nan}, {only}")
        ahead = w.op(f"or {b} {ahead}, {only}")
    else:
        sign = "u" if dtype.startswith("u") or dtype == "bool" else "s"
        order = sign + ("gt" if fn == "argmax" else "lt")
        ahead = w.op(f"icmp {order} {t} {new}, {old}")
        same = w.op(f"icmp eq {t} {new}, {old}")
    lower = w.op(f"icmp slt {n} {new_at}, {old_at}")
    same = w.op(f"and {b} {same}, {lower}")
    return w.op(f"or {b} {ahead}, {same}")


def halves(lanes):
    """For each step of a horizontal reduction, the lanes that move down."""
    step = lanes // 2
    while step:
        yield [min(k + step, lanes - 1) for k in range(lanes)]
        step //= 2


def shuffle(w, dtype, lanes, x, order):
    t = vector(dtype, lanes)
    mask = f"<{lanes} x i32> <{', '.join(f'i32 {k}' for k in order)}>"
    return w.op(f"shufflevector {t} {x}, {t} poison, {mask}")


def first_lane(w, dtype, lanes, x):
    return x if lanes == 1 else w.op(f"extractelement {vector(dtype, lanes)} {x}, i64 0")
