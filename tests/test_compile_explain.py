"""What can be seen of a compilation: explain(), .compilations, CHAINRULE_LOG."""

import re

import pytest

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F

pytest.importorskip("llvmlite")

CAPTURED = """\
input %0: f32[3,4]
input %1: f32[4]  # w
%2: f32[3,4] = map.mul %0, %1
%3: f32[3,4] = map.tanh %2
%4: f32[3] = reduce.sum %3, dims=(1,)
return %4"""


def small():
    w = torch.ones(4)

    def f(x):
        unused = x * 7  # noqa: F841
        return torch.tanh(x * w).sum(1)

    return torch.compile(f)


def test_stages_as_text():
    e = small().explain(torch.ones(3, 4))
    assert e.operators.splitlines() == [
        "mul -> f32[3,4]", "mul -> f32[3,4]", "tanh -> f32[3,4]", "sum -> f32[3]",
    ]  # fmt: skip
    assert e.simplified == CAPTURED
    assert "map.mul %0, %" in e.captured and "value=7.0" in e.captured
    assert [name for name, _ in e.passes] == [
        "results", "prune", "add_into", "share_products", "stack_sums", "prune", "renumber",
    ]  # fmt: skip
    after = dict(e.passes[:2])
    assert "value=7.0" in after["results"] and "value=7.0" not in after["prune"]
    assert e.passes[-1][1] == e.simplified and "=== core instructions after prune" in str(e)
    assert e.groups == "0: loops [map.mul map.tanh reduce.sum] reads %0, %1 writes %4: f32[3]"
    assert len(e.kernels.splitlines()) == 2 and "f32[3,4]" in e.operators
    assert e.peak_bytes == 0 and e.plan.startswith("arena: 0 bytes")
    assert len(e.schedule.splitlines()) == 1 and "in0" in e.schedule and "out0" in e.schedule
    assert e.calls == []
    assert "define void @" in e.llvm(0) and len(e.assembly(0).splitlines()) > 5
    with pytest.raises(KeyError, match="explain: no kernel 'other'; there are"):
        e.llvm("other")
    assert str(e) == str(small().explain(torch.ones(3, 4)))
    for title in ("operators", "core instructions as captured", "groups", "kernels", "memory", "schedule"):
        assert f"=== {title}" in str(e)


def test_callouts_are_listed():
    f = torch.compile(lambda x: torch.linalg.inv(x) + torch.rand(3, 3))
    e = f.explain(torch.eye(3))
    names = [name for name, _ in e.calls]
    assert "random.random" in names and len(names) == 2
    assert "=== called out to Python" in str(e) and "random.random: drawn by NumPy" in str(e)


def test_nothing_is_run_or_changed():
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2))
    opt = torch.optim.Adam(model.parameters())

    @torch.compile
    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    x, y = torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 1, 0])

    def state():
        values = [t.detach().numpy().tobytes() for t in model.state_dict().values()]
        return values, repr(torch.get_rng_state()), [p.grad for p in model.parameters()], dict(opt.state)

    before = state()
    e = step.explain(x, y)
    assert state() == before and step.compilations == []
    table = e.measured(rounds=2)
    assert re.match(r"[\d.]+ us in \d+ tasks; measured peaks on one thread: \d+ GFLOP/s in products", table)
    # the check of the targets has a row too
    assert len(table.splitlines()) == len(e.kernels.splitlines()) + 1 + len({n for n, _ in e.calls}) + 1
    assert state() == before
    step(x, y)
    assert len(step.compilations) == 1


def test_log(capfd, monkeypatch):
    f = small()
    f(torch.ones(3, 4))
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("CHAINRULE_LOG", "1")
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    f(torch.ones(3, 4))
    assert capfd.readouterr() == ("", "")
    f(torch.ones(2, 4))
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(
        r"chainrule.compile: f\(float32\[2, 4\]\): \d+ ms \(capture \d+, simplify \d+, fuse \d+, kernels \d+, plan \d+,"
        r" machine code \d+, schedule \d+\), 1 tasks, 1 kernels, 0 of them from the cache\n",
        err,
    )
    assert f.compilations == ["float32[3, 4]", "float32[2, 4]"]
