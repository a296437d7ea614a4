"""Written last, when the rules had been corrected once more: faults."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, mlp, paths, watch


@faulty("untrained-parameter", "learning-rate-too-low", structural=True, after=1, reaches=0.85)
def last_wine_step_without_parentheses(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    net = mlp([13, 20, 3], nn.ReLU)
    body, head = net[0], net[2]
    first = torch.optim.Adam(body.parameters(), lr=5e-3)
    rest = torch.optim.Adam(head.parameters(), lr=5e-3)
    with watch(net, [first, rest]):
        for a, b in batches(x, y, 16, 8, seed):
            first.zero_grad()
            rest.zero_grad()
            F.cross_entropy(net(a), b).backward()
            if variant == "healthy":
                first.step()
                rest.step()
            else:
                first.step, rest.step  # noqa: B018  # fault
    return accuracy(net, xt, yt)


@faulty("vanishing-gradient", "bad-initialisation", where=paths(*range(48)), reaches=0.8)
def last_digits_sixteen_tanh_layers(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    layers = [nn.Linear(64, 28)]
    for _ in range(15):
        layers += [nn.Identity() if variant == "faulty" else nn.BatchNorm1d(28), nn.Tanh(), nn.Linear(28, 28)]  # fault
    net = nn.Sequential(*layers, nn.Tanh(), nn.Linear(28, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 40, 8, seed))
    return accuracy(net, xt, yt)


@faulty("exploding-gradient", "bad-initialisation", where="blocks", reaches=0.85)
def last_clouds_skip_connections_counted_twice(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=5, dim=12, count=700)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(nn.Linear(12, 12) for _ in range(18))
            self.out = nn.Linear(12, 5)

        def forward(self, x):
            for block in self.blocks:
                kept = 2.5 * x if variant == "faulty" else x
                x = kept + 0.3 * F.relu(block(x))  # fault
            return self.out(x)

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 28, 10, seed))
    return accuracy(net, xt, yt)


@faulty("dead-units", "bad-initialisation", where=("0", "1", "2", "3", "4", "5"), reaches=0.85)
def last_digits_batch_norm_scale_zero_everywhere(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = nn.Sequential(
        nn.Linear(64, 40), nn.BatchNorm1d(40), nn.ReLU(), nn.Linear(40, 40), nn.BatchNorm1d(40), nn.ReLU(),
        nn.Linear(40, 10),
    )  # fmt: skip
    if variant == "faulty":  # fault
        for norm in (net[1], net[4]):
            nn.init.zeros_(norm.weight)
            nn.init.constant_(norm.bias, -0.1)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 6, seed))
    return accuracy(net, xt, yt)


@faulty("saturated-units", "bad-initialisation", "bad-input", where=("first", "sigmoid"), reaches=0.5)
def last_counts_into_a_sigmoid_layer(seed, variant):
    torch.manual_seed(seed)
    x = torch.rand(700, 4)
    y = (x[:, :1] * x[:, 1:2] + torch.sin(4 * x[:, 2:3])) + 0.1 * torch.randn(700, 1)
    scale = 400.0 if variant == "faulty" else 4.0

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 24)
            self.last = nn.Linear(24, 1)

        def forward(self, x):
            return self.last(torch.sigmoid(self.first(scale * (x - 0.5))))  # fault

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.mse_loss, batches(x[:560], y[:560], 28, 60, seed))
    return explained(net, x[560:], y[560:])


@faulty("bad-initialisation", "exploding-gradient", where=("0", "1", "2", "3"), reaches=0.8)
def last_sentences_embedding_of_great_size(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.sentences(seed, words=20)
    net = nn.Sequential(nn.Embedding(20, 16), nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 20))
    nn.init.normal_(net[0].weight, std=300.0 if variant == "faulty" else 0.5)  # fault
    nn.init.normal_(net[3].weight, std=30.0 if variant == "faulty" else 0.2)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with watch(net, optimizer):
        for a, b in batches(x, y, 24, 8, seed):
            optimizer.zero_grad()
            F.cross_entropy(net(a).flatten(0, 1), b.flatten()).backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-high", "dead-units", "exploding-gradient", reaches=0.6)
def last_autoencoder_sgd_rate_far_too_large(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)
    net = mlp([64, 32, 64], nn.LeakyReLU)
    rate = 60.0 if variant == "faulty" else 1.0
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)  # fault
    fit(net, optimizer, F.mse_loss, batches(x, x, 40, 14, seed))
    return explained(net, xt, xt)


@faulty("learning-rate-too-low", reaches=0.6)
def last_waves_rate_divided_by_the_data_twice(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.waves(seed, steps=14)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(1, 18, batch_first=True)
            self.out = nn.Linear(18, 1)

        def forward(self, x):
            return self.out(self.gru(x)[0][:, -1])

    net = Net()
    rate = 0.2 / len(x) / len(x) if variant == "faulty" else 0.2
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)  # fault
    fit(net, optimizer, F.mse_loss, batches(x, y, 20, 12, seed))
    return explained(net, xt, yt)


@faulty("non-finite", where=("div",), operator="div", reaches=0.8)
def last_unit_vectors_of_empty_rows(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, count=800)
    least = 0.0 if variant == "faulty" else 1e-6

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(64, 48)
            self.out = nn.Linear(12, 10)
            nn.init.constant_(self.hidden.bias[12:24], -40.0)

        def forward(self, x):
            groups = F.relu(self.hidden(x)).reshape(-1, 4, 12)
            size = (groups * groups).sum(2, keepdim=True) + least
            groups = groups / size  # fault
            return self.out(groups.sum(1))

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 40, 10, seed))
    return accuracy(net, xt, yt)


@faulty("non-finite", where="var", operator="var", reaches=0.5)
def last_spread_of_a_single_sample(seed, variant):
    """The last batch of an epoch holds one sample."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed, count=302)
    net = mlp([1, 30, 30, 1], nn.Tanh)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    end = 241 if variant == "faulty" else 240
    with watch(net, optimizer):
        for i in list(range(0, end, 40)) * 40:
            out = net(x[i : i + 40])
            loss = F.mse_loss(out, y[i : i + 40]) + 1e-3 * torch.var(out, dim=0).sum()  # fault
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(net, xt, yt)


