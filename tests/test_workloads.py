"""What the benchmarks time is the same work: from the same weights both engines go through the same losses."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule

torch = pytest.importorskip("torch")

SPEC = importlib.util.spec_from_file_location("workloads", Path(__file__).parent.parent / "benchmarks" / "workloads.py")
workloads = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = workloads  # dataclasses look their module up
SPEC.loader.exec_module(workloads)


@pytest.mark.parametrize("workload", workloads.WORKLOADS, ids=lambda workload: workload.key)
def test_both_engines_compute_the_same(workload):
    theirs, their_model = workload.start(torch)
    ours, our_model = workload.start(chainrule)
    if their_model is not None:
        state = {name: chainrule.from_numpy(value.numpy().copy()) for name, value in their_model.state_dict().items()}
        our_model.load_state_dict(state)
    values = [(ours().detach().numpy().copy(), theirs().detach().numpy().copy()) for _ in range(3)]
    for our_value, their_value in values:
        np.testing.assert_allclose(our_value, their_value, rtol=2e-4, atol=1e-6)
    if their_model is not None:  # the steps learn something, so that equal losses say something about the gradients
        assert abs(values[0][1] - values[2][1]) > 1e-4
        for (name, ours), theirs in zip(our_model.named_parameters(), their_model.parameters(), strict=True):
            np.testing.assert_allclose(
                ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-3, atol=3e-4, err_msg=name
            )


def test_every_target_of_the_speed_section_has_a_workload():
    targets = {workload.key: workload.target for workload in workloads.WORKLOADS}
    assert targets == {
        "session": 0.5,
        "chain": 0.7,
        "mlp_small": 1.0,
        "mlp_mnist": 2.0,
        "deep_tanh": 1.0,
        "rnn_cell": 1.0,
        "rnn_module": 1.0,
        "cnn": 2.0,
        "transformer": 2.0,
    }
