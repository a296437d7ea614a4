"""Sound programs on sequences: recurrent nets and attention, with masks, clipping and tied weights."""

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn

from .. import data
from ..harness import accuracy, batches, explained, fit, healthy, watch


class LastStep(nn.Module):
    """A recurrent net and a linear layer on its last step."""

    def __init__(self, recurrent, width, outputs):
        super().__init__()
        self.recurrent = recurrent
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        return self.head(self.recurrent(x)[0][:, -1])


@healthy(0.8)
def majority_lstm(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.majority(seed)
    net = LastStep(nn.LSTM(1, 20, batch_first=True), 20, 2)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 25, 12, seed))
    return accuracy(net, xt, yt)


@healthy(0.9)
def waves_gru_two_layers(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.waves(seed, steps=15)
    net = LastStep(nn.GRU(1, 16, num_layers=2, batch_first=True), 16, 1)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.mse_loss, batches(x, y, 32, 14, seed))
    return explained(net, xt, yt)


@healthy(0.8)
def waves_plain_rnn(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.waves(seed, steps=12)
    net = LastStep(nn.RNN(1, 24, batch_first=True), 24, 1)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, nn.SmoothL1Loss(), batches(x, y, 32, 14, seed))
    return explained(net, xt, yt)


@healthy(0.8, hard=True)
def majority_rnn_clipped(seed, variant):
    """The gradient of a recurrent relu net is clipped at every step, as it should be."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.majority(seed, steps=20)
    net = LastStep(nn.RNN(1, 24, nonlinearity="relu", batch_first=True), 24, 2)
    nn.init.eye_(net.recurrent.weight_hh_l0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    with watch(net, optimizer):
        for a, b in batches(x, y, 25, 12, seed):
            optimizer.zero_grad()
            F.cross_entropy(net(a), b).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            optimizer.step()
    return accuracy(net, xt, yt)


@healthy(0.9, hard=True)
def first_sign_lstm_over_thirty_steps(seed, variant):
    """A long memory, a plateau at first, gates that end open or shut."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.first_sign(seed, steps=30)
    net = LastStep(nn.LSTM(1, 20, batch_first=True), 20, 2)
    with torch.no_grad():
        net.recurrent.bias_hh_l0[20:40] = 2.0
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 40, 12, seed))
    return accuracy(net, xt, yt)


class Decoder(nn.Module):
    """A small transformer with causal attention; ``tied`` uses the word table as the last layer."""

    def __init__(self, words, width, heads, layers, tied=False, dropout=0.0):
        super().__init__()
        self.word = nn.Embedding(words, width)
        self.place = nn.Embedding(16, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers))
        self.attends = nn.ModuleList(
            nn.MultiheadAttention(width, heads, batch_first=True, dropout=dropout) for _ in range(layers)
        )
        self.wides = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.Dropout(dropout))
            for _ in range(layers)
        )
        self.last = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        if tied:
            self.head.weight = self.word.weight

    def forward(self, x):
        t = x.shape[1]
        mask = torch.full((t, t), float("-inf")).triu(1)
        h = self.word(x) + self.place(torch.arange(t))
        for i, (attend, wide) in enumerate(zip(self.attends, self.wides)):
            a = self.norms[2 * i](h)
            h = h + attend(a, a, a, attn_mask=mask, need_weights=False)[0]
            h = h + wide(self.norms[2 * i + 1](h))
        return self.head(self.last(h))


def _teach(net, words, x, y, size, epochs, seed, optimizer, schedule=None, smoothing=0.0):
    with watch(net, optimizer):
        for a, b in batches(x, y, size, epochs, seed):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(a).reshape(-1, words), b.reshape(-1), label_smoothing=smoothing)
            loss.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()


@healthy(0.75)
def sentences_transformer(seed, variant):
    torch.manual_seed(seed)
    x, y, xt, yt = data.sentences(seed)
    net = Decoder(12, 24, 2, 1)
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    _teach(net, 12, x, y, 20, 10, seed, optimizer)
    return accuracy(net, xt, yt)


