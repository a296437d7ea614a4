"""Compiled training steps against the same steps run eagerly: losses, parameters, gradients, optimiser state."""

import copy

import numpy as np
import pytest

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F

pytest.importorskip("llvmlite")


def arrays(x):
    if isinstance(x, torch.Tensor):
        return [x.detach().numpy()]
    if isinstance(x, dict):
        return [a for k in x for a in arrays(x[k])]
    if isinstance(x, (list, tuple)):
        return [a for v in x for a in arrays(v)]
    return []


def same(a, b, rtol=2e-5, atol=2e-6):
    a, b = arrays(a), arrays(b)
    assert len(a) == len(b)
    for x, y in zip(a, b):
        assert x.dtype == y.dtype and x.shape == y.shape
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


def twins(make, seed=0):
    torch.manual_seed(seed)
    model = make()
    return model, copy.deepcopy(model)


def run(make, optimizer, batches, loss=F.cross_entropy, extra=None, **options):
    """The same steps eagerly and compiled; returns the compiled function and both models and optimisers."""
    eager, compiled = twins(make)
    opt_e, opt_c = optimizer(eager.parameters()), optimizer(compiled.parameters())

    def step_of(model, opt):
        def step(x, y):
            opt.zero_grad()
            value = loss(model(x), y)
            value.backward()
            if extra is not None:
                extra(model)
            opt.step()
            return value

        return step

    one, two = step_of(eager, opt_e), torch.compile(step_of(compiled, opt_c), options=options or None)
    for x, y in batches:
        state = torch.get_rng_state()
        a = one(x, y)
        torch.set_rng_state(state)
        b = two(x, y)
        same(a, b)
    same(list(eager.parameters()), list(compiled.parameters()))
    same([p.grad for p in eager.parameters()], [p.grad for p in compiled.parameters()])
    same(eager.state_dict(), compiled.state_dict())
    same(opt_e.state_dict()["state"], opt_c.state_dict()["state"])
    return two, (eager, opt_e), (compiled, opt_c)


def batches(*shape, classes=3, n=3):
    torch.manual_seed(1)
    return [(torch.randn(*shape), torch.randint(0, classes, (shape[0],))) for _ in range(n)]


def mlp():
    return nn.Sequential(nn.Linear(6, 17), nn.Tanh(), nn.Linear(17, 3))


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "dampening": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5),
    "maximize": lambda p: torch.optim.SGD(p, lr=0.1, maximize=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1, lr_decay=0.01),
    "adadelta": lambda p: torch.optim.Adadelta(p),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "asgd": lambda p: torch.optim.ASGD(p, lr=0.01),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    step, *_ = run(mlp, OPTIMIZERS[name], batches(5, 6, n=4))
    assert len(step.compilations) == 1


MODELS = {
    "relu": (lambda: nn.Sequential(nn.Linear(6, 33), nn.ReLU(), nn.Linear(33, 3)), (7, 6)),
    "gelu_norm": (lambda: nn.Sequential(nn.Linear(6, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 3)), (7, 6)),
    "batch_norm": (lambda: nn.Sequential(nn.Linear(6, 9, bias=False), nn.BatchNorm1d(9), nn.SiLU(), nn.Linear(9, 3)), (8, 6)),
    "dropout": (lambda: nn.Sequential(nn.Linear(6, 20), nn.Dropout(0.4), nn.Linear(20, 3)), (8, 6)),
    "conv": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3, stride=2, bias=False),
            nn.BatchNorm2d(5), nn.ELU(), nn.AvgPool2d(1), nn.Flatten(), nn.Linear(5 * 4, 3),
        ),
        (3, 2, 11, 12),
    ),
    "grouped": (
        lambda: nn.Sequential(nn.Conv1d(4, 8, 3, groups=2, dilation=2), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 5, 3)),
        (3, 4, 9),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_models(name):
    make, shape = MODELS[name]
    step, *_ = run(make, lambda p: torch.optim.Adam(p, lr=0.01), batches(*shape))
    assert len(step.compilations) == 1


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.net = kind(4, 6, batch_first=True)
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        return self.out(self.net(x)[0][:, -1])


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent(kind):
    run(lambda: Recurrent(kind), lambda p: torch.optim.SGD(p, lr=0.1), batches(3, 7, 4))


class OwnLoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.LSTMCell(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        h = c = torch.zeros(x.shape[0], 6)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
        return self.out(h)


def test_own_loop_shares_kernels():
    step, *_ = run(OwnLoop, lambda p: torch.optim.SGD(p, lr=0.1), batches(3, 5, 4))
    x, y = batches(3, 40, 4)[0]
    text = step.explain(x, y)
    kernels, tasks = len(text.kernels.splitlines()) - 1, len(text.schedule.splitlines())
    assert tasks > 5 * kernels  # forty steps of time, the kernels of a few


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Embedding(11, 8, padding_idx=0)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.layer(self.token(x)).mean(1))


def test_attention():
    torch.manual_seed(1)
    data = [(torch.randint(0, 11, (4, 5)), torch.randint(0, 3, (4,))) for _ in range(3)]
    run(Attention, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), data)


def test_clipping():
    run(mlp, OPTIMIZERS["sgd"], batches(5, 6), extra=lambda m: nn.utils.clip_grad_norm_(m.parameters(), 0.1))
    run(mlp, OPTIMIZERS["sgd"], batches(5, 6), extra=lambda m: nn.utils.clip_grad_value_(m.parameters(), 0.01))


def test_learning_rate_is_read_at_each_call():
    eager, compiled = twins(mlp)
    pairs = []
    for model in (eager, compiled):
        opt = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
        pairs.append((model, opt, torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.5, total_steps=10)))

    def step_of(model, opt):
        def step(x, y):
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            return loss

        return step

    steps = [step_of(*pairs[0][:2]), torch.compile(step_of(*pairs[1][:2]))]
    for x, y in batches(5, 6, n=6):
        same(steps[0](x, y), steps[1](x, y))
        for _, _, schedule in pairs:
            schedule.step()
    same(list(eager.parameters()), list(compiled.parameters()))
    assert len(steps[1].compilations) == 1


def test_gradient_accumulation():
    eager, compiled = twins(mlp)

    def step_of(model):
        def step(x, y):
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        return step

    one, two = step_of(eager), torch.compile(step_of(compiled))
    for x, y in batches(5, 6, n=4):
        same(one(x, y), two(x, y))
    same([p.grad for p in eager.parameters()], [p.grad for p in compiled.parameters()])
    assert len(two.compilations) == 2  # without and with gradients to add to


def test_eager_and_compiled_steps_mix():
    eager, compiled = twins(mlp)
    opts = [torch.optim.Adam(m.parameters(), lr=0.01) for m in (eager, compiled)]

    def step_of(model, opt):
        def step(x, y):
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            return loss

        return step

    plain, other = step_of(eager, opts[0]), step_of(compiled, opts[1])
    fast = torch.compile(other)
    for k, (x, y) in enumerate(batches(5, 6, n=7)):
        same(plain(x, y), (fast if k % 3 else other)(x, y))
    same(list(eager.parameters()), list(compiled.parameters()))
    same(opts[0].state_dict()["state"], opts[1].state_dict()["state"])
    opts[1].load_state_dict(opts[0].state_dict())
    compiled.load_state_dict(eager.state_dict())
    for x, y in batches(5, 6, n=2):
        same(plain(x, y), fast(x, y))
    same(list(eager.parameters()), list(compiled.parameters()))


def test_gradients_that_are_kept_do_not_change():
    model = mlp()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)

    @torch.compile
    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    data = batches(5, 6, n=3)
    kept = []
    for x, y in data:
        step(x, y)
        g = model[0].weight.grad
        kept.append((g, g.numpy().copy()))
    for tensor, before in kept:
        np.testing.assert_array_equal(tensor.numpy(), before)


def test_same_bits_for_any_number_of_threads():
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(0)
            model = nn.Sequential(nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 10))
            opt = torch.optim.Adam(model.parameters())

            @torch.compile
            def step(x, y, opt=opt, model=model):
                opt.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                opt.step()
                return loss

            for x, y in batches(128, 300, classes=10):
                step(x, y)
            results.append([p.detach().numpy().tobytes() for p in model.parameters()])
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("level", ["sse2", "avx2"])
def test_fewer_features(level):
    from chainrule.compiler.target import host

    try:
        host(level)
    except ValueError:
        pytest.skip(f"this machine has no {level}")
    make, shape = MODELS["conv"]
    run(make, lambda p: torch.optim.Adam(p, lr=0.01), batches(*shape), target=level)
    run(Attention, lambda p: torch.optim.SGD(p, lr=0.1),
        [(torch.randint(0, 11, (4, 5)), torch.randint(0, 3, (4,))) for _ in range(2)], target=level)  # fmt: skip


def test_bounds_checks_find_nothing():
    for name in ("batch_norm", "conv"):
        make, shape = MODELS[name]
        run(make, lambda p: torch.optim.Adam(p, lr=0.01), batches(*shape, n=2), debug=True)
