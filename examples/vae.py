"""A variational autoencoder of handwritten digits, with the reparameterisation trick."""

from sklearn.datasets import load_digits

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
import chainrule.optim as optim
from chainrule.utils.data import DataLoader


class VAE(nn.Module):
    def __init__(self, hidden, latent):
        super().__init__()
        self.fc1 = nn.Linear(64, hidden)
        self.fc21 = nn.Linear(hidden, latent)
        self.fc22 = nn.Linear(hidden, latent)
        self.fc3 = nn.Linear(latent, hidden)
        self.fc4 = nn.Linear(hidden, 64)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 64))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    """Reconstruction error plus the KL divergence from the prior N(0, 1) (Kingma and Welling, 2014, appendix B)."""
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 64), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


def ascii_art(images):
    """The images side by side, one character per pixel."""
    shades = " .:-=+*#%@"
    rows = torch.cat(list(images.view(-1, 8, 8)), dim=1)
    return "\n".join("".join(shades[min(9, int(v * 10))] * 2 for v in row) for row in rows.tolist())


def main(epochs=15, hidden=64, latent=8, batch_size=64, seed=0):
    torch.manual_seed(seed)
    images = torch.tensor(load_digits().images / 16, dtype=torch.float32)
    loader = DataLoader(images, batch_size=batch_size, shuffle=True)
    model = VAE(hidden, latent)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for epoch in range(1, epochs + 1):
        model.train()
        total = 0.0
        for data in loader:
            optimizer.zero_grad()
            recon_batch, mu, logvar = model(data)
            loss = loss_function(recon_batch, data, mu, logvar)
            loss.backward()
            total += loss.item()
            optimizer.step()
        losses.append(total / len(images))
        if epoch % max(1, epochs // 5) == 0:
            print(f"epoch {epoch:2}: loss per image {losses[-1]:.2f}")
    with torch.no_grad():
        drawn = model.decode(torch.randn(4, latent))
    print(ascii_art(drawn))
    return losses[0], losses[-1], drawn


if __name__ == "__main__":
    main()
