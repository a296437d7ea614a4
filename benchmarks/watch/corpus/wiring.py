"""Parameters that never learn, because the loss or the optimiser does not reach them."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, mlp, watch


@faulty("untrained-parameter", where=("body", "detach"), structural=True, reaches=0.9)
def digits_body_detached_from_the_head(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 6), nn.ReLU())
            self.head = nn.Linear(6, 10)

        def forward(self, x):
            h = self.body(x)
            if variant == "faulty":
                h = h.detach()  # fault
            return self.head(h)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 14, seed))
    return accuracy(net, xt, yt)


@faulty("untrained-parameter", where=("head", "optimizer"), structural=True, reaches=0.85)
def digits_head_replaced_after_the_optimiser(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=700)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten())
            self.head = nn.Linear(36, 5)

        def forward(self, x):
            return self.head(self.features(x))

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    net.head = nn.Linear(36, 10)
    if variant == "healthy":  # fault
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 20, 10, seed))
    return accuracy(net, xt, yt)


@faulty("untrained-parameter", where=("hidden", "linear", "tanh"), structural=True, reaches=0.7)
def spirals_layers_in_a_plain_list(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.spirals(seed)
    container = list if variant == "faulty" else nn.ModuleList

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = container([nn.Linear(2, 24), nn.Linear(24, 24)])  # fault
            self.out = nn.Linear(24, 2)

        def forward(self, x):
            for layer in self.hidden:
                x = torch.tanh(layer(x))  # fault
            return self.out(x)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 45, seed))
    return accuracy(net, xt, yt)


@faulty("untrained-parameter", where=("word", "lstm", "encoder"), structural=True, reaches=0.75)
def lookup_encoder_under_no_grad(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.lookups(seed, steps=6, count=700)

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.word = nn.Embedding(10, 16)
            self.lstm = nn.LSTM(16, 24, batch_first=True)

        def forward(self, x):
            return self.lstm(self.word(x))[0][:, -1]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = Encoder()
            self.head = nn.Linear(24, 10)

        def forward(self, x):
            with torch.set_grad_enabled(variant == "healthy"):  # fault
                h = self.encoder(x)
            return self.head(h)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 35, 16, seed))
    return accuracy(net, xt, yt)


@faulty("untrained-parameter", where="encoder", structural=True, reaches=0.4)
def autoencoder_code_through_numpy(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(64, 20), nn.Tanh(), nn.Linear(20, 6))
            self.decoder = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 64))

        def forward(self, x):
            code = self.encoder(x)
            if variant == "faulty":
                code = torch.tensor(code.detach().numpy())  # fault
            return self.decoder(code)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.mse_loss, batches(x, x, 50, 12, seed))
    return explained(net, xt, xt)


@faulty("untrained-parameter", "missing-zero-grad", "learning-rate-too-low", structural=True, after=1, reaches=0.9)
def wine_gradients_cleared_before_the_step(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    net = mlp([13, 16, 3], nn.ReLU)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    with watch(net, optimizer):
        for a, b in batches(x, y, 16, 8, seed):
            loss = F.cross_entropy(net(a), b)
            if variant == "healthy":  # fault
                optimizer.zero_grad()
            loss.backward()
            if variant == "faulty":
                optimizer.zero_grad()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("untrained-parameter", where=("first", "second"), structural=True, reaches=0.7)
def curve_only_the_head_in_the_optimiser(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(1, 24)
            self.second = nn.Linear(24, 3)
            self.head = nn.Linear(3, 1)

        def forward(self, x):
            return self.head(F.relu(self.second(F.relu(self.first(x)))))

    net = Net()
    learned = net.head.parameters() if variant == "faulty" else net.parameters()
    optimizer = torch.optim.Adam(learned, lr=4e-3)  # fault
    fit(net, optimizer, F.mse_loss, batches(x, y, 32, 40, seed))
    return explained(net, xt, yt)


@faulty("untrained-parameter", "vanishing-gradient", where=("body", "round"), structural=True, reaches=0.85)
def clouds_features_rounded(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=6, dim=12)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 4))
            self.head = nn.Linear(4, 6)

        def forward(self, x):
            h = self.body(x)
            if variant == "faulty":
                h = torch.round(4 * h)  # fault
            return self.head(h)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 24, 12, seed))
    return accuracy(net, xt, yt)


@faulty("untrained-parameter", where="hidden", structural=True, reaches=0.7)
def spirals_hidden_layers_forgotten_in_forward(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.spirals(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter = nn.Linear(2, 20)
            self.hidden = nn.Sequential(nn.Tanh(), nn.Linear(20, 20), nn.Tanh())
            self.leave = nn.Linear(20, 2)

        def forward(self, x):
            h = self.enter(x)
            if variant == "healthy":  # fault
                h = self.hidden(h)
            return self.leave(h)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 40, 40, seed))
    return accuracy(net, xt, yt)


@faulty("untrained-parameter", where=("loss", "tensor"), structural=True, reaches=0.85)
def iris_loss_wrapped_again(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("iris", seed)
    net = mlp([4, 10, 3], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    with watch(net, optimizer):
        for a, b in batches(x, y, 20, 20, seed):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(a), b)
            if variant == "faulty":
                loss = torch.tensor(loss.item(), requires_grad=True)  # fault
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty(
    "untrained-parameter", "vanishing-gradient", "bad-initialisation",
    where=tuple(str(i) for i in range(42)), structural=True, reaches=0.8,
)  # fmt: skip
def digits_batch_norm_left_in_evaluation_mode(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    layers = [nn.Linear(64, 32)]
    for _ in range(12):
        layers += [nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32)]
    net = nn.Sequential(*layers, nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    if variant == "faulty":  # fault
        net.eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 48, 6, seed))
    return accuracy(net, xt, yt)
