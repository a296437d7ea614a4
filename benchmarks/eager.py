"""Time of one step, chainrule beside PyTorch, in one run: `python benchmarks/eager.py [--quick] [--only KEY ...]`.

Each engine lives in a process of its own, because their thread pools would otherwise disturb each other: a pool's
threads spin for a while after each parallel loop and take the cores from whoever runs next. Only one process works at
a time. They take turns, round by round, so that both meet the machine in the same moods. Shown are medians over the
rounds, the ratio of the medians, and beside it the ratio of the best rounds, which a busy machine distorts less.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from workloads import WORKLOADS

HERE = Path(__file__).parent
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Engine:
    """One worker process."""

    def __init__(self, name, threads):
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(HERE.parent / "src"), *filter(None, [environment.get("PYTHONPATH")])]
        )
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.version = self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a worker process ended early; its message stands above")
        return json.loads(line)

    def run(self, key, calls):
        """Seconds per call, or a text that says why there is no figure."""
        self.process.stdin.write(json.dumps([key, calls]) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        return answer if isinstance(answer, str) else answer / calls

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(workload, engines, rounds, seconds):
    """Median seconds per call for each engine and the ratio of the best, or the text of what went wrong."""
    times = {name: [] for name in engines}
    calls = {}
    for name, engine in engines.items():
        first = engine.run(workload.key, 1)
        if isinstance(first, str):
            return {name: first}
        calls[name] = max(1, round(seconds / min(first, engine.run(workload.key, 3))))
    order = list(engines)
    for _ in range(rounds):
        for name in order:
            time.sleep(0.02)  # the other process's pool goes to sleep
            times[name].append(engines[name].run(workload.key, calls[name]))
        order.reverse()
    result = {name: statistics.median(values) for name, values in times.items()}
    return result | {"best": min(times["chainrule"]) / min(times["torch"])}


def row(workload, result):
    error = next((f"{name}: {value}" for name, value in result.items() if isinstance(value, str)), None)
    if error:
        return f"{workload.name:44} {error}"
    ratio = result["chainrule"] / result["torch"]
    verdict = "met" if ratio <= workload.target else "missed"
    return (
        f"{workload.name:44} {1e6 * result['torch']:12.1f} {1e6 * result['chainrule']:12.1f} "
        f"{ratio:7.2f} {result['best']:7.2f} {workload.target:7.1f}  {verdict}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, help="default 15, with --quick 5")
    parser.add_argument("--only", nargs="+", metavar="KEY", choices=[w.key for w in WORKLOADS])
    arguments = parser.parse_args()
    rounds = arguments.rounds or (5 if arguments.quick else 15)
    seconds = 0.03 if arguments.quick else 0.15

    engines = {name: Engine(name, arguments.threads) for name in ("torch", "chainrule")}
    print(
        f"PyTorch {engines['torch'].version}, chainrule {engines['chainrule'].version}, "
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"{arguments.threads} threads, median of {rounds} rounds"
    )
    if (load := os.getloadavg()[0]) > 0.5 * (os.cpu_count() or 1):
        print(f"The machine is busy (load {load:.1f}): do not trust these figures.")
    print(f"{'microseconds per step':44} {'PyTorch':>12} {'chainrule':>12} {'ratio':>7} {'best':>7} {'target':>7}")
    for workload in WORKLOADS:
        if not arguments.only or workload.key in arguments.only:
            print(row(workload, measure(workload, engines, rounds, seconds)), flush=True)
    for engine in engines.values():
        engine.close()


if __name__ == "__main__":
    main()
