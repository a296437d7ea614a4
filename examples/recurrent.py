"""Backpropagation through time, with no code of its own.

A recurrent network is a loop: h = tanh(W @ h + U * x). Unrolled, it is a graph in which W occurs once per step,
and the backward pass adds up what arrives at W from every step. The task: say at the end whether the first number
of a sequence was positive, so the first step must be remembered through all the others.
"""

import chainrule as torch


def unroll(sequence, h, recurrent_weights, U):
    """One step per number; `recurrent_weights` names the matrix that each step uses."""
    for x, W in zip(sequence, recurrent_weights, strict=True):
        h = torch.tanh(h @ W.T + x.unsqueeze(1) * U)
    return h


def gradient_is_a_sum(W, U, V, sequence, h0):
    """Gradient of the shared W, and the gradients of one separate copy per step."""
    steps = len(sequence)
    shared = torch.autograd.grad((unroll(sequence, h0, [W] * steps, U) @ V).sum(), W)[0]
    copies = [W.detach().clone().requires_grad_() for _ in range(steps)]
    parts = torch.autograd.grad((unroll(sequence, h0, copies, U) @ V).sum(), copies)
    return shared, parts


def main(steps=8, hidden=8, batch=64, updates=150, learning_rate=0.5, seed=0):
    torch.manual_seed(seed)
    W = (0.5 * torch.randn(hidden, hidden)).requires_grad_()
    U = torch.randn(hidden, requires_grad=True)
    V = torch.randn(hidden, requires_grad=True)
    h0 = torch.zeros(batch, hidden)

    sequence = torch.randn(steps, batch)
    shared, parts = gradient_is_a_sum(W, U, V, sequence, h0)
    for step, part in enumerate(parts):
        print(f"step {step}: |dL/dW| = {part.norm().item():.4f}")
    gap = (shared - sum(parts)).abs().max().item()
    print(f"shared weight: |dL/dW| = {shared.norm().item():.4f}, distance from the sum of the steps {gap:.1e}")

    for _ in range(updates):
        sequence = torch.randn(steps, batch)
        target = (sequence[0] > 0).float()
        probability = torch.sigmoid(unroll(sequence, h0, [W] * steps, U) @ V)
        loss = -(target * torch.log(probability + 1e-6) + (1 - target) * torch.log(1 - probability + 1e-6)).mean()
        loss.backward()
        with torch.no_grad():
            for parameter in (W, U, V):
                parameter -= learning_rate * parameter.grad
                parameter.grad = None

    correct = ((probability > 0.5).float() == target).float().mean().item()
    print(f"after {updates} updates: loss {loss.item():.3f}, correct {correct:.0%}")
    return gap, loss.item(), correct


if __name__ == "__main__":
    main()
