"""chainrule.watch: each code is raised by a small faulty program, and not by its healthy twin one edit away."""

import warnings

import numpy as np
import pytest

import chainrule as torch
from chainrule.diagnosis.rules.dead_units import DeadUnits

F, nn = torch.nn.functional, torch.nn


def clouds(n=256, classes=3, dim=6, seed=0):
    """Separable classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    x = 2 * np.random.default_rng(7).normal(size=(classes, dim))[y] + rng.normal(size=(n, dim))
    return torch.tensor((x / x.std()).astype("float32")), torch.tensor(y)


def train(model, optimizer, x, y, loss_of=F.cross_entropy, steps=160, batch=32, zero=True, before_step=None, **how):
    """The plain loop under a watch."""
    places = np.random.default_rng(0)
    with torch.no_grad():
        pass
    with torch.watch(model, optimizer, **how) as w:
        for _ in range(steps):
            chosen = torch.tensor(places.integers(0, len(x), batch))
            if zero:
                optimizer.zero_grad()
            loss_of(model(x[chosen]), y[chosen]).backward()
            if before_step is not None:
                before_step()
            optimizer.step()
    return w


def mlp(*sizes, act=nn.ReLU):
    torch.manual_seed(0)
    layers = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        layers += [nn.Linear(a, b)] if i == 0 else [act(), nn.Linear(a, b)]
    return nn.Sequential(*layers)


def sgd(model, lr=0.1, **how):
    return torch.optim.SGD(model.parameters(), lr=lr, **how)


def codes(w):
    return [f.code for f in w.findings]


# ---- each code and its twin: a function of ``faulty`` that trains and returns the watch


def vanishing(faulty):
    model = mlp(6, *[16] * 14, 3, act=nn.Sigmoid if faulty else nn.ReLU)
    if not faulty:
        for layer in model:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
    return train(model, sgd(model), *clouds())


def exploding(faulty):
    torch.manual_seed(0)
    model = nn.RNN(1, 16, batch_first=True, nonlinearity="relu")
    head = nn.Linear(16, 2)
    with torch.no_grad():
        nn.init.orthogonal_(model.weight_hh_l0)
        model.weight_hh_l0.mul_(2.2 if faulty else 1.35)
    both = nn.ModuleList([model, head])
    x = torch.randn(256, 25, 1)
    y = (x.sum(dim=(1, 2)) > 0).long()
    return train(_Last(both), torch.optim.SGD(both.parameters(), lr=0.02), x, y)


class _Last(nn.Module):
    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def forward(self, x):
        return self.parts[1](self.parts[0](x)[0][:, -1])


def dead(faulty):
    model = mlp(6, 24, 24, 3)
    with torch.no_grad():
        model[2].bias.fill_(-50.0 if faulty else 0.0)
    return train(model, sgd(model), *clouds())


def saturated(faulty):
    model = mlp(6, 24, 24, 24, 3, act=nn.Tanh)
    with torch.no_grad():
        for i in (0, 2, 4) if faulty else ():
            model[i].bias.fill_(6.0)
    return train(model, sgd(model), *clouds())


def alike(faulty):
    model = mlp(6, 24, 24, 3, act=nn.Tanh)
    if faulty:
        for p in model.parameters():
            nn.init.constant_(p, 0.05)
    return train(model, sgd(model), *clouds())


def rate_too_high(faulty):
    model = mlp(6, 24, 24, 3)
    return train(model, sgd(model, 30.0 if faulty else 0.1), *clouds())


def rate_too_low(faulty):
    model = mlp(6, 24, 3)
    return train(model, sgd(model, 1e-6 if faulty else 0.1), *clouds())


def non_finite(faulty):
    model = mlp(6, 24, 3)

    def loss_of(out, y):
        share = F.softmax(out * 1000, dim=-1)
        return F.nll_loss((share + (0.0 if faulty else 1e-3)).log(), y)

    return train(model, sgd(model, 0.001), *clouds(), loss_of=loss_of, steps=40, silence=["learning-rate-too-low"])


def missing_zero_grad(faulty):
    model = mlp(6, 24, 3)
    return train(model, sgd(model, 0.05), *clouds(), zero=not faulty)


def untrained(faulty):
    model = mlp(6, 24, 3)
    return train(model, torch.optim.SGD((model[2] if faulty else model).parameters(), lr=0.1), *clouds())


def mismatch(faulty):
    model = mlp(6, 24, 3)
    if faulty:
        model.append(nn.Softmax(dim=-1))
    return train(model, sgd(model), *clouds())


def bad_input(faulty):
    model = mlp(6, 24, 3)
    x, y = clouds()
    return train(model, sgd(model), x * (1e-4 if faulty else 1.0), y)


def bad_labels(faulty):
    model = mlp(6, 24, 3)
    x, y = clouds()
    if faulty:
        y = y[torch.tensor(np.random.default_rng(1).permutation(len(y)))]
    return train(model, sgd(model, 0.01 if faulty else 0.1), x, y)


PROGRAMS = {
    "vanishing-gradient": vanishing, "exploding-gradient": exploding, "dead-units": dead, "saturated-units": saturated,
    "bad-initialisation": alike, "learning-rate-too-high": rate_too_high, "learning-rate-too-low": rate_too_low,
    "non-finite": non_finite, "missing-zero-grad": missing_zero_grad, "untrained-parameter": untrained,
    "loss-mismatch": mismatch, "bad-input": bad_input, "bad-labels": bad_labels,
}  # fmt: skip


@pytest.mark.parametrize("code", PROGRAMS)
def test_a_faulty_program_is_told_from_its_twin(code):
    w = PROGRAMS[code](True)
    assert codes(w)[:1] == [code], str(w.report())
    first = w.findings[0]
    assert first.message and first.remedy and first.step >= 0 and first.severity in ("error", "warning")
    assert codes(PROGRAMS[code](False)) == []


def test_places_and_lines():
    assert dead(True).findings[0].where == "3"
    assert alike(True).findings[0].where in ("0", "2")
    assert untrained(True).findings[0].where == "0"
    f = missing_zero_grad(True).findings[0]
    assert f.source.startswith(__file__) and f.step == 1 and f.status == "confirmed"
    f = mismatch(True).findings[0]
    assert (f.where, f.step, f.status) == ("3", 0, "confirmed")


# ---- faults of one graph


def one_step(model, loss_of, x, y):
    optimizer = sgd(model)
    with torch.watch(model, optimizer) as w:
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()
    return w


def test_classes_along_the_wrong_dimension():
    x, y = torch.randn(8, 5, 6), torch.randint(0, 3, (8, 5))
    for wrong, right in (
        (lambda o, y: F.nll_loss(F.log_softmax(o.reshape(-1, 3), 0), y.reshape(-1)), None),
        (lambda o, y: F.cross_entropy(o.reshape(8, 3, 5), y), lambda o, y: F.cross_entropy(o.transpose(1, 2), y)),
        (
            lambda o, y: F.nll_loss(F.log_softmax(o, 1).reshape(-1, 3), y.reshape(-1)),
            lambda o, y: F.nll_loss(F.log_softmax(o, 2).reshape(-1, 3), y.reshape(-1)),
        ),
    ):
        w = one_step(mlp(6, 8, 3), wrong, x, y)
        assert codes(w) == ["loss-mismatch"] and "dimension" in w.findings[0].message
        if right is not None:
            assert codes(one_step(mlp(6, 8, 3), right, x, y)) == []


def test_broadcasting_in_the_loss():
    x, y = torch.randn(16, 6), torch.randn(16)
    wrong = [lambda o, y: ((o - y) ** 2).mean(), lambda o, y: (y - o).abs().mean(), F.mse_loss, F.smooth_l1_loss]
    for loss in wrong:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            w = one_step(mlp(6, 8, 1), loss, x, y)
        assert codes(w) == ["loss-mismatch"], loss
        assert "[16, 1] and [16], which broadcast to [16, 16]" in w.findings[0].message.replace(
            "[16] and [16, 1]", "[16, 1] and [16]"
        )
        assert codes(one_step(mlp(6, 8, 1), lambda o, y, loss=loss: loss(o.squeeze(-1), y), x, y)) == []


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda o, y: F.nll_loss(o, y), "takes log-probabilities"),
        (lambda o, y: F.nll_loss(F.softmax(o, -1).log(), y), "logarithm of a softmax"),
        (lambda o, y: F.cross_entropy(o.relu(), y), "relu is applied to the logits"),
        (lambda o, y: F.cross_entropy(o.tanh(), y), "between -1 and 1"),
        (lambda o, y: -F.cross_entropy(o, y), "minus cross_entropy"),
        (lambda o, y: F.log_softmax(o, -1).gather(1, y[:, None]).mean(), "log-likelihood itself"),
        (lambda o, y: F.cross_entropy(o[:, :1], y * 0), "one class"),
        (
            lambda o, y: F.binary_cross_entropy_with_logits(o[:, 0].sigmoid(), (y > 0).float()),
            "sigmoid is applied before",
        ),
        (lambda o, y: F.binary_cross_entropy_with_logits(o[:, 0], y.float()), "outside [0, 1]"),
    ],
)
def test_losses_that_do_not_fit(wrong, words):
    w = one_step(mlp(6, 8, 3), wrong, torch.randn(16, 6), torch.tensor([0, 1, 2, 2] * 4))
    assert codes(w)[0] in ("loss-mismatch", "bad-labels") and words in w.findings[0].message


def test_losses_that_fit():
    x, y = torch.randn(16, 6), torch.tensor([0, 1, 2, 2] * 4)
    for loss in (
        lambda o, y: F.nll_loss(F.log_softmax(o, -1), y),
        lambda o, y: -F.log_softmax(o, -1).gather(1, y[:, None]).mean(),
        lambda o, y: F.mse_loss(F.softmax(o, -1), F.one_hot(y, 3).float()),
        lambda o, y: F.cross_entropy(o, y) - 0.01 * -(F.softmax(o, -1) * F.log_softmax(o, -1)).sum(-1).mean(),
        lambda o, y: F.cross_entropy(o @ o.t(), torch.arange(16)) + F.cross_entropy((o @ o.t()).t(), torch.arange(16)),
    ):
        assert codes(one_step(mlp(6, 8, 3), loss, x, y)) == []


class Held(nn.Module):
    """Layers in a container that may or may not register them."""

    def __init__(self, container):
        super().__init__()
        torch.manual_seed(0)
        self.layers = container([nn.Linear(6, 8), nn.Linear(8, 8)])
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()
        return self.out(x)


def test_layers_in_a_plain_list():
    x, y = clouds(16)
    w = one_step(Held(list), F.cross_entropy, x, y)
    assert codes(w) == ["untrained-parameter"] and w.findings[0].where == "layers"
    assert "nn.ModuleList" in w.findings[0].remedy
    assert codes(one_step(Held(nn.ModuleList), F.cross_entropy, x, y)) == []


def test_detached_rounded_and_cleared():
    x, y = clouds(64)

    class Cut(nn.Module):
        def __init__(self, cut):
            super().__init__()
            self.body, self.head, self.cut = mlp(6, 8, 8), nn.Linear(8, 3), cut

        def forward(self, x):
            return self.head(self.cut(self.body(x)))

    for cut, words in ((lambda h: h.detach(), "no gradient arrives"), (lambda h: h.round(), "round")):
        model = Cut(cut)
        w = train(model, sgd(model), x, y, steps=12)
        assert codes(w) == ["untrained-parameter"] and w.findings[0].where == "body"
        assert words in w.findings[0].message
    model = Cut(lambda h: h + (h.round() - h).detach())  # the gradient goes straight through
    assert codes(train(model, sgd(model), x, y, steps=12)) == []
    model = mlp(6, 8, 3)
    optimizer = sgd(model)
    w = train(model, optimizer, x, y, steps=5, before_step=optimizer.zero_grad)
    assert codes(w) == ["untrained-parameter"] and "no gradients at all" in w.findings[0].message


def test_batch_norm_in_evaluation_mode():
    torch.manual_seed(0)
    for faulty in (True, False):
        model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
        if faulty:
            model.eval()
        w = train(model, sgd(model), *clouds(), steps=40)
        assert codes(w)[:1] == (["untrained-parameter"] if faulty else []) and (
            not faulty or w.findings[0].where == "1"
        )


def test_a_label_out_of_range_is_named():
    model = mlp(6, 8, 3)
    optimizer = sgd(model)
    with pytest.raises(IndexError), torch.watch(model, optimizer) as w:
        F.cross_entropy(model(torch.randn(4, 6)), torch.tensor([0, 1, 2, 3])).backward()
    assert codes(w) == ["bad-labels"] and w.findings[0].where == "cross_entropy"
    assert w.findings[0].source.startswith(__file__)


# ---- sound on purpose


def test_accumulation_clipping_and_tying_are_sound():
    x, y = clouds()
    model = mlp(6, 16, 16, 3)
    model[2].weight = nn.Parameter(model[2].weight.data)
    model[2].bias = model[0].bias  # tied
    optimizer = sgd(model, 0.2)
    with torch.watch(model, optimizer) as w:
        for i in range(240):
            part = slice(32 * (i % 8), 32 * (i % 8) + 32)
            (F.cross_entropy(model(x[part]), y[part]) / 3).backward()
            if i % 3 == 2:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=i % 2 == 0)
    assert codes(w) == [] and w.history.step == 80


def test_frozen_layers_masks_and_zero_initialised_branches_are_sound():
    x, y = clouds()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.first, self.frozen, self.head = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 3)
            self.frozen.requires_grad_(False)
            self.branch = nn.Linear(16, 16)
            nn.init.zeros_(self.branch.weight)

        def forward(self, x):
            h = self.frozen(self.first(x).relu()).relu()
            share = F.softmax((h @ h.t()).masked_fill(torch.triu(torch.ones(len(h), len(h)), 1) > 0, float("-inf")), -1)
            return self.head(h + self.branch(share @ h))

    model = Net()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    assert codes(train(model, optimizer, x, y)) == []


def test_fine_tuning_with_small_steps_is_sound():
    model = mlp(6, 24, 3)
    train(model, sgd(model), *clouds())
    assert codes(train(model, torch.optim.Adam(model.parameters(), lr=1e-5), *clouds())) == []


def test_two_models_that_train_each_other():
    """A generator and a discriminator, a watch for each: the other's backward passes are not ours."""
    torch.manual_seed(0)
    g, d = mlp(2, 16, 2), mlp(2, 16, 1)
    og, od = torch.optim.Adam(g.parameters(), 1e-3), torch.optim.Adam(d.parameters(), 1e-3)
    one, zero = torch.ones(32, 1), torch.zeros(32, 1)
    loss = F.binary_cross_entropy_with_logits
    with torch.watch(g, og) as wg, torch.watch(d, od) as wd:
        for _ in range(40):
            real, fake = torch.randn(32, 2) + 2, g(torch.randn(32, 2))
            od.zero_grad()
            (loss(d(real), one) + loss(d(fake.detach()), zero)).backward()
            od.step()
            og.zero_grad()
            loss(d(fake), one).backward()
            og.step()
    assert (wg.history.step, wd.history.step) == (40, 40)
    assert "missing-zero-grad" not in codes(wg) + codes(wd) and "untrained-parameter" not in codes(wg) + codes(wd)


