"""The first number that is not finite: the line marked ``# fault`` holds the operator that makes it."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, lambda_module, mlp, watch


@faulty("non-finite", where="log", operator="log", reaches=0.85)
def cross_entropy_by_hand_of_a_sure_sigmoid(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    y = y.float().reshape(-1, 1)
    net = mlp([30, 32, 1], nn.ReLU)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    eps = 0.0 if variant == "faulty" else 1e-7
    with watch(net, optimizer):
        for a, b in batches(x, y, 24, 20, seed):
            p = torch.sigmoid(net(a))
            loss = -(b * torch.log(p + eps) + (1 - b) * torch.log(1 - p + eps)).mean()  # fault
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("non-finite", where="sqrt", operator="sqrt", reaches=0.8)
def root_of_a_distance_of_zero(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("iris", seed)
    eps = 0.0 if variant == "faulty" else 1e-6

    class Prototypes(nn.Module):
        """Classes by the distance to a learned point; a point starts at a sample of its class."""

        def __init__(self):
            super().__init__()
            self.map = nn.Linear(4, 6)
            first = [int((y == c).numpy().argmax()) for c in range(3)]
            with torch.no_grad():
                self.points = nn.Parameter(self.map(x[torch.tensor(first)]).clone())

        def forward(self, x):
            gap = self.map(x).unsqueeze(1) - self.points
            return -torch.sqrt((gap**2).sum(2) + eps)  # fault

    net = Prototypes()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 120, 60, seed))
    return accuracy(net, xt, yt)


@faulty("non-finite", where="div", operator="div", reaches=0.8)
def division_by_the_spread_of_a_silent_unit(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, count=900)
    eps = 0.0 if variant == "faulty" else 1e-5

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(64, 40)
            self.out = nn.Linear(40, 10)
            nn.init.constant_(self.hidden.bias[3:5], -30.0)

        def forward(self, x):
            h = F.relu(self.hidden(x))
            centred = h - h.mean(0)
            spread = (centred**2).mean(0) + eps
            h = centred / (spread + spread).sqrt().detach()  # fault
            return self.out(h)

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 45, 6, seed))
    return accuracy(net, xt, yt)


@faulty("non-finite", where="exp", operator="exp", reaches=0.85)
def sharp_softplus_by_hand_overflows(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(13, 24)
            self.outer = nn.Linear(24, 3)

        def forward(self, x):
            z = self.inner(x)
            if variant == "faulty":
                h = torch.log(1 + torch.exp(50 * z)) / 50  # fault
            else:
                h = F.softplus(z, beta=50)
            return self.outer(h)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 20, 16, seed))
    return accuracy(net, xt, yt)


@faulty("non-finite", where="log", operator="log", reaches=0.8)
def divergence_with_zero_times_log_of_zero(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=5, dim=10)
    eps = 0.0 if variant == "faulty" else 1e-8
    net = mlp([10, 30, 5], nn.Tanh)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    with watch(net, optimizer):
        for a, b in batches(x, y, 40, 8, seed):
            p = F.one_hot(b, 5).float()
            q = torch.softmax(net(a), 1)
            loss = (p * torch.log((p + eps) / q)).sum(1).mean()  # fault
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("non-finite", where=("log", "log1p"), operator="log1p", reaches=0.1)
def logarithmic_error_of_negative_predictions(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed, scaled=False)
    y, yt = y / 50, yt / 50
    net = mlp([10, 24, 1], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    with watch(net, optimizer):
        for a, b in batches(x, y, 32, 24, seed):
            guess = 12 * net(a)
            if variant == "healthy":
                guess = F.softplus(guess)
            loss = ((torch.log1p(guess) - torch.log1p(b)) ** 2).mean()  # fault
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(lambda_module(lambda v: F.softplus(12 * net(v))), xt, yt)


@faulty("non-finite", where=("exp", "spread"), operator="exp", reaches=0.3)
def variational_spread_overflows(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)

    class Vae(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
            self.mean = nn.Linear(32, 8)
            self.spread = nn.Linear(32, 8)
            self.decoder = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 64))
            nn.init.constant_(self.spread.bias, 100.0 if variant == "faulty" else -2.0)

        def forward(self, x):
            h = self.encoder(x)
            mean, log_variance = self.mean(h), self.spread(h)
            variance = torch.exp(log_variance)  # fault
            self.divergence = 0.5 * (variance + mean**2 - 1 - log_variance).sum(1).mean()
            z = mean + variance**0.5 * torch.randn(mean.shape) if self.training else mean
            return self.decoder(z)

    net = Vae()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    with watch(net, optimizer):
        for a, _ in batches(x, x, 64, 14, seed):
            loss = F.mse_loss(net(a), a) + 1e-4 * net.divergence
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(net, xt, xt)


@faulty("non-finite", where=("pow", "pow_half"), operator="pow pow_half", reaches=0.8)
def power_pooling_of_exact_zeros(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=900)
    floor = 0.0 if variant == "faulty" else 1e-4

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 10, 3, bias=False)
            self.out = nn.Linear(90, 10)

        def forward(self, x):
            h = self.conv(x)
            h = F.avg_pool2d(h * h, 2)
            return self.out(((h + floor) ** 0.5).flatten(1))  # fault

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 30, 6, seed))
    return accuracy(net, xt, yt)


@faulty("non-finite", where="acos", operator="acos", reaches=0.7)
def angle_to_itself(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=4, dim=5, spread=0.6)
    limit = 1.0 if variant == "faulty" else 0.999

    class Angles(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(5, 16)
            self.classes = nn.Parameter(torch.randn(4, 16))
            with torch.no_grad():
                first = [int((y == c).numpy().argmax()) for c in range(4)]
                self.classes.copy_(3.0 * self.body(x[torch.tensor(first)]))

        def forward(self, x):
            h = F.normalize(self.body(x), dim=1, eps=0.0)
            cosine = h @ F.normalize(self.classes, dim=1).T
            return -8 * torch.acos(limit * cosine)  # fault

    net = Angles()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 480, 60, seed))
    return accuracy(net, xt, yt)
