"""What every program of the corpus is made of: its labels, the watch it runs under, plain loops and scores.

A program is a function ``program(seed, variant)`` that trains something as a user would and returns a score: the share
of held-out accuracy or of explained variance, at most 1, higher is better. A faulty one has two variants, ``"faulty"``
and ``"healthy"``, one edit apart; the line that makes the difference, or the operator that makes the first non-finite
number, carries the comment ``# fault``. A sound program has one variant.
"""

import inspect
import zlib
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

import chainrule as torch

CODES = (
    "vanishing-gradient",
    "exploding-gradient",
    "dead-units",
    "saturated-units",
    "bad-initialisation",
    "learning-rate-too-high",
    "learning-rate-too-low",
    "non-finite",
    "missing-zero-grad",
    "untrained-parameter",
    "loss-mismatch",
    "bad-input",
    "bad-labels",
)

# Of those tried the one that shares out the codes most evenly. It was changed once, after a first scoring run whose
# split left no vanishing gradient to set thresholds on.
SALT = 1703
PROGRAMS = {}


@dataclass(frozen=True)
class Program:
    """One program and what is known about it.

    ``codes`` are the right names of the fault, the main one first; none for a sound program. ``where`` are the module
    paths, parameters or operators at which it may be placed; empty when the fault has no place (a learning rate).
    ``structural`` faults can be told from the graph alone; ``after`` is the number of steps before there is something
    to see. ``operator`` is the origin of a non-finite number (several names for one: separated by
    spaces). ``reaches`` is the score of the healthy variant.
    """

    run: object
    codes: tuple
    where: tuple
    structural: bool
    after: int
    operator: str
    reaches: float
    hard: bool

    @property
    def name(self):
        return self.run.__name__

    @property
    def split(self):
        """``"tune"`` for a third of the names, by a hash that never changes; ``"late"`` and ``"last"`` for those added
        afterwards, in two rounds."""
        start = self.name.partition("_")[0]
        if start in ("late", "last"):
            return start
        return "tune" if zlib.crc32(f"{SALT} {self.name}".encode()) % 3 == 0 else "held-out"

    @property
    def faulty(self):
        return bool(self.codes)

    @property
    def variants(self):
        return ("faulty", "healthy") if self.faulty else ("healthy",)

    @property
    def lines(self):
        """``file:line`` of every line marked ``# fault``."""
        text, first = inspect.getsourcelines(self.run)
        file = inspect.getsourcefile(self.run)
        return tuple(f"{file}:{first + i}" for i, line in enumerate(text) if "# fault" in line)


def faulty(*codes, where=(), structural=False, after=0, operator="", reaches=0.6):
    """Register a faulty program and its healthy twin."""
    unknown = set(codes) - set(CODES)
    if unknown or not codes:
        raise ValueError(f"faulty: codes must be among {CODES}, got {codes}")
    where = (where,) if isinstance(where, str) else tuple(where)
    return lambda run: _register(Program(run, codes, where, structural, after, operator, reaches, False))


def healthy(reaches, hard=False):
    """Register a sound program, which ends at a score of ``reaches`` or better."""
    return lambda run: _register(Program(run, (), (), False, 0, "", reaches, hard))


def _register(program):
    if program.name in PROGRAMS:
        raise ValueError(f"two programs are called {program.name!r}")
    PROGRAMS[program.name] = program
    return program.run


_open = None


def watch(model, optimizer):
    """``chainrule.watch`` when the scorer runs the program, nothing otherwise."""
    return nullcontext() if _open is None else _open(model, optimizer)


def run(program, seed, variant, watcher=None):
    """The program's score; ``watcher(model, optimizer)`` gives the watch it runs under."""
    global _open
    _open = watcher
    try:
        with np.errstate(all="ignore"):
            return float(program.run(seed, variant))
    except IndexError:  # a fault that stops the run is an outcome too
        if variant != "faulty":
            raise
        return float("nan")
    finally:
        _open = None


def batches(x, y, size, epochs, seed=0):
    """Shuffled batches; the last, shorter one of an epoch is left out."""
    order = np.random.default_rng(seed)
    for _ in range(epochs):
        places = order.permutation(len(x))
        for i in range(0, len(x) - size + 1, size):
            chosen = torch.tensor(places[i : i + size])
            yield x[chosen], y[chosen]


def fit(model, optimizer, loss_of, loader):
    """The plain training loop, for programs whose point is elsewhere."""
    with watch(model, optimizer):
        for x, y in loader:
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()


def accuracy(model, x, y):
    """The share of right classes; of right signs where there is one output."""
    model.eval()
    with torch.no_grad():
        out = model(x).numpy()
    right = y.numpy().reshape(-1)
    if out.ndim == 1 or out.shape[-1] == 1:
        return float(((out.reshape(-1) > 0) == (right > 0.5)).mean())
    return float((out.reshape(-1, out.shape[-1]).argmax(-1) == right).mean())


def explained(model, x, y):
    """One minus the squared error over the variance of the target."""
    model.eval()
    with torch.no_grad():
        out = model(x).numpy().reshape(len(y), -1)
    right = y.numpy().reshape(len(y), -1)
    return float(1 - ((out - right) ** 2).mean() / ((right - right.mean(0)) ** 2).mean())


def likelihood(model, x, y):
    """One minus the log loss over that of the classes' frequencies: how right the probabilities are."""
    model.eval()
    with torch.no_grad():
        out = model(x).numpy().astype("float64")
    right = y.numpy().reshape(-1)
    if out.shape[-1] == 1:
        out = np.concatenate([np.zeros_like(out), out], 1)
    out = out - out.max(1, keepdims=True)
    out = out - np.log(np.exp(out).sum(1, keepdims=True))
    share = np.bincount(right, minlength=out.shape[1]) / len(right)
    return float(1 - np.mean(out[np.arange(len(right)), right]) / np.mean(np.log(share[right])))


def mlp(sizes, activation, *last):
    """Linear layers of the given sizes with an activation between them, and the modules ``last`` at the end."""
    layers = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False)):
        layers += [torch.nn.Linear(a, b)] if i == 0 else [activation(), torch.nn.Linear(a, b)]
    return torch.nn.Sequential(*layers, *last)


def lambda_module(function):
    """A function with the face of a module."""

    class Wrapped(torch.nn.Module):
        def forward(self, x):
            return function(x)

    return Wrapped()


def paths(*numbers, under=""):
    """Module paths of the given numbers."""
    return tuple(f"{under}{i}" for i in numbers)