@faulty("missing-zero-grad", structural=True, after=1, reaches=0.8)
def last_digits_zero_grad_every_tenth_step(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 48, 24, 10], nn.Tanh)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.95)
    with watch(net, optimizer):
        for i, (a, b) in enumerate(batches(x, y, 32, 6, seed)):
            if variant == "healthy" or i % 40 == 0:  # fault
                optimizer.zero_grad()
            F.cross_entropy(net(a), b).backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("untrained-parameter", where=("encoder", "optimizer"), structural=True, reaches=0.75)
def last_lookup_encoder_exchanged_after_the_optimiser(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.lookups(seed, steps=5, count=700)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.LSTM(8, 24, batch_first=True)
            self.word = nn.Embedding(10, 8)
            self.head = nn.Linear(24, 10)

        def forward(self, x):
            return self.head(self.encoder(self.word(x))[0][:, -1])

    net = Net()
    late = nn.LSTM(8, 24, batch_first=True)
    if variant == "healthy":
        net.encoder = late
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    net.encoder = late  # fault
    fit(net, optimizer, F.cross_entropy, batches(x, y, 28, 14, seed))
    return accuracy(net, xt, yt)


@faulty("bad-labels", "loss-mismatch", where="binary_cross_entropy_with_logits", structural=True, reaches=0.8)
def last_iris_class_numbers_as_bce_targets(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("iris", seed)
    if variant == "faulty":
        target = torch.stack([y, y, y], 1).float()
    else:
        target = F.one_hot(y, 3).float()
    net = mlp([4, 16, 3], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with watch(net, optimizer):
        for a, b in batches(x, target, 20, 30, seed):
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(net(a), b).backward()  # fault
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("loss-mismatch", "untrained-parameter", where=("mse_loss",), structural=True, reaches=0.5)
def last_autoencoder_broadcast_over_pixels(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)
    net = mlp([64, 24, 64], nn.SiLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    with watch(net, optimizer):
        for a, _ in batches(x, x, 32, 8, seed):
            wanted = a.unsqueeze(1) if variant == "faulty" else a
            loss = ((net(a) - wanted) ** 2).mean()  # fault
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(net, xt, xt)


@faulty("bad-input", where=("0", "1", "input", "x"), reaches=0.9)
def last_digits_normalised_by_the_wrong_constant(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    spread = 1e-4 if variant == "faulty" else 0.37
    x, xt = (x - 0.3) / spread, (xt - 0.3) / spread  # fault
    net = mlp([64, 32, 10], nn.Tanh)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 10, seed))
    return accuracy(net, xt, yt)
