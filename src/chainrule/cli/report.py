"""What the command prints: the plan, the progress and the report. With `app`, the only user of rich."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from .curve import draw_curve
from .table import some
from .training import History
from .workflow import Plan, Result

__all__ = ["printable", "progress", "show_plan", "show_result"]

_CURVE_WIDTH, _CURVE_HEIGHT = 64, 9
# Without a terminal, so many lines of progress at most.
_LINES = 10


def printable(text: str) -> str:
    """One line without control characters, which a file's contents could bring."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def show_plan(console: Console, plan: Plan) -> None:
    """Says what was found in the table and what will be trained."""
    model, split, target = plan.model, plan.split, plan.model.target
    columns, width = len(model.preprocessor.columns), model.preprocessor.width
    what = f"{len(target.classes)} classes" if target.classes else "regression"
    _row(console, "Data", f"{plan.source}: {len(plan.y)} rows, {columns} columns")
    if plan.without_target:
        _row(console, "", f"{plan.without_target} rows without a value in '{target.name}' left out")
    if plan.unused:
        _row(console, "", f"not used, as they do not tell rows apart: {some(list(plan.unused))}")
    _row(console, "Target", f"{target.name} ({what})")
    _row(
        console,
        "Split",
        f"{len(split.train)} training, {len(split.validation)} validation, {len(split.held_out)} held out",
    )
    layers = (" -> " if _ascii(console) else " → ").join(str(n) for n in (width, *model.hidden, target.width))
    _row(console, "Network", f"{layers}, {plan.parameters} parameters")


@contextmanager
def progress(console: Console, plan: Plan) -> Iterator[Callable[[float, History], None]]:
    """A bar on a terminal; elsewhere, a line now and then."""
    epochs = plan.settings.epochs
    if not console.is_terminal:
        yield _lines(console, epochs)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, refresh_per_second=8, transient=True) as bar:
        task = bar.add_task("Training", total=epochs, note="")

        def show(done: float, history: History) -> None:
            bar.update(task, completed=done, note=_note(done, epochs, history))

        yield show


def _lines(console: Console, epochs: int) -> Callable[[float, History], None]:
    every = max(1, epochs // _LINES)
    last = 0

    def show(done: float, history: History) -> None:
        nonlocal last
        epoch = int(done)
        # The call after an epoch's validation, not the one after its last step.
        if epoch == len(history.validation) and epoch > last and (epoch == 1 or epoch % every == 0):
            last = epoch
            console.print(_note(done, epochs, history), markup=False, highlight=False, soft_wrap=True)

    return show


def _note(done: float, epochs: int, history: History) -> str:
    note = f"epoch {min(int(done) + (done % 1 > 0), epochs)}/{epochs}"
    if history.validation:
        note += f"  loss {history.train[-1]:.4f}  validation {history.validation[-1]:.4f}"
    return note


def show_result(console: Console, plan: Plan, result: Result, path: str) -> None:
    """The report: score beside the baselines, loss curve, time, and where the model is."""
    history, target = result.history, plan.model.target
    console.print()
    if len(history.train) > 1:
        for line in draw_curve(
            history.train,
            history.validation,
            history.best_epoch,
            min(console.width, _CURVE_WIDTH),
            _CURVE_HEIGHT,
            _ascii(console),
        ):
            console.print(Text(line), soft_wrap=True)
        console.print()
    measure = "Accuracy" if target.classes else "Root mean square error"
    console.print(Text(f"{measure} on {result.network.rows} held-out rows", "bold"), soft_wrap=True)
    simple = "majority class" if target.classes else "mean"
    for name, value in (("network", result.network), ("linear model", result.linear), (simple, result.simple)):
        _row(console, f"  {name}", _plain(str(value), console), 18)
    if not result.network.beats(result.simple):
        console.print(
            Text(f"The network is no better than always answering with the {simple}.", "yellow"), soft_wrap=True
        )
    elif result.linear.beats(result.network):
        console.print(Text("The linear model does better here than the network.", "yellow"), soft_wrap=True)
    console.print()
    _row(
        console,
        "Time",
        f"{result.seconds:.1f} s, {len(history.train)} of {plan.settings.epochs} epochs{_ending(history)}",
    )
    _row(console, "Saved", f"{path} (the network as it was {_best(history)})")


def _best(history: History) -> str:
    return f"after epoch {history.best_epoch}, the best one" if history.best_epoch else "before training"


def _ending(history: History) -> str:
    return {
        "finished": "",
        "stopped early": ": stopped early, the validation loss no longer fell",
        "interrupted": ": interrupted",
        "diverged": ": stopped, the loss became infinite (a smaller --lr helps)",
    }[history.outcome]


def _row(console: Console, name: str, text: str, width: int = 9) -> None:
    console.print(Text(f"{name:<{width}}", "bold").append(printable(text), "not bold"), soft_wrap=True)


def _ascii(console: Console) -> bool:
    return not console.encoding.lower().startswith("utf")


def _plain(text: str, console: Console) -> str:
    return text.replace("²", "2") if _ascii(console) else text
