"""Time of a training step under `chainrule.watch`, divided by that of the same step unwatched.

`python benchmarks/watch_overhead.py [--compiled] [--quick] [--only KEY ...]`; with `--compiled` steps are compiled.
Both models are alive at the same time and take turns, a few steps each; shown is the median of the ratios of
neighbouring turns. Times are the process's (CPU) time with one thread, which other programs on the machine disturb
least.
"""

import argparse
import os
import statistics
import time

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

from workloads import WORKLOADS  # noqa: E402

import chainrule as cr  # noqa: E402

KEYS = ("mlp_small", "mlp_mnist", "deep_tanh", "cnn", "rnn_cell", "rnn_module")
PACES = (1, 16)
TARGETS = {1: 1.35, 16: 1.05}
COMPILED = {1: 1.15, 16: 1.05}


def optimizer_of(step):
    """The optimiser that a workload's step closes over."""
    return next(c.cell_contents for c in step.__closure__ if isinstance(c.cell_contents, cr.optim.Optimizer))


def turn(step, calls):
    start = time.process_time()
    for _ in range(calls):
        step()
    return (time.process_time() - start) / calls


def measure(workload, every, turns, seconds, compiled):
    """(ratio, seconds per unwatched step)."""
    plain, _ = workload.start(cr)
    watched, model = workload.start(cr)
    optimizer = optimizer_of(watched)
    if compiled:
        plain, watched = cr.compile(plain), cr.compile(watched)
    for _ in range(20):
        plain()
    calls = max(every, int(seconds / turn(plain, 10)) // every * every)
    ratios, times = [], []
    with cr.watch(model, optimizer, every=every):
        # Long enough for the looks at the data to be over, and for steps to be handed over in large parts.
        turn(watched, 600 if compiled else 130)
        turn(plain, 20)
        for k in range(turns):
            if k % 2:
                b, a = turn(watched, calls), turn(plain, calls)
            else:
                a, b = turn(plain, calls), turn(watched, calls)
            ratios.append(b / a)
            times.append(a)
    return statistics.median(ratios), min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", choices=KEYS, default=KEYS)
    options = parser.parse_args()
    targets = COMPILED if options.compiled else TARGETS
    turns, seconds = (11, 0.1) if options.quick else (41, 0.2)
    print(f"{'workload':<44}{'unwatched':>12}" + "".join(f"{f'every {p}':>12}" for p in PACES))
    for workload in WORKLOADS:
        if workload.key not in options.only:
            continue
        found = [measure(workload, every, turns, seconds, options.compiled) for every in PACES]
        cells = "".join(
            f"{f'{ratio:.3f}x' + ('' if ratio <= targets[p] else ' !'):>12}"
            for (ratio, _), p in zip(found, PACES, strict=True)
        )
        print(f"{workload.name:<44}{f'{found[0][1] * 1e6:.0f} us':>12}{cells}", flush=True)
    print("targets: " + ", ".join(f"every {p}: {t}x" for p, t in targets.items()) + "; ! = above")


if __name__ == "__main__":
    main()
