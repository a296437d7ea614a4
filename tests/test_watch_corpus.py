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
from watch.score import Case

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
    splits = Counter(p.split for p in PROGRAMS.values())
    assert 0.25 < splits["tune"] / (splits["tune"] + splits["held-out"]) < 0.42


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


# Quick programs of the part on which thresholds were set: the code that must come first, and where.
EXPECTED = {
    "cancer_tiny_normal_weights": "bad-initialisation",
    "cancer_with_missing_values": "bad-input",
    "cancer_signs_as_labels_of_bce": "bad-labels",
    "diabetes_column_against_row": "loss-mismatch",
    "iris_likelihood_without_its_minus": "loss-mismatch",
    "sharp_softplus_by_hand_overflows": "non-finite",
    "angle_to_itself": "non-finite",
    "cancer_schedule_that_grows": "learning-rate-too-high",
    "diabetes_warm_up_that_never_ends": "learning-rate-too-low",
    "sparse_code_threshold_too_high": "dead-units",
    "digits_body_detached_from_the_head": "untrained-parameter",
    "digits_sgd_without_zero_grad": "missing-zero-grad",
}
SILENT = ("cancer_four_samples_a_batch", "diabetes_with_a_column_of_ones", "one_class_after_another", "majority_lstm")


@pytest.mark.parametrize("name", EXPECTED)
def test_a_faulty_program_is_named_and_its_twin_is_not(name):
    program = PROGRAMS[name]
    assert program.split == "tune" and program.codes[0] == EXPECTED[name]
    case = Case(program, "faulty", 0)
    assert case.broken == []
    assert case.findings[0].code == EXPECTED[name], [str(f) for f in case.findings]
    assert case.placed or not program.where, [str(f) for f in case.findings]
    assert case.origin or not program.operator, [str(f) for f in case.findings]
    assert case.at_once or not program.structural, [str(f) for f in case.findings]
    twin = Case(program, "healthy", 0)
    assert twin.broken == [] and [str(f) for f in twin.findings] == []


@pytest.mark.parametrize("name", SILENT)
def test_a_sound_program_is_left_alone(name):
    case = Case(PROGRAMS[name], "healthy", 0)
    assert case.broken == [] and [str(f) for f in case.findings] == []
