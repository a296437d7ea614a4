"""Memory stays flat with the cycle collector off: benchmarks/leak.py at a length for every day."""

import importlib.util
import tracemalloc
from pathlib import Path

import pytest

import chainrule

SPEC = importlib.util.spec_from_file_location("leak", Path(__file__).parent.parent / "benchmarks" / "leak.py")
leak = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(leak)


@pytest.mark.parametrize("make", leak.STEPS, ids=lambda make: make.__name__)
def test_objects_stay_flat(make):
    (_, before, _), (_, after, _) = leak.run(make(chainrule), (50, 250))
    # One object per step would be 200; a handful is the interpreter's own (a cache that filled up late).
    assert abs(after - before) < 20


@pytest.mark.parametrize("make", leak.STEPS, ids=lambda make: make.__name__)
def test_memory_stays_flat(make):
    step = make(chainrule)
    leak.run(step, (30,))
    tracemalloc.start()
    try:
        leak.run(step, (20,))
        before, _ = tracemalloc.get_traced_memory()
        leak.run(step, (100,))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The smallest array weighs over 100 bytes: one kept per step would be more than this.
    assert after - before < 8_000


def test_a_kept_graph_is_seen():
    """The measure itself: a step that keeps its graph must show."""
    kept = []

    def step():
        kept.append(chainrule.ones(3, requires_grad=True) * 2)

    (_, before, _), (_, after, _) = leak.run(step, (50, 250))
    assert after - before >= 200
