"""Regression: how far a patient's diabetes has progressed after a year, from ten measurements."""

from sklearn.datasets import load_diabetes

import chainrule as torch
import chainrule.nn as nn
import chainrule.optim as optim


class Regressor(nn.Module):
    def __init__(self, features, hidden):
        super().__init__()
        self.hidden = nn.Linear(features, hidden)
        self.output = nn.Linear(hidden, 1)

    def forward(self, x):
        return self.output(torch.relu(self.hidden(x))).squeeze(-1)


def standardised(values):
    tensor = torch.tensor(values, dtype=torch.float32)
    return (tensor - tensor.mean(0)) / tensor.std(0)


def main(epochs=200, hidden=16, seed=0):
    torch.manual_seed(seed)
    data = load_diabetes()
    x, y = standardised(data.data), standardised(data.target)
    train, test = slice(0, 342), slice(342, None)

    model = Regressor(x.shape[1], hidden)
    criterion = nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    print(model)

    for epoch in range(1, epochs + 1):
        optimizer.zero_grad()
        loss = criterion(model(x[train]), y[train])
        loss.backward()
        optimizer.step()
        if epoch % max(1, epochs // 5) == 0:
            print(f"epoch {epoch:4}: loss {loss.item():.4f}")

    model.eval()
    with torch.no_grad():
        error = criterion(model(x[test]), y[test]).item()
        baseline = ((y[test] - y[train].mean()) ** 2).mean().item()
    print(f"held-out squared error {error:.3f}, predicting the mean {baseline:.3f}, R2 {1 - error / baseline:.2f}")
    return loss.item(), error, baseline


if __name__ == "__main__":
    main()
