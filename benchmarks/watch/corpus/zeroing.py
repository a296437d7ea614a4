"""Gradients that are added up although nobody meant them to be."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, mlp, watch


@faulty("missing-zero-grad", structural=True, after=1, reaches=0.9)
def digits_sgd_without_zero_grad(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 64, 32, 10], nn.ReLU)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with watch(net, optimizer):
        for a, b in batches(x, y, 32, 9, seed):
            if variant == "healthy":  # fault
                optimizer.zero_grad()
            loss = F.cross_entropy(net(a), b)
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("missing-zero-grad", structural=True, after=1, reaches=0.85)
def digits_cnn_zero_grad_once_an_epoch(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=900)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    with watch(net, optimizer):
        for epoch in range(6):
            optimizer.zero_grad()
            for a, b in batches(x, y, 30, 1, seed + epoch):
                if variant == "healthy":  # fault
                    optimizer.zero_grad()
                loss = F.cross_entropy(net(a), b)
                loss.backward()
                optimizer.step()
    return accuracy(net, xt, yt)


@faulty("missing-zero-grad", structural=True, after=1, reaches=0.5)
def waves_gru_adam_without_zero_grad(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.waves(seed, steps=16)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(1, 20, batch_first=True)
            self.head = nn.Linear(20, 1)

        def forward(self, x):
            return self.head(self.gru(x)[0][:, -1])

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with watch(net, optimizer):
        for a, b in batches(x, y, 32, 14, seed):
            if variant == "healthy":  # fault
                net.zero_grad()
            loss = F.mse_loss(net(a), b)
            loss.backward()
            optimizer.step()
    return explained(net, xt, yt)


@faulty("missing-zero-grad", where="body", structural=True, after=1, reaches=0.9)
def digits_only_the_head_is_cleared(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh())
            self.head = nn.Linear(16, 10)

        def forward(self, x):
            return self.head(self.body(x))

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    cleared = net.head if variant == "faulty" else net  # fault
    with watch(net, optimizer):
        for a, b in batches(x, y, 25, 6, seed):
            loss = F.cross_entropy(net(a), b)
            cleared.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("missing-zero-grad", structural=True, after=1, reaches=0.25)
def diabetes_linear_model_without_zero_grad(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed)
    w = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(w.parameters(), lr=0.02)
    with watch(w, optimizer):
        for a, b in batches(x, y, 50, 20, seed):
            F.mse_loss(w(a), b).backward()
            optimizer.step()
            if variant == "healthy":  # fault
                optimizer.zero_grad()
    return explained(w, xt, yt)
