"""Written after the rules stood, as a check on them: sound programs."""

import numpy as np

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, fit, healthy, mlp, watch


@healthy(0.9)
def late_digits_whole_data_in_one_batch(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 32, 10], nn.Tanh)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.8)
    with watch(net, optimizer):
        for _ in range(150):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@healthy(0.75)
def late_digits_thirty_steps_of_a_wide_net(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 400, 200, 10], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    fit(net, optimizer, F.cross_entropy, list(batches(x, y, 64, 2, seed))[:30])
    return accuracy(net, xt, yt)


@healthy(0.9, hard=True)
def late_cancer_raw_columns_through_batch_norm(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed, scaled=False)
    net = nn.Sequential(nn.BatchNorm1d(30), nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 16, seed))
    return accuracy(net, xt, yt)


@healthy(0.8)
def late_digits_transformer_over_rows(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, count=900)
    x, xt = x.reshape(-1, 8, 8), xt.reshape(-1, 8, 8)

    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter = nn.Linear(8, 24)
            self.place = nn.Parameter(0.02 * torch.randn(8, 24))
            self.layer = nn.TransformerEncoderLayer(24, 4, dim_feedforward=48, dropout=0.1, batch_first=True)
            self.head = nn.Linear(24, 10)

        def forward(self, x):
            return self.head(self.layer(self.enter(x) + self.place).mean(1))

    net = Rows()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 30, 8, seed))
    return accuracy(net, xt, yt)


@healthy(0.8)
def late_digits_group_norm_prelu_cnn(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=800)
    layers = [nn.Conv2d(1, 12, 3, padding=1)]
    for _ in range(3):
        layers += [nn.GroupNorm(3, 12), nn.PReLU(), nn.Conv2d(12, 12, 3, padding=1)]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 6, seed))
    return accuracy(net, xt, yt)


@healthy(0.5)
def late_digits_convolutional_autoencoder(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed, images=True, count=900)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(8, 8, 2, stride=2), nn.ReLU(), nn.ConvTranspose2d(8, 1, 2, stride=2),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.mse_loss, batches(x, x, 30, 10, seed))
    return explained(net, xt, xt)


@healthy(0.9, hard=True)
def late_digits_two_rates_one_tiny(seed, variant):
    """A trained body at 1e-5, a new head at 1e-2."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = nn.Sequential(mlp([64, 64, 32], nn.ReLU), nn.ReLU(), nn.Linear(32, 10))
    before = torch.optim.Adam(net.parameters(), lr=3e-3)
    for a, b in batches(x, y, 32, 5, seed):
        before.zero_grad()
        F.cross_entropy(net(a), b).backward()
        before.step()
    net[2] = nn.Linear(32, 10)
    groups = [{"params": net[0].parameters(), "lr": 1e-5}, {"params": net[2].parameters(), "lr": 1e-2}]
    optimizer = torch.optim.Adam(groups)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 4, seed))
    return accuracy(net, xt, yt)


@healthy(0.85, hard=True)
def late_digits_body_thawed_half_way(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    body, head = mlp([64, 48, 24], nn.ReLU), nn.Linear(24, 10)
    net = nn.Sequential(body, nn.ReLU(), head)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    body.requires_grad_(False)
    with watch(net, optimizer):
        for epoch in range(8):
            if epoch == 3:
                body.requires_grad_(True)
            for a, b in batches(x, y, 32, 1, seed + epoch):
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()
    return accuracy(net, xt, yt)


@healthy(0.6, hard=True)
def late_small_adversaries(seed, variant):
    """Generator against discriminator on a line, each under a watch of its own; neither loss falls for good."""
    torch.manual_seed(seed)
    maker, judge = mlp([4, 24, 1], nn.LeakyReLU), mlp([1, 24, 1], nn.LeakyReLU)
    first = torch.optim.Adam(maker.parameters(), lr=2e-3, betas=(0.5, 0.99))
    second = torch.optim.Adam(judge.parameters(), lr=2e-3, betas=(0.5, 0.99))
    one, zero = torch.ones(64, 1), torch.zeros(64, 1)
    with watch(maker, first), watch(judge, second):
        for _ in range(500):
            real, fake = 2.0 + 0.5 * torch.randn(64, 1), maker(torch.randn(64, 4))
            second.zero_grad()
            loss = F.binary_cross_entropy_with_logits(judge(real), one)
            loss = loss + F.binary_cross_entropy_with_logits(judge(fake.detach()), zero)
            loss.backward()
            second.step()
            first.zero_grad()
            F.binary_cross_entropy_with_logits(judge(fake), one).backward()
            first.step()
    with torch.no_grad():
        return 1 - abs(float(maker(torch.randn(500, 4)).mean()) - 2.0) / 2.0


@healthy(0.85, hard=True)
def late_iris_triplets_mostly_satisfied(seed, variant):
    """The loss of many batches is exactly zero, and so are all gradients."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("iris", seed)
    net = mlp([4, 16, 3], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(y.numpy() == c) for c in range(3)]
    with watch(net, optimizer):
        for _ in range(250):
            kind = rng.permutation(3)
            anchor, near = (x[torch.tensor(rng.choice(groups[kind[0]], 12))] for _ in range(2))
            far = x[torch.tensor(rng.choice(groups[kind[1]], 12))]
            loss = F.triplet_margin_loss(net(anchor), net(near), net(far), margin=0.5)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        gaps = ((net(xt).unsqueeze(1) - net(x).unsqueeze(0)) ** 2).sum(2)
    return float((y[gaps.argmin(1)] == yt).float().mean())


