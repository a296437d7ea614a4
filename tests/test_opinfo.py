"""Conformance: every entry the project promises, all samples of PyTorch's OpInfo, value and gradient in float64."""

import pytest

pytest.importorskip("torch")

from opinfo_run import REQUIRED, entries, run_entry  # noqa: E402

ENTRIES = entries(REQUIRED)


def test_no_required_entry_is_missing():
    assert set(REQUIRED) <= {op.name for op in ENTRIES.values()}


@pytest.mark.parametrize("name", ENTRIES)
def test_entry(name):
    passed, failed, unsupported, first = run_entry(ENTRIES[name])
    assert not failed, first
    assert passed, first
