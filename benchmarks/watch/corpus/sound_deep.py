"""Sound programs whose nets are deep or look odd: many zeros, silent branches, norms, gates."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, fit, healthy, mlp, watch


@healthy(0.8, hard=True)
def digits_twenty_relu_layers(seed, variant):
    """He's start; from half to most of the activations are zero."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64] + [64] * 19 + [10], nn.ReLU)
    for module in net[::2]:
        nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(module.bias)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-4)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 48, 7, seed))
    return accuracy(net, xt, yt)


@healthy(0.85, hard=True)
def digits_sparse_relu_code(seed, variant):
    """A wide layer of which four units in five are off for any one sample."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 256, 10], nn.ReLU)
    nn.init.normal_(net[0].weight, std=0.25)
    nn.init.constant_(net[0].bias, -1.0)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 8, seed))
    return accuracy(net, xt, yt)


@healthy(0.85, hard=True)
def digits_thirty_residual_layers_starting_at_zero(seed, variant):
    """The last layer of every branch starts at zero: its first layer has no gradient in the first step."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.LayerNorm(24)
            self.first = nn.Linear(24, 24)
            self.last = nn.Linear(24, 24)
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)

        def forward(self, x):
            return x + self.last(F.relu(self.first(self.norm(x))))

    net = nn.Sequential(nn.Linear(64, 24), *[Block() for _ in range(15)], nn.Linear(24, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 48, 5, seed))
    return accuracy(net, xt, yt)


@healthy(0.85, hard=True)
def digits_batch_norm_residual_cnn(seed, variant):
    """Batch norm whose scale starts at zero, validation in the middle of training."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=800)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(1, 10, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(10)
            self.inner = nn.Conv2d(10, 10, 3, padding=1, bias=False)
            self.inner_norm = nn.BatchNorm2d(10)
            self.head = nn.Linear(160, 10)
            nn.init.zeros_(self.inner_norm.weight)

        def forward(self, x):
            h = F.relu(self.norm(self.first(x)))
            h = F.relu(h + self.inner_norm(self.inner(h)))
            return self.head(F.max_pool2d(h, 2).flatten(1))

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    with watch(net, optimizer):
        for epoch in range(5):
            net.train()
            for a, b in batches(x, y, 32, 1, seed + epoch):
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                F.cross_entropy(net(xt), yt).item()
    return accuracy(net, xt, yt)


@healthy(0.85, hard=True)
def wine_sixteen_selu_layers(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    net = mlp([13] + [20] * 15 + [3], nn.SELU)
    for module in net[::2]:
        nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        nn.init.zeros_(module.bias)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 16, 16, seed))
    return accuracy(net, xt, yt)


@healthy(0.85, hard=True)
def digits_twelve_tanh_layers_orthogonal(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64] + [32] * 11 + [10], nn.Tanh)
    for module in net[::2]:
        nn.init.orthogonal_(module.weight, gain=5 / 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 7, seed))
    return accuracy(net, xt, yt)


@healthy(0.95, hard=True)
def xor_after_a_plateau(seed, variant):
    """The loss stays near log 2 for a while; then the classes come apart."""
    torch.manual_seed(seed)
    corners = torch.randint(0, 2, (400, 2)).float()
    x = 2 * corners - 1 + 0.1 * torch.randn(400, 2)
    y = (corners[:, :1] != corners[:, 1:]).float()
    net = mlp([2, 8, 1], nn.Tanh)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.15, momentum=0.5)
    fit(net, optimizer, F.binary_cross_entropy_with_logits, batches(x[:320], y[:320], 32, 120, seed))
    return accuracy(net, x[320:], y[320:])


@healthy(0.9, hard=True)
def parity_of_four_bits_after_a_plateau(seed, variant):
    torch.manual_seed(seed)
    bits = torch.randint(0, 2, (500, 4)).float()
    y = (bits.sum(1) % 2).long()
    net = mlp([4, 48, 2], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.cross_entropy, batches(2 * bits - 1, y, 25, 30, seed))
    return accuracy(net, 2 * bits - 1, y)


@healthy(0.95, hard=True)
def separable_clouds_with_sure_sigmoids(seed, variant):
    """Output probabilities end at 0 and 1, which is right: nothing is left to learn."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=2, dim=6, spread=0.25)
    net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 1), nn.Sigmoid())
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    with watch(net, optimizer):
        for a, b in batches(x, y.float().reshape(-1, 1), 24, 25, seed):
            optimizer.zero_grad()
            loss = F.binary_cross_entropy(net(a), b)
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return float(((net(xt).reshape(-1) > 0.5) == (yt > 0)).float().mean())


@healthy(0.99, hard=True)
def twenty_samples_learned_by_heart(seed, variant):
    """Overfitting one batch on purpose: loss and gradients fall to almost nothing."""
    torch.manual_seed(seed)
    x, y, _, _ = data.digits(seed, count=20)
    net = mlp([64, 64, 64, 10], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    with watch(net, optimizer):
        for _ in range(300):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
    return accuracy(net, x, y)


@healthy(0.85, hard=True)
def clouds_gated_experts(seed, variant):
    """Each sample goes to one expert of four: an expert has no gradient when nobody chose it."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=4, dim=8, spread=0.8)

    class Mixture(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Linear(8, 4)
            self.experts = nn.ModuleList(mlp([8, 12, 4], nn.ReLU) for _ in range(4))

        def forward(self, x):
            weight, chosen = torch.softmax(self.gate(x), 1).max(1)
            out = torch.zeros(len(x), 4)
            for i, expert in enumerate(self.experts):
                here = (chosen == i).nonzero().reshape(-1)
                if len(here):
                    out = out.index_add(0, here, weight[here].unsqueeze(1) * expert(x[here]))
            return out

    net = Mixture()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 16, 12, seed))
    return accuracy(net, xt, yt)


@healthy(0.85, hard=True)
def digits_blocks_dropped_at_random(seed, variant):
    """Stochastic depth: a block that is left out has no gradient in that step."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(64, 32)
            self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 32)) for _ in range(6))
            self.last = nn.Linear(32, 10)

        def forward(self, x):
            h = self.first(x)
            for block in self.blocks:
                if not self.training or float(torch.rand(1)) > 0.4:
                    h = h + F.relu(block(h))
            return self.last(h)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 6, seed))
    return accuracy(net, xt, yt)


@healthy(0.8, hard=True)
def curve_ten_layers_in_double_precision(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed)
    x, y, xt, yt = x.double(), y.double(), xt.double(), yt.double()
    net = mlp([1] + [20] * 9 + [1], nn.ELU).double()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.mse_loss, batches(x, y, 32, 40, seed))
    return explained(net, xt, yt)
