"""What the labels rest on: the scores of every program, unwatched, over several seeds.

`python benchmarks/watch/justify.py [--seeds 5] [NAME ...]` writes `outcomes.json` and prints the table that stands in
`outcomes.txt`. A faulty program is rightly called so if its best score stays 0.1 below the worst of its healthy twin
(a run that ends in NaN or stops with an error is below everything), and a healthy one, twins included, if its worst
score is what it should reach. No rule of the watch has a say in this.
"""

import argparse
import json
import math
import os
import sys
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "src"), str(HERE.parent)]

from watch.corpus import PROGRAMS  # noqa: E402
from watch.harness import run  # noqa: E402

GAP = 0.1
OUTCOMES = HERE / "outcomes.json"


def worth(scores):
    """Scores as numbers that can be compared: what is not finite is worst."""
    return [-math.inf if s is None or not math.isfinite(s) else s for s in scores]


def justified(program, outcome):
    """``""``, or what is wrong with a label."""
    healthy = worth(outcome["healthy"])
    if min(healthy) < program.reaches:
        return f"healthy: {min(healthy):.2f} is below {program.reaches}"
    if program.faulty and max(worth(outcome["faulty"])) > min(healthy) - GAP:
        return "faulty: no gap"
    return ""


def measure(programs, seeds):
    outcomes = {}
    for program in programs:
        outcome = {}
        for variant in program.variants:
            scores = [run(program, seed, variant) for seed in range(seeds)]
            outcome[variant] = [round(s, 3) if math.isfinite(s) else None for s in scores]
        outcomes[program.name] = outcome
        print(row(program, outcome), flush=True)
    return outcomes


def row(program, outcome):
    def text(scores):
        return " ".join("    -" if s is None else f"{max(s, -99):5.2f}" for s in scores)

    parts = [f"{v} {text(outcome[v])}" for v in program.variants]
    return f"{program.name:58} {'   '.join(parts)}   {justified(program, outcome)}".rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("names", nargs="*", help="programs; all when left out")
    given = parser.parse_args()
    programs = [PROGRAMS[n] for n in given.names] or list(PROGRAMS.values())
    outcomes = json.loads(OUTCOMES.read_text()) if OUTCOMES.exists() and given.names else {}
    outcomes |= measure(programs, given.seeds)
    outcomes = {name: outcomes[name] for name in PROGRAMS if name in outcomes}
    lines = [f'  "{name}": {json.dumps(outcome)}' for name, outcome in outcomes.items()]
    OUTCOMES.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    table = [row(PROGRAMS[name], outcome) for name, outcome in outcomes.items()]
    (HERE / "outcomes.txt").write_text("\n".join(["Scores by seed, unwatched; - is NaN or an error.", "", *table, ""]))
    wrong = sum(bool(justified(PROGRAMS[name], outcome)) for name, outcome in outcomes.items())
    print(f"{len(outcomes)} programs, {wrong} labels not justified")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
