"""Units that are off for every sample."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, watch


@faulty("dead-units", "bad-initialisation", where=("2", "3"), reaches=0.9)
def digits_second_layer_biased_off(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = nn.Sequential(nn.Linear(64, 40), nn.ReLU(), nn.Linear(40, 20), nn.ReLU(), nn.Linear(20, 10))
    nn.init.constant_(net[2].bias, -4.0 if variant == "faulty" else 0.1)  # fault
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 5, seed))
    return accuracy(net, xt, yt)


@faulty("dead-units", "bad-initialisation", where=("1", "2", "3"), reaches=0.85)
def digits_batch_norm_shifted_below_relu(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=900)
    net = nn.Sequential(
        nn.Conv2d(1, 10, 3, padding=1), nn.BatchNorm2d(10), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(10, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip
    if variant == "faulty":  # fault
        nn.init.constant_(net[1].bias, -8.0)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 36, 7, seed))
    return accuracy(net, xt, yt)


@faulty("dead-units", where=("encoder", "relu"), reaches=0.4)
def sparse_code_threshold_too_high(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)
    threshold = 6.0 if variant == "faulty" else 0.1

    class Coder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(64, 32)
            self.decoder = nn.Linear(32, 64)

        def forward(self, x):
            code = F.relu(self.encoder(x) - threshold)  # fault
            return self.decoder(code)

    net = Coder()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.mse_loss, batches(x, x, 48, 14, seed))
    return explained(net, xt, xt)


@faulty("dead-units", "loss-mismatch", where=("4", "5"), reaches=0.15)
def diabetes_relu_after_the_last_layer(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed)
    last = nn.ReLU() if variant == "faulty" else nn.Identity()  # fault
    net = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 1), last)
    nn.init.constant_(net[4].bias, -0.7)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.mse_loss, batches(x, y, 20, 16, seed))
    return explained(net, xt, yt)


@faulty("dead-units", "bad-input", where=("0", "1", "input"), reaches=0.9)
def digits_inputs_shifted_the_wrong_way(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    shift = -20.0 if variant == "faulty" else -0.3
    x, xt = x + shift, xt + shift  # fault
    net = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
    with torch.no_grad():
        net[0].weight.uniform_(-0.05, 0.2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 24, 6, seed))
    return accuracy(net, xt, yt)


@faulty("dead-units", "learning-rate-too-high", where=("hidden", "act"), reaches=0.6)
def curve_relu_killed_by_one_large_step(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(1, 64)
            self.act = nn.ReLU()
            self.out = nn.Linear(64, 1)

        def forward(self, x):
            return self.out(self.act(self.hidden(x)))

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.5 if variant == "faulty" else 0.1, momentum=0.9)  # fault
    with watch(net, optimizer):
        for a, b in batches(x, y, 40, 60, seed):
            optimizer.zero_grad()
            loss = F.smooth_l1_loss(net(a), b)
            loss.backward()
            optimizer.step()
    return explained(net, xt, yt)
