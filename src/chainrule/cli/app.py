"""The commands and their options."""

import csv
import io
import math
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from rich.console import Console

from .. import __version__
from .errors import InputError
from .explain import explain_command
from .model import Model
from .model_file import check_writable, load_model, save_model, write_text
from .report import printable, progress, show_plan, show_result
from .score import score
from .source import DIGITS, DIGITS_TARGET, load_source
from .table import Table, some
from .target import RULE
from .training import Settings
from .watching import follow_command, report_command
from .workflow import interruptible, prepare, train

__all__ = ["app", "main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
_DEFAULTS = Settings()
_WIDEST = 65536
_PIECE = 16384


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"chainrule {__version__}")
        raise typer.Exit


@app.callback()
def _command(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train a neural network on a table and predict with it."""


@app.command("train", epilog=RULE)
def train_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="digits|FILE.csv",
            help="The handwritten digits, or a table with column names in its first line ('-': standard input).",
        ),
    ],
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    task: Annotated[
        Literal["auto", "classification", "regression"], typer.Option(help="What the target asks for; see below.")
    ] = "auto",
    epochs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Passes over the training rows, at most: early stopping watches the validation loss.",
        ),
    ] = _DEFAULTS.epochs,
    lr: Annotated[float, typer.Option(help="Learning rate of AdamW.")] = _DEFAULTS.lr,
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers, or 'none'.")] = ",".join(
        map(str, _DEFAULTS.hidden)
    ),
    batch: Annotated[int, typer.Option(min=1, help="Rows per step.")] = _DEFAULTS.batch,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same model.")
    ] = _DEFAULTS.seed,
    categorical: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Take this column of numbers as names of categories. Repeatable."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Leave this column out, a row number for example. Repeatable."),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Where to save the model; by default the table's name with .safetensors, in this folder.",
        ),
    ] = None,
) -> None:
    """Train on the handwritten digits or on your own table, and report how good the network is on rows it has not seen.

    A column of numbers is standardised, a column of texts becomes one input per category; both may lack values.
    Ctrl-C ends the training and saves the best network so far.
    """
    settings = Settings(epochs, _learning_rate(lr), _hidden(hidden), batch, seed)
    if source == DIGITS:
        if target not in (None, DIGITS_TARGET):
            raise InputError(
                f"--target: the digits have the target '{DIGITS_TARGET}'; a file called 'digits' is './digits'"
            )
        target = DIGITS_TARGET
    path = save if save is not None else _default_path(source)
    table = load_source(source)
    if target is None:
        raise InputError(
            f"say which column to predict with --target COLUMN; the columns of '{source}' are {some(table.names, 20)}"
        )
    check_writable(path)
    plan = prepare(table, target, task, ignore or [], categorical or [], settings)
    console = Console(highlight=False)
    show_plan(console, plan)
    with interruptible() as stop:
        with progress(console, plan) as on_progress:
            result = train(plan, on_progress, stop)
        save_model(path, plan.model)
        show_result(console, plan, result, path)
    if result.history.outcome == "interrupted":
        raise typer.Exit(130)


@app.command("predict")
def predict_command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A file that 'chainrule train' saved.")],
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE.csv", help="A table with the columns that the model was trained on ('-': standard input)."
        ),
    ],
    output: Annotated[
        str | None, typer.Option(metavar="PATH", help="Write the CSV here instead of to standard output.")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add one column per class with its probability.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Put the table's own columns in front.")] = False,
) -> None:
    """Predict the target for every row of a table, as CSV; if the table holds the target, say how good that was."""
    trained = load_model(model)
    if probabilities and trained.target.classes is None:
        raise InputError(f"--probabilities: '{model}' predicts a number, '{trained.target.name}', and has no classes")
    table = load_source(source)
    outputs = trained.predict(table)
    text = _predictions(trained, table, outputs, probabilities, keep)
    if output is None:
        try:
            # In pieces: with PYTHONUNBUFFERED one large write to a closed pipe ends short and without an error.
            for i in range(0, len(text), _PIECE):
                sys.stdout.write(text[i : i + _PIECE])
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, `head` for example, has seen enough
            _discard_output()
            raise typer.Exit(141) from None
    else:
        write_text(output, text)
    if trained.target.name in table.columns:
        rows, actual = trained.target.known(table)
        if rows:
            found = score(trained.answers(outputs)[rows], actual, trained.target.classes is not None)
            measure = "accuracy" if trained.target.classes else "root mean square error"
            print(
                printable(f"{measure} on the {len(rows)} rows with a known '{trained.target.name}': {found}"),
                file=sys.stderr,
            )


app.command("explain")(explain_command)
app.command("report")(report_command)
app.command("watch")(follow_command)


def _predictions(model: Model, table: Table, outputs: np.ndarray, probabilities: bool, keep: bool) -> str:
    """The CSV text: the table's columns if kept, ``prediction``, if asked for one ``probability CLASS`` per class."""
    classes = model.target.classes
    answers = model.answers(outputs)
    columns: dict[str, list[str]] = dict(table.columns) if keep else {}
    columns[_free("prediction", columns)] = (
        [f"{value:.7g}" for value in answers] if classes is None else [classes[i] for i in answers]
    )
    if probabilities and classes is not None:
        for i, label in enumerate(classes):
            columns[_free(f"probability {label}", columns)] = [f"{value:.6f}" for value in outputs[:, i]]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _discard_output() -> None:
    """Keeps Python from complaining, when it exits, that the rest of the output found no taker."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _free(name: str, taken: dict[str, list[str]]) -> str:
    while name in taken:
        name += " (chainrule)"
    return name


def _learning_rate(lr: float) -> float:
    if not (math.isfinite(lr) and lr > 0):
        raise InputError(f"--lr: expected a number above 0, got {lr:g}")
    return lr


def _hidden(text: str) -> tuple[int, ...]:
    if text.strip().lower() == "none":
        return ()
    try:
        widths = tuple(int(width) for width in text.split(","))
    except ValueError:
        widths = (0,)
    if not all(1 <= width <= _WIDEST for width in widths):
        raise InputError(
            f"--hidden: expected widths from 1 to {_WIDEST} separated by commas, such as 64,32, or 'none', got '{text}'"
        )
    return widths


def _default_path(source: str) -> str:
    return f"{'table' if source == '-' else Path(source).stem}.safetensors"


def main(argv: list[str] | None = None) -> int:
    """Runs the command and gives its exit code: 0, 2 for unusable input (one line on stderr), 130 for Ctrl-C."""
    arguments = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a character that the terminal lacks is no reason to stop
    try:
        code = app(arguments or ["--help"], prog_name="chainrule", standalone_mode=False)
    except InputError as error:
        message = str(error)
    except typer.TyperException as error:
        message = f"{error.format_message()} (chainrule --help says more)"
    except typer.Abort:
        return 130
    except OSError as error:
        _discard_output()
        message = f"cannot write the output: {error.strerror or error}"
    except MemoryError:
        message = "not enough memory; a smaller --hidden or --batch helps"
    else:
        return code or 0
    print(f"chainrule: {printable(message)}", file=sys.stderr)
    return 2
