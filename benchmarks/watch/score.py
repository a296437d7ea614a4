"""How well ``chainrule.watch`` tells faulty programs from sound ones, and what it says about them.

`python benchmarks/watch/score.py [--seeds N] [--split tune|held-out|late|last|all] [--details] [NAME ...]` runs
programs under a watch, prints a line for each and then the figures, and writes them to `results.txt`, with `notes.txt`
at the end (only when all programs ran). Thresholds are set on the programs of the split "tune"; what fails on the
others is only counted in the file, so that nobody sets thresholds on them unawares; `--details` prints it. The split
"late" was written when the rules stood, "last" when they had been corrected once more after a look at "late".

* detection F1: a faulty program with a finding is a hit, a sound one (twins included) with a finding a false alarm.
  Any finding counts, suspected or confirmed; the figures of confirmed ones alone stand beside them.
* right code first: the first finding has the fault's code, of all faulty programs.
* right place: the first finding that has a right code and names a place names the right module, parameter or operator,
  or the source line that is marked; of all faulty programs that have a place.
* structural: faults that the graph shows, found with the right code in the step in which they first can be.
* NaN origin: operator and source line, both right, of all programs with one.
"""

import argparse
import contextlib
import os
import sys
import time
import warnings
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "src"), str(HERE.parent)]

import chainrule  # noqa: E402
from watch.corpus import PROGRAMS  # noqa: E402
from watch.harness import CODES, run  # noqa: E402


class Case:
    """One run of one program under the watch."""

    def __init__(self, program, variant, seed):
        self.program, self.variant, self.seed = program, variant, seed
        watches = []

        def watcher(model, optimizer):
            watches.append(chainrule.watch(model, optimizer))
            return watches[-1]

        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught, contextlib.suppress(IndexError):
            warnings.simplefilter("always")
            run(program, seed, variant, watcher)
        self.seconds = time.perf_counter() - start
        self.broken = [str(w.message) for w in caught if "watch:" in str(w.message)]
        self.findings = [f for w in watches for f in w.findings]

    @property
    def sick(self):
        return self.variant == "faulty"

    def alarm(self, confirmed=False):
        return any(f.status == "confirmed" for f in self.findings) if confirmed else bool(self.findings)

    @property
    def right(self):
        """The first finding that has one of the right codes."""
        return next((f for f in self.findings if f.code in self.program.codes), None)

    @property
    def code_first(self):
        return bool(self.findings) and self.findings[0].code in self.program.codes

    @property
    def placed(self):
        """The first finding with a right code that names a place names the right one."""
        f = next((f for f in self.findings if f.code in self.program.codes and f.where), None)
        return f is not None and (self.at_line(f) or any(_inside(f.where, place) for place in self.program.where))

    def at_line(self, finding):
        return any(_same_line(finding.source, line) for line in self.program.lines)

    @property
    def at_once(self):
        return any(f.code in self.program.codes and f.step <= self.program.after for f in self.findings)

    @property
    def origin(self):
        found = [f for f in self.findings if f.code == "non-finite"]
        return any(_operator(f) in self.program.operator.split() and self.at_line(f) for f in found)

    def line(self):
        p = self.program
        name = f"{p.name} ({self.variant}" + (f", seed {self.seed})" if self.seed else ")")
        if not self.sick:
            return f"{'ALARM' if self.findings else 'ok':14} {name}"
        if not self.findings:
            mark = "MISSED"
        elif not self.code_first:
            mark = "wrong code" if self.right is None else "later"
        elif p.operator and not self.origin:
            mark = "origin"
        elif p.structural and not self.at_once:
            mark = "late"
        elif p.where and not self.placed:
            mark = "wrong place"
        else:
            mark = "ok"
        return f"{mark:14} {name}: {p.codes[0]}"

    def says(self):
        """The findings, each in a line."""
        return [
            f"    {f.status} {f.code} at {f.where or '-'}, step {f.step}, {_short(f.source)}: {f.message}"
            for f in self.findings
        ] + [f"    BROKEN {text}" for text in self.broken]


def _inside(where, place):
    where, place = (where or "").lower(), place.lower()
    return where == place or where.startswith((place + ".", place + " ", place + "["))


def _operator(finding):
    """The operator's name, wherever the finding keeps it: ``where``, or among the evidence."""
    name = str(finding.evidence.get("operator") or finding.where)
    return name.rpartition(".")[2].partition(" ")[0].lower()


