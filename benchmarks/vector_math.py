"""Elementary functions, one thread: the compiler's beside NumPy's and PyTorch's. Nanoseconds per element and ULPs.

    python benchmarks/vector_math.py [--quick] [--level avx2] [names ...]

Each function runs over arrays in the cache; the engines take turns, the median of the rounds counts. ULPs are the
largest error against mpmath over the samples of the tests.
"""

import argparse
import math
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from chainrule.compiler import vector_math  # noqa: E402
from chainrule.compiler.target import host  # noqa: E402
from vector_math_cases import NUMPY, larger_argument, reference, ulps  # noqa: E402
from vector_math_loop import Loop  # noqa: E402

SIZE = 8192
TORCH = {"softplus": lambda x, out: torch.nn.functional.softplus(x, threshold=100)}


def arguments(name, dtype):
    """Usual numbers in the domain."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(SIZE)
    if name in ("asin", "acos", "atanh", "erfinv"):
        x = rng.uniform(-0.99, 0.99, SIZE)
    elif name in ("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal", "pow"):
        x = np.abs(x) + 0.1
    elif name == "acosh":
        x = np.abs(x) + 1.1
    xs = [x, rng.standard_normal(SIZE) * 2 + 0.01][: vector_math.names[name]]
    return [v.astype(dtype) for v in xs]


def engines(name, dtype, target):
    """What one call of each engine is."""
    xs = arguments(name, dtype)
    y, z = np.empty(SIZE, dtype), torch.empty(SIZE, dtype=getattr(torch, dtype))
    loop, ts = Loop(name, dtype, target), [torch.from_numpy(x) for x in xs]
    pointers = [x.ctypes.data for x in (*xs, y)]
    f, g = NUMPY[name], TORCH.get(name, getattr(torch, name, None))
    ufunc = isinstance(f, np.ufunc)
    return {
        "chainrule": lambda: loop.raw(*pointers, SIZE),
        "NumPy": lambda: f(*xs, out=y) if ufunc else f(*xs),  # holds y, whose address the loop has
        "PyTorch": lambda: g(*ts, out=z),
    }, loop


def measure(calls, rounds, repeat):
    """Median nanoseconds per element of each, taking turns."""
    times = {k: [] for k in calls}
    for _ in range(rounds):
        for k, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeat):
                call()
            times[k].append((time.perf_counter() - start) / repeat / SIZE * 1e9)
    return {k: statistics.median(v) for k, v in times.items()}


def largest_error(name, dtype, loop):
    xs, exact = reference(name, dtype)
    got = loop(*xs)
    return max(ulps(y, e, dtype, larger_argument(name, dtype, xs, i)) for i, (y, e) in enumerate(zip(got, exact)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="functions; default: all")
    parser.add_argument("--level", help="force fewer CPU features: avx2, sse2")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no ULPs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    target = host(options.level)
    rounds, repeat = (5, 10) if options.quick else (21, 20)
    print(f"{target.cpu}, {8 * target.vector_bytes} bits; ns per element, {SIZE} elements, one thread")
    print(
        f"{'function':14}{'dtype':9}{'chainrule':>10}{'NumPy':>9}{'PyTorch':>9}{'NumPy/':>9}{'PyTorch/':>9}{'ULP':>7}"
    )
    for dtype in ("float32", "float64"):
        ratios = {"NumPy": [], "PyTorch": []}
        for name in options.names or vector_math.names:
            calls, loop = engines(name, dtype, target)
            with np.errstate(all="ignore"):
                t = measure(calls, rounds, repeat)
            for k, r in ratios.items():
                r.append(t[k] / t["chainrule"])
            error = "" if options.quick else f"{largest_error(name, dtype, loop):7.2f}"
            print(
                f"{name:14}{dtype:9}{t['chainrule']:10.3f}{t['NumPy']:9.3f}{t['PyTorch']:9.3f}"
                f"{ratios['NumPy'][-1]:9.1f}{ratios['PyTorch'][-1]:9.1f}{error}",
                flush=True,
            )
        means = [math.exp(statistics.fmean(map(math.log, r))) for r in ratios.values()]
        print(f"{'geometric mean':14}{dtype:9}{'':28}{means[0]:9.1f}{means[1]:9.1f}")


if __name__ == "__main__":
    main()
