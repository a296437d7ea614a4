"""chainrule.watch around a compiled step: the same findings and the same numbers as in eager mode."""

import sqlite3

import numpy as np
import pytest

import chainrule as torch
import test_watch as eager

pytest.importorskip("llvmlite")
F, nn = torch.nn.functional, torch.nn


def compiled(model, optimizer, loss_of=F.cross_entropy, zero=True, before_step=None):
    @torch.compile
    def step(x, y):
        if zero:
            optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        if before_step is not None:
            before_step()
        optimizer.step()
        return loss

    return step


def train(model, optimizer, x, y, loss_of=F.cross_entropy, steps=160, batch=32, zero=True, before_step=None, **how):
    """As in test_watch, compiled."""
    step = compiled(model, optimizer, loss_of, zero, before_step)
    places = np.random.default_rng(0)
    with torch.watch(model, optimizer, **how) as w:
        for _ in range(steps):
            chosen = torch.tensor(places.integers(0, len(x), batch))
            step(x[chosen], y[chosen])
    assert w.broken == set() and len(step.compilations) == (1 if steps > 1 else 0)
    return w


@pytest.mark.parametrize("code", eager.PROGRAMS)
def test_a_faulty_program_is_told_from_its_twin(code, monkeypatch):
    monkeypatch.setattr(eager, "train", train)
    w = eager.PROGRAMS[code](True)
    assert eager.codes(w)[:1] == [code], str(w.report())
    assert eager.codes(eager.PROGRAMS[code](False)) == []


def test_places_and_lines(monkeypatch):
    monkeypatch.setattr(eager, "train", train)
    assert eager.dead(True).findings[0].where == "3"
    assert eager.untrained(True).findings[0].where == "0"
    f = eager.missing_zero_grad(True).findings[0]
    assert f.source.startswith(__file__) and f.step == 1 and f.status == "confirmed"
    f = eager.mismatch(True).findings[0]
    assert (f.where, f.step, f.status) == ("3", 0, "confirmed")


# ---- the numbers


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 12), nn.Sigmoid(), nn.Linear(12, 3)
    )


def test_samples_are_those_of_eager_mode():
    x, y = eager.clouds()
    watches = []
    for run in (eager.train, train):
        model = net()
        watches.append(run(model, torch.optim.Adam(model.parameters(), 1e-2), x, y, steps=90))
    known = [{s.step: s for s in w.history.tape if s.updates is not None} for w in watches]
    both = known[0].keys() & known[1].keys()
    assert len(both) >= 8
    for step in both:
        a, b = known[0][step], known[1][step]
        for name in ("loss", "lr", "gradients", "weights", "updates", "inputs", "activations"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=2e-3, atol=1e-6, err_msg=name)
    looks = [{step: sizes for step, _, sizes in w.history.looks} for w in watches]
    both = looks[0].keys() & looks[1].keys()
    assert len(both) >= 3
    for step in both:
        for a, b in zip(looks[0][step], looks[1][step], strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3)
    assert watches[0].history.loss.count == watches[1].history.loss.count == 90
    np.testing.assert_allclose(watches[0].history.loss.array(), watches[1].history.loss.array(), rtol=1e-3)
    a, b = [w.history.targets.chance() for w in watches]
    assert abs(a - b) < 0.02


def test_units_of_a_convolution_and_a_loop_over_time():
    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 16, 3))
    x, y = torch.randn(64, 1, 6, 6), torch.randint(0, 3, (64,))
    w = train(conv, eager.sgd(conv), x, y, steps=20, silence=["bad-labels"])
    (units,) = w.history.units[w.history.plan].values()
    closed = units.closed[0]
    assert closed[2] == 5 and closed[0] >= 8 * 32 * 16
    lengths = []
    for run in (eager.train, train):
        torch.manual_seed(0)
        rnn = eager._Last(nn.ModuleList([nn.RNN(3, 7, batch_first=True), nn.Linear(7, 3)]))
        w = run(rnn, eager.sgd(rnn), torch.randn(64, 9, 3), y, steps=4)
        lengths.append([len(s) for s in w.history.looks[-1][2]])
        assert w.history.plan.layers[1].name == "parts.0"
    assert lengths[0] == lengths[1] == [1, 9, 1]


# ---- opening and closing


def test_opened_after_compilation_and_closed_again():
    model = net()
    optimizer = eager.sgd(model)
    step = compiled(model, optimizer)
    x, y = eager.clouds(32)
    for _ in range(3):
        step(x, y)
    (entries,) = step.kinds.values()
    before, short = list(entries), step.last
    w = torch.watch(model, optimizer)
    for _ in range(40):
        step(x, y)
    assert w.history.loss.count > 8 and len(entries) == 2
    w.close()
    assert w.history.loss.count == 40
    step(x, y)
    assert step.last is short and [e for e in entries if e.holds()] == before
    assert len(step.compilations) == 2
    for _ in range(4):  # programs of closed watches do not count
        with torch.watch(model, optimizer):
            for _ in range(3):
                step(x, y)
    assert len(entries) <= 3 and not step.gave_up


