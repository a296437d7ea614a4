"""Time per node of a chain of 10^4, 10^5 and 10^6 operators: to build, differentiate and free it, beside PyTorch.

`python benchmarks/chain_length.py [--quick]`. A walk that recursed would fail; one that was not linear would show as
a time per node that grows. Each figure comes from a fresh process, with Python's cycle collector on, as users have it.
"""

import argparse
import importlib
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"


def measure(torch, length):
    """Seconds per node to build, differentiate and free a chain of sines and products."""
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    start = time.perf_counter()
    y = x
    for _ in range(length // 2):
        y = torch.sin(y * (1 + 1e-6))
    built = time.perf_counter()
    y.backward()
    differentiated = time.perf_counter()
    del y
    freed = time.perf_counter()
    expected = math.exp(length // 2 * math.log1p(1e-6))  # sin'(0) = 1, so the products' factors remain
    assert abs(x.grad.item() / expected - 1) < 1e-6, (x.grad.item(), expected)
    return [seconds / length for seconds in (built - start, differentiated - built, freed - differentiated)]


def in_fresh_process(engine, length):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    command = [sys.executable, __file__, "--engine", engine, "--length", str(length)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        return (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
    return json.loads(result.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the longest chain")
    parser.add_argument("--engine", choices=["torch", "chainrule"], help="measure one engine, print JSON")
    parser.add_argument("--length", type=int, default=10_000)
    arguments = parser.parse_args()
    if arguments.engine:
        print(json.dumps(measure(importlib.import_module(arguments.engine), arguments.length)))
        return

    print(f"{'microseconds per node':24} {'operators':>10} {'build':>8} {'backward':>9} {'free':>8} {'together':>9}")
    for length in (10_000, 100_000) if arguments.quick else (10_000, 100_000, 1_000_000):
        for engine in ("torch", "chainrule"):
            times = in_fresh_process(engine, length)
            label = f"{'PyTorch' if engine == 'torch' else engine:24} {length:10,}"
            if isinstance(times, str):
                print(label, times)
                continue
            build, backward, free = (1e6 * value for value in times)
            print(f"{label} {build:8.2f} {backward:9.2f} {free:8.3f} {build + backward + free:9.2f}", flush=True)


if __name__ == "__main__":
    main()
