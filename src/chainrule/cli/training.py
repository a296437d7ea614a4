"""The network and the loop that trains it: ordinary PyTorch code, with chainrule as torch."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import chainrule as torch
from chainrule import nn, optim

__all__ = ["History", "Settings", "forward", "network", "train_network"]

_CHUNK = 4096
# So many epochs without a better validation loss end the training.
_PATIENCE = 20


@dataclass(frozen=True)
class Settings:
    """What the user chose."""

    epochs: int = 200
    lr: float = 1e-3
    hidden: tuple[int, ...] = (64, 32)
    batch: int = 32
    seed: int = 0


@dataclass
class History:
    """How training went. Losses are per epoch; `best_epoch` counts from 1, 0 being the untrained network."""

    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = float("inf")
    outcome: str = "finished"  # or "stopped early", "interrupted", "diverged"


def network(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Linear layers of the given widths with ReLU between them."""
    widths = (inputs, *hidden, outputs)
    layers: list[nn.Module] = []
    for i in range(len(widths) - 1):
        if i:
            layers.append(nn.ReLU())
        layers.append(nn.Linear(widths[i], widths[i + 1]))
    return nn.Sequential(*layers)


def forward(model: nn.Module, x: np.ndarray) -> np.ndarray:
    """The network's outputs for an array of rows, without a graph and in pieces that bound the memory."""
    with torch.no_grad():
        parts = [model(torch.from_numpy(x[i : i + _CHUNK])).numpy() for i in range(0, len(x), _CHUNK)]
    return np.concatenate(parts)


def train_network(
    model: nn.Sequential,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    settings: Settings,
    on_progress: Callable[[float, History], None],
    stop: Callable[[], bool],
) -> History:
    """Trains with AdamW until the validation loss has not fallen for 20 epochs, and leaves the best weights in `model`.

    Integer targets are class numbers (cross entropy), float targets of shape (rows, 1) are values (mean square error).
    `on_progress(epochs done, history)` is called after every step, `stop()` asked before it.
    """
    x, y = train
    loss_of = nn.CrossEntropyLoss() if y.dtype == np.int64 else nn.MSELoss()
    optimizer = optim.AdamW(model.parameters(), lr=settings.lr)
    shuffle = np.random.default_rng(settings.seed)
    history = History()
    best = _weights(model)
    steps = -(-len(x) // settings.batch)

    def validate(epoch: int) -> None:
        nonlocal best
        loss = _loss(model, loss_of, *validation)
        history.validation.append(loss)
        if loss < history.best_loss:
            history.best_loss, history.best_epoch, best = loss, epoch, _weights(model)

    for epoch in range(1, settings.epochs + 1):
        order = shuffle.permutation(len(x))
        total, seen = 0.0, 0
        for step in range(steps):
            if stop():
                history.outcome = "interrupted"
                break
            rows = order[step * settings.batch : (step + 1) * settings.batch]
            optimizer.zero_grad()
            loss = loss_of(model(torch.from_numpy(x[rows])), torch.from_numpy(y[rows]))
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
            seen += len(rows)
            on_progress(epoch - 1 + (step + 1) / steps, history)
        if seen:
            # An epoch that was cut short counts too: its weights may be the best so far.
            history.train.append(total / seen)
            validate(epoch)
        if history.outcome == "interrupted":
            break
        if not np.isfinite(total):
            history.outcome = "diverged"
            break
        on_progress(float(epoch), history)
        if epoch - history.best_epoch >= _PATIENCE:
            history.outcome = "stopped early"
            break
    model.load_state_dict(best)
    return history


def _weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _loss(model: nn.Module, loss_of: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    return float(loss_of(torch.from_numpy(forward(model, x)), torch.from_numpy(y)).item())