@healthy(0.9)
def late_cancer_hinge_loss(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    sign = 2.0 * y.float() - 1
    net = nn.Linear(30, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, weight_decay=1e-3)
    with watch(net, optimizer):
        for a, b in batches(x, sign, 25, 12, seed):
            optimizer.zero_grad()
            loss = torch.clamp(1 - b * net(a).squeeze(1), min=0).mean()
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@healthy(0.9)
def late_sixty_classes(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, count=2400, classes=60, dim=20, spread=0.5)
    net = mlp([20, 64, 60], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 48, 12, seed))
    return accuracy(net, xt, yt)


@healthy(0.7, hard=True)
def late_curve_with_gradient_penalty(seed, variant):
    """The gradient by the input is part of the loss: a backward through a backward."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed, count=300)
    net = mlp([1, 32, 32, 1], nn.Softplus)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with watch(net, optimizer):
        for a, b in batches(x, y, 30, 50, seed):
            a = a.detach().requires_grad_(True)
            out = net(a)
            (slope,) = torch.autograd.grad(out.sum(), a, create_graph=True)
            loss = F.mse_loss(out, b) + 1e-4 * (slope**2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(net, xt, yt)


@healthy(0.9, hard=True)
def late_wine_resumed_when_it_was_done(seed, variant):
    """Training goes on, at the same rate, where it had ended: the loss is flat and low."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    net = mlp([13, 24, 3], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for a, b in batches(x, y, 16, 40, seed):
        optimizer.zero_grad()
        F.cross_entropy(net(a), b).backward()
        optimizer.step()
    fit(net, optimizer, F.cross_entropy, batches(x, y, 16, 12, seed))
    return accuracy(net, xt, yt)


@healthy(0.85)
def late_digits_long_run_at_a_small_rate(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 48, 10], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-4)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 30, seed))
    return accuracy(net, xt, yt)


@healthy(0.6, hard=True)
def late_autoencoder_with_sparse_penalty(seed, variant):
    """An L1 penalty keeps most of the code at zero."""
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)
    encoder, decoder = nn.Linear(64, 96), nn.Linear(96, 64)
    net = nn.Sequential(encoder, nn.ReLU(), decoder)
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    with watch(net, optimizer):
        for a, _ in batches(x, x, 32, 12, seed):
            code = F.relu(encoder(a))
            loss = F.mse_loss(decoder(code), a) + 2e-4 * code.sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(net, xt, xt)


@healthy(0.55, hard=True)
def late_curve_quantiles(seed, variant):
    """Three quantiles at once: the pinball loss has a derivative that only changes sign."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed, noise=0.2)
    net = mlp([1, 32, 32, 3], nn.SiLU)
    share = torch.tensor([0.1, 0.5, 0.9])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with watch(net, optimizer):
        for a, b in batches(x, y, 40, 40, seed):
            gap = b - net(a)
            loss = torch.maximum(share * gap, (share - 1) * gap).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return 1 - float(((net(xt)[:, 1:2] - yt) ** 2).mean() / yt.var())


@healthy(0.3, hard=True)
def late_tiny_targets(seed, variant):
    """Targets of about a hundredth: the loss starts at 1e-2 and ends near 1e-5."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed)
    y, yt = y / 100, yt / 100
    net = mlp([1, 32, 32, 1], nn.Tanh)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    fit(net, optimizer, F.mse_loss, batches(x, y, 32, 100, seed))
    return explained(net, xt, yt)


@healthy(0.8, hard=True)
def late_reverse_sequences_teacher_forced(seed, variant):
    """Encoder and decoder; the decoder is shown the right words."""
    torch.manual_seed(seed)
    x = torch.randint(1, 6, (500, 4))
    y = x.flip(1)

    class Translate(nn.Module):
        def __init__(self):
            super().__init__()
            self.word = nn.Embedding(6, 16)
            self.encoder = nn.GRU(16, 32, batch_first=True)
            self.decoder = nn.GRU(16, 32, batch_first=True)
            self.head = nn.Linear(32, 6)

        def forward(self, x, shown):
            _, h = self.encoder(self.word(x))
            return self.head(self.decoder(self.word(shown), h)[0])

    net = Translate()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    shown = F.pad(y[:, :-1], (1, 0))
    with watch(net, optimizer):
        for both, b in batches(torch.cat([x, shown], 1)[:400], y[:400], 25, 20, seed):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(both[:, :4], both[:, 4:]).flatten(0, 1), b.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
    with torch.no_grad():
        return float((net(x[400:], shown[400:]).argmax(2) == y[400:]).float().mean())
