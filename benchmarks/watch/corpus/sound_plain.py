"""Sound programs of the everyday kind."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, fit, healthy, mlp, watch


@healthy(0.85)
def iris_logistic_regression(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("iris", seed)
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 20, 30, seed))
    return accuracy(net, xt, yt)


@healthy(0.9)
def wine_mlp_adam(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    net = mlp([13, 20, 3], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, nn.CrossEntropyLoss(), batches(x, y, 16, 20, seed))
    return accuracy(net, xt, yt)


@healthy(0.9)
def cancer_binary_sgd(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    net = mlp([30, 16, 8, 1], nn.Tanh)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    fit(net, optimizer, nn.BCEWithLogitsLoss(), batches(x, y.float().reshape(-1, 1), 32, 12, seed))
    return accuracy(net, xt, yt)


@healthy(0.25)
def diabetes_linear_regression(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed)
    net = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02)
    fit(net, optimizer, F.mse_loss, batches(x, y, 16, 14, seed))
    return explained(net, xt, yt)


@healthy(0.1)
def diabetes_mlp_adamw(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed)
    net = mlp([10, 32, 16, 1], nn.ReLU)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    fit(net, optimizer, nn.L1Loss(), batches(x, y, 32, 20, seed))
    return explained(net, xt, yt)


@healthy(0.93)
def digits_mlp_relu_adam(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 64, 32, 10], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 8, seed))
    return accuracy(net, xt, yt)


@healthy(0.9)
def digits_mlp_gelu_rmsprop(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 100, 10], nn.GELU)
    optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 64, 10, seed))
    return accuracy(net, xt, yt)


@healthy(0.9)
def digits_cnn_max_pooling(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True)
    net = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(96, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 40, 6, seed))
    return accuracy(net, xt, yt)


@healthy(0.8)
def digits_cnn_average_pooling_adagrad(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=900)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(144, 32), nn.Tanh(), nn.Linear(32, 10)
    )
    optimizer = torch.optim.Adagrad(net.parameters(), lr=0.03)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 30, 6, seed))
    return accuracy(net, xt, yt)


@healthy(0.5)
def digits_autoencoder_sigmoid_output(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 12), nn.ReLU(), nn.Linear(12, 32), nn.ReLU(),
                        nn.Linear(32, 64), nn.Sigmoid())  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.binary_cross_entropy, batches(x, x, 48, 14, seed))
    return explained(net, xt, xt)


@healthy(0.8)
def spirals_tanh(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.spirals(seed)
    net = mlp([2, 32, 32, 2], nn.Tanh)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 20, 35, seed))
    return accuracy(net, xt, yt)


@healthy(0.8)
def curve_huber_silu(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed)
    net = mlp([1, 40, 40, 1], nn.SiLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, nn.HuberLoss(), batches(x, y, 32, 40, seed))
    return explained(net, xt, yt)


@healthy(0.75)
def clouds_softplus_adadelta(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed)
    net = mlp([8, 24, 4], nn.Softplus)
    optimizer = torch.optim.Adadelta(net.parameters(), lr=1.0)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 24, 15, seed))
    return accuracy(net, xt, yt)


@healthy(0.8)
def iris_lbfgs(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("iris", seed)
    net = mlp([4, 8, 3], nn.Tanh)
    optimizer = torch.optim.LBFGS(net.parameters(), lr=0.5, max_iter=5)
    with watch(net, optimizer):
        for _ in range(6):

            def closure():
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y) + 1e-3 * sum((p * p).sum() for p in net.parameters())
                loss.backward()
                return loss

            optimizer.step(closure)
    return accuracy(net, xt, yt)


@healthy(0.4)
def ratings_by_matrix_factors(seed, variant):
    torch.manual_seed(seed)
    users, items = torch.randn(40, 3), torch.randn(30, 3)
    pairs = torch.stack([torch.randint(0, 40, (900,)), torch.randint(0, 30, (900,))], 1)
    rating = (users[pairs[:, 0]] * items[pairs[:, 1]]).sum(1) + 0.1 * torch.randn(900)

    class Factors(nn.Module):
        def __init__(self):
            super().__init__()
            self.user = nn.Embedding(40, 4)
            self.item = nn.Embedding(30, 4)
            self.bias = nn.Parameter(torch.zeros(1))

        def forward(self, pair):
            return (self.user(pair[:, 0]) * self.item(pair[:, 1])).sum(1) + self.bias

    net = Factors()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    fit(net, optimizer, F.mse_loss, batches(pairs[:800], rating[:800], 40, 20, seed))
    return explained(net, pairs[800:], rating[800:])


@healthy(0.7)
def clouds_several_labels_at_once(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=6, dim=10)
    tags = torch.stack([(y % 2), (y > 2).long(), (y == 4).long()], 1).float()
    tags_t = torch.stack([(yt % 2), (yt > 2).long(), (yt == 4).long()], 1).float()
    net = mlp([10, 32, 3], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.binary_cross_entropy_with_logits, batches(x, tags, 32, 16, seed))
    with torch.no_grad():
        return float(((net(xt) > 0).float() == tags_t).float().mean())


@healthy(0.3)
def counts_by_poisson_regression(seed, variant):
    torch.manual_seed(seed)
    x = torch.randn(600, 5)
    rate = torch.exp(0.6 * x[:, :1] - 0.4 * x[:, 1:2] + 0.5)
    y = torch.poisson(rate)
    net = mlp([5, 16, 1], nn.Tanh)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, nn.PoissonNLLLoss(), batches(x[:500], y[:500], 25, 16, seed))
    with torch.no_grad():
        guess = torch.exp(net(x[500:]))
    return 1 - float(((guess - y[500:]) ** 2).mean() / y[500:].var())


@healthy(0.85)
def iris_pairs_contrastive(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("iris", seed)
    net = mlp([4, 16, 2], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with watch(net, optimizer):
        for a, b in batches(x, y, 40, 40, seed):
            h, g = net(a[:20]), net(a[20:])
            gap = torch.sqrt(((h - g) ** 2).sum(1) + 1e-6)
            same = (b[:20] == b[20:]).float()
            loss = (same * gap**2 + (1 - same) * torch.clamp(1.5 - gap, min=0) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        gaps = ((net(xt).unsqueeze(1) - net(x).unsqueeze(0)) ** 2).sum(2)
    return float((y[gaps.argmin(1)] == yt).float().mean())


@healthy(0.4)
def digits_variational_autoencoder(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)

    class Vae(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(64, 40), nn.ReLU())
            self.mean = nn.Linear(40, 6)
            self.log_variance = nn.Linear(40, 6)
            self.decoder = nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 64), nn.Sigmoid())

        def forward(self, x):
            h = self.encoder(x)
            mean, log_variance = self.mean(h), self.log_variance(h)
            self.divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
            if self.training:
                mean = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            return self.decoder(mean)

    net = Vae()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    with watch(net, optimizer):
        for a, _ in batches(x, x, 48, 12, seed):
            loss = F.binary_cross_entropy(net(a), a, reduction="sum") / len(a) + 0.3 * net.divergence
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(net, xt, xt)
