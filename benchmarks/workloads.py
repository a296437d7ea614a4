"""What is timed: each workload is ordinary PyTorch code, written once, with the engine as an argument.

`make(engine, data)` prepares a model (or None) and its data, and returns `(step, model)`; `step()` returns a tensor.
The engine is the module `torch` or the module `chainrule`; both run the same text. Data come from NumPy,
so that both engines, given the same weights too, must compute the same losses: tests/test_workloads.py checks it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Workload:
    key: str
    name: str
    target: float  # chainrule's time divided by PyTorch's must not be above it
    make: Callable

    def start(self, engine):
        return self.make(engine, Data(engine))


class Data:
    """The same random arrays for every engine."""

    def __init__(self, engine):
        self.engine, self.random = engine, np.random.RandomState(0)

    def normal(self, *shape):
        return self.engine.tensor(self.random.standard_normal(shape).astype(np.float32))

    def integers(self, below, *shape):
        return self.engine.tensor(self.random.randint(below, size=shape))


def session(torch, data):
    a = torch.tensor([2.0], requires_grad=True)
    b = torch.tensor([1.0], requires_grad=True)

    def step():
        a.grad = b.grad = None
        c = a + b
        d = b + 1
        e = c * d
        e.backward()
        return e

    return step, None


def chain(torch, data):
    x = torch.linspace(-1, 1, 64, requires_grad=True)
    one = torch.ones(64)

    def step():
        x.grad = None
        y = x
        for _ in range(100):
            y = torch.tanh(y * 1.01)
        y.backward(one)
        return y

    return step, None


def _train_step(torch, model, optimizer, x, target):
    cross_entropy = torch.nn.functional.cross_entropy

    def step():
        optimizer.zero_grad()
        loss = cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    return step, model


def mlp_small(torch, data):
    nn = torch.nn
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return _train_step(torch, model, optimizer, data.normal(32, 64), data.integers(10, 32))


def mlp_mnist(torch, data):
    nn = torch.nn
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters())
    return _train_step(torch, model, optimizer, data.normal(64, 784), data.integers(10, 64))


def deep_tanh(torch, data):
    nn = torch.nn
    layers = [layer for _ in range(20) for layer in (nn.Linear(64, 64), nn.Tanh())]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters())
    x, target = data.normal(32, 64), data.normal(32, 64)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    return step, model


def rnn_cell(torch, data):
    """A loop written by hand over an nn.Module: h = tanh(x W + h U + b), fifty times."""
    nn = torch.nn

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.input = nn.Linear(64, 64)
            self.recurrent = nn.Linear(64, 64, bias=False)
            self.output = nn.Linear(64, 10)

        def forward(self, x):
            h = torch.zeros(x.shape[1], 64)
            for x_t in x:
                h = torch.tanh(self.input(x_t) + self.recurrent(h))
            return self.output(h)

    model = Recurrent()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return _train_step(torch, model, optimizer, data.normal(50, 16, 64), data.integers(10, 16))


def rnn_module(torch, data):
    """The same net as `nn.RNN`."""
    nn = torch.nn

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(64, 64)
            self.output = nn.Linear(64, 10)

        def forward(self, x):
            return self.output(self.rnn(x)[0][-1])

    model = Recurrent()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return _train_step(torch, model, optimizer, data.normal(50, 16, 64), data.integers(10, 16))


def cnn(torch, data):
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )
    optimizer = torch.optim.Adam(model.parameters())
    return _train_step(torch, model, optimizer, data.normal(32, 1, 28, 28), data.integers(10, 32))


def transformer(torch, data):
    """Two causal blocks, 128 wide, 4 heads, 64 tokens, batch 8, vocabulary 96."""
    nn, F = torch.nn, torch.nn.functional
    width, heads, length, batch, vocabulary = 128, 4, 64, 8, 96

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def attention(self, x):
            q, k, v = (
                t.view(batch, length, heads, width // heads).transpose(1, 2) for t in self.qkv(x).split(width, dim=2)
            )
            scores = q @ k.transpose(-2, -1) * (1 / math.sqrt(width // heads))
            weights = F.softmax(scores.masked_fill(future, float("-inf")), dim=-1)
            return self.proj((weights @ v).transpose(1, 2).reshape(batch, length, width))

        def forward(self, x):
            x = x + self.attention(self.ln1(x))
            return x + self.mlp(self.ln2(x))

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
            self.blocks = nn.Sequential(Block(), Block())
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary)

        def forward(self, tokens):
            x = self.blocks(self.token(tokens) + self.position(positions))
            return self.head(self.norm(x)).view(-1, vocabulary)

    future = torch.triu(torch.ones(length, length), 1) > 0
    positions = torch.arange(length)
    model = Transformer()
    optimizer = torch.optim.Adam(model.parameters())
    tokens = data.integers(vocabulary, batch, length)
    return _train_step(torch, model, optimizer, tokens, data.integers(vocabulary, batch * length))


WORKLOADS = [
    Workload("session", "session: a + b, b + 1, c * d, backward", 0.5, session),
    Workload("chain", "chain of 100 x (multiply, tanh), 64 floats", 0.7, chain),
    Workload("mlp_small", "MLP 64-32-10, SGD, batch 32", 1.0, mlp_small),
    Workload("mlp_mnist", "MLP 784-256-128-10, Adam, batch 64", 2.0, mlp_mnist),
    Workload("deep_tanh", "MLP 20 x (64, tanh), Adam, batch 32", 1.0, deep_tanh),
    Workload("rnn_cell", "RNN 50 steps x 64, own loop, SGD, batch 16", 1.0, rnn_cell),
    Workload("rnn_module", "RNN 50 steps x 64, nn.RNN, SGD, batch 16", 1.0, rnn_module),
    Workload("cnn", "CNN 1-16-32, 28 x 28, Adam, batch 32", 2.0, cnn),
    Workload("transformer", "transformer 2 x 128, Adam, 8 x 64 tokens", 2.0, transformer),
]
