"""A generative adversarial network: two networks, two optimisers, one loss.

The generator learns to place points on a circle that it never sees; it is only told how real its points look.
"""

import math

import chainrule as torch
import chainrule.nn as nn
import chainrule.optim as optim


def real_points(count):
    """Points near the circle of radius 2."""
    angle = 2 * math.pi * torch.rand(count, 1)
    return 2 * torch.cat([torch.cos(angle), torch.sin(angle)], dim=1) + 0.05 * torch.randn(count, 2)


def main(updates=1000, batch=128, latent=4, hidden=64, lr=2e-3, seed=0):
    torch.manual_seed(seed)
    netG = nn.Sequential(
        nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 2)
    )
    netD = nn.Sequential(
        nn.Linear(2, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, 1),
        nn.Sigmoid(),
    )
    criterion = nn.BCELoss()
    optimizerD = optim.Adam(netD.parameters(), lr=lr, betas=(0.5, 0.999))
    optimizerG = optim.Adam(netG.parameters(), lr=lr, betas=(0.5, 0.999))
    real_label, fake_label = torch.ones(batch, 1), torch.zeros(batch, 1)

    def distance_from_circle():
        with torch.no_grad():
            points = netG(torch.randn(500, latent))
        return (points.norm(dim=1) - 2).abs().mean().item()

    before = distance_from_circle()
    for update in range(1, updates + 1):
        # The discriminator: log D(x) + log(1 - D(G(z)))
        netD.zero_grad()
        fake = netG(torch.randn(batch, latent))
        errD = criterion(netD(real_points(batch)), real_label) + criterion(netD(fake.detach()), fake_label)
        errD.backward()
        optimizerD.step()

        # The generator: log D(G(z))
        netG.zero_grad()
        errG = criterion(netD(fake), real_label)
        errG.backward()
        optimizerG.step()
        if update % max(1, updates // 5) == 0:
            print(
                f"update {update:4}: loss D {errD.item():.3f}, loss G {errG.item():.3f}, "
                f"distance from the circle {distance_from_circle():.3f}"
            )
    return before, distance_from_circle()


if __name__ == "__main__":
    main()
