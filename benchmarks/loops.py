"""Native loops beside PyTorch's eager kernels, one thread each, best of 30, microseconds.

PYTHONPATH=src python benchmarks/loops.py
"""

import ctypes
import pathlib
import sys
import time

import numpy as np
import torch
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

from chainrule.compiler.ir import Program
from native_loops import Native

rng = np.random.default_rng(0)


def best(call):
    fastest = 1.0
    for _ in range(30):
        count = max(1, int(2e-3 / fastest))
        start = time.perf_counter()
        for _ in range(count):
            call()
        fastest = min(fastest, (time.perf_counter() - start) / count)
    return fastest * 1e6


def native(make, arrays, over=()):
    """A call of all kernels of a program; ``over``: which input's memory each result takes, if any."""
    p = Program()
    inputs = [p.input(a.shape, a.dtype.name) for a in arrays]
    out = make(p, *inputs)
    p.outputs = list(out) if isinstance(out, tuple) else [out]
    made = Native(p)
    known = dict(zip(inputs, arrays, strict=True))
    known |= {v: arrays[k] for v, k in zip(p.outputs, over, strict=False)}
    calls, keep = [], []
    for g in made.groups:
        for v in g.outputs:
            known.setdefault(v, np.empty(v.shape, v.dtype))
        work = None
        for kernel, operands, starts in made.made[g]:
            for o in operands:
                if isinstance(o, tuple) and work is None:
                    work = np.zeros(o[1], np.uint8)
            pointers = np.array([(work if isinstance(o, tuple) else known[o]).ctypes.data for o in operands], np.uintp)
            pointers[: len(starts)] += np.array(starts, np.uintp)
            scratch = np.zeros(kernel.scratch + 64, np.uint8)
            run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(
                made.library.address(kernel.name)
            )
            calls.append((run, pointers.ctypes.data, kernel.chunks, scratch.ctypes.data + -scratch.ctypes.data % 64))
            keep += [pointers, scratch, work]

    def call():
        for run, pointers, chunks, scratch in calls:
            run(pointers, 0, chunks, scratch)

    call.keep = (keep, known, made)
    return call


def number(p, x):
    return p.scalar(x, "float32")


def value_and_gradient(p, x):
    one, t, s = number(p, 1), p.map("tanh", x), p.map("sigmoid", x)
    e = p.map("exp", p.map("neg", p.map("mul", x, x)))
    total = p.reduce("sum", p.map("add", p.map("mul", t, s), e), (0,))
    a = p.map("mul", s, p.map("sub", one, p.map("mul", t, t)))
    b = p.map("mul", t, p.map("mul", s, p.map("sub", one, s)))
    c = p.map("mul", p.map("mul", number(p, -2), x), e)
    return total, p.map("add", p.map("add", a, b), c)


def column(p, v):
    return p.view(v, (*v.shape, 1), (1, 1))


def softmax(p, x):
    e = p.map("exp", p.map("sub", x, column(p, p.reduce("max", x, (1,)))))
    return p.map("div", e, column(p, p.reduce("sum", e, (1,))))


def layer_norm(p, x, w, b):
    n = number(p, 1 / x.shape[1])
    away = p.map("sub", x, column(p, p.map("mul", p.reduce("sum", x, (1,)), n)))
    var = p.map("mul", p.reduce("sum", p.map("mul", away, away), (1,)), n)
    hat = p.map("mul", away, column(p, p.map("rsqrt", p.map("add", var, number(p, 1e-5)))))
    return p.map("add", p.map("mul", hat, w), b)


def adam(p, w, g, m, v):
    c = lambda x: number(p, x)  # noqa: E731
    m2 = p.map("add", p.map("mul", m, c(0.9)), p.map("mul", g, c(0.1)))
    v2 = p.map("add", p.map("mul", v, c(0.999)), p.map("mul", p.map("mul", g, g), c(0.001)))
    root = p.map("add", p.map("sqrt", v2), c(1e-8))
    return p.map("sub", w, p.map("mul", c(1e-3), p.map("div", m2, root))), m2, v2


def main():
    torch.set_num_threads(1)
    f = lambda *shape: rng.standard_normal(shape).astype("f4")  # noqa: E731
    x, rows, n = f(10**6), f(512, 128), 10**6
    weight, bias = f(128), f(128)
    tx, trows, tw, tb = (torch.from_numpy(a) for a in (x, rows, weight, bias))

    def peer_gradient():
        y = tx.detach().requires_grad_()
        (torch.tanh(y) * torch.sigmoid(y) + torch.exp(-y * y)).sum().backward()

    parameter = torch.zeros(n, requires_grad=True)
    parameter.grad = torch.randn(n)
    image = f(32, 16, 28, 28)
    window = ((32, 16, 14, 14, 2, 2), (12544, 784, 56, 2, 28, 1))
    jobs = [
        ("value and gradient, 10^6", native(value_and_gradient, [x]), peer_gradient),
        ("Adam, 10^6, in place", native(adam, [f(n), f(n), f(n), np.abs(f(n))], (0, 2, 3)),
         torch.optim.Adam([parameter], fused=True).step),
        ("softmax 512x128", native(softmax, [rows]), lambda: torch.softmax(trows, 1)),
        ("layer norm 512x128", native(layer_norm, [rows, weight, bias]), lambda: F.layer_norm(trows, (128,), tw, tb)),
        ("column sums 512x128", native(lambda p, a: p.reduce("sum", a, (0,)), [rows]), lambda: trows.sum(0)),
        ("sum, 10^6", native(lambda p, a: p.reduce("sum", a, (0,)), [x]), tx.sum),
        ("max-pool 32x16x28x28", native(lambda p, a: p.reduce("max", p.view(a, *window), (4, 5)), [image]),
         lambda: F.max_pool2d(torch.from_numpy(image), 2)),
    ]  # fmt: skip
    for k in (64, 256, 512, 1024):
        a = f(k, k)
        copy = native(lambda p, v, k=k: p.view(v, (k, k), (1, k)), [a])
        jobs.append((f"transposed copy {k}x{k}", copy, torch.from_numpy(a).t().contiguous))
    print(f"{'':28}{'native':>10}{'PyTorch':>10}{'ratio':>8}")
    with torch.no_grad():
        for name, ours, theirs in jobs:
            with torch.set_grad_enabled("gradient" in name):
                a, b = best(ours), best(theirs)
            print(f"{name:28}{a:10.1f}{b:10.1f}{b / a:8.1f}", flush=True)


if __name__ == "__main__":
    main()
