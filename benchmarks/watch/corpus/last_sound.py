"""Written last, when the rules had been corrected once more: sound programs of less usual kinds."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, fit, healthy, mlp, watch


@healthy(0.9, hard=True)
def last_digits_mixed_pairs_soft_labels(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 64, 10], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    with watch(net, optimizer):
        for a, b in batches(x, y, 32, 8, seed):
            share = float(torch.rand(1))
            other = torch.randperm(len(a))
            target = F.one_hot(b, 10).float()
            out = net(share * a + (1 - share) * a[other])
            loss = F.cross_entropy(out, share * target + (1 - share) * target[other])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@healthy(0.85, hard=True)
def last_digits_student_of_a_teacher(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    teacher, student = mlp([64, 96, 10], nn.ReLU), mlp([64, 16, 10], nn.ReLU)
    before = torch.optim.Adam(teacher.parameters(), lr=3e-3)
    for a, b in batches(x, y, 32, 6, seed):
        before.zero_grad()
        F.cross_entropy(teacher(a), b).backward()
        before.step()
    optimizer = torch.optim.Adam(student.parameters(), lr=4e-3)
    with watch(student, optimizer):
        for a, _ in batches(x, y, 32, 10, seed):
            with torch.no_grad():
                wanted = F.softmax(teacher(a) / 3, dim=1)
            loss = 9 * F.kl_div(F.log_softmax(student(a) / 3, dim=1), wanted, reduction="batchmean")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(student, xt, yt)


@healthy(0.5, hard=True)
def last_sets_summed_over_twenty_members(seed, variant):
    torch.manual_seed(seed)
    x = torch.randn(600, 20, 3)
    y = (x[:, :, 0] > 0.8).float().sum(1, keepdim=True)
    y = (y - y.mean()) / y.std()

    class Sets(nn.Module):
        def __init__(self):
            super().__init__()
            self.each = mlp([3, 24, 12], nn.ReLU)
            self.all = mlp([12, 16, 1], nn.ReLU)

        def forward(self, x):
            return self.all(self.each(x).sum(1))

    net = Sets()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.mse_loss, batches(x[:480], y[:480], 24, 20, seed))
    return explained(net, x[480:], y[480:])


@healthy(0.9)
def last_wine_ensemble_of_five(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)

    class Ensemble(nn.Module):
        def __init__(self):
            super().__init__()
            self.members = nn.ModuleList(mlp([13, 10, 3], nn.Tanh) for _ in range(5))

        def forward(self, x):
            return torch.stack([m(x) for m in self.members]).mean(0)

    net = Ensemble()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    with watch(net, optimizer):
        for a, b in batches(x, y, 20, 16, seed):
            optimizer.zero_grad()
            loss = sum(F.cross_entropy(m(a), b) for m in net.members)
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@healthy(0.6, hard=True)
def last_iris_batch_norm_with_four_samples(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("iris", seed)
    net = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.005, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 4, 12, seed))
    return accuracy(net, xt, yt)


@healthy(0.9)
def last_majority_bidirectional_lstm(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.majority(seed, steps=11)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(1, 12, batch_first=True, bidirectional=True)
            self.head = nn.Linear(24, 2)

        def forward(self, x):
            return self.head(self.lstm(x)[0].mean(1))

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 20, 12, seed))
    return accuracy(net, xt, yt)


@healthy(0.2, hard=True)
def last_diabetes_one_sample_at_a_time(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed)
    net = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.mse_loss, batches(x, y, 1, 2, seed))
    return explained(net, xt, yt)


@healthy(0.6, hard=True)
def last_images_made_to_please_a_frozen_net(seed, variant):
    """The parameters are inputs; the net itself is frozen."""
    torch.manual_seed(seed)
    x, y, _, _ = data.digits(seed)
    judge = mlp([64, 48, 10], nn.Tanh)
    before = torch.optim.Adam(judge.parameters(), lr=3e-3)
    for a, b in batches(x, y, 32, 5, seed):
        before.zero_grad()
        F.cross_entropy(judge(a), b).backward()
        before.step()
    judge.requires_grad_(False)

    class Images(nn.Module):
        def __init__(self):
            super().__init__()
            self.pixels = nn.Parameter(0.5 + 0.1 * torch.randn(10, 64))

        def forward(self):
            return judge(self.pixels)

    net = Images()
    wanted = torch.arange(10)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    with watch(net, optimizer):
        for _ in range(120):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(), wanted) + 0.01 * (net.pixels**2).mean()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return float((net().argmax(1) == wanted).float().mean())


@healthy(0.7, hard=True)
def last_differential_equation_residual(seed, variant):
    """u' = -u with u(0) = 1: the target of the residual is zero, everywhere."""
    torch.manual_seed(seed)
    net = mlp([1, 24, 24, 1], nn.Tanh)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    zero = torch.zeros(32, 1)
    with watch(net, optimizer):
        for _ in range(400):
            t = (2 * torch.rand(32, 1)).requires_grad_(True)
            u = net(t)
            (slope,) = torch.autograd.grad(u.sum(), t, create_graph=True)
            loss = F.mse_loss(slope + u, zero) + (net(torch.zeros(1, 1)) - 1).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    t = torch.linspace(0, 2, 50).reshape(-1, 1)
    return explained(net, t, torch.exp(-t))