def test_zeros_in_one_batch_are_no_evidence():
    model = mlp(6, 24, 3)
    x, y = clouds()
    w = train(model, sgd(model), x, y, steps=120)
    assert codes(w) == []
    rule = DeadUnits()
    assert list(rule.examine(w.history, w.scene)) == []


# ---- the session


def test_nothing_is_left_behind():
    from chainrule.autograd import engine
    from chainrule.node import topological

    model = mlp(6, 8, 3)
    optimizer = sgd(model)
    assert engine.topological is topological
    w = torch.watch(model, optimizer)
    assert engine.topological is not topological
    w.close()
    w.close()
    assert engine.topological is topological
    assert not optimizer._optimizer_step_pre_hooks and not optimizer._optimizer_step_post_hooks
    assert not model._forward_pre_hooks and not model._forward_hooks


def test_watching_changes_no_number():
    found = []
    for watched in (False, True):
        model = mlp(6, 16, 3)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        x, y = clouds()
        if watched:
            train(model, optimizer, x, y, steps=30)
        else:
            places = np.random.default_rng(0)
            for _ in range(30):
                chosen = torch.tensor(places.integers(0, len(x), 32))
                optimizer.zero_grad()
                F.cross_entropy(model(x[chosen]), y[chosen]).backward()
                optimizer.step()
        found.append(model[2].weight.detach().numpy().copy())
    assert np.array_equal(*found)