def test_watching_changes_nothing():
    x, y = eager.clouds(32)
    ends = []
    for watched in (False, True):
        model = net()
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        step = compiled(model, optimizer)
        w = torch.watch(model, optimizer) if watched else None
        for _ in range(50):
            step(x, y)
        ends.append([p.detach().numpy() for p in model.parameters()] + [p.grad.numpy() for p in model.parameters()])
        if w:
            w.close()
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_functions_that_do_not_train_are_left_alone():
    model = net()
    step = torch.compile(lambda x: model(x).sum())
    x, _ = eager.clouds(16)
    with torch.no_grad():
        step(x)
        with torch.watch(model, eager.sgd(model)):
            step(x)
            step(x)
    assert len(step.compilations) == 1


def test_another_models_step_is_not_recorded():
    mine, other = net(), net()
    steps = [compiled(m, eager.sgd(m)) for m in (mine, other)]
    x, y = eager.clouds(32)
    with torch.watch(mine, eager.sgd(mine)) as w:
        for _ in range(12):
            steps[1](x, y)
    assert w.history.step == 0 and w.findings == [] and w.broken == set()


def test_every_and_store(tmp_path):
    model = net()
    x, y = eager.clouds()
    w = train(model, eager.sgd(model), x, y, steps=100, every=16, store=str(tmp_path / "run.db"))
    assert [s.step for s in w.history.tape] == [0, 16, 32, 48, 64, 80, 96]
    assert w.history.loss.count == 100
    with sqlite3.connect(tmp_path / "run.db") as db:
        losses = db.execute("SELECT step, value FROM loss ORDER BY step").fetchall()
    assert [s for s, _ in losses] == list(range(100)) and all(v > 0 for _, v in losses)
    model = net()
    w = train(model, eager.sgd(model), x, y, steps=60)
    assert {s.step for s in w.history.tape} >= {0, 1, 2, 3, 4, 5, 6, 7}


def test_two_watches_over_one_step():
    model = net()
    optimizer = eager.sgd(model)
    step = compiled(model, optimizer)
    x, y = eager.clouds(32)
    with torch.watch(model, optimizer) as a, torch.watch(model, optimizer, every=4) as b:
        for _ in range(40):
            step(x, y)
    assert a.history.loss.count == b.history.loss.count == 40 and a.broken == b.broken == set()
    np.testing.assert_allclose(a.history.loss.array(), b.history.loss.array())


def test_backward_compiled_and_step_eager():
    model = net()
    optimizer = eager.sgd(model)
    x, y = eager.clouds(32)

    @torch.compile
    def gradients(x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    with torch.watch(model, optimizer) as w:
        for _ in range(30):
            optimizer.zero_grad()
            gradients(x, y)
            optimizer.step()
    assert w.history.loss.count == 30 and w.history.step == 30 and w.broken == set() and w.findings == []
    assert w.history.tape[-1].gradients[0] > 0


# ---- numbers that are not finite


def losing(kind):
    def loss_of(z, y):
        if kind == "log":
            return F.mse_loss(z, y) + 1e-3 * (z * 0 + (y * y).sum()).log().mean()
        return F.mse_loss(z, y) + 1e-3 * (z * (y * y).sum()).square().sum(1).sqrt().mean()

    return loss_of


@pytest.mark.parametrize("kind, direction", [("log", "forward"), ("sqrt", "backward")])
@pytest.mark.parametrize("at", [1, 2, 37, 59])
def test_the_origin_of_a_nan(kind, direction, at):
    torch.manual_seed(0)
    ends = []
    batches = [(torch.randn(8, 6), torch.randn(8, 3) * (k != at)) for k in range(60)]
    for watched in (True, False):
        model = net()
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        step = compiled(model, optimizer, losing(kind))
        w = torch.watch(model, optimizer, silence=["bad-labels", "bad-input"]) if watched else None
        for x, y in batches:
            step(x, y)
        if w:
            w.close()
            f = w.findings[0]
            assert (f.code, f.where, f.evidence["direction"], f.step) == ("non-finite", kind, direction, at)
            assert f.status == "confirmed" and f.source.startswith(__file__)
            assert w.history.step == 60 and w.broken == set()
        ends.append([*model.parameters(), *[s["step"] for s in optimizer.state.values()]])
    # Looking for it has left no trace.
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4)


def test_random_numbers_are_those_of_an_unwatched_run():
    x, y = eager.clouds(32)
    draws = []
    for watched in (True, False):
        model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))
        optimizer = eager.sgd(model)
        step = compiled(model, optimizer, lambda z, y: F.cross_entropy(z, y) + (z * 0).sum().sqrt())
        torch.manual_seed(3)
        w = torch.watch(model, optimizer) if watched else None
        for _ in range(12):
            step(x, y)
        if w:
            w.close()
            assert w.findings[0].where == "sqrt"
        draws.append(torch.rand(1).item())
    assert draws[0] == draws[1]
