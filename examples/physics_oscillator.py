"""A network that knows physics: it fits x'' + 2*d*x' + w^2*x = 0 (a damped oscillator), given only how it starts.

The derivatives x' and x'' of the network with respect to its input are taken by the engine with create_graph=True,
and the loss built from them is differentiated once more, with respect to the weights.
"""

import math

import chainrule as torch
import chainrule.nn as nn
import chainrule.optim as optim


def exact(t, d, w):
    """The solution for x(0) = 1, x'(0) = 0, underdamped (d < w)."""
    v = math.sqrt(w**2 - d**2)
    return torch.exp(-d * t) * (torch.cos(v * t) + d / v * torch.sin(v * t))


def main(updates=800, hidden=32, points=40, d=0.5, w=3.0, end=2.0, seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))
    optimizer = optim.Adam(net.parameters(), lr=2e-2)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    start = torch.zeros(1, 1, requires_grad=True)
    t = torch.linspace(0, end, points).view(-1, 1).requires_grad_(True)
    losses = []
    for update in range(1, updates + 1):
        optimizer.zero_grad()
        x0 = net(start)
        (v0,) = torch.autograd.grad(x0, start, create_graph=True)
        beginning = (x0 - 1).square().sum() + v0.square().sum()

        x = net(t)
        (dx,) = torch.autograd.grad(x, t, torch.ones_like(x), create_graph=True)
        (d2x,) = torch.autograd.grad(dx, t, torch.ones_like(dx), create_graph=True)
        physics = (d2x + 2 * d * dx + w**2 * x).square().mean()

        loss = beginning + 3e-2 * physics
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        if update % max(1, updates // 5) == 0:
            print(f"update {update:4}: loss {loss.item():.5f}")

    with torch.no_grad():
        error = (net(t) - exact(t, d, w)).abs().max().item()
    print(f"largest distance from the exact solution {error:.3f}")
    return losses[0], losses[-1], error


if __name__ == "__main__":
    main()
