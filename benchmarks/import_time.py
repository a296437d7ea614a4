"""What ``import chainrule`` costs beyond ``import numpy``: fresh processes, interleaved, medians.

python benchmarks/import_time.py [rounds]
"""

import os
import statistics
import subprocess
import sys

STATEMENTS = ("import numpy", "import chainrule")
LIMIT = 150


def milliseconds(statement: str) -> float:
    """The time of one statement in a fresh interpreter, the interpreter's own start not counted."""
    code = f"import time; begin = time.perf_counter(); {statement}; print(1000 * (time.perf_counter() - begin))"
    # As for a user: with compiled files on disk, whatever this shell says about writing them.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return float(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env).stdout
    )


def main() -> None:
    """Measures, and prints one line per statement and the difference."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    for statement in STATEMENTS:  # once unmeasured: the first run compiles and fills the disk cache
        milliseconds(statement)
    times: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for _ in range(rounds):
        for statement in STATEMENTS:
            times[statement].append(milliseconds(statement))
    numpy, chainrule = (statistics.median(times[statement]) for statement in STATEMENTS)
    print(f"import numpy      {numpy:7.1f} ms   (median of {rounds})")
    print(f"import chainrule  {chainrule:7.1f} ms")
    print(f"difference        {chainrule - numpy:7.1f} ms   (at most {LIMIT} wanted)")


if __name__ == "__main__":
    main()
