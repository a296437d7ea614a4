"""The workloads of compiled.py that eager.py does not have, in PyTorch's words."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from workloads import Workload, _train_step, cnn, deep_tanh, mlp_mnist, mlp_small, rnn_cell, session, transformer


def mlp_large(torch, data):
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(),
        nn.Linear(1024, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters())
    return _train_step(torch, model, optimizer, data.normal(256, 1024), data.integers(10, 256))


def million(torch, data):
    x = data.normal(1_000_000)
    x.requires_grad_()

    def step():
        x.grad = None
        y = (torch.tanh(x) * torch.sigmoid(x) + torch.exp(-x * x)).sum()
        y.backward()
        return y

    return step, None


def odd(torch, data):
    nn = torch.nn
    model = nn.Sequential(nn.Linear(333, 101), nn.GELU(), nn.Linear(101, 53), nn.SiLU(), nn.Linear(53, 7))
    optimizer = torch.optim.AdamW(model.parameters())
    return _train_step(torch, model, optimizer, data.normal(53, 333), data.integers(7, 53))


def single(torch, data):
    nn = torch.nn
    model = nn.Sequential(nn.Linear(24, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return _train_step(torch, model, optimizer, data.normal(1, 24), data.integers(4, 1))


def long_sequence(torch, data):
    nn = torch.nn

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.input = nn.Linear(16, 32)
            self.recurrent = nn.Linear(32, 32, bias=False)
            self.output = nn.Linear(32, 5)

        def forward(self, x):
            h = torch.zeros(x.shape[1], 32)
            for x_t in x:
                h = torch.tanh(self.input(x_t) + self.recurrent(h))
            return self.output(h)

    model = Recurrent()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return _train_step(torch, model, optimizer, data.normal(400, 8, 16), data.integers(5, 8))


TABLE = [  # the table of the project's goals: least ratio (best peer / chainrule), and aim
    (Workload("session", "(a + b) * (b + 1), forward and backward", 3, session), 3, 6),
    (Workload("mlp_small", "MLP 64-32-10 relu, batch 32, SGD", 2.5, mlp_small), 2.5, 6),
    (Workload("mlp_mnist", "MLP 784-256-128-10, batch 64, Adam", 1.2, mlp_mnist), 1.2, 2),
    (Workload("mlp_large", "MLP 1024-1024-1024-10, batch 256, Adam", 1.0, mlp_large), 1.0, 1.2),
    (Workload("deep_tanh", "20 x (64, tanh), batch 32, Adam", 2, deep_tanh), 2, 4),
    (Workload("rnn", "RNN 50 steps x 64, batch 16, SGD", 2, rnn_cell), 2, 4),
    (Workload("million", "sum(tanh * sigmoid + exp(-x^2)), 10^6", 1.5, million), 1.5, 3),
    (Workload("cnn", "CNN 1-16-32, 28 x 28, batch 32, Adam", 1.2, cnn), 1.2, 3),
    (Workload("transformer", "transformer 2 x 128, 8 x 64 tokens, Adam", 1.1, transformer), 1.1, 2),
]
FURTHER = [
    (Workload("odd", "MLP 333-101-53-7 gelu silu, batch 53, AdamW", 1, odd), 1, 1),
    (Workload("single", "MLP 24-64-64-4, batch 1, SGD momentum", 1, single), 1, 1),
    (Workload("long", "RNN 400 steps x 32, batch 8, SGD", 1, long_sequence), 1, 1),
]
