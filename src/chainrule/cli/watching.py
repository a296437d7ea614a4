"""``chainrule report`` and ``chainrule watch``: a recorded run as text and page, and followed in the terminal."""

import time
from typing import Annotated

import typer

from ..diagnosis import Report, Run
from ..errors import FileFormatError
from .errors import InputError
from .model_file import write_text

__all__ = ["follow_command", "report_command"]

_RUN = typer.Argument(metavar="RUN.db", help="A file that chainrule.watch(..., store='run.db') or w.save() wrote.")


def report_command(
    path: Annotated[str, _RUN],
    html: Annotated[
        str | None,
        typer.Option(metavar="FILE.html", help="Where to write the page; by default beside the run, with .html."),
    ] = None,
    no_html: Annotated[bool, typer.Option("--no-html", help="Print the findings only.")] = False,
) -> None:
    """Print what chainrule.watch found in a training, and write it as one page with curves."""
    if html is not None and no_html:
        raise InputError("--html and --no-html: choose one")
    try:
        report = Report.of_file(path)
    except FileNotFoundError:
        raise InputError(f"'{path}' is not there") from None
    except FileFormatError as error:
        raise InputError(str(error)) from None
    print(report)
    if not no_html:
        target = html or f"{path.removesuffix('.db')}.html"
        write_text(target, report.html())
        print(f"\nThe page is in {target}")


def follow_command(
    path: Annotated[str, _RUN],
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print what is there and stop.")] = False,
) -> None:
    """Follow a running training: the loss, and findings as they come. Ctrl-C ends the looking, not the training."""
    said: dict[tuple[str, str], str] = {}
    step = -1
    try:
        run = _opened(path, wait=not once, interval=interval)
        while True:
            fresh = run.loss_after(step)
            if fresh:
                step, value = fresh[-1]
                shown = "NaN" if value is None else f"{value:.6g}"
                print(f"step {step:>8}   loss {shown}{_rate(run)}", flush=True)
            for f in run.findings:
                if said.get((f.code, f.where)) != f.status:
                    said[(f.code, f.where)] = f.status
                    print(str(f), flush=True)
            if once or (run.ended and not fresh):
                break
            time.sleep(interval)
        print(f"{run.steps} steps, {len(said)} findings" + ("; the run has ended" if run.ended else ""))
        run.close()
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _rate(run: Run) -> str:
    rates = run.rate
    return f"   rate {rates[-1][1]:.3g}" if rates else ""


def _opened(path: str, wait: bool, interval: float) -> Run:
    """The run; waits half a minute for a file that a training is about to make."""
    until = time.monotonic() + 30
    while True:
        try:
            return Run(path)
        except FileNotFoundError:
            if not wait or time.monotonic() > until:
                raise InputError(f"'{path}' is not there") from None
        except FileFormatError as error:
            if not wait or time.monotonic() > until - 25:  # it may be about to get its tables
                raise InputError(str(error)) from None
        time.sleep(interval)
