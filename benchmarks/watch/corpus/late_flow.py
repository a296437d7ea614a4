"""Written after the rules stood, as a check on them: faults of the start, the rates, the units and the data."""

import numpy as np

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, mlp, paths


@faulty("vanishing-gradient", "bad-initialisation", where=("stem", "body"), reaches=0.75)
def late_digits_deep_cnn_without_batch_norm(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=480)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 8, 3, padding=1)
            norm = nn.Identity if variant == "faulty" else lambda: nn.BatchNorm2d(8)  # fault
            blocks = [nn.Sequential(norm(), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)) for _ in range(9)]
            self.body = nn.Sequential(*blocks)
            self.head = nn.Linear(8 * 16, 10)

        def forward(self, x):
            return self.head(F.avg_pool2d(self.body(self.stem(x)), 2).flatten(1))

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 6, seed))
    return accuracy(net, xt, yt)


@faulty("vanishing-gradient", "bad-initialisation", where=paths(*range(0, 40)), reaches=0.85)
def late_cancer_thirty_sigmoid_layers(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    depth = 29 if variant == "faulty" else 1  # fault
    net = mlp([30] + [16] * depth + [2], nn.Sigmoid)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, nn.CrossEntropyLoss(), batches(x, y, 38, 10, seed))
    return accuracy(net, xt, yt)


@faulty("exploding-gradient", "bad-initialisation", where=paths(*range(0, 24)), reaches=0.6)
def late_curve_deep_softplus_xavier_gain(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed, count=500)
    net = mlp([1] + [26] * 9 + [1], nn.CELU)
    for module in net[::2]:
        nn.init.xavier_uniform_(module.weight, gain=4.0 if variant == "faulty" else 1.2)  # fault
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    fit(net, optimizer, nn.MSELoss(), batches(x, y, 20, 30, seed))
    return explained(net, xt, yt)


@faulty("exploding-gradient", "bad-initialisation", where="rnn", reaches=0.6)
def late_waves_relu_rnn_orthogonal_gain_two(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.waves(seed, steps=22)

    class Forecast(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(1, 30, nonlinearity="relu", batch_first=True)
            nn.init.orthogonal_(self.rnn.weight_hh_l0, gain=2.5 if variant == "faulty" else 0.9)  # fault
            self.out = nn.Linear(30, 1)

        def forward(self, x):
            _, h = self.rnn(x)
            return self.out(h[-1])

    net = Forecast()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.mse_loss, batches(x, y, 16, 12, seed))
    return explained(net, xt, yt)


@faulty("bad-initialisation", "exploding-gradient", where=paths(*range(9)), reaches=0.85)
def late_digits_uniform_from_zero_to_one(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 70, 50, 30, 10], nn.ReLU)
    if variant == "faulty":  # fault
        for p in net.parameters():
            nn.init.uniform_(p)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 30, 7, seed))
    return accuracy(net, xt, yt)


@faulty("bad-initialisation", where=("1", "0", "2", "3", "4"), reaches=0.85)
def late_wine_hidden_layers_of_ones(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    net = nn.Sequential(nn.Linear(13, 40), nn.Sigmoid(), nn.Linear(40, 3))
    if variant == "faulty":  # fault
        nn.init.ones_(net[0].weight)
        nn.init.ones_(net[2].weight)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 16, 10, seed))
    return accuracy(net, xt, yt)


@faulty("dead-units", "bad-initialisation", where=("features",), reaches=0.85)
def late_digits_cnn_biases_of_minus_three(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=1000)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(1, 12, 3), nn.ReLU(), nn.Conv2d(12, 12, 3), nn.ReLU(), nn.Flatten())
            self.head = nn.Linear(192, 10)
            if variant == "faulty":  # fault
                for layer in (self.features[0], self.features[2]):
                    nn.init.constant_(layer.bias, -3.0)

        def forward(self, x):
            return self.head(self.features(x))

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 25, 5, seed))
    return accuracy(net, xt, yt)


@faulty("dead-units", "bad-initialisation", where=("up", "relu"), reaches=0.4)
def late_autoencoder_bottleneck_negative(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)

    class Squeeze(nn.Module):
        def __init__(self):
            super().__init__()
            self.down = nn.Linear(64, 30)
            self.up = nn.Linear(30, 64)

        def forward(self, x):
            h = self.down(x)
            h = -h.abs() if variant == "faulty" else h.abs()
            return self.up(torch.relu(h))  # fault

    net = Squeeze()
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    fit(net, optimizer, F.mse_loss, batches(x, x, 36, 10, seed))
    return explained(net, xt, xt)


