"""Written after the rules stood, as a check on them: faults of numbers, wiring and losses."""

import copy

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, mlp, watch


@faulty("non-finite", where="softmax", operator="softmax", reaches=0.6)
def late_attention_with_a_row_fully_masked(seed, variant):
    torch.manual_seed(seed)
    x, xt = torch.randint(0, 10, (480, 6)), torch.randint(0, 10, (120, 6))
    y, yt = (x == 4).any(1).long(), (xt == 4).any(1).long()

    class Pool(nn.Module):
        def __init__(self):
            super().__init__()
            self.word = nn.Embedding(10, 12)
            self.score = nn.Linear(12, 1)
            self.head = nn.Linear(12, 2)

        def forward(self, x):
            h = self.word(x)
            hidden = x > 4
            if variant == "healthy":
                hidden = hidden & (hidden.sum(1, keepdim=True) < 6)
            scores = self.score(h).squeeze(2).masked_fill(hidden, float("-inf"))
            weights = torch.softmax(scores, dim=1)  # fault
            return self.head((weights.unsqueeze(2) * h).sum(1))

    net = Pool()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 24, 10, seed))
    return accuracy(net, xt, yt)


@faulty("non-finite", where="log", operator="log", reaches=0.8)
def late_log_of_features_that_are_zero(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    offset = 0.0 if variant == "faulty" else 0.1

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = mlp([64, 40, 10], nn.ReLU)

        def forward(self, x):
            x = torch.log(x + offset)  # fault
            return self.layers(x)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 40, 6, seed))
    return accuracy(net, xt, yt)


@faulty("non-finite", where="sqrt", operator="sqrt", reaches=0.1)
def late_root_mean_square_loss_of_a_negative(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed)
    net = mlp([10, 18, 1], nn.Tanh)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    floor = 0.0 if variant == "faulty" else 2.0
    with watch(net, optimizer):
        for a, b in batches(x, y, 22, 14, seed):
            out = net(a)
            spread = (out - b).var() + floor - 0.5 * (out - b).mean() - 0.9 * (floor == 0)
            loss = torch.sqrt(spread) + 0.5 * F.mse_loss(out, b)  # fault
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(net, xt, yt)


@faulty("non-finite", where="div", operator="div", reaches=0.8)
def late_mean_over_an_empty_group(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=4, dim=6, spread=0.7, weights=[0.4, 0.3, 0.27, 0.03])
    net = mlp([6, 20, 4], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    least = 0.0 if variant == "faulty" else 1.0
    with watch(net, optimizer):
        for a, b in batches(x, y, 16, 10, seed):
            each = F.cross_entropy(net(a), b, reduction="none")
            member = F.one_hot(b, 4).float()
            total, size = each @ member, member.sum(0)
            means = total / size.clamp(min=least)  # fault
            loss = means.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("missing-zero-grad", structural=True, after=1, reaches=0.6)
def late_autoencoder_zero_grad_of_a_copy(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)
    net = mlp([64, 24, 64], nn.ReLU)
    best = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    with watch(net, optimizer):
        for a, _ in batches(x, x, 32, 10, seed):
            (best if variant == "faulty" else net).zero_grad()  # fault
            loss = F.mse_loss(net(a), a)
            loss.backward()
            optimizer.step()
    return explained(net, xt, xt)


@faulty("untrained-parameter", where=("inner", "linear"), structural=True, reaches=0.9)
def late_digits_layer_made_anew_in_forward(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.outer = nn.Linear(64, 30)
            self.inner = nn.Linear(30, 30)
            self.head = nn.Linear(30, 10)

        def forward(self, x):
            h = F.relu(self.outer(x))
            inner = nn.Linear(30, 30) if variant == "faulty" else self.inner
            h = F.relu(inner(h))  # fault
            return self.head(h)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 8, seed))
    return accuracy(net, xt, yt)


@faulty("untrained-parameter", structural=True, where=("optimizer", "0", "2"), reaches=0.9)
def late_cancer_optimiser_of_another_model(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    first = mlp([30, 20, 2], nn.ReLU)
    net = copy.deepcopy(first)
    optimizer = torch.optim.Adam((first if variant == "faulty" else net).parameters(), lr=3e-3)  # fault
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 10, seed))
    return accuracy(net, xt, yt)


@faulty("untrained-parameter", where=("conv", "data", "detach"), structural=True, reaches=0.6)
def late_digits_features_taken_as_data(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=1000)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 7))
            self.wide = nn.Linear(7, 10)

        def forward(self, x):
            h = F.relu(self.conv(x))
            h = h.data if variant == "faulty" else h  # fault
            return self.wide(h)

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 20, 12, seed))
    return accuracy(net, xt, yt)


@faulty("loss-mismatch", where=("nll_loss", "softmax"), structural=True, reaches=0.8)
def late_digits_nll_of_probabilities(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 30, 30, 30, 10], nn.ReLU)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    with watch(net, optimizer):
        for a, b in batches(x, y, 32, 7, seed):
            optimizer.zero_grad()
            p = F.softmax(net(a), dim=1) if variant == "faulty" else F.log_softmax(net(a), dim=1)
            loss = F.nll_loss(p, b)  # fault
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("loss-mismatch", where=("smooth_l1_loss", "l1_loss"), structural=True, reaches=0.5)
def late_waves_row_against_column(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.waves(seed, steps=14)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(1, 16, batch_first=True)
            self.out = nn.Linear(16, 1)

        def forward(self, x):
            out = self.out(self.lstm(x)[0][:, -1])
            return out.squeeze(1) if variant == "faulty" else out

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with watch(net, optimizer):
        for a, b in batches(x, y, 32, 12, seed):
            optimizer.zero_grad()
            loss = F.l1_loss(net(a), b)  # fault
            loss.backward()
            optimizer.step()
    return explained(net, xt, yt)


@faulty("loss-mismatch", where=("softmax", "cross_entropy"), structural=True, reaches=0.85)
def late_clouds_softmax_inside_the_model(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=20, dim=16, count=1200, spread=0.6)

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(16)
            self.wide = nn.Linear(16, 48)
            self.head = nn.Linear(48, 20)

        def forward(self, x):
            z = self.head(F.gelu(self.wide(self.norm(x))))
            if variant == "faulty":
                z = torch.softmax(z, dim=-1)  # fault
            return z

    net = Classifier()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    with watch(net, optimizer):
        for a, b in batches(x, y, 32, 3, seed):
            loss = F.cross_entropy(net(a), b)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)
