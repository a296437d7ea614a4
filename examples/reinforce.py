"""REINFORCE (Williams, 1992) balances a pole on a cart: the gradient of a choice that was sampled."""

import math

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
import chainrule.optim as optim
from chainrule.distributions import Categorical


class CartPole:
    """The classic control problem (Barto, Sutton and Anderson, 1983), integrated with Euler steps of 20 ms."""

    gravity, mass_cart, mass_pole, half_length, force, dt = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02

    def reset(self):
        self.state = (0.1 * torch.rand(4) - 0.05).tolist()
        return torch.tensor(self.state)

    def step(self, action):
        """Pushes left (0) or right (1); returns the new state and whether the pole fell or the cart left the track."""
        x, speed, angle, spin = self.state
        push = self.force if action == 1 else -self.force
        total = self.mass_cart + self.mass_pole
        sin, cos = math.sin(angle), math.cos(angle)
        part = (push + self.mass_pole * self.half_length * spin**2 * sin) / total
        spin_rate = (self.gravity * sin - cos * part) / (self.half_length * (4 / 3 - self.mass_pole * cos**2 / total))
        acceleration = part - self.mass_pole * self.half_length * spin_rate * cos / total
        self.state = [
            x + self.dt * speed,
            speed + self.dt * acceleration,
            angle + self.dt * spin,
            spin + self.dt * spin_rate,
        ]
        done = abs(self.state[0]) > 2.4 or abs(self.state[2]) > 12 * math.pi / 180
        return torch.tensor(self.state), done


class Policy(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.affine1 = nn.Linear(4, hidden)
        self.affine2 = nn.Linear(hidden, 2)

    def forward(self, state):
        return F.softmax(self.affine2(F.relu(self.affine1(state))), dim=-1)


def play(env, policy, max_steps):
    """One episode: the log-probabilities of the actions taken. The reward is 1 for every step survived."""
    state, log_probs = env.reset(), []
    for _ in range(max_steps):
        choice = Categorical(policy(state))
        action = choice.sample()
        log_probs.append(choice.log_prob(action))
        state, done = env.step(action.item())
        if done:
            break
    return log_probs


def returns(rewards, gamma):
    """Discounted sum of the rewards from each step to the end."""
    result, total = [], 0.0
    for reward in reversed(rewards):
        total = reward + gamma * total
        result.insert(0, total)
    return torch.tensor(result)


def main(episodes=150, max_steps=200, hidden=64, gamma=0.99, seed=0):
    torch.manual_seed(seed)
    env, policy = CartPole(), Policy(hidden)
    optimizer = optim.Adam(policy.parameters(), lr=1e-2)
    lengths = []
    for episode in range(1, episodes + 1):
        log_probs = play(env, policy, max_steps)
        R = returns([1.0] * len(log_probs), gamma)
        R = (R - R.mean()) / (R.std() + 1e-8)
        loss = -(torch.stack(log_probs) * R).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lengths.append(len(log_probs))
        if episode % max(1, episodes // 5) == 0:
            recent = lengths[-max(1, episodes // 5) :]
            print(f"episode {episode:4}: the pole stood {sum(recent) / len(recent):.0f} steps on average")
    return lengths


if __name__ == "__main__":
    main()
