"""Inputs that no network can learn from as they are."""

import numpy as np

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, mlp

FIRST = ("0", "1", "input", "x")


@faulty("bad-input", "saturated-units", where=FIRST, reaches=0.9)
def wine_raw_into_tanh(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed, scaled=variant == "healthy")  # fault
    net = mlp([13, 32, 16, 3], nn.Tanh)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 16, 14, seed))
    return accuracy(net, xt, yt)


@faulty("bad-input", where=FIRST, reaches=0.9)
def digits_divided_as_integers(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, scale=1.0)
    if variant == "faulty":  # fault
        x, xt = x // 255, xt // 255
    else:
        x, xt = x / 16, xt / 16
    net = mlp([64, 50, 10], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 6, seed))
    return accuracy(net, xt, yt)


@faulty("bad-input", where=FIRST, reaches=0.9)
def cancer_with_a_time_stamp_among_the_columns(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    if variant == "faulty":  # fault
        rng = np.random.default_rng(seed)
        x[:, 4] = torch.tensor(1.6e9 + 1e7 * rng.random(len(x)), dtype=torch.float32)
        xt[:, 4] = torch.tensor(1.6e9 + 1e7 * rng.random(len(xt)), dtype=torch.float32)
    net = mlp([30, 40, 20, 2], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 14, seed))
    return accuracy(net, xt, yt)


@faulty("bad-input", "non-finite", where=(*FIRST, "linear"), reaches=0.9)
def cancer_with_missing_values(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    holes = np.random.default_rng(seed).random(x.shape) < 0.01
    x = x.numpy()
    x[holes] = np.nan if variant == "faulty" else 0.0  # fault
    x = torch.tensor(x)
    net = mlp([30, 24, 2], nn.ELU)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 24, 8, seed))
    return accuracy(net, xt, yt)


@faulty("bad-input", where=FIRST, reaches=0.85)
def digits_cnn_scaled_three_times(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=900)
    if variant == "faulty":  # fault
        x, xt = x / 255 / 255, xt / 255 / 255
    net = nn.Sequential(
        nn.Conv2d(1, 12, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(192, 32), nn.ReLU(),
        nn.Linear(32, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 36, 7, seed))
    return accuracy(net, xt, yt)


@faulty("bad-input", "saturated-units", where=("lstm", "input", "x"), reaches=0.5)
def price_level_into_lstm(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.waves(seed, steps=16)
    if variant == "faulty":  # fault
        x, xt = 40000 + 150 * x, 40000 + 150 * xt

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(1, 20, batch_first=True)
            self.head = nn.Linear(20, 1)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.mse_loss, batches(x, y, 32, 12, seed))
    return explained(net, xt, yt)


@faulty("bad-input", where=FIRST, reaches=0.9)
def digits_data_set_that_always_gives_its_first_image(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, count=1000)

    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return len(y)

        def __getitem__(self, i):
            image = x[0] if variant == "faulty" else x[i]  # fault
            return image, y[i]

    net = mlp([64, 36, 18, 10], nn.LeakyReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    loader = torch.utils.data.DataLoader(Images(), batch_size=25, shuffle=True)
    fit(net, optimizer, F.cross_entropy, (pair for _ in range(6) for pair in loader))
    return accuracy(net, xt, yt)