def test_every_sixteenth_step_and_without_with():
    model = mlp(6, 16, 3)
    optimizer = sgd(model)
    seen = []
    w = torch.watch(model, optimizer, every=16, on_finding=seen.append)
    x, y = clouds()
    for _ in range(64):
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    w.close()
    assert w.measured == 4 and w.history.loss.count == 64
    assert [f.code for f in seen][:1] == ["missing-zero-grad"]
    assert "closed" in repr(w)


def test_silence_and_thresholds():
    w = train(mlp(6, 24, 3), None or sgd(mlp(6, 24, 3)), *clouds(), steps=3, silence=["untrained-parameter"])
    assert codes(w) == []
    model = mlp(6, 24, 3)
    w = train(model, sgd(model), *clouds(), thresholds={"dead_share": 0.01, "dead_share_learning": 0.0})
    assert codes(w) == ["dead-units"]


@pytest.mark.parametrize(
    "how, error, words",
    [
        ({"every": 0}, ValueError, "every must be a whole number of 1 or more, got 0"),
        ({"silence": ["dead"]}, ValueError, "there is no code 'dead'; codes are missing-zero-grad, "),
        ({"thresholds": {"dead": 1}}, ValueError, "there is no threshold 'dead'; thresholds are "),
        ({"on_finding": 3}, TypeError, "on_finding must be callable, got int"),
        ({"model": 3}, TypeError, "model must be a Module or a list of them, got int; write watch(model, optimizer)"),
        ({"optimizer": None}, TypeError, "optimizer must be a Optimizer or a list of them, got NoneType"),
    ],
)
def test_arguments_that_make_no_sense(how, error, words):
    model = mlp(6, 8, 3)
    given = {"model": model, "optimizer": sgd(model), **how}
    with pytest.raises(error) as raised:
        torch.watch(**given)
    assert words in str(raised.value)


