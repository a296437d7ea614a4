"""A network and its cost, trained by the plainest loop there is.

For each data point: forward, backward, W = W - learning rate * gradient; until a stop criterion is met.
The network learns XOR, which no single neuron can.
"""

import chainrule as torch

POINTS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = torch.tensor([0.0, 1.0, 1.0, 0.0])


def network(x, weights):
    W1, b1, W2, b2 = weights
    hidden = torch.tanh(W1 @ x + b1)
    return torch.sigmoid(W2 @ hidden + b2)


def cost(output, target):
    return (output - target) ** 2


def main(learning_rate=0.8, tolerance=0.005, max_epochs=2000, hidden=4, seed=0):
    torch.manual_seed(seed)
    weights = [torch.randn(hidden, 2), torch.zeros(hidden), torch.randn(hidden), torch.zeros(())]
    for W in weights:
        W.requires_grad_()

    for epoch in range(1, max_epochs + 1):
        total = 0.0
        for x, target in zip(POINTS, TARGETS, strict=True):
            loss = cost(network(x, weights), target)
            loss.backward()
            with torch.no_grad():
                for W in weights:
                    W -= learning_rate * W.grad
                    W.grad = None
            total += loss.item() / len(POINTS)
        if epoch % 20 == 0:
            print(f"pass {epoch:3}: mean cost {total:.5f}")
        if total < tolerance:  # the stop criterion
            break

    with torch.no_grad():
        outputs = [network(x, weights).item() for x in POINTS]
    print(f"stopped after {epoch} passes, mean cost {total:.5f}")
    for x, target, output in zip(POINTS, TARGETS, outputs, strict=True):
        print(f"{x.tolist()} -> {output:.3f} (target {target.item():.0f})")
    return epoch, total, outputs


if __name__ == "__main__":
    main()
