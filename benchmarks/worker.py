"""Runs the workloads of one engine in a process of its own, on orders read from standard input.

An order is one JSON line: `[key, calls]` runs that workload so often and answers with the seconds it took;
the first order for a key also builds and warms it up. Used by eager.py, not by hand.
"""

import gc
import importlib
import json
import sys
import time

from workloads import WORKLOADS


def main(engine_name, threads):
    engine = importlib.import_module(engine_name)
    if hasattr(engine, "set_num_threads"):
        engine.set_num_threads(threads)
    workloads = {workload.key: workload for workload in WORKLOADS}
    print(json.dumps(engine.__version__), flush=True)
    steps = {}
    for line in sys.stdin:
        key, calls = json.loads(line)
        try:
            if key not in steps:
                steps[key], _ = workloads[key].start(engine)
                for _ in range(3):
                    steps[key]()
            step = steps[key]
            gc.collect()
            start = time.perf_counter()
            for _ in range(calls):
                step()
            answer = time.perf_counter() - start
        except Exception as error:
            answer = f"{type(error).__name__}: {error}".splitlines()[0]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
