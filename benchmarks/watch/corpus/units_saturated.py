"""Units that sit on the flat ends of their activation."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, mlp, paths


@faulty("saturated-units", "bad-initialisation", where=paths(0, 1, 2, 3, 4), reaches=0.9)
def digits_sigmoid_layers_start_at_their_ends(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 60, 40, 10], nn.Sigmoid)
    for module in net[::2]:
        nn.init.normal_(module.weight, std=4.0 if variant == "faulty" else 0.3)  # fault
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 5, seed))
    return accuracy(net, xt, yt)


@faulty("saturated-units", where=("first", "second", "third", "tanh"), reaches=0.8)
def clouds_tanh_with_a_gain(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=8, dim=16, count=800)
    gain = 100.0 if variant == "faulty" else 1.0

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(16, 24)
            self.second = nn.Linear(24, 16)
            self.third = nn.Linear(16, 8)
            self.out = nn.Linear(8, 8)

        def forward(self, x):
            for layer in (self.first, self.second, self.third):
                x = torch.tanh(gain * layer(x))  # fault
            return self.out(x)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 20, 12, seed))
    return accuracy(net, xt, yt)


@faulty("saturated-units", "bad-initialisation", where=paths(*range(10)), reaches=0.85)
def digits_five_hardtanh_layers_of_large_weights(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 32, 32, 24, 24, 10], nn.Hardtanh)
    for module in net[:-1:2]:
        nn.init.uniform_(module.weight, -5.0, 5.0) if variant == "faulty" else nn.init.orthogonal_(
            module.weight
        )  # fault
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 8, seed))
    return accuracy(net, xt, yt)


@faulty("saturated-units", "bad-initialisation", where="2", reaches=0.85)
def highway_gates_closed(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)

    class Highway(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.body = nn.Linear(width, width)
            self.gate = nn.Linear(width, width)
            nn.init.constant_(self.gate.bias, -20.0 if variant == "faulty" else -1.0)  # fault

        def forward(self, x):
            return torch.sigmoid(self.gate(x)) * F.relu(self.body(x))

    net = nn.Sequential(nn.Linear(13, 26), nn.ReLU(), Highway(26), nn.Linear(26, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 14, 10, seed))
    return accuracy(net, xt, yt)


@faulty("saturated-units", "loss-mismatch", "bad-labels", where=("5", "4", "sigmoid", "mse_loss"), reaches=0.4)
def autoencoder_sigmoid_output_for_raw_pixels(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)
    scale = 16.0 if variant == "faulty" else 1.0
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 64), nn.Sigmoid())
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    fit(net, optimizer, F.mse_loss, batches(x, x * scale, 32, 12, seed))  # fault
    return explained(net, xt, xt * scale)
