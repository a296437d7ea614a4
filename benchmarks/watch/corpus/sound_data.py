"""Sound programs whose data look odd: rare classes, noise, sparse or constant columns, hard targets."""

import numpy as np

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, fit, healthy, mlp, watch


@healthy(0.95, hard=True)
def clouds_one_class_in_twenty(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, count=1000, classes=2, dim=6, spread=0.7, weights=[0.95, 0.05])
    net = mlp([6, 16, 2], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    weight = torch.tensor([1.0, 8.0])
    fit(net, optimizer, nn.CrossEntropyLoss(weight=weight), batches(x, y, 32, 12, seed))
    return accuracy(net, xt, yt)


@healthy(0.8, hard=True)
def cancer_four_samples_a_batch(seed, variant):
    """The loss of a batch of four jumps about."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    net = mlp([30, 24, 2], nn.ReLU)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 4, 5, seed))
    return accuracy(net, xt, yt)


@healthy(0.05, hard=True)
def weak_signal_in_much_noise(seed, variant):
    """A tenth of the variance can be explained; the loss falls by just as much."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    x = rng.normal(size=(1500, 6)).astype("float32")
    y = (0.35 * x[:, :1] - 0.25 * x[:, 1:2] + rng.normal(size=(1500, 1))).astype("float32")
    x, y = torch.tensor(x), torch.tensor(y)
    net = mlp([6, 12, 1], nn.Tanh)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.mse_loss, batches(x[:1200], y[:1200], 32, 8, seed))
    return explained(net, x[1200:], y[1200:])


@healthy(0.8, hard=True)
def digits_one_label_in_four_wrong(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    wrong = torch.rand(len(y)) < 0.25
    y = torch.where(wrong, torch.randint(0, 10, (len(y),)), y)
    net = mlp([64, 40, 10], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3, weight_decay=1e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 8, seed))
    return accuracy(net, xt, yt)


@healthy(0.7, hard=True)
def bags_of_words_nearly_all_zero(seed, variant):
    """Ninety-five of a hundred inputs are zero, some columns in most batches."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    y = rng.integers(0, 3, 900)
    rate = np.where(np.arange(120) // 40 == y[:, None], 0.1, 0.02)
    x = torch.tensor((rng.random((900, 120)) < rate).astype("float32"))
    y = torch.tensor(y)
    net = mlp([120, 32, 3], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.cross_entropy, batches(x[:720], y[:720], 30, 10, seed))
    return accuracy(net, x[720:], y[720:])


@healthy(0.15, hard=True)
def diabetes_with_a_column_of_ones(seed, variant):
    """The intercept as a constant input, and columns of unlike but sane scale."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed)
    scale = torch.tensor([1.0, 3.0, 0.4, 1.0, 2.0, 0.5, 1.0, 1.5, 1.0, 0.3])
    x = torch.cat([x * scale, torch.ones(len(x), 1)], 1)
    xt = torch.cat([xt * scale, torch.ones(len(xt), 1)], 1)
    net = mlp([11, 20, 1], nn.Tanh)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.mse_loss, batches(x, y, 32, 20, seed))
    return explained(net, xt, yt)


@healthy(0.85, hard=True)
def digits_cnn_pixels_from_zero_to_sixteen(seed, variant):
    """Raw pixels, which a batch norm at the entrance takes care of."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, scale=1.0, images=True, count=900)
    net = nn.Sequential(
        nn.BatchNorm2d(1), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 30, 7, seed))
    return accuracy(net, xt, yt)


@healthy(0.6, hard=True)
def masked_roots_and_logs(seed, variant):
    """``where`` keeps the logarithm away from what it can't take; the other branch is never used."""
    torch.manual_seed(seed)
    x = torch.randn(700, 3)
    y = torch.where(x[:, :1] > 0, torch.log1p(torch.relu(x[:, :1])), x[:, 1:2]) + 0.05 * torch.randn(700, 1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = mlp([3, 24, 8], nn.Tanh)
            self.out = nn.Linear(8, 1)

        def forward(self, x):
            h = self.body(x)
            safe = torch.where(h > 0, h, torch.ones_like(h))
            return self.out(torch.where(h > 0, torch.log(safe + 1), h))

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.mse_loss, batches(x[:560], y[:560], 28, 14, seed))
    return explained(net, x[560:], y[560:])


@healthy(0.15, hard=True)
def diabetes_raw_target_adam(seed, variant):
    """A target from 25 to 346: the loss is in the thousands and the gradients large, but Adam does not mind."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed, scaled=False)
    net = mlp([10, 32, 1], nn.ReLU)
    nn.init.constant_(net[2].bias, 150.0)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    fit(net, optimizer, F.mse_loss, batches(x, y, 32, 30, seed))
    return explained(net, xt, yt)


@healthy(0.6, hard=True)
def one_class_after_another(seed, variant):
    """Sorted batches: each holds few classes, so the loss swings."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=3, dim=6, spread=0.8, count=480)
    net = mlp([6, 16, 3], nn.ReLU)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02)
    order = torch.argsort(y + 1.5 * torch.rand(len(y)))
    with watch(net, optimizer):
        for _ in range(14):
            for i in range(0, 384, 24):
                a, b = x[order[i : i + 24]], y[order[i : i + 24]]
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()
    return accuracy(net, xt, yt)
