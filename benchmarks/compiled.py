"""A whole training step, compiled, beside PyTorch (eager with fused optimisers, and torch.compile) and JAX (jit).

    python benchmarks/compiled.py [--quick] [--only KEY ...] [--peers torch jax torch.compile] [--further]

Each engine has a process of its own on the same number of threads; they take turns, round by round; medians. The last
columns are the best peer's time divided by chainrule's, and the least that the project promises. ``--first`` shows the
time of the first call (trace and compile), with an empty disk cache and with a warm one. ``--growth`` shows how compile
time grows with the number of operators.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "training"))
from workloads_peers import FURTHER, TABLE  # noqa: E402


class Engine:
    """One worker process."""

    def __init__(self, name, threads, cache=None):
        environment = {**os.environ, "PYTHONPATH": f"{HERE.parent / 'src'}:{HERE / 'training'}"}
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment[variable] = str(threads)
        environment["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads={threads}"
        environment["JAX_PLATFORMS"] = "cpu"
        if cache:
            environment["CHAINRULE_CACHE"] = cache
            environment["TORCHINDUCTOR_CACHE_DIR"] = cache + "-torch"
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "training" / "worker.py"), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip
        self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a worker process ended early; run it by hand to see why")
        return json.loads(line)

    def run(self, key, calls):
        self.process.stdin.write(json.dumps([key, calls]) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(key, engines, rounds, seconds):
    """Engine -> median seconds per call, or a text."""
    times, calls, result = {}, {}, {}
    for name, engine in engines.items():
        first = engine.run(key, 1)
        if isinstance(first, str):
            result[name] = first
            continue
        calls[name] = max(1, round(seconds / max(min(first, engine.run(key, 3) / 3), 1e-7)))
        times[name] = []
    order = list(times)
    for _ in range(rounds):
        for name in order:
            time.sleep(0.02)
            times[name].append(engines[name].run(key, calls[name]) / calls[name])
        order.reverse()
    return result | {name: statistics.median(t) for name, t in times.items()}


def cell(x, scale=1e6, width=13):
    return (
        f"{'-':>{width}}" if x is None else f"{'failed':>{width}}" if isinstance(x, str) else f"{x * scale:{width}.1f}"
    )


def speed(arguments, workloads):
    names = ["chainrule", *arguments.peers]
    engines = {name: Engine(name, arguments.threads) for name in names}
    print(
        f"{'microseconds per training step':46}" + "".join(f"{n:>14}" for n in names) + f"{'best/ours':>11}{'least':>7}"
    )
    ratios = []
    for w, least, _ in workloads:
        r = measure(w.key, engines, arguments.rounds, arguments.seconds)
        peers = [r[n] for n in arguments.peers if not isinstance(r.get(n), str)]
        ratio = min(peers) / r["chainrule"] if peers and not isinstance(r["chainrule"], str) else math.nan
        ratios.append(ratio)
        print(
            f"{w.name:46}" + "".join(" " + cell(r.get(n)) for n in names) + f"{ratio:11.2f}{least:7.1f}  "
            + ("met" if ratio >= least else "missed"), flush=True,
        )  # fmt: skip
    if ratios:
        print(f"geometric mean of best peer / chainrule: {math.exp(statistics.fmean(map(math.log, ratios))):.2f}")
    for e in engines.values():
        e.close()


def first(arguments, workloads):
    """First calls, each in a fresh process."""
    print(
        f"{'milliseconds of the first call':46}{'chainrule':>14}{'warm cache':>14}"
        + "".join(f"{n:>14}" for n in arguments.peers)
    )
    for w, *_ in workloads:
        with tempfile.TemporaryDirectory() as folder:
            row = []
            for name in ("chainrule", "chainrule", *arguments.peers):
                e = Engine(name, arguments.threads, folder)
                row.append(e.run(w.key, 0))
                e.close()
        print(f"{w.name:46}" + "".join(" " + cell(x, 1e3) for x in row), flush=True)


def memory(arguments, workloads):
    """Peak memory of a step: ours is what was planned, PyTorch's what its profiler saw allocated."""
    engines = {name: Engine(name, arguments.threads) for name in ("chainrule", "torch")}
    print(f"{'KiB at the peak of one step, gradients included':50}{'chainrule':>12}{'torch':>12}{'ratio':>8}")
    for w, *_ in workloads:
        sizes = []
        for e in engines.values():
            e.run(w.key, 1)
            sizes.append(e.run(w.key, -1))
        print(f"{w.name:50}" + "".join(f"{n / 1024:12.1f}" for n in sizes) + f"{sizes[0] / sizes[1]:8.2f}", flush=True)


def growth():
    """Compile time of a chain of distinct and of equal operators."""
    sys.path.insert(0, str(HERE.parent / "src"))
    os.environ["CHAINRULE_CACHE"] = "off"
    import chainrule as cr

    print(f"{'operators':>10}{'seconds':>10}{'ms each':>10}")
    for n in (100, 300, 1000, 3000, 10000):

        def f(x, n=n):
            for i in range(n // 4):
                x = (x * (1.0 + i % 7) + 0.5).tanh().sin()
            return x.sum()

        start = time.perf_counter()
        cr.compile(f)(cr.ones(64, 64))
        seconds = time.perf_counter() - start
        print(f"{n:10}{seconds:10.2f}{1e3 * seconds / n:10.3f}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--quick", action="store_true")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int)
    p.add_argument("--only", nargs="+")
    p.add_argument("--peers", nargs="*", default=["torch", "torch.compile", "jax"])
    p.add_argument("--further", action="store_true", help="other shapes: odd sizes, batch 1, long sequences")
    p.add_argument("--first", action="store_true")
    p.add_argument("--growth", action="store_true")
    p.add_argument("--memory", action="store_true")
    a = p.parse_args()
    a.rounds = a.rounds or (5 if a.quick else 15)
    a.seconds = 0.03 if a.quick else 0.15
    workloads = [row for row in (FURTHER if a.further else TABLE) if not a.only or row[0].key in a.only]
    if (load := os.getloadavg()[0]) > 1:
        print(f"The machine is busy (load {load:.1f}): do not trust these figures.")
    if a.growth:
        growth()
    elif a.memory:
        memory(a, workloads)
    elif a.first:
        first(a, workloads)
    else:
        speed(a, workloads)


if __name__ == "__main__":
    main()
