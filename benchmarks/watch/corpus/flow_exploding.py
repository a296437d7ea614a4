"""Gradients that grow from layer to layer or from step to step."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, mlp, paths, watch


@faulty("exploding-gradient", "bad-initialisation", where="cell", reaches=0.6)
def waves_relu_cell_with_large_recurrence(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.waves(seed, steps=25)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.RNNCell(1, 20, nonlinearity="relu")
            self.head = nn.Linear(20, 1)

        def forward(self, x):
            h = torch.zeros(len(x), 20)
            for t in range(x.shape[1]):
                h = self.cell(x[:, t], h)
            return self.head(h)

    net = Net()
    nn.init.eye_(net.cell.weight_hh)
    with torch.no_grad():
        net.cell.weight_hh.mul_(1.6 if variant == "faulty" else 0.8)  # fault
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.mse_loss, batches(x, y, 25, 14, seed))
    return explained(net, xt, yt)


@faulty("exploding-gradient", "bad-initialisation", where=("blocks", "first"), reaches=0.85)
def digits_sixteen_residual_blocks_without_norm(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norm = nn.Identity() if variant == "faulty" else nn.LayerNorm(width)  # fault
            self.wide = nn.Linear(width, 2 * width)
            self.back = nn.Linear(2 * width, width)
            nn.init.kaiming_normal_(self.wide.weight)
            nn.init.kaiming_normal_(self.back.weight)

        def forward(self, x):
            return x + self.back(F.relu(self.wide(self.norm(x))))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(64, 32)
            self.blocks = nn.Sequential(*[Block(32) for _ in range(16)])
            self.last = nn.Linear(32, 10)

        def forward(self, x):
            return self.last(self.blocks(self.first(x)))

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 48, 5, seed))
    return accuracy(net, xt, yt)


@faulty("exploding-gradient", "bad-initialisation", where=paths(*range(26)), reaches=0.7)
def curve_twelve_leaky_layers_wide_normal(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed)
    net = mlp([1] + [40] * 12 + [1], lambda: nn.LeakyReLU(0.1))
    for module in net[::2]:
        if variant == "faulty":  # fault
            nn.init.normal_(module.weight, std=0.4)
        else:
            nn.init.kaiming_normal_(module.weight, a=0.1)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    fit(net, optimizer, F.mse_loss, batches(x, y, 32, 30, seed))
    return explained(net, xt, yt)


@faulty("exploding-gradient", where=("field", "read"), reaches=0.8)
def neural_ode_with_step_forgotten(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=3, dim=6, count=400)

    class Flow(nn.Module):
        def __init__(self):
            super().__init__()
            self.field = nn.Sequential(nn.Linear(6, 18), nn.Softplus(), nn.Linear(18, 6))
            self.read = nn.Linear(6, 3)

        def forward(self, h):
            dt = 1.0 if variant == "faulty" else 0.05
            for _ in range(20):
                h = h + dt * self.field(h)  # fault
            return self.read(h)

    net = Flow()
    nn.init.xavier_normal_(net.field[0].weight, gain=2.0)
    nn.init.xavier_normal_(net.field[2].weight, gain=1.5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 20, 12, seed))
    return accuracy(net, xt, yt)


@faulty("exploding-gradient", "learning-rate-too-high", reaches=0.9)
def cancer_loss_summed_over_the_batch(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    net = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    reduction = "sum" if variant == "faulty" else "mean"
    with watch(net, optimizer):
        for a, b in batches(x, y, 64, 14, seed):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(a), b, reduction=reduction)  # fault
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("exploding-gradient", "bad-initialisation", where="rnn", reaches=0.5)
def waves_forecast_tanh_rnn_large_weights(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.waves(seed, steps=30)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(1, 32, batch_first=True)
            self.head = nn.Linear(32, 1)
            nn.init.orthogonal_(self.rnn.weight_hh_l0, gain=3.0 if variant == "faulty" else 0.9)  # fault

        def forward(self, x):
            out, _ = self.rnn(x)
            return self.head(out[:, -1])

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    fit(net, optimizer, F.mse_loss, batches(x, y, 32, 14, seed))
    return explained(net, xt, yt)
