"""Learning rates too high, too low, or led there by a schedule."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn
from chainrule.optim.lr_scheduler import ExponentialLR, LambdaLR, StepLR

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, mlp, watch


@faulty("learning-rate-too-high", reaches=0.9)
def digits_sgd_rate_of_eight(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 96, 32, 10], nn.Tanh)
    optimizer = torch.optim.SGD(net.parameters(), lr=8.0 if variant == "faulty" else 0.3)  # fault
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 6, seed))
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-high", "dead-units", reaches=0.9)
def wine_adam_rate_of_one(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    net = mlp([13, 24, 24, 12, 3], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=1.0 if variant == "faulty" else 5e-3)  # fault
    fit(net, optimizer, F.cross_entropy, batches(x, y, 12, 16, seed))
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-high", "dead-units", "exploding-gradient", reaches=0.85)
def digits_cnn_momentum_rate_near_one(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=1000)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10)
    )
    rate = 0.9 if variant == "faulty" else 0.05
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)  # fault
    fit(net, optimizer, F.cross_entropy, batches(x, y, 50, 7, seed))
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-high", reaches=0.9)
def cancer_schedule_that_grows(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    net = mlp([30, 20, 2], nn.ReLU)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    schedule = ExponentialLR(optimizer, gamma=1.06 if variant == "faulty" else 0.98)  # fault
    with watch(net, optimizer):
        for a, b in batches(x, y, 30, 12, seed):
            optimizer.zero_grad()
            F.cross_entropy(net(a), b).backward()
            optimizer.step()
            schedule.step()
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-high", "saturated-units", reaches=0.8)
def majority_lstm_adam_rate_of_a_half(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.majority(seed, steps=15)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(1, 16, batch_first=True)
            self.head = nn.Linear(16, 2)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1.5 if variant == "faulty" else 0.01)  # fault
    fit(net, optimizer, F.cross_entropy, batches(x, y, 25, 12, seed))
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-high", "exploding-gradient", reaches=0.2)
def diabetes_linear_model_that_diverges(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed)
    net = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.7 if variant == "faulty" else 0.02)  # fault
    with watch(net, optimizer):
        for a, b in batches(x, y, 32, 10, seed):
            loss = ((net(a) - b) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(net, xt, yt)


@faulty("learning-rate-too-low", reaches=0.9)
def digits_sgd_rate_of_a_hundred_thousandth(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 80, 10], nn.ReLU)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-5 if variant == "faulty" else 0.2)  # fault
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 8, seed))
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-low", reaches=0.8)
def digits_cnn_adam_rate_of_a_millionth(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=900)
    net = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(192, 40), nn.ReLU(),
        nn.Linear(40, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-6 if variant == "faulty" else 3e-3)  # fault
    fit(net, optimizer, F.cross_entropy, batches(x, y, 45, 8, seed))
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-low", reaches=0.9)
def wine_step_schedule_called_every_batch(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    net = mlp([13, 32, 3], nn.Tanh)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    schedule = StepLR(optimizer, step_size=1, gamma=0.5)
    with watch(net, optimizer):
        for epoch in range(15):
            for a, b in batches(x, y, 10, 1, seed + epoch):
                optimizer.zero_grad()
                loss = F.cross_entropy(net(a), b)
                loss.backward()
                optimizer.step()
                if variant == "faulty":  # fault
                    schedule.step()
            if variant == "healthy" and epoch % 5 == 4:
                schedule.step()
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-low", reaches=0.8)
def sentences_attention_adamw_rate_lost_in_digits(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.sentences(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.word = nn.Embedding(12, 24)
            self.place = nn.Embedding(12, 24)
            self.attend = nn.MultiheadAttention(24, 3, batch_first=True)
            self.norm = nn.LayerNorm(24)
            self.head = nn.Linear(24, 12)

        def forward(self, x):
            h = self.word(x) + self.place(torch.arange(x.shape[1]))
            mask = torch.triu(torch.ones(x.shape[1], x.shape[1]), 1).bool()
            h = h + self.attend(h, h, h, attn_mask=mask, need_weights=False)[0]
            return self.head(self.norm(h))

    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-7 if variant == "faulty" else 3e-3)  # fault
    with watch(net, optimizer):
        for a, b in batches(x, y, 24, 14, seed):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(a).reshape(-1, 12), b.reshape(-1))
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-low", reaches=0.15)
def diabetes_warm_up_that_never_ends(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed)
    net = mlp([10, 50, 20, 1], nn.SiLU)
    optimizer = torch.optim.RMSprop(net.parameters(), lr=2e-3)
    warm_up = 2_000_000 if variant == "faulty" else 20
    schedule = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / warm_up))  # fault
    with watch(net, optimizer):
        for a, b in batches(x, y, 30, 20, seed):
            optimizer.zero_grad()
            F.mse_loss(net(a), b).backward()
            optimizer.step()
            schedule.step()
    return explained(net, xt, yt)


@faulty("learning-rate-too-low", "vanishing-gradient", reaches=0.85)
def digits_gradient_clipped_to_nothing(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 40, 40, 10], nn.Tanh)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    limit = 1e-4 if variant == "faulty" else 5.0
    with watch(net, optimizer):
        for a, b in batches(x, y, 32, 8, seed):
            optimizer.zero_grad()
            F.cross_entropy(net(a), b).backward()
            nn.utils.clip_grad_norm_(net.parameters(), limit)  # fault
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("learning-rate-too-high", reaches=0.85)
def curve_momentum_of_one(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed)
    net = mlp([1, 30, 30, 1], nn.Tanh)
    momentum = 0.999 if variant == "faulty" else 0.9
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=momentum)  # fault
    fit(net, optimizer, F.mse_loss, batches(x, y, 32, 50, seed))
    return explained(net, xt, yt)
