"""From a table to a trained and judged model, step by step and without a word to the terminal."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

import chainrule as torch

from .baseline import linear_model, simple_model
from .errors import InputError
from .model import Model
from .preprocess import Preprocessor
from .score import Score, score
from .split import Split, split_rows
from .table import Table, is_missing
from .target import Target
from .training import History, Settings, network, train_network

__all__ = ["Plan", "Result", "interruptible", "prepare", "train"]


@dataclass(frozen=True)
class Plan:
    """A table made ready: numbers, split, an untrained model."""

    source: str
    model: Model
    settings: Settings
    x: np.ndarray
    y: np.ndarray
    split: Split
    unused: tuple[str, ...]
    without_target: int

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(parameter.numel() for parameter in self.model.network.parameters())


@dataclass(frozen=True)
class Result:
    """What training gave, judged on the held-out rows."""

    history: History
    seconds: float
    network: Score
    linear: Score
    simple: Score


def prepare(
    table: Table, target_name: str, task: str, ignore: list[str], categorical: list[str], settings: Settings
) -> Plan:
    """Decides what every column means, splits the rows and builds the network.

    Raises:
        InputError: anything in the table or the names that rules training out.
    """
    cells = table.column(target_name, "--target")
    for option, names in (("--ignore", ignore), ("--categorical", categorical)):
        for name in names:
            table.column(name, option)
            if name == target_name:
                raise InputError(f"{option}: '{name}' is the target; name another column")
    known = [i for i, cell in enumerate(cells) if not is_missing(cell)]
    if not known:
        raise InputError(f"column '{target_name}' of '{table.source}' has no values")
    without_target = len(table) - len(known)
    if without_target:
        table = table.select(known)
    target, y = Target.fit(table, target_name, task)
    split = split_rows(y, settings.seed)
    names = [name for name in table.names if name != target_name and name not in ignore]
    preprocessor = Preprocessor.fit(table, split.train.tolist(), names, set(categorical))
    if target.classes is None:
        target = target.standardised(y[split.train])
    torch.manual_seed(settings.seed)
    model = Model(preprocessor, target, settings.hidden, network(preprocessor.width, settings.hidden, target.width))
    used = {column.name for column in preprocessor.columns}
    unused = tuple(name for name in names if name not in used)
    return Plan(table.source, model, settings, preprocessor.transform(table), y, split, unused, without_target)


def train(plan: Plan, on_progress: Callable[[float, History], None], stop: Callable[[], bool]) -> Result:
    """Trains the plan's network and judges it. `stop()` turning true ends the training, and the best weights stay.

    Raises:
        InputError: the loss was not finite from the first epoch on.
    """
    split, target, model = plan.split, plan.model.target, plan.model
    y = plan.y if target.classes else ((plan.y[:, None] - target.mean) / target.std).astype(np.float32)
    begin = time.perf_counter()
    history = train_network(
        model.network,
        (plan.x[split.train], y[split.train]),
        (plan.x[split.validation], y[split.validation]),
        plan.settings,
        on_progress,
        stop,
    )
    seconds = time.perf_counter() - begin
    if history.outcome == "diverged" and history.best_epoch == 0:
        raise InputError(
            f"the loss became infinite in the first epoch; --lr {plan.settings.lr:g} is too large, try a tenth of it"
        )
    classes = len(target.classes or ())
    y_train, y_held = plan.y[split.train], plan.y[split.held_out]
    x_train, x_held = plan.x[split.train], plan.x[split.held_out]

    def judge(answers: np.ndarray) -> Score:
        return score(answers, y_held, bool(classes))

    return Result(
        history,
        seconds,
        network=judge(model.answers(model.outputs(x_held))),
        linear=judge(linear_model(x_train, y_train, x_held, classes)),
        simple=judge(simple_model(y_train, len(y_held), classes)),
    )


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C into a flag, so that no step is cut in half; a second one interrupts at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # only the main thread may set a handler
        return
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(_number: int, _frame: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
