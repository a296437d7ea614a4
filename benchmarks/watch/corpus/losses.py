"""Losses that do not fit what the network gives them."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, faulty, fit, lambda_module, likelihood, mlp, watch


@faulty("loss-mismatch", where=("7", "softmax", "cross_entropy"), structural=True, reaches=0.85)
def digits_softmax_before_cross_entropy(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed)
    net = mlp([64, 48, 32, 24, 10], nn.ReLU)
    if variant == "faulty":  # fault
        net.append(nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    fit(net, optimizer, criterion, batches(x, y, 32, 6, seed))
    return accuracy(net, xt, yt)


@faulty("loss-mismatch", where=("sigmoid", "binary_cross_entropy_with_logits"), structural=True, reaches=0.9)
def cancer_sigmoid_before_bce_with_logits(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = mlp([30, 12, 1], nn.ReLU)

        def forward(self, x):
            z = self.body(x).reshape(-1)
            return torch.sigmoid(z) if variant == "faulty" else z  # fault

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, F.binary_cross_entropy_with_logits, batches(x, y.float(), 32, 12, seed))
    return accuracy(net, xt, yt)


@faulty("loss-mismatch", where=("mse_loss", "sub"), structural=True, reaches=0.15)
def diabetes_column_against_row(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.diabetes(seed)
    target = y.reshape(-1) if variant == "faulty" else y
    net = mlp([10, 32, 8, 1], nn.ReLU)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    with watch(net, optimizer):
        for a, b in batches(x, target, 32, 18, seed):
            optimizer.zero_grad()
            loss = ((net(a) - b) ** 2).mean()  # fault
            loss.backward()
            optimizer.step()
    return explained(net, xt, yt)


@faulty("loss-mismatch", where=("3", "log_softmax", "nll_loss"), structural=True, reaches=0.85)
def clouds_softmax_over_the_batch(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.clouds(seed, classes=5, dim=9)
    net = mlp([9, 20, 5], nn.Tanh)
    net.append(nn.LogSoftmax(dim=0 if variant == "faulty" else 1))  # fault
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    fit(net, optimizer, nn.NLLLoss(), batches(x, y, 24, 12, seed))
    # As in use: one sample at a time.
    return sum(accuracy(net, xt[i : i + 1], yt[i : i + 1]) for i in range(len(xt))) / len(xt)


@faulty("loss-mismatch", where="nll_loss", structural=True, reaches=0.85)
def digits_nll_of_raw_logits(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.digits(seed, images=True, count=900)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    if variant == "healthy":  # fault
        net.append(nn.LogSoftmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    fit(net, optimizer, nn.NLLLoss(), batches(x, y, 30, 7, seed))
    return accuracy(net, xt, yt)


@faulty("loss-mismatch", where=("cross_entropy", "view", "reshape"), structural=True, reaches=0.8)
def sentences_view_where_a_transpose_is_needed(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.sentences(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.word = nn.Embedding(12, 20)
            self.gru = nn.GRU(20, 28, batch_first=True)
            self.head = nn.Linear(28, 12)

        def forward(self, x):
            return self.head(self.gru(self.word(x))[0])

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with watch(net, optimizer):
        for a, b in batches(x, y, 20, 8, seed):
            optimizer.zero_grad()
            logits = net(a)
            turned = logits.view(20, 12, 12) if variant == "faulty" else logits.transpose(1, 2)
            loss = F.cross_entropy(turned, b)  # fault
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("loss-mismatch", "learning-rate-too-high", reaches=0.9)
def iris_likelihood_without_its_minus(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("iris", seed)
    net = mlp([4, 16, 3], nn.Tanh)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    sign = 1.0 if variant == "faulty" else -1.0
    with watch(net, optimizer):
        for a, b in batches(x, y, 20, 25, seed):
            optimizer.zero_grad()
            likelihood = F.log_softmax(net(a), 1).gather(1, b.reshape(-1, 1)).mean()
            loss = sign * likelihood  # fault
            loss.backward()
            optimizer.step()
    return accuracy(net, xt, yt)


@faulty("loss-mismatch", "saturated-units", "bad-labels", where=("out", "sigmoid", "mse_loss"), reaches=0.45)
def waves_sigmoid_output_for_signed_targets(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.waves(seed, steps=12)
    last = nn.Sigmoid() if variant == "faulty" else nn.Identity()  # fault

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(1, 18, batch_first=True)
            self.head = nn.Linear(18, 1)
            self.out = last

        def forward(self, x):
            return self.out(self.head(self.rnn(x)[0][:, -1]))

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, nn.MSELoss(), batches(x, y, 32, 20, seed))
    return explained(net, xt, yt)


@faulty("loss-mismatch", "dead-units", where=("4", "5", "relu", "binary_cross_entropy_with_logits"), structural=True)
def cancer_relu_on_the_logit(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)
    net = nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 1))
    if variant == "faulty":  # fault
        net.append(nn.ReLU())
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.binary_cross_entropy_with_logits, batches(x, y.float().reshape(-1, 1), 35, 12, seed))
    return likelihood(net, xt, yt)


@faulty("loss-mismatch", where=("last", "softmax", "binary_cross_entropy"), structural=True, reaches=0.9)
def cancer_softmax_over_one_output(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.table("breast_cancer", seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = mlp([30, 24, 1], nn.ReLU)
            self.last = nn.Softmax(dim=1) if variant == "faulty" else nn.Sigmoid()  # fault

        def forward(self, x):
            return self.last(self.body(x))

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    fit(net, optimizer, nn.BCELoss(), batches(x, y.float().reshape(-1, 1), 32, 12, seed))
    return accuracy(lambda_module(lambda v: net(v) - 0.5), xt, yt)