def test_a_rule_that_crashes_is_switched_off_and_said_once(monkeypatch):
    def crash(self, h, scene):
        raise ZeroDivisionError("by design")

    monkeypatch.setattr(DeadUnits, "examine", crash)
    model = mlp(6, 16, 3)
    with pytest.warns(
        RuntimeWarning, match="DeadUnits failed and is switched off, the training goes on: ZeroDiv"
    ) as said:
        w = train(model, sgd(model), *clouds(), steps=40)
    assert len(said) == 1 and w.history.step == 40 and codes(w) == []


def test_a_listener_that_crashes_is_not_called_again():
    def listener(finding):
        raise KeyError("by design")

    model = mlp(6, 16, 3)
    with pytest.warns(RuntimeWarning, match="on_finding failed and is not called again: KeyError") as said:
        w = train(model, sgd(model), *clouds(), steps=10, zero=False, on_finding=listener)
    assert len(said) == 1 and codes(w)[0] == "missing-zero-grad"


def test_an_optimizer_of_another_copy():
    """The loss is computed by a model that the optimizer has never seen."""
    model = mlp(6, 8, 3)
    optimizer = sgd(model)
    used = mlp(6, 8, 3)
    x, y = clouds()
    with torch.watch(model, optimizer) as w:
        for _ in range(4):
            optimizer.zero_grad()
            F.cross_entropy(used(x), y).backward()
            optimizer.step()
    assert codes(w) == ["untrained-parameter"] and "belong to other parameters" in w.findings[0].message
    assert w.findings[0].step == 0


def test_an_optimizer_that_is_never_stepped():
    model = mlp(6, 8, 3)
    first, second = sgd(model[0]), sgd(model[2])
    x, y = clouds()
    with torch.watch(model, [first, second]) as w:
        for _ in range(12):
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            first.step  # noqa: B018 (the parentheses are missing)
            second.step()
    assert codes(w) == ["untrained-parameter"] and w.findings[0].where == "0"
    assert "never stepped, although backward() ran 12 times" in w.findings[0].message


def test_all_to_all_in_three_dimensions():
    x, y = torch.randn(8, 6), torch.randn(8, 1, 3)
    assert codes(one_step(mlp(6, 8, 3), lambda o, y: ((o - y) ** 2).mean(), x, y)) == ["loss-mismatch"]
    assert codes(one_step(mlp(6, 8, 3), lambda o, y: ((o[:, None] - y) ** 2).mean(), x, y)) == []