@healthy(0.6, hard=True)
def last_digits_segmentation_dice(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed, images=True, count=500)
    mask, mask_t = (x > 0.5).float(), (xt > 0.5).float()
    noisy, noisy_t = x + 0.2 * torch.randn(x.shape), xt + 0.2 * torch.randn(xt.shape)
    net = nn.Sequential(nn.Conv2d(1, 10, 3, padding=1), nn.ReLU(), nn.Conv2d(10, 1, 3, padding=1), nn.Sigmoid())
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    with watch(net, optimizer):
        for a, b in batches(noisy, mask, 20, 8, seed):
            p = net(a)
            loss = 1 - (2 * (p * b).sum() + 1) / (p.sum() + b.sum() + 1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return float(((net(noisy_t) > 0.5).float() == mask_t).float().mean())


@healthy(0.9, hard=True)
def last_cancer_focal_loss_rescaled(seed, variant):
    """The loss is multiplied by a thousand; Adam does not mind."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    net = mlp([30, 16, 1], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    with watch(net, optimizer):
        for a, b in batches(x, y.float().reshape(-1, 1), 25, 14, seed):
            each = F.binary_cross_entropy_with_logits(net(a), b, reduction="none")
            loss = 1000 * ((1 - torch.exp(-each)) ** 2 * each).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@healthy(0.85)
def last_digits_forty_layers_with_batch_norm(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(24)
            self.line = nn.Linear(24, 24)

        def forward(self, x):
            return x + self.line(F.relu(self.norm(x)))

    net = nn.Sequential(nn.Linear(64, 24), *[Block() for _ in range(20)], nn.BatchNorm1d(24), nn.Linear(24, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 48, 6, seed))
    return accuracy(net, xt, yt)


@healthy(0.5, hard=True)
def last_clouds_soft_choice_by_gumbel(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=4, dim=8, spread=0.7)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.choose = mlp([8, 24, 6], nn.ReLU)
            self.read = nn.Linear(6, 4)

        def forward(self, x):
            z = self.choose(x)
            code = F.gumbel_softmax(z, tau=0.7, hard=True) if self.training else F.one_hot(z.argmax(1), 6).float()
            return self.read(code)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 24, 20, seed))
    return accuracy(net, xt, yt)


@healthy(0.85, hard=True)
def last_digits_graph_kept_for_a_second_backward(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    body, first, second = nn.Linear(64, 40), nn.Linear(40, 10), nn.Linear(40, 2)
    net = nn.ModuleList([body, first, second])
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    with watch(net, optimizer):
        for a, b in batches(x, y, 32, 6, seed):
            h = F.relu(body(a))
            optimizer.zero_grad()
            F.cross_entropy(first(h), b).backward(retain_graph=True)
            (0.3 * F.cross_entropy(second(h), b % 2)).backward()
            optimizer.step()
    return accuracy(nn.Sequential(body, nn.ReLU(), first), xt, yt)


@healthy(0.5, hard=True)
def last_one_class_pulled_to_a_centre(seed, variant):
    """Deep SVDD: the target is one constant point for all samples."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    x = x[y == 0]
    net = nn.Sequential(nn.Linear(64, 32, bias=False), nn.LeakyReLU(0.1), nn.Linear(32, 8, bias=False))
    centre = torch.ones(20, 8)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    with watch(net, optimizer):
        for a, _ in batches(x, x, 20, 40, seed):
            optimizer.zero_grad()
            F.mse_loss(net(a), centre).backward()
            optimizer.step()
    with torch.no_grad():
        far = ((net(xt) - 1) ** 2).mean(1)
    inside, outside = far[yt == 0], far[yt != 0]
    return float((outside.unsqueeze(1) > inside).float().mean())


@healthy(0.85, hard=True)
def last_digits_decay_of_the_rate_to_almost_nothing(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 50, 10], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.98)
    with watch(net, optimizer):
        for a, b in batches(x, y, 32, 12, seed):
            optimizer.zero_grad()
            F.cross_entropy(net(a), b).backward()
            optimizer.step()
            schedule.step()
    return accuracy(net, xt, yt)


@healthy(0.3, hard=True)
def last_policy_and_value_of_a_walk(seed, variant):
    """Actor and critic: walk to the right on a line of nine places, rewarded at its end."""
    torch.manual_seed(seed)
    body, actor, critic = nn.Linear(9, 16), nn.Linear(16, 2), nn.Linear(16, 1)
    net = nn.ModuleList([body, actor, critic])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    places = torch.full((32,), 4)
    reached = 0.0
    with watch(net, optimizer):
        for _ in range(250):
            h = torch.tanh(body(F.one_hot(places, 9).float()))
            logp, value = F.log_softmax(actor(h), 1), critic(h).squeeze(1)
            move = torch.multinomial(logp.detach().exp(), 1).squeeze(1)
            new = (places + 2 * move - 1).clamp(0, 8)
            reward = (new == 8).float()
            with torch.no_grad():
                ahead = critic(torch.tanh(body(F.one_hot(new, 9).float()))).squeeze(1)
            goal = reward + 0.9 * ahead * (1 - reward)
            gain = (goal - value).detach()
            entropy = -(logp.exp() * logp).sum(1).mean()
            loss = -(gain * logp[torch.arange(32), move]).mean() + F.mse_loss(value, goal) - 0.01 * entropy
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            reached = 0.98 * reached + 0.02 * float((move == 1).float().mean())
            places = torch.where(reward > 0, 4, new)
    return reached
