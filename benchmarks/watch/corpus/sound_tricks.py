"""Sound programs that do on purpose what looks like a fault: frozen or untouched layers, rare steps, tiny rates."""

import copy

import numpy as np

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, fit, healthy, mlp, watch


def _taught(net, x, y, epochs, seed, rate=3e-3):
    """Trained beforehand, unwatched."""
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    for a, b in batches(x, y, 32, epochs, seed):
        optimizer.zero_grad()
        F.cross_entropy(net(a), b).backward()
        optimizer.step()


@healthy(0.9, hard=True)
def digits_fine_tuned_at_a_hundred_thousandth(seed, variant):
    """A trained net goes on at 1e-5: it is good already and hardly moves."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 48, 10], nn.ReLU)
    _taught(net, x[:1000], y[:1000], 6, seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-5)
    fit(net, optimizer, F.cross_entropy, batches(x[1000:], y[1000:], 16, 7, seed))
    return accuracy(net, xt, yt)


@healthy(0.8, hard=True)
def digits_new_head_on_a_frozen_body(seed, variant):
    """The body is frozen with ``requires_grad_(False)`` and left out of the optimiser."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    body = mlp([64, 48, 32], nn.ReLU)
    _taught(nn.Sequential(body, nn.ReLU(), nn.Linear(32, 5)), x, y % 5, 6, seed)
    for p in body.parameters():
        p.requires_grad_(False)
    net = nn.Sequential(body, nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(net[2].parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 8, seed))
    return accuracy(net, xt, yt)


@healthy(0.85, hard=True)
def digits_frozen_convolution_all_in_the_optimiser(seed, variant):
    """Random filters stay as they are; the optimiser was given everything and skips them."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=900)
    net = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10))
    net[0].requires_grad_(False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 30, 6, seed))
    return accuracy(net, xt, yt)


@healthy(0.9, hard=True)
def digits_four_backwards_a_step(seed, variant):
    """Gradients are added up on purpose: a step and ``zero_grad`` at every fourth backward."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 64, 10], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    with watch(net, optimizer):
        for i, (a, b) in enumerate(batches(x, y, 12, 8, seed)):
            (F.cross_entropy(net(a), b) / 4).backward()
            if i % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    return accuracy(net, xt, yt)


@healthy(0.85, hard=True)
def wine_two_losses_two_backwards(seed, variant):
    """Two backwards a step, one for each term of the loss."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    net = mlp([13, 24, 3], nn.ReLU)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with watch(net, optimizer):
        for a, b in batches(x, y, 20, 16, seed):
            optimizer.zero_grad()
            F.cross_entropy(net(a), b).backward()
            (1e-3 * sum((p * p).sum() for p in net.parameters())).backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@healthy(0.4, hard=True)
def digits_autoencoder_with_tied_weights(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed)

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(16, 64))
            nn.init.xavier_uniform_(self.weight)
            self.inner = nn.Parameter(torch.zeros(16))
            self.outer = nn.Parameter(torch.zeros(64))

        def forward(self, x):
            return F.linear(F.elu(F.linear(x, self.weight, self.inner)), self.weight.T, self.outer)

    net = Tied()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.mse_loss, batches(x, x, 40, 10, seed))
    return explained(net, xt, xt)


@healthy(0.85, hard=True)
def digits_heavy_dropout(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = nn.Sequential(
        nn.Dropout(0.2), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.6), nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(64, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 48, 9, seed))
    return accuracy(net, xt, yt)


@healthy(0.9, hard=True)
def digits_warm_up_and_cosine(seed, variant):
    """The rate starts near zero and ends there."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 64, 64, 10], nn.Mish)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.3, total_steps=8 * 44)
    with watch(net, optimizer):
        for a, b in batches(x, y, 32, 8, seed):
            optimizer.zero_grad()
            F.cross_entropy(net(a), b, label_smoothing=0.1).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return accuracy(net, xt, yt)


