"""Shared weights need no code of their own: a tensor used twice gets the sum of both gradients.

One small network looks at two flowers; the distance between its two outputs says whether they are of one species.
"""

from sklearn.datasets import load_iris

import chainrule as torch


def embed(x, weights):
    W1, b1, W2 = weights
    return torch.tanh(x @ W1 + b1) @ W2


def contrastive_loss(left, right, same):
    """Pulls flowers of one species together and pushes others at least 1 apart."""
    distance = ((left - right) ** 2).sum(1).add(1e-9).sqrt()
    return torch.where(same, distance**2, torch.relu(1 - distance) ** 2).mean(), distance


def flowers():
    data = load_iris()
    x = torch.tensor(data.data, dtype=torch.float32)
    return (x - x.mean(0)) / x.std(0), torch.tensor(data.target)


def main(updates=200, pairs=64, learning_rate=0.2, seed=0):
    torch.manual_seed(seed)
    x, species = flowers()
    weights = [0.5 * torch.randn(4, 16), torch.zeros(16), 0.5 * torch.randn(16, 2)]
    for W in weights:
        W.requires_grad_()

    def sample():
        i, j = torch.randint(len(x), (2, pairs))
        return x[i], x[j], species[i] == species[j]

    # The same numbers in two separate sets of weights: each side's gradient, and their sum.
    left, right, same = sample()
    shared = torch.autograd.grad(contrastive_loss(embed(left, weights), embed(right, weights), same)[0], weights)
    twins = [[W.detach().clone().requires_grad_() for W in weights] for _ in range(2)]
    loss, _ = contrastive_loss(embed(left, twins[0]), embed(right, twins[1]), same)
    parts = torch.autograd.grad(loss, twins[0] + twins[1])
    gap = max((g - (p + q)).abs().max().item() for g, p, q in zip(shared, parts[:3], parts[3:], strict=True))
    print(f"gradient of the shared weights, distance from the sum of both sides: {gap:.1e}")

    for _ in range(updates):
        left, right, same = sample()
        loss, distance = contrastive_loss(embed(left, weights), embed(right, weights), same)
        loss.backward()
        with torch.no_grad():
            for W in weights:
                W -= learning_rate * W.grad
                W.grad = None

    with torch.no_grad():
        i, j = torch.randint(len(x), (2, 1000))
        same = species[i] == species[j]
        _, distance = contrastive_loss(embed(x[i], weights), embed(x[j], weights), same)
        correct = ((distance < 0.5) == same).float().mean().item()
    print(f"after {updates} updates: loss {loss.item():.3f}, {correct:.1%} of 1000 pairs judged right")
    return gap, loss.item(), correct


if __name__ == "__main__":
    main()
