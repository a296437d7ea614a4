"""Where a step's time goes: `python benchmarks/hotspots.py KEY [--calls N] [--lines N] [--engine torch]`.

A cProfile of the workload's steps, by function, own time first. The profiler itself costs about as much as a cheap
function call, so the shares are a guide to what to look at; eager.py has the times.
"""

import argparse
import cProfile
import importlib
import pstats
import sys
import time
from pathlib import Path

from workloads import WORKLOADS


def short(filename):
    for mark in ("/src/", "/site-packages/", "/lib/"):
        if mark in filename:
            return filename.rsplit(mark, 1)[1]
    return filename


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("key", choices=[workload.key for workload in WORKLOADS])
    parser.add_argument("--calls", type=int, help="default: as many as fill two seconds")
    parser.add_argument("--lines", type=int, default=25)
    parser.add_argument("--engine", choices=["torch", "chainrule"], default="chainrule")
    parser.add_argument("--quick", action="store_true", help="a fifth of a second in place of two")
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
    workload = next(workload for workload in WORKLOADS if workload.key == arguments.key)
    step, _ = workload.start(importlib.import_module(arguments.engine))
    for _ in range(3):
        step()
    start = time.perf_counter()
    step()
    calls = arguments.calls or max(1, int((0.2 if arguments.quick else 2.0) / (time.perf_counter() - start)))

    start = time.perf_counter()
    for _ in range(calls):
        step()
    bare = (time.perf_counter() - start) / calls
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(calls):
        step()
    profile.disable()

    functions = pstats.Stats(profile).stats
    total = sum(own for _, _, own, _, _ in functions.values())
    print(f"{workload.name}: {1e6 * bare:.1f} us per step, {1e6 * total / calls:.1f} under the profiler")
    print(f"{'own us':>9} {'share':>6} {'with callees':>12} {'calls':>8}  function")
    ordered = sorted(functions.items(), key=lambda item: -item[1][2])
    for (filename, line, name), (_, count, own, cumulative, _) in ordered[: arguments.lines]:
        place = name if filename == "~" else f"{short(filename)}:{line} {name}"
        print(
            f"{1e6 * own / calls:9.2f} {own / total:6.1%} {1e6 * cumulative / calls:12.2f} "
            f"{count / calls:8.1f}  {place}"
        )


if __name__ == "__main__":
    main()