@healthy(0.9, hard=True)
def cancer_logistic_regression_at_rate_one(seed, variant):
    """A rate that would wreck a deep net is right for a convex problem of this scale."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    net = nn.Linear(30, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0, weight_decay=1e-3)
    fit(net, optimizer, F.binary_cross_entropy_with_logits, batches(x, y.float().reshape(-1, 1), 91, 50, seed))
    return accuracy(net, xt, yt)


@healthy(0.8, hard=True)
def clouds_heads_trained_in_turn(seed, variant):
    """Two tasks take turns: the other head has no gradient in that step."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=4, dim=8, spread=0.7)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(8, 24), nn.ReLU())
            self.coarse = nn.Linear(24, 2)
            self.fine = nn.Linear(24, 4)

        def forward(self, x, coarse=False):
            h = self.body(x)
            return self.coarse(h) if coarse else self.fine(h)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    with watch(net, optimizer):
        for i, (a, b) in enumerate(batches(x, y, 24, 18, seed)):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(a, coarse=True), b // 2) if i % 2 else F.cross_entropy(net(a), b)
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@healthy(0.6, hard=True)
def values_learned_from_a_slow_copy(seed, variant):
    """The target comes from a frozen copy that follows slowly: detached on purpose, as in Q-learning."""
    torch.manual_seed(seed)
    x = torch.rand(800, 2) * 2 - 1
    step = 0.3 * torch.randn(800, 2)
    reward = (x**2).sum(1, keepdim=True)
    net = mlp([2, 32, 1], nn.Tanh)
    slow = copy.deepcopy(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    with watch(net, optimizer):
        for a, b in batches(torch.cat([x, x + step], 1), reward, 40, 18, seed):
            with torch.no_grad():
                target = b + 0.3 * slow(a[:, 2:])
            loss = F.smooth_l1_loss(net(a[:, :2]), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for p, q in zip(slow.parameters(), net.parameters()):
                    p.mul_(0.9).add_(q, alpha=0.1)
    with torch.no_grad():
        value = net(x)
    return float(np.corrcoef(value.numpy().reshape(-1), reward.numpy().reshape(-1))[0, 1])


@healthy(0.85, hard=True)
def clouds_embedding_with_stopped_gradient(seed, variant):
    """Two views of a sample; one is detached on purpose, but its weights learn through the other."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=4, dim=10, spread=0.7)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = mlp([10, 32, 8], nn.ReLU)
            self.predictor = nn.Linear(8, 8)
            self.head = nn.Linear(8, 4)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    with watch(net, optimizer):
        for a, b in batches(x, y, 24, 14, seed):
            h = net.encoder(a + 0.1 * torch.randn(a.shape))
            g = net.encoder(a + 0.1 * torch.randn(a.shape)).detach()
            agree = -F.cosine_similarity(net.predictor(h), g, dim=1).mean()
            loss = agree + F.cross_entropy(net.head(h), b)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(nn.Sequential(net.encoder, net.head), xt, yt)


@healthy(0.9, hard=True)
def wine_strong_weight_decay_and_cycles(seed, variant):
    """The rate swings between 0.002 and 0.2, and decay shrinks the weights all the time."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    net = mlp([13, 30, 3], nn.ReLU)
    optimizer = torch.optim.SGD(net.parameters(), lr=2e-3, momentum=0.5, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CyclicLR(optimizer, 2e-3, 0.2, step_size_up=12)
    with watch(net, optimizer):
        for a, b in batches(x, y, 14, 18, seed):
            optimizer.zero_grad()
            F.cross_entropy(net(a), b).backward()
            optimizer.step()
            schedule.step()
    return accuracy(net, xt, yt)


@healthy(0.9, hard=True)
def digits_batch_norm_frozen_while_fine_tuning(seed, variant):
    """A trained net with batch norm is tuned with the norm in evaluation mode, on purpose, and a small rate."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = nn.Sequential(nn.Linear(64, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 10))
    _taught(net, x, y, 5, seed)
    for p in net[1].parameters():
        p.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=1e-3, momentum=0.9)
    net.train()
    net[1].eval()
    fit(net, optimizer, F.cross_entropy, batches(x, y, 24, 3, seed))
    return accuracy(net, xt, yt)


@healthy(0.9, hard=True)
def wine_last_layer_starts_at_zero(seed, variant):
    """The other layers have no gradient in the first step."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    net = mlp([13, 32, 32, 3], nn.Tanh)
    nn.init.zeros_(net[4].weight)
    nn.init.zeros_(net[4].bias)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 20, 14, seed))
    return accuracy(net, xt, yt)


@healthy(0.9, hard=True)
def cancer_loss_summed_at_a_small_rate(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    net = mlp([30, 24, 2], nn.ReLU)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    fit(net, optimizer, nn.CrossEntropyLoss(reduction="sum"), batches(x, y, 64, 14, seed))
    return accuracy(net, xt, yt)


@healthy(0.8, hard=True)
def digits_binary_code_straight_through(seed, variant):
    """A code of signs whose gradient is passed through: the detach is the trick."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = mlp([64, 48, 24], nn.ReLU)
            self.head = nn.Linear(24, 10)

        def forward(self, x):
            h = torch.tanh(self.encoder(x))
            return self.head(h + (torch.sign(h) - h).detach())

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 8, seed))
    return accuracy(net, xt, yt)


@healthy(0.6, hard=True)
def curve_gaussian_likelihood_below_zero(seed, variant):
    """The loss is a density's logarithm: it falls below zero, as it should."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.curve(seed)
    net = mlp([1, 40, 40, 2], nn.Tanh)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    with watch(net, optimizer):
        for a, b in batches(x, y, 40, 50, seed):
            out = net(a)
            loss = F.gaussian_nll_loss(out[:, :1], b, F.softplus(out[:, 1:]) + 1e-3)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return 1 - float(((net(xt)[:, :1] - yt) ** 2).mean() / yt.var())


@healthy(0.8, hard=True)
def bandit_policy_gradient(seed, variant):
    """REINFORCE: the loss says nothing, only the reward does."""
    torch.manual_seed(seed)
    net = mlp([4, 24, 5], nn.Tanh)
    best = torch.randn(4, 5)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    mean = 0.0
    with watch(net, optimizer):
        for _ in range(400):
            state = torch.randn(32, 4)
            logp = F.log_softmax(net(state), 1)
            chosen = torch.multinomial(logp.detach().exp(), 1)
            right = (state @ best).argmax(1, keepdim=True)
            reward = (chosen == right).float()
            loss = -((reward - mean) * logp.gather(1, chosen)).mean()
            mean = 0.9 * mean + 0.1 * float(reward.mean())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    state = torch.randn(500, 4)
    with torch.no_grad():
        return float((net(state).argmax(1) == (state @ best).argmax(1)).float().mean())
