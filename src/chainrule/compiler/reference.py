"""The core instructions run one by one with NumPy: what every later stage is compared with."""

import numpy as np

from .functions import MAPS, REDUCTIONS


def evaluate(program, arrays):
    """Run ``program`` on its inputs (NumPy arrays). Returns ``(outputs, writes)``; the inputs are not changed."""
    known = dict(zip(program.inputs, arrays, strict=True)) | program.constants
    with np.errstate(all="ignore"):
        for i in program.instrs:
            results = run(i, [known[v] for v in i.inputs])
            known.update(zip(i.outputs, results if i.op == "call" else (results,), strict=True))
    return [known[v] for v in program.outputs], {k: known[v] for k, v in program.writes.items()}


def run(i, xs):
    """One instruction on arrays."""
    p, out = i.params, i.outputs[0]
    if i.op == "map":
        y = xs[0].astype(out.dtype) if p["fn"] == "convert" else MAPS[p["fn"]](*xs)
        return np.broadcast_to(np.asarray(y, dtype=out.dtype), out.shape)
    if i.op == "scalar":
        return np.asarray(p["value"], dtype=out.dtype)
    if i.op == "iota":
        shape = [1] * len(out.shape)
        shape[p["dim"]] = out.shape[p["dim"]]
        return np.broadcast_to(np.arange(out.shape[p["dim"]], dtype=out.dtype).reshape(shape), out.shape)
    if i.op == "view":
        return region(xs[0], out.shape, p["strides"], p["offset"]).copy()
    if i.op == "reduce":
        return reduce(p["fn"], xs[0], p["dims"], out)
    if i.op == "dot":
        y = np.matmul(*xs[:2])
        return y + xs[2] if len(xs) == 3 else y
    if i.op == "take":
        return np.take(xs[0], xs[1], axis=p["dim"])
    if i.op == "gather":
        return np.take_along_axis(xs[0], xs[1], axis=p["dim"])
    if i.op == "update":
        y = np.array(xs[0], order="C")
        place = region(y, xs[1].shape, p["strides"], p["offset"])
        if p["fn"] == "add":
            place += xs[1]
        else:
            place[...] = xs[1]
        return y
    if i.op == "scatter":
        y = np.array(xs[0], order="C")
        scatter(y, xs[1], xs[2], **p)
        return y
    return p["function"](*xs)


def region(base, shape, strides, offset):
    """The strided region of a base's buffer (C order), sharing memory if the base is contiguous."""
    flat = np.ascontiguousarray(base).reshape(-1)
    return np.lib.stride_tricks.as_strided(flat[offset:], shape, [s * flat.itemsize for s in strides])


def reduce(fn, x, dims, out):
    if fn in ("argmax", "argmin"):
        keep = [d for d in range(x.ndim) if d not in dims]
        return REDUCTIONS[fn](x.transpose(*keep, *dims).reshape(*out.shape, -1), axis=-1).astype(out.dtype)
    extra = {"dtype": out.dtype} if fn in ("sum", "prod") else {}
    return np.asarray(REDUCTIONS[fn](x, axis=tuple(dims), **extra), dtype=out.dtype)


def scatter(y, index, piece, dim, fn, along):
    if along:
        where = list(np.indices(index.shape, sparse=True))
        where[dim] = index
    else:
        where = [slice(None)] * dim + [index]
    if fn == "add":
        np.add.at(y, tuple(where), piece)
    else:
        y[tuple(where)] = piece