def _same_line(source, line):
    if not source:
        return False
    (file, number), (wanted, at) = (text.rsplit(":", 1) for text in (str(source), line))
    return number == at and Path(file).name == Path(wanted).name


def _short(source):
    return Path(str(source)).name if source else "no line"


def share(cases, right):
    return sum(map(right, cases)) / len(cases) if cases else float("nan")


def figures(cases):
    """The figures of some cases, as pairs of a name and a text."""
    sick, sound = [c for c in cases if c.sick], [c for c in cases if not c.sick]
    twins = [c for c in sound if c.program.faulty]
    others = [c for c in sound if not c.program.faulty]

    def f1(confirmed):
        hits, alarms = sum(c.alarm(confirmed) for c in sick), sum(c.alarm(confirmed) for c in sound)
        return 2 * hits / max(1, len(sick) + hits + alarms)

    def part(some, right):
        return f"{share(some, right):6.1%} of {len(some)}"

    return [
        ("detection F1", f"{f1(False):.3f} (confirmed alone {f1(True):.3f})"),
        ("faults found", part(sick, Case.alarm)),
        ("false alarms, sound programs and twins", part(sound, Case.alarm)),
        ("  sound programs", part(others, Case.alarm)),
        ("  hard ones among them", part([c for c in others if c.program.hard], Case.alarm)),
        ("  healthy twins", part(twins, Case.alarm)),
        ("  confirmed alone", part(sound, lambda c: c.alarm(True))),
        ("right code first", part(sick, lambda c: c.code_first)),
        ("right code at all", part(sick, lambda c: c.right is not None)),
        ("right place", part([c for c in sick if c.program.where], lambda c: c.placed)),
        ("structural, at once", part([c for c in sick if c.program.structural], lambda c: c.at_once)),
        ("NaN origin, operator and line", part([c for c in sick if c.program.operator], lambda c: c.origin)),
        ("seconds, watched", f"{sum(c.seconds for c in cases):.0f}"),
    ]


def by_code(cases):
    """How each code fares, among the faulty programs whose main code it is."""
    lines = [f"{'':24}{'programs':>10}{'found':>8}{'first':>8}{'false alarms':>15}"]
    for code in CODES:
        mine = [c for c in cases if c.sick and c.program.codes[0] == code]
        alarms = sum(any(f.code == code for f in c.findings) for c in cases if not c.sick)
        found, first = sum(c.alarm() for c in mine), sum(c.code_first for c in mine)
        lines.append(f"{code:24}{len(mine):10}{found:8}{first:8}{alarms:15}")
    return lines


def report(cases, details):
    """The text of ``results.txt``."""
    lines = []
    for split in ("held-out", "late", "last", "tune"):
        some = [c for c in cases if c.program.split == split]
        if not some:
            continue
        names = {c.program.name: c.program for c in some}.values()
        lines += [
            f"== {split}: {sum(p.faulty for p in names)} faulty programs with twins, "
            f"{sum(not p.faulty for p in names)} sound ones, seeds {sorted({c.seed for c in some})}",
            "",
            *(f"{name:42} {text}" for name, text in figures(some)),
            "",
            *by_code(some),
            "",
        ]
        wrong = [c for c in some if not c.line().startswith("ok ")]
        if split == "tune" or details:
            lines += [f"What goes wrong in {split}:", ""]
            for case in wrong:
                lines += [case.line(), *case.says()]
            lines.append("")
        broken = sorted({text for c in some for text in c.broken})
        lines += [f"BROKEN RULE: {text}" for text in broken]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--split", choices=("tune", "held-out", "late", "last", "all"), default="all")
    parser.add_argument("--details", action="store_true", help="say what goes wrong in the held-out part, too")
    parser.add_argument("names", nargs="*", help="programs; all when left out")
    given = parser.parse_args()
    programs = [PROGRAMS[n] for n in given.names] or list(PROGRAMS.values())
    programs = [p for p in programs if given.split in ("all", p.split)]
    cases = []
    for program in programs:
        for variant in program.variants:
            for seed in range(given.seeds):
                cases.append(Case(program, variant, seed))
                if given.names or given.details or program.split == "tune":
                    print(cases[-1].line(), flush=True)
                if given.names:
                    print("\n".join(cases[-1].says()), flush=True)
    text = report(cases, given.details or bool(given.names))
    print("\n" + text)
    if not given.names and given.split == "all" and not given.details:
        (HERE / "results.txt").write_text(text + (HERE / "notes.txt").read_text())


if __name__ == "__main__":
    main()
