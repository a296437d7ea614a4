"""Gradients that vanish on their way to the first layers, or to the first steps of a sequence."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, mlp, paths, watch


@faulty("vanishing-gradient", where=paths(*range(12)), reaches=0.8)
def digits_ten_sigmoid_layers(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    activation = nn.Sigmoid if variant == "faulty" else nn.Tanh  # fault
    net = mlp([64] + [48] * 10 + [10], activation)
    for p in net.parameters():
        if p.dim() == 2:
            nn.init.xavier_uniform_(p)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 9, seed))
    return accuracy(net, xt, yt)


@faulty("vanishing-gradient", "bad-initialisation", where=("first", *paths(*range(12), under="blocks.")), reaches=0.85)
def wine_twenty_tanh_blocks_without_skips(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(13, 24)
            self.blocks = nn.ModuleList(nn.Linear(24, 24) for _ in range(20))
            self.last = nn.Linear(24, 3)

        def forward(self, x):
            h = torch.tanh(self.first(x))
            for block in self.blocks:
                out = torch.tanh(block(h))
                h = out if variant == "faulty" else h + out  # fault
            return self.last(h)

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 16, 20, seed))
    return accuracy(net, xt, yt)


@faulty("vanishing-gradient", "bad-initialisation", where="cell", reaches=0.9)
def first_of_twenty_four_steps_rnn_cell(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.first_sign(seed, steps=24)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.RNNCell(1, 24)
            self.head = nn.Linear(24, 2)

        def forward(self, x):
            h = torch.zeros(len(x), 24)
            for t in range(x.shape[1]):
                h = self.cell(x[:, t], h)
            return self.head(h)

    net = Net()
    if variant == "healthy":  # fault
        nn.init.orthogonal_(net.cell.weight_hh)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.5)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 40, 24, seed))
    return accuracy(net, xt, yt)


@faulty("vanishing-gradient", where=paths(*range(9)), reaches=0.4)
def digits_sigmoid_autoencoder(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)
    activation = nn.Sigmoid if variant == "faulty" else nn.ELU  # fault
    net = mlp([64, 40, 24, 16, 12, 16, 24, 40, 64], activation)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    with watch(net, optimizer):
        for batch, _ in batches(x, x, 64, 14, seed):
            loss = F.mse_loss(net(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(net, xt, xt)


@faulty("vanishing-gradient", where=paths(*range(8)), reaches=0.8)
def digits_seven_sigmoid_convolutions(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=800)
    act = nn.Sigmoid if variant == "faulty" else nn.SiLU  # fault
    layers = [nn.Conv2d(1, 8, 3, padding=1), act()]
    for _ in range(6):
        layers += [nn.Conv2d(8, 8, 3, padding=1), act()]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))
    for module in net:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 40, 7, seed))
    return accuracy(net, xt, yt)


@faulty("vanishing-gradient", "bad-initialisation", where=paths(*range(20)), reaches=0.6)
def spirals_fifteen_softsign_layers(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.spirals(seed)
    net = mlp([2] + [30] * 15 + [2], nn.Softsign)
    if variant == "healthy":  # fault
        for module in net[::2]:
            nn.init.orthogonal_(module.weight, gain=1.6)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 25, seed))
    return accuracy(net, xt, yt)
