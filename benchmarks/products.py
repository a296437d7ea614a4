"""Matrix products: the compiler's kernels beside NumPy's BLAS and PyTorch (MKL), GFLOP/s, float32 or float64.

    python benchmarks/products.py [--threads 1 2] [--rounds 5] [--dtype float32] [--only 53x101x333NN]

One process per engine; the rounds are interleaved. A round's time is its best; the best and the middle round are
compared. Packing counts: every call starts from plain arrays. The letters say how the operands lie: NT is A times the
transpose of a C-contiguous B, as in a linear layer's forward; TN its weight gradient; NN its input gradient.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import time

SHAPES = [
    (16, 16, 16, "NN"),
    (16, 64, 64, "NT"),
    (32, 64, 64, "NT"),
    (64, 32, 32, "TN"),
    (64, 64, 64, "NN"),
    (32, 16, 128, "NT"),
    (53, 101, 333, "NN"),
    (128, 128, 128, "NN"),
    (64, 256, 784, "NT"),
    (256, 784, 64, "TN"),
    (64, 784, 256, "NN"),
    (256, 256, 256, "NT"),
    (512, 96, 128, "NT"),
    (512, 512, 128, "NT"),
    (128, 512, 512, "TN"),
    (1000, 16, 1000, "NN"),
    (16, 1000, 1000, "NT"),
    (256, 1024, 1024, "NT"),
    (1024, 1024, 256, "TN"),
    (1024, 1024, 1024, "NN"),
]
BATCHED = [
    (64, 64, 32, "NT", 32),
    (64, 32, 64, "NN", 32),
    (64, 32, 64, "TN", 32),
    (50, 50, 17, "NT", 24),
    (16, 16, 16, "NN", 256),
    (128, 128, 64, "NT", 8),
]
ENGINES = ["chainrule", "numpy", "torch"]


def arrays(shape, dtype):
    """A, B (perhaps transposed views) and C."""
    import numpy as np

    m, n, k, layout, *batch = shape
    r = np.random.default_rng(0)
    a = r.standard_normal((*batch, k, m) if layout[0] == "T" else (*batch, m, k)).astype(dtype)
    b = r.standard_normal((*batch, n, k) if layout[1] == "T" else (*batch, k, n)).astype(dtype)
    return a.mT if layout[0] == "T" else a, b.mT if layout[1] == "T" else b, np.zeros((*batch, m, n), dtype)


def flops(shape):
    m, n, k, _, *batch = shape
    return 2 * m * n * k * math.prod(batch)


def by_chainrule(threads):
    import chainrule
    from chainrule.compiler import products
    from chainrule.compiler.kernel import Task
    from chainrule.compiler.runtime import Schedule, aligned, load_kernels
    from chainrule.compiler.target import host

    chainrule.set_num_threads(threads)

    def prepare(shape, dtype):
        a, b, c = arrays(shape, dtype)
        strides = [tuple(s // x.itemsize for s in x.strides) for x in (a, b)]
        start = time.perf_counter()
        steps, work = products.plan(products.Product(dtype, *shape[:3], tuple(shape[4:]), *strides), host())
        library = load_kernels([step.kernel for step in steps], host())
        compiled = time.perf_counter() - start
        buffers = {"a": a, "b": b, "c": c, **{name: aligned(size) for name, size in work.items()}}
        run = Schedule(library, [Task(s.kernel, s.operands, s.offsets) for s in steps], buffers)
        return run, c, compiled

    return prepare


def by_numpy(threads):
    import numpy as np

    def prepare(shape, dtype):
        a, b, c = arrays(shape, dtype)
        multiply = np.matmul if shape[4:] else np.dot
        return lambda: multiply(a, b, out=c), c, 0

    return prepare


def by_torch(threads):
    import torch

    torch.set_num_threads(threads)

    def prepare(shape, dtype):
        a, b, c = (torch.from_numpy(x) for x in arrays(shape, dtype))
        return lambda: torch.matmul(a, b, out=c), c.numpy(), 0

    return prepare


def serve(engine, threads):
    """A worker: each line of input is a job, each line of output its answer."""
    make = {"chainrule": by_chainrule, "numpy": by_numpy, "torch": by_torch}[engine](threads)
    import numpy as np

    ready = {}
    for line in sys.stdin:
        shape, dtype, seconds = json.loads(line)
        key = (tuple(shape), dtype)
        if key not in ready:
            run, c, compiled = make(tuple(shape), dtype)
            run()
            a, b, _ = arrays(shape, dtype)
            want = a.astype("float64") @ b.astype("float64")
            assert np.abs(c - want).max() <= 1e-4 * np.abs(want).max(), "wrong product"
            ready[key] = run, compiled
        run, compiled = ready[key]
        repeats = max(1, int(2e-4 * 5e10 / flops(shape)))
        for _ in range(3):
            run()
        times, end = [], time.perf_counter() + seconds
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            times.append((time.perf_counter() - start) / repeats)
        print(json.dumps([min(times), compiled]), flush=True)


def worker(engine, threads):
    env = dict(os.environ, OPENBLAS_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    command = [sys.executable, __file__, "--serve", engine, "--threads", str(threads)]
    return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(process, *job):
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    time.sleep(0.03)  # until the engine's idle threads have stopped spinning
    return answer


def geometric(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def compare(threads, shapes, dtype, rounds, seconds):
    workers = {e: worker(e, threads) for e in ENGINES}
    results = {(e, s): [] for e in ENGINES for s in shapes}
    for _ in range(rounds):
        for shape in shapes:
            for e in ENGINES:
                results[e, shape].append(ask(workers[e], shape, dtype, seconds))
    for process in workers.values():
        process.stdin.close()
        process.wait()
    print(f"\n{dtype}, {threads} thread{'s' * (threads > 1)}: GFLOP/s, best round (ratios: best round, middle round)")
    print(
        f"{'m':>5}{'n':>5}{'k':>5}        {'chainrule':>9} {'numpy':>7} {'torch':>7}   {'/numpy':>11}  {'/torch':>11}"
    )
    ratios = {(peer, how): [] for peer in ENGINES[1:] for how in (0, 1)}
    for shape in shapes:
        m, n, k, layout, *batch = shape
        name = f"{m:5}{n:5}{k:5} {layout}" + (f" x{batch[0]}" if batch else "")
        work = flops(shape) / 1e9
        best = {e: min(r[0] for r in results[e, shape]) for e in ENGINES}
        middle = {e: sorted(r[0] for r in results[e, shape])[rounds // 2] for e in ENGINES}
        for peer in ENGINES[1:]:
            ratios[peer, 0].append(best[peer] / best["chainrule"])
            ratios[peer, 1].append(middle[peer] / middle["chainrule"])
        each = "".join(f"{ratios[p, 0][-1]:7.2f} {ratios[p, 1][-1]:5.2f}" for p in ENGINES[1:])
        speed = " ".join(f"{work / best[e]:7.1f}" for e in ENGINES[1:])
        ms = results["chainrule", shape][0][1] * 1e3
        print(f"{name:23}{work / best['chainrule']:9.1f} {speed}   {each}  {ms:5.0f} ms", flush=True)
    for peer in ENGINES[1:]:
        print(
            f"geometric mean / {peer}: {geometric(ratios[peer, 0]):.2f} (middle round {geometric(ratios[peer, 1]):.2f})"
        )


def shape_of(text):
    """64x32x64TN, or 64x32x64TNx8 for a batch of 8."""
    sizes, layout, batch = re.fullmatch(r"(\d+x\d+x\d+)([NT][NT])(?:x(\d+))?", text).groups()
    return (*map(int, sizes.split("x")), layout, *([int(batch)] if batch else []))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05, help="per engine, shape and round")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--batched", action="store_true", help="batches of small products instead")
    parser.add_argument("--only", nargs="+", help="shapes such as 53x101x333NN or 16x16x8NTx32")
    parser.add_argument("--serve", choices=ENGINES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.threads[0])
        return
    shapes = BATCHED if args.batched else SHAPES
    if args.only:
        shapes = [shape_of(s) for s in args.only]
    for threads in args.threads:
        compare(threads, shapes, args.dtype, args.rounds, args.seconds)


if __name__ == "__main__":
    main()