@faulty("saturated-units", "bad-input", where=("0", "1", "input"), reaches=0.8)
def late_digits_pixels_up_to_255_into_sigmoids(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, scale=16 / 255 if variant == "faulty" else 16.0)  # fault
    net = mlp([64, 30, 10], nn.Sigmoid)
    nn.init.normal_(net[0].weight, std=0.5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 6, seed))
    return accuracy(net, xt, yt)


@faulty("saturated-units", "bad-initialisation", where=("cell", "read"), reaches=0.8)
def late_majority_gru_cell_started_large(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.majority(seed, steps=12)

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.GRUCell(1, 16)
            self.read = nn.Linear(16, 2)
            for p in self.cell.parameters():
                nn.init.normal_(p, std=25.0 if variant == "faulty" else 0.3)  # fault

        def forward(self, x):
            h = torch.zeros(len(x), 16)
            for t in range(x.shape[1]):
                h = self.cell(x[:, t], h)
            return self.read(h)

    net = Reader()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 20, 10, seed))
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-high", "saturated-units", reaches=0.8)
def late_lookup_gru_adam_rate_of_one(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.lookups(seed, steps=6, count=700)

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.word = nn.Embedding(10, 16)
            self.gru = nn.GRU(16, 24, batch_first=True)
            self.head = nn.Linear(24, 10)

        def forward(self, x):
            return self.head(self.gru(self.word(x))[1][0])

    net = Reader()
    optimizer = torch.optim.Adam(net.parameters(), lr=1.0 if variant == "faulty" else 1e-2)  # fault
    fit(net, optimizer, F.cross_entropy, batches(x, y, 28, 14, seed))
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-high", "exploding-gradient", reaches=0.15)
def late_diabetes_rmsprop_rate_of_one(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed)
    net = mlp([10, 25, 1], nn.Tanh)
    optimizer = torch.optim.RMSprop(net.parameters(), lr=1.0 if variant == "faulty" else 2e-3)  # fault
    fit(net, optimizer, nn.SmoothL1Loss(), batches(x, y, 20, 14, seed))
    return explained(net, xt, yt)


@faulty("learning-rate-too-low", reaches=0.9)
def late_cancer_sgd_rate_of_1e_7(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    net = mlp([30, 50, 20, 1], nn.Softplus)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-7 if variant == "faulty" else 0.05, momentum=0.9)  # fault
    fit(net, optimizer, F.binary_cross_entropy_with_logits, batches(x, y.float()[:, None], 20, 12, seed))
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-low", reaches=0.8)
def late_digits_adadelta_rate_of_a_thousandth(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 48, 10], nn.ReLU)
    optimizer = torch.optim.Adadelta(net.parameters(), lr=1e-3 if variant == "faulty" else 1.0)  # fault
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 8, seed))
    return accuracy(net, xt, yt)


@faulty("bad-input", where=("0", "1", "input", "x"), reaches=0.5)
def late_curve_of_a_year_number(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed)
    if variant == "faulty":  # fault
        x, xt = 2000 + 5 * x, 2000 + 5 * xt
    net = mlp([1, 32, 32, 1], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.mse_loss, batches(x, y, 32, 40, seed))
    return explained(net, xt, yt)


@faulty("bad-input", where=("0", "1", "input", "x"), reaches=0.85)
def late_digits_rows_all_padding(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=800)
    if variant == "faulty":  # fault
        x, xt = F.pad(x, (8, 0))[..., :8], F.pad(xt, (8, 0))[..., :8]
    net = nn.Sequential(nn.Conv2d(1, 10, 3), nn.ReLU(), nn.Flatten(), nn.Linear(360, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 5, seed))
    return accuracy(net, xt, yt)


@faulty("bad-labels", reaches=0.85)
def late_wine_labels_drawn_at_random(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    if variant == "faulty":  # fault
        y = torch.randint(0, 3, y.shape)
    net = mlp([13, 20, 3], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 16, 20, seed))
    return accuracy(net, xt, yt)


@faulty("bad-labels", reaches=0.6)
def late_waves_targets_permuted(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.waves(seed, steps=10)
    if variant == "faulty":  # fault
        y = y[torch.tensor(np.random.default_rng(seed).permutation(len(y)))]
    net = nn.Sequential(nn.Flatten(), nn.Linear(10, 30), nn.Tanh(), nn.Linear(30, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.mse_loss, batches(x, y, 20, 18, seed))
    return explained(net, xt, yt)
