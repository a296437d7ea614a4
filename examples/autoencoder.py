"""An autoencoder squeezes the 13 measurements of a wine into 2 numbers; the three growers come apart by themselves."""

from sklearn.datasets import load_wine

import chainrule as torch
import chainrule.nn as nn
import chainrule.optim as optim


def main(epochs=300, hidden=16, seed=0):
    torch.manual_seed(seed)
    wine = load_wine()
    x = torch.tensor(wine.data, dtype=torch.float32)
    x = (x - x.mean(dim=0)) / x.std(dim=0)
    growers = torch.tensor(wine.target)

    encoder = nn.Sequential(nn.Linear(13, hidden), nn.Tanh(), nn.Linear(hidden, 2))
    decoder = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 13))
    autoencoder = nn.Sequential(encoder, decoder)
    optimizer = optim.RMSprop(autoencoder.parameters(), lr=5e-3)
    losses = []
    for epoch in range(1, epochs + 1):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(autoencoder(x), x)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if epoch % max(1, epochs // 5) == 0:
            print(f"epoch {epoch:4}: reconstruction error {loss.item():.3f}")

    # How well the two numbers, which never saw the growers, tell the growers apart: nearest centre in the code.
    with torch.no_grad():
        code = encoder(x)
        centres = torch.stack([code[growers == k].mean(0) for k in range(3)])
        nearest = (code.unsqueeze(1) - centres).norm(dim=2).argmin(dim=1)
        accuracy = (nearest == growers).float().mean().item()
    print(f"nearest centre in the code names the grower of {accuracy:.1%} of the wines")
    return losses[0], losses[-1], accuracy


if __name__ == "__main__":
    main()
