"""The training step of every program under examples/, compiled: the numbers are those of the eager step.

Three steps of each, in the shapes of the example or smaller. (lstm_sine's optimiser searches along lines and
reinforce's episodes ask an environment, so of these the loss and the update are compiled.)
"""

import numpy as np
import pytest

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
from test_examples import load

pytest.importorskip("llvmlite")


def randn(*shape):
    return torch.tensor(np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32))


def training(model, optimizer, loss, clip=None):
    def step(*batch):
        optimizer.zero_grad()
        value = loss(model, *batch)
        value.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return value

    return step, list(model.parameters())


def autoencoder(m):
    net = nn.Sequential(
        nn.Sequential(nn.Linear(13, 16), nn.Tanh(), nn.Linear(16, 2)),
        nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 13)),
    )
    x = randn(178, 13)
    return *training(net, torch.optim.RMSprop(net.parameters(), lr=5e-3), lambda n, x: F.mse_loss(n(x), x)), [(x,)] * 3


def char_rnn(m):
    model, k = m.CharRNN(len(m.VOCABULARY), 16), len(m.VOCABULARY)

    def loss(model, x, y):
        return F.cross_entropy(model(x)[0].reshape(-1, k), y.reshape(-1))

    data = [(torch.randint(k, (4, 8)), torch.randint(k, (4, 8))) for _ in range(3)]
    return *training(model, torch.optim.Adam(model.parameters(), lr=5e-3), loss, 1.0), data


def classification(m):
    model = m.Net(64)
    data = [(randn(16, 8, 8), torch.randint(10, (16,))) for _ in range(3)]
    return *training(
        model, torch.optim.Adam(model.parameters(), lr=3e-3), lambda n, x, y: F.cross_entropy(n(x), y)
    ), data


def cnn_digits(m):
    model = m.CNN(8).double()  # in single precision a relu at 0 may fall either way
    data = [(randn(16, 1, 8, 8).double(), torch.randint(10, (16,))) for _ in range(3)]

    def loss(model, x, y):
        return F.cross_entropy(model(x), y, label_smoothing=0.05)

    # Not AdamW as in the example: biases in front of a batch norm have no gradient but rounding, which it blows up.
    return *training(model, torch.optim.SGD(model.parameters(), lr=0.1), loss), data


def f_xyz(m):
    x, y, z = (torch.tensor(v, requires_grad=True) for v in (2.0, 3.0, -4.0))

    def step():
        q = x + y
        f = q * z
        q.retain_grad()
        f.backward()
        return f, q, q.grad

    return step, [x, y, z], [()] * 3


def gan(m):
    g = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    d = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), nn.Sigmoid())
    criterion = nn.BCELoss()
    opt_d = torch.optim.Adam(d.parameters(), lr=2e-3, betas=(0.5, 0.999))
    opt_g = torch.optim.Adam(g.parameters(), lr=2e-3, betas=(0.5, 0.999))
    real, fake_label = torch.ones(12, 1), torch.zeros(12, 1)

    def step():
        d.zero_grad()
        fake = g(torch.randn(12, 4))
        err_d = criterion(d(m.real_points(12)), real) + criterion(d(fake.detach()), fake_label)
        err_d.backward()
        opt_d.step()
        g.zero_grad()
        err_g = criterion(d(fake), real)
        err_g.backward()
        opt_g.step()
        return err_d, err_g

    return step, [*g.parameters(), *d.parameters()], [()] * 3


def lstm_sine(m):
    model = m.Sequence(8).double()
    data = m.waves(3, 13, 5)

    def step(data):
        model.zero_grad()
        loss = F.mse_loss(model(data[:, :-1]), data[:, 1:])
        loss.backward()
        return loss

    return step, list(model.parameters()), [(data,)] * 3


def mini_gpt(m):
    model = m.GPT(m.GPTConfig(block_size=8, n_embd=16, n_head=2))
    opt = model.configure_optimizer(weight_decay=0.1, learning_rate=3e-3)
    k = len(m.CHARACTERS)
    data = [(torch.randint(k, (3, 8)), torch.randint(k, (3, 8))) for _ in range(3)]
    return *training(model, opt, lambda n, x, y: n(x, y)[1], 1.0), data


def network_cost(m):
    weights = [torch.randn(4, 2), torch.zeros(4), torch.randn(4), torch.zeros(())]
    for w in weights:
        w.requires_grad_()

    def step(x, target):
        loss = m.cost(m.network(x, weights), target)
        loss.backward()
        with torch.no_grad():
            for w in weights:
                w -= 0.8 * w.grad
                w.grad = None
        return loss

    return step, weights, list(zip(m.POINTS, m.TARGETS))


def neuron(m):
    x1, x2, w1, w2, b = (
        torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (2.0, 0.0, -3.0, 1.0, 6.881373587019543)
    )

    def step():
        n = x1 * w1 + x2 * w2 + b
        o = torch.tanh(n)
        n.retain_grad()
        o.backward()
        return o, n.grad

    return step, [x1, x2, w1, w2, b], [()] * 2


