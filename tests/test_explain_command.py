"""``chainrule explain``: what it prints, and one clear line for what it can't read."""

import json

import pytest

pytest.importorskip("typer")
from chainrule.cli.app import main


def run(capsys, *argv):
    code = main(["explain", *argv])
    out, err = capsys.readouterr()
    return code, out, err


def test_all_the_steps(capsys):
    code, out, err = run(capsys, "q = x + y; f = q * z", "x=2", "y=3", "z=-4")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert lines[:4] == ["Forward", "1 q = x + y = 2 + 3 = 5", "2 f = q·z = 5·(-4) = -20", ""]
    assert "2 ∂f/∂q = ∂f/∂f · z = 1·(-4) = -4 ∂(a·b)/∂a = b" in lines
    assert "∂f/∂x = ∂f/∂q·∂q/∂x = (-4)·1 = -4" in lines and "∂f/∂z = 5" in lines
    assert "╭" in out and "-20" in out.split("Gradients")[1]


def test_one_gradient_with_its_paths(capsys):
    _, out, _ = run(capsys, "y = α*x + β*x; δ*y + ε*y", "x=1", "α=1", "β=2", "δ=4", "ε=5", "--wrt", "x")
    gradients = out.split("Gradients\n")[1].split("\n\n")[0].splitlines()
    assert len(gradients) == 2 and gradients[0].endswith("= 27")
    assert gradients[1].strip() == "∂f/∂x = (δ + ε)·(α + β) = (4 + 5)·(1 + 2) = 27"


def test_latex(capsys):
    code, out, _ = run(capsys, "W @ x @ x", "W=[[1,2],[3,4]]", "x=[1,2]", "--latex", "--wrt", "x")
    assert code == 0 and out.startswith(r"\frac{\partial f}{\partial x} = ") and out.count("\n") == 1


def test_json_and_svg(capsys, tmp_path):
    path = tmp_path / "graph.svg"
    code, out, _ = run(capsys, "tanh(x) * 2", "x=0.5", "--json", "--svg", str(path))
    assert code == 0 and [n["name"] for n in json.loads(out)["nodes"]][0] == "x"
    assert path.read_text(encoding="utf-8").lstrip().startswith("<svg")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["__import__('os')"], "unknown function '__import__'"),
        (["(" * 100_000], "brackets are nested deeper than 200 (column 201)"),
        (["9**9**9"], "the result of ** is too large for a float, or not defined (column 2)"),
        (["x + y", "x=1"], "unknown name 'y': give it a value, y=... (column 5)"),
        (["x", "x=os"], "x=: expected a number, a vector or a matrix (column 3)"),
        (["x", "x=[1,"], "x=: the bracket of column 1 is never closed (column 6)"),
        (["x", "2"], "expected NAME=VALUE such as x=2, got '2'"),
        (["x", "x=1", "x=2"], "'x' is given twice"),
        (["x * 2", "x=[1,2]"], "the output 'f' has shape (2,)"),
        (["1 + 1"], "no output depends on anything that requires a gradient"),
        (["x * 2", "x=1", "--wrt", "z"], "--wrt z: there is no such variable; there are x, f"),
        (["x", "x=1", "--latex", "--json"], "--latex and --json: choose one"),
    ],
)
def test_one_clear_line(capsys, argv, message):
    code, out, err = run(capsys, *argv)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert err.startswith("chainrule: ") and message in err