@healthy(0.75, hard=True)
def sentences_transformer_tied_warm_up_smoothed(seed, variant):
    """Tied weights, masks of minus infinity, warm-up from zero, label smoothing."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.sentences(seed, words=14)
    net = Decoder(14, 32, 4, 2, tied=True, dropout=0.1)
    nn.init.normal_(net.word.weight, std=0.2)
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min((s + 1) / 30, (30 / (s + 1)) ** 0.5))
    _teach(net, 14, x, y, 24, 10, seed, optimizer, schedule, smoothing=0.1)
    return accuracy(net, xt, yt)


@healthy(0.7, hard=True)
def padded_bags_of_words_with_mask(seed, variant):
    """Sentences of different lengths: padding is masked with minus infinity, its embedding stays zero."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.lookups(seed, count=700, steps=7)

    def pad(x):
        lengths = 4 + (x.sum(1) % 4)
        padded = torch.where(torch.arange(7) < lengths.reshape(-1, 1), x + 1, 0)
        return padded, (padded == 1).any(1).long()

    (x, y), (xt, yt) = pad(x), pad(xt)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.word = nn.Embedding(11, 12, padding_idx=0)
            self.score = nn.Linear(12, 1)
            self.head = nn.Linear(12, 2)

        def forward(self, x):
            h = self.word(x)
            scores = self.score(torch.tanh(h)).squeeze(2).masked_fill(x == 0, float("-inf"))
            return self.head((torch.softmax(scores, 1).unsqueeze(2) * h).sum(1))

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    fit(net, optimizer, F.cross_entropy, batches(x, y, 28, 12, seed))
    return accuracy(net, xt, yt)


@healthy(0.75, hard=True)
def rare_words_seldom_seen(seed, variant):
    """Half of the embedding's rows get no gradient in most steps."""
    torch.manual_seed(seed)
    x = (60 * torch.rand(700, 5) ** 3).long()
    y = (x[:, 0] < 8).long()
    net = nn.Sequential(nn.Embedding(60, 8), nn.Flatten(), nn.Linear(40, 24), nn.ReLU(), nn.Linear(24, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    fit(net, optimizer, F.cross_entropy, batches(x[:560], y[:560], 20, 10, seed))
    return accuracy(net, x[560:], y[560:])


@healthy(0.75, hard=True)
def sentences_backward_through_a_few_steps(seed, variant):
    """Truncated: the state is handed on from piece to piece and detached there."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.sentences(seed, steps=16)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.word = nn.Embedding(12, 16)
            self.lstm = nn.LSTM(16, 24, batch_first=True)
            self.head = nn.Linear(24, 12)

        def forward(self, x, state=None):
            out, state = self.lstm(self.word(x), state)
            return self.head(out), state

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with watch(net, optimizer):
        for a, b in batches(x, y, 24, 5, seed):
            state = None
            for t in range(0, 16, 4):
                out, state = net(a[:, t : t + 4], state)
                state = tuple(s.detach() for s in state)
                loss = F.cross_entropy(out.reshape(-1, 12), b[:, t : t + 4].reshape(-1))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    with torch.no_grad():
        out, _ = net(xt)
    return float((out.argmax(2) == yt).float().mean())


@healthy(0.75, hard=True)
def sentences_most_targets_ignored(seed, variant):
    """Four targets in five are -100, which the loss leaves out."""
    torch.manual_seed(seed)
    x, y, xt, yt = data.sentences(seed, count=500)
    y = torch.where(torch.rand(y.shape) < 0.8, -100, y)
    net = nn.Sequential(nn.Embedding(12, 20), nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 12))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with watch(net, optimizer):
        for a, b in batches(x, y, 25, 12, seed):
            optimizer.zero_grad()
            F.cross_entropy(net(a).transpose(1, 2), b, ignore_index=-100).backward()
            optimizer.step()
    return accuracy(net, xt, yt)
