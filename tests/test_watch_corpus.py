"""The corpus of ``benchmarks/watch``: its labels rest on outcomes, and the watch gets a small part of it right."""

import inspect
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from watch.corpus import PROGRAMS
from watch.harness import CODES, run
from watch.justify import OUTCOMES, justified

FAULTY = [p for p in PROGRAMS.values() if p.faulty]
SOUND = [p for p in PROGRAMS.values() if not p.faulty]


def test_outcomes_cover_and_justify_every_label():
    outcomes = json.loads(OUTCOMES.read_text())
    assert set(outcomes) == set(PROGRAMS)
    for name, outcome in outcomes.items():
        assert set(outcome) == set(PROGRAMS[name].variants), name
        assert all(len(scores) >= 3 for scores in outcome.values()), name
        assert justified(PROGRAMS[name], outcome) == "", name


def test_the_corpus_is_as_large_as_it_says():
    assert len(FAULTY) >= 40 and len(SOUND) >= 40
    assert sum(p.hard for p in SOUND) >= len(SOUND) / 2
    codes = Counter(p.codes[0] for p in FAULTY)
    assert set(codes) == set(CODES) and min(codes.values()) >= 3
    tune = sum(p.split == "tune" for p in PROGRAMS.values())
    assert 0.25 < tune / len(PROGRAMS) < 0.42


def test_a_faulty_program_marks_its_line_and_a_sound_one_does_not():
    for p in PROGRAMS.values():
        if not p.faulty:
            assert p.lines == (), p.name
        elif p.operator:
            assert len(p.lines) == 1, p.name
        assert len(inspect.getsource(p.run).splitlines()) < 50, p.name


def test_an_error_stops_a_faulty_run_only():
    program = PROGRAMS["wine_classes_counted_from_one"]
    assert run(program, 0, "faulty") != run(program, 0, "faulty")
    assert run(program, 0, "healthy") > 0.9
