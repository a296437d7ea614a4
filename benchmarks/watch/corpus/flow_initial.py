"""Weights that start at the wrong size, or all alike."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, mlp, paths


@faulty("bad-initialisation", where=paths(0, 1, 2, 3, 4), reaches=0.9)
def digits_all_weights_zero(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 50, 30, 10], nn.ReLU)
    if variant == "faulty":  # fault
        for p in net.parameters():
            nn.init.zeros_(p)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 50, 7, seed))
    return accuracy(net, xt, yt)


@faulty("bad-initialisation", where=paths(0, 1, 2, 3, 4), reaches=0.75)
def spirals_constant_weights(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.spirals(seed)
    net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 2))
    if variant == "faulty":  # fault
        for module in net[::2]:
            nn.init.constant_(module.weight, 0.1)
            nn.init.constant_(module.bias, 0.0)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 20, 25, seed))
    return accuracy(net, xt, yt)


@faulty("bad-initialisation", "vanishing-gradient", where=paths(*range(11)), reaches=0.85)
def cancer_tiny_normal_weights(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    net = mlp([30, 40, 40, 30, 30, 2], nn.Tanh)
    for module in net[::2]:
        nn.init.normal_(module.weight, std=0.003 if variant == "faulty" else 0.18)  # fault
        nn.init.zeros_(module.bias)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 28, 8, seed))
    return accuracy(net, xt, yt)


@faulty("bad-initialisation", "exploding-gradient", where=paths(*range(11)), reaches=0.85)
def digits_weights_from_randn(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)

    class Dense(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            scale = 1.0 if variant == "faulty" else (2.0 / inputs) ** 0.5
            self.weight = nn.Parameter(torch.randn(inputs, outputs) * scale)  # fault
            self.bias = nn.Parameter(torch.zeros(outputs))

        def forward(self, x):
            return x @ self.weight + self.bias

    net = nn.Sequential(
        Dense(64, 100), nn.ReLU(), Dense(100, 80), nn.ReLU(), Dense(80, 60), nn.ReLU(), Dense(60, 40), nn.ReLU(),
        Dense(40, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 8, seed))
    return accuracy(net, xt, yt)


@faulty("bad-initialisation", "vanishing-gradient", where=paths(*range(36)), reaches=0.7)
def digits_eighteen_relu_layers_default_start(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64] + [40] * 17 + [10], nn.ReLU)
    if variant == "healthy":  # fault
        for module in net[::2]:
            nn.init.kaiming_normal_(module.weight)
    optimizer = torch.optim.RMSprop(net.parameters(), lr=3e-4)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 48, 8, seed))
    return accuracy(net, xt, yt)


@faulty("bad-initialisation", where=paths(0, 1, 2, 3, 4), reaches=0.85)
def digits_convolution_filters_all_alike(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True)
    net = nn.Sequential(
        nn.Conv2d(1, 12, 3), nn.ReLU(), nn.Conv2d(12, 16, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10)
    )
    if variant == "faulty":  # fault
        for p in net.parameters():
            nn.init.constant_(p, 0.05)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 40, 6, seed))
    return accuracy(net, xt, yt)


@faulty("bad-initialisation", "saturated-units", "exploding-gradient", where="lstm", reaches=0.5)
def waves_lstm_uniform_of_six(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.waves(seed, steps=18)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(1, 32, batch_first=True)
            self.head = nn.Linear(32, 1)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    net = Net()
    bound = 6.0 if variant == "faulty" else 0.2
    for p in net.lstm.parameters():
        nn.init.uniform_(p, -bound, bound)  # fault
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.mse_loss, batches(x, y, 20, 10, seed))
    return explained(net, xt, yt)
