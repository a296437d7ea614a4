"""Labels out of range, or that have nothing to do with the inputs."""

import numpy as np

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, likelihood, mlp, watch


@faulty("bad-labels", reaches=0.9)
def digits_inputs_shuffled_alone(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    if variant == "faulty":  # fault
        x = x[torch.randperm(len(x))]
    net = mlp([64, 50, 10], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 32, 8, seed))
    return accuracy(net, xt, yt)


@faulty("bad-labels", reaches=0.85)
def digits_cnn_labels_one_row_off(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True)
    if variant == "faulty":  # fault
        y = torch.roll(y, 1)
    net = nn.Sequential(
        nn.Conv2d(1, 10, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(90, 24), nn.Tanh(), nn.Linear(24, 10)
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 40, 7, seed))
    return accuracy(net, xt, yt)


@faulty("bad-labels", "loss-mismatch", where="binary_cross_entropy_with_logits", structural=True, reaches=0.6)
def cancer_signs_as_labels_of_bce(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    target = y.float().reshape(-1, 1)
    if variant == "faulty":  # fault
        target = 2 * target - 1
    net = mlp([30, 16, 1], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, nn.BCEWithLogitsLoss(), batches(x, target, 32, 10, seed))
    return likelihood(net, xt, yt)


@faulty("bad-labels", reaches=0.15)
def diabetes_target_sorted_by_accident(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed)
    if variant == "faulty":  # fault
        y = torch.tensor(np.sort(y.numpy(), axis=0))
    net = mlp([10, 24, 12, 1], nn.Tanh)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.9)
    fit(net, optimizer, F.mse_loss, batches(x, y, 25, 16, seed))
    return explained(net, xt, yt)


@faulty("bad-labels", reaches=0.85)
def cancer_comparison_that_is_never_true(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    grade = 100 * y
    limit = 150 if variant == "faulty" else 50
    y = (grade > limit).long()  # fault
    net = mlp([30, 20, 10, 2], nn.SiLU)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 16, 10, seed))
    return accuracy(net, xt, yt)


@faulty("bad-labels", "loss-mismatch", where="binary_cross_entropy_with_logits", structural=True, reaches=0.6)
def segmentation_mask_from_zero_to_255(seed, variant):
    torch.manual_seed(seed)
    x, _, xt, _ = data.digits(seed, images=True, count=600)
    mask, mask_t = (x > 0.5).float(), (xt > 0.5).float()
    noisy, noisy_t = x + 0.3 * torch.randn(x.shape), xt + 0.3 * torch.randn(xt.shape)
    net = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 1, 3, padding=1))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    top = 255.0 if variant == "faulty" else 1.0
    with watch(net, optimizer):
        for a, b in batches(noisy, mask * top, 20, 10, seed):
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(net(a), b)  # fault
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        guess = (net(noisy_t) > 0).float()
    return 1 - float((guess != mask_t).float().mean()) / min(float(mask_t.mean()), 1 - float(mask_t.mean()))


@faulty("bad-labels", reaches=0.8)
def sentences_targets_from_another_row(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.sentences(seed, words=9)
    if variant == "faulty":  # fault
        y = y.flip(0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.word = nn.Embedding(9, 16)
            self.lstm = nn.LSTM(16, 24, batch_first=True)
            self.head = nn.Linear(24, 9)

        def forward(self, x):
            return self.head(self.lstm(self.word(x))[0]).reshape(-1, 9)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with watch(net, optimizer):
        for a, b in batches(x, y, 16, 8, seed):
            optimizer.zero_grad()
            F.cross_entropy(net(a), b.reshape(-1)).backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("bad-labels", where="cross_entropy", structural=True, reaches=0.9)
def wine_classes_counted_from_one(seed, variant):
    """The run stops with an error, as PyTorch's does."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("wine", seed)
    if variant == "faulty":  # fault
        y = y + 1
    net = mlp([13, 18, 3], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 16, 10, seed))
    return accuracy(net, xt, yt)
