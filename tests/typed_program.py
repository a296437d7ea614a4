"""A user's program with types, read by mypy (`make types`): the public names must be there and fit."""

import chainrule as torch
from chainrule import nn, optim
from chainrule.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """Two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(1, width)
        self.second = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Runs the layers."""
        out: torch.Tensor = self.second(torch.tanh(self.first(x)))
        return out


def train(net: Net, x: torch.Tensor, y: torch.Tensor) -> float:
    """One epoch."""
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    total = 0.0
    for inputs, targets in DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True):
        optimizer.zero_grad()
        loss: torch.Tensor = ((net(inputs) - targets) ** 2).mean()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total


def shapes(x: torch.Tensor) -> tuple[int, ...]:
    """Attributes that every tensor has."""
    gradient: torch.Tensor | None = x.grad
    assert gradient is None or gradient.dtype == x.dtype
    return tuple(x.shape)


if __name__ == "__main__":
    data = torch.linspace(-1.0, 1.0, 64).unsqueeze(1)
    print(train(Net(8), data, 2 * data + 1), shapes(data))
