"""``chainrule explain``: an expression step by step, forward and backward, and how each gradient comes about."""

import re
from typing import Annotated

import typer

from ..errors import ChainruleError
from ..graphs import Graph, graph
from ..graphs.explain import Explanation
from ..graphs.expression import ExpressionError, parse_value
from ..graphs.steps import BackwardStep
from .errors import InputError
from .model_file import write_text

__all__ = ["explain_command", "explanation"]

_NAME = re.compile(r"[^\W\d]\w*")


def explain_command(
    expression: Annotated[
        str,
        typer.Argument(
            metavar="EXPRESSION",
            help="For example '(x + y) * z', or several named statements: 'q = x + y; f = tanh(q) * z'.",
        ),
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE", help="A number, a vector [1,2] or a matrix [[1,2],[3,4]] per variable."),
    ] = None,
    wrt: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only the gradient of this variable (or named statement). Repeatable."),
    ] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Print the gradients as LaTeX.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the whole graph as JSON.")] = False,
    svg: Annotated[str | None, typer.Option(metavar="FILE", help="Write the drawing as SVG.")] = None,
    html: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the interactive page: steps, paths and inputs that can be edited."),
    ] = None,
) -> None:
    """Compute an expression and its gradients step by step, with the rule used at each.

    Operators: + - * / ** @ and the comparisons < <= > >= == !=, for use in where(condition, a, b). Functions: tanh,
    sigmoid, relu, exp, log, sqrt, sin, cos, abs, max, min, sum, mean and more.
    The expression is read, never run as Python.
    """
    if latex and json:
        raise InputError("--latex and --json: choose one")
    made = computed(expression, values or [])
    chosen = wanted(made, wrt or [])
    if svg is not None:
        write_text(svg, made.svg())
    if html is not None:
        write_text(html, made.html())
    if json:
        print(made.to_json(indent=2))
    elif latex:
        for name in chosen:
            print(made.explain(name).latex())
    else:
        print(explanation(made, chosen))


def computed(expression: str, values: list[str]) -> Graph:
    """The graph of the expression with its gradients."""
    variables = {}
    for text in values:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not _NAME.fullmatch(name):
            raise InputError(f"expected NAME=VALUE such as x=2, got '{text[:80]}'")
        if name in variables:
            raise InputError(f"'{name}' is given twice")
        try:
            variables[name] = parse_value(value)
        except ExpressionError as error:
            raise InputError(f"{name}=: {error.message} (column {error.column + len(text) - len(value)})") from None
    try:
        return graph(expression, **variables).backward()
    except ExpressionError as error:
        raise InputError(f"{error.message} (column {error.column})") from None
    except ChainruleError as error:
        raise InputError(str(error).splitlines()[0]) from None


def wanted(made: Graph, names: list[str]) -> list[str]:
    """The names of the nodes whose gradient is explained: those asked for, or all variables."""
    known = [n.name for n in made.nodes if n.requires_grad]
    for name in names:
        if name not in known:
            raise InputError(f"--wrt {name}: there is no such variable; there are {', '.join(known)}")
    return names or [n.name for n in made.inputs]


def explanation(made: Graph, names: list[str]) -> str:
    """Everything the command prints: steps forward, steps backward, the gradients, the drawing."""
    forward = list(made.forward_steps())
    backward: list[BackwardStep] = list(made.backward_steps())
    width = max([len(str(s)) for s in backward if len(str(s)) <= 60], default=0)
    lines = ["Forward", *[f"{s.number:>4}  {s}" for s in forward], "", "Backward"]
    lines += [f"{s.number:>4}  {str(s):<{width}}    {s.rule}" for s in backward]
    lines += ["", "Gradients"]
    for name in names:
        found: Explanation = made.explain(name)
        lines.append(f"      {found}")
        if found.count > 1 and found.factored_differs:
            lines.append(f"      {found.factored()}")
    drawing = made.draw()
    return "\n".join([*lines, "", drawing])
