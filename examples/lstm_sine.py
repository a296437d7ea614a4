"""An LSTM learns to continue sine waves, trained by LBFGS with a closure."""

import math

import chainrule as torch
import chainrule.nn as nn
import chainrule.optim as optim


class Sequence(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.hidden = hidden
        self.lstm1 = nn.LSTMCell(1, hidden)
        self.lstm2 = nn.LSTMCell(hidden, hidden)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, input, future=0):
        outputs = []
        h_t = torch.zeros(input.size(0), self.hidden, dtype=input.dtype)
        c_t, h_t2, c_t2 = torch.zeros_like(h_t), torch.zeros_like(h_t), torch.zeros_like(h_t)
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        for _ in range(future):  # from here on the network is fed its own prediction
            h_t, c_t = self.lstm1(output, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        return torch.cat(outputs, dim=1)


def waves(count, length, period):
    """Sine waves, one per row, each with a random phase."""
    phase = 2 * math.pi * torch.rand(count, 1, dtype=torch.float64)
    return torch.sin(phase + 2 * math.pi / period * torch.arange(length, dtype=torch.float64))


def main(steps=4, hidden=16, count=8, length=60, period=20, future=20, max_iter=10, seed=0):
    torch.manual_seed(seed)
    data = waves(count, length + 1, period)
    unseen = waves(2, length + future, period)
    model = Sequence(hidden).double()
    criterion = nn.MSELoss()
    optimizer = optim.LBFGS(model.parameters(), lr=1, max_iter=max_iter, line_search_fn="strong_wolfe")
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = criterion(model(data[:, :-1]), data[:, 1:])
        loss.backward()
        losses.append(loss.item())
        return loss

    for step in range(1, steps + 1):
        loss = optimizer.step(closure)
        with torch.no_grad():
            prediction = model(unseen[:, :length], future=future)
            error = criterion(prediction[:, length - 1 : length + future - 1], unseen[:, length:]).item()
        print(f"step {step}: loss {loss.item():.5f} -> {losses[-1]:.5f}, next {future} values with error {error:.5f}")
    return losses[0], losses[-1], error


if __name__ == "__main__":
    main()