def physics_oscillator(m):
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    opt = torch.optim.Adam(net.parameters(), lr=2e-2)
    start = torch.zeros(1, 1, requires_grad=True)
    t = torch.linspace(0, 2, 9).view(-1, 1).requires_grad_(True)

    def step():
        opt.zero_grad()
        x0 = net(start)
        (v0,) = torch.autograd.grad(x0, start, create_graph=True)
        x = net(t)
        (dx,) = torch.autograd.grad(x, t, torch.ones_like(x), create_graph=True)
        (d2x,) = torch.autograd.grad(dx, t, torch.ones_like(dx), create_graph=True)
        loss = (x0 - 1).square().sum() + v0.square().sum() + 3e-2 * (d2x + dx + 9 * x).square().mean()
        loss.backward()
        opt.step()
        return loss

    return step, list(net.parameters()), [()] * 3


def recurrent(m):
    w, u, v = (0.5 * torch.randn(8, 8)).requires_grad_(), *(torch.randn(8, requires_grad=True) for _ in range(2))
    h0 = torch.zeros(6, 8)

    def step(sequence):
        target = (sequence[0] > 0).float()
        p = torch.sigmoid(m.unroll(sequence, h0, [w] * 5, u) @ v)
        loss = -(target * torch.log(p + 1e-6) + (1 - target) * torch.log(1 - p + 1e-6)).mean()
        loss.backward()
        with torch.no_grad():
            for parameter in (w, u, v):
                parameter -= 0.5 * parameter.grad
                parameter.grad = None
        return loss

    return step, [w, u, v], [(torch.randn(5, 6),) for _ in range(3)]


def regression(m):
    model = m.Regressor(10, 16)
    opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    return *training(model, opt, lambda n, x, y: F.mse_loss(n(x), y)), [(randn(42, 10), randn(42))] * 3


def reinforce(m):
    policy = m.Policy(16)

    def loss(policy, states, actions, gains):
        chosen = torch.distributions.Categorical(policy(states)).log_prob(actions)
        return -(chosen * ((gains - gains.mean()) / (gains.std() + 1e-8))).sum()

    data = [(randn(20, 4), torch.randint(2, (20,)), m.returns([1.0] * 20, 0.99))] * 3
    return *training(policy, torch.optim.Adam(policy.parameters(), lr=1e-2), loss), data


def session(m):
    a, b = torch.tensor([2.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)

    def step():
        e = (a + b) * (b + 1)
        e.backward()
        return e

    return step, [a, b], [()] * 3


def shared_weights(m):
    weights = [0.5 * torch.randn(4, 16), torch.zeros(16), 0.5 * torch.randn(16, 2)]
    for w in weights:
        w.requires_grad_()

    def step(left, right, same):
        loss, distance = m.contrastive_loss(m.embed(left, weights), m.embed(right, weights), same)
        loss.backward()
        with torch.no_grad():
            for w in weights:
                w -= 0.2 * w.grad
                w.grad = None
        return loss, distance

    return step, weights, [(torch.randn(9, 4), torch.randn(9, 4), torch.rand(9) > 0.5) for _ in range(3)]


def transformer_classifier(m):
    model = m.BracketClassifier(6, 16, 2, 1)
    tokens, labels = m.brackets(30, 6)
    data = [(tokens[i : i + 10], labels[i : i + 10]) for i in (0, 10, 20)]

    def loss(n, x, y):
        return F.binary_cross_entropy_with_logits(n(x), y)

    # Not Adam as in the example: the keys' biases have no gradient but rounding.
    return *training(model, torch.optim.SGD(model.parameters(), lr=0.1), loss), data


def vae(m):
    model = m.VAE(16, 4)

    def loss(model, x):
        return m.loss_function(*[(out[0], x, *out[1:]) for out in [model(x)]][0])

    return *training(model, torch.optim.Adam(model.parameters(), lr=3e-3), loss), [(torch.rand(7, 8, 8),)] * 3


STEPS = [
    autoencoder, char_rnn, classification, cnn_digits, f_xyz, gan, lstm_sine, mini_gpt, network_cost, neuron,
    physics_oscillator, recurrent, regression, reinforce, session, shared_weights, transformer_classifier, vae,
]  # fmt: skip


def arrays(x):
    return [a for v in x for a in arrays(v)] if isinstance(x, (tuple, list)) else [x.detach().numpy().copy()]


@pytest.mark.parametrize("make", STEPS, ids=lambda f: f.__name__)
def test_the_compiled_step_is_the_eager_one(make):
    runs = []
    for wrap in (lambda f: f, torch.compile):
        torch.manual_seed(0)
        step, tensors, data = make(load(make.__name__))
        step = wrap(step)
        torch.manual_seed(1)
        results = [arrays(step(*batch)) for batch in data]
        runs.append(
            [*results, [p.detach().numpy() for p in tensors], [p.grad.numpy() for p in tensors if p.grad is not None]]
        )
    for eager, compiled in zip(*runs):
        assert len(eager) == len(compiled)
        for a, b in zip(eager, compiled):
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_allclose(b, a, rtol=3e-4, atol=3e-5)
    assert 1 <= len(step.compilations) <= 2


def test_every_example_is_here():
    from test_examples import EXAMPLES

    assert {f.__name__ for f in STEPS} == {p.stem for p in EXAMPLES.glob("*.py")}
