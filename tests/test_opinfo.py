"""Conformance: every entry the project promises, all samples of PyTorch's OpInfo, value and gradient in float64."""

import pytest

pytest.importorskip("torch")

import chainrule as cr
from opinfo_run import REQUIRED, entries, run_entry

ENTRIES = entries(REQUIRED)


def test_no_required_entry_is_missing():
    # OpInfo has no entry of its own for torch.relu; it is the same function as nn.functional.relu.
    assert set(REQUIRED) - {"relu"} == {op.name for op in ENTRIES.values()}


def test_relu_of_the_torch_namespace():
    passed, failed, _, first = run_entry(ENTRIES["nn.functional.relu"], function=cr.relu)
    assert passed and not failed, first


@pytest.mark.parametrize("name", ENTRIES)
def test_entry(name):
    passed, failed, unsupported, first = run_entry(ENTRIES[name])
    assert not failed, first
    assert passed, first
