"""chainrule.watch: the operator and the line that made the first NaN or infinity, forward or backward."""

import numpy as np
import pytest

import chainrule as torch

F, nn = torch.nn.functional, torch.nn


class Forward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a):
        return a / (a * 0)

    @staticmethod
    def backward(ctx, g):
        return g


class Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a):
        return a * 1

    @staticmethod
    def backward(ctx, g):
        return g / (g * 0)


def watched(loss_of, steps=3, x=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(16, 4) if x is None else x, torch.randint(0, 3, (16,))
    with torch.watch(model, optimizer) as w:
        for i in range(steps):
            optimizer.zero_grad()
            loss_of(model(x), y, i).backward()
            optimizer.step()
    return w


# operator, a word of the reason, the loss: each on a line of its own, which must be the finding's source.
ORIGINS = [
    ("log", "logarithm of 0", lambda o, y, i: F.nll_loss(F.softmax(o * 1000, -1).log(), y)),
    ("log", "negative number", lambda o, y, i: o.log().mean()),
    ("div", "divided by 0", lambda o, y, i: F.cross_entropy(o / (o - o).sum(), y)),
    ("div", "0 divided by 0", lambda o, y, i: (o * 0 / (o * 0).norm(dim=1, keepdim=True)).sum()),
    ("exp", "88", lambda o, y, i: (((o * 1000).abs().exp() * 0.5 + 1).log() * 2).mean()),
    ("pow", "fractional power", lambda o, y, i: (o**1.5).mean()),
    ("sqrt", "negative", lambda o, y, i: (o - 9).sqrt().mean()),
    ("rsqrt", "1 / sqrt", lambda o, y, i: (o * 0).rsqrt().mean()),
    ("log1p", "log1p of -1", lambda o, y, i: (o * 0 - 1).log1p().mean()),
    ("logit", "logarithm", lambda o, y, i: (o * 1000).sigmoid().logit().mean()),
    ("std", "too few elements", lambda o, y, i: o[:1].std(dim=0).sum()),
    ("softmax", "nothing but -inf", lambda o, y, i: F.softmax(o.masked_fill(o < 99, float("-inf")), -1).sum()),
    ("matmul", "grown", lambda o, y, i: ((o * 1e20) @ (o.t() * 1e25)).mean()),
    ("Forward", "Forward", lambda o, y, i: (Forward.apply(o) * 2).mean()),
    ("log", "negative", lambda o, y, i: (o.log() if i == 1 else o).mean()),
    ("sqrt", "derivative", lambda o, y, i: F.cross_entropy(o, y) + (o - o).abs().sqrt().sum()),
    ("pow", "derivative", lambda o, y, i: (o * 0).abs().pow(0.5).mean() + o.mean()),
    ("acos", "outside [-1, 1]", lambda o, y, i: (o * 0 + 1).acos().mean() + o.mean()),
    ("Backward", "derivative", lambda o, y, i: (Backward.apply(o) * 2).mean()),
]


@pytest.mark.parametrize("operator, word, loss_of", ORIGINS, ids=[f"{k}-{o[0]}" for k, o in enumerate(ORIGINS)])
def test_origin(operator, word, loss_of):
    w = watched(loss_of)
    f = w.findings[0]
    assert (f.code, f.where, f.status) == ("non-finite", operator, "confirmed"), str(w.report())
    assert word in f.message
    assert f.source == f"{__file__}:{loss_of.__code__.co_firstlineno}"
    assert f.step == (word == "negative" and operator == "log")


def test_offending_values_are_told():
    f = watched(lambda o, y, i: (o * 0).log().mean()).findings[0]
    assert f.evidence["input 1"] == 0.0 and f.evidence["index"] == [0, 0] and f.evidence["direction"] == "forward"


def test_what_was_masked_out_is_no_origin():
    assert watched(lambda o, y, i: torch.where(o > 0, o.log(), o * 0).mean() + F.cross_entropy(o, y)).findings == []
    w = watched(lambda o, y, i: (torch.where(o > 0, o.log(), o * 0) + (o * 0).reciprocal()).mean())
    assert w.findings[0].where == "reciprocal"


def test_data_that_is_not_finite():
    x = torch.randn(16, 4)
    x[3, 2] = float("nan")
    w = watched(lambda o, y, i: F.cross_entropy(o, y), x=x)
    assert [f.code for f in w.findings] == ["bad-input"]
    w = watched(lambda o, y, i: F.mse_loss(o, torch.full((16, 3), float("nan"))))
    assert [(f.code, f.where) for f in w.findings] == [("bad-labels", "mse_loss")]


def test_an_operator_on_data_is_found_when_it_does_it_again():
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torch.watch(model, optimizer) as w:
        for _ in range(3):
            x = torch.ones(8, 4)
            x = (x - 1) / x.std()  # 0 / 0: nothing of it is in the graph
            optimizer.zero_grad()
            F.cross_entropy(model(x), torch.zeros(8).long()).backward()
            optimizer.step()
    assert [(f.code, f.where) for f in w.findings] == [("non-finite", "div")]


def test_a_parameter_that_was_broken_before():
    model = nn.Linear(4, 3)
    with torch.no_grad():
        model.weight[0, 0] = np.nan
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torch.watch(model, optimizer) as w:
        F.cross_entropy(model(torch.randn(8, 4)), torch.zeros(8).long()).backward()
        optimizer.step()
    assert [(f.code, f.where) for f in w.findings] == [("bad-initialisation", "weight")]


def test_nothing_is_rerun_that_the_user_would_notice():
    """A gradient that is not finite is looked into without calling hooks again."""
    calls = []

    def loss_of(o, y, i):
        h = (o - o).abs()
        h.register_hook(lambda g: calls.append(1))
        return h.sqrt().sum()

    w = watched(loss_of, steps=1)
    assert w.findings[0].where == "sqrt" and calls == [1]


def test_divergence_is_put_down_to_the_learning_rate_first():
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=3.0)
    x = torch.randn(64, 4)
    with torch.watch(model, optimizer) as w:
        for _ in range(120):
            optimizer.zero_grad()
            F.mse_loss(model(x), x[:, :1]).backward()
            optimizer.step()
    assert [f.code for f in w.findings][:2] == ["learning-rate-too-high", "non-finite"]


def test_between_two_looks():
    """At every sixteenth step the loss is still looked at in each; what arises forward is found with its operator."""
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(16, 4), torch.randint(0, 3, (16,))
    with torch.watch(model, optimizer, every=16) as w:
        for i in range(24):
            optimizer.zero_grad()
            out = model(x)
            loss = out.log().mean() if i == 21 else F.cross_entropy(out, y)
            loss.backward()
            optimizer.step()
    f = w.findings[0]
    assert (f.code, f.where, f.step) == ("non-finite", "log", 21)
    assert w.measured == 2 and w.history.step == 24 and w.history.loss.count == 23
