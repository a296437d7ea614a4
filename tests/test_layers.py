"""A file imports only from its own row of ARCHITECTURE.md's table or a lower one, also inside functions."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1] / "src" / "chainrule"
ROWS = {
    "errors": 0, "config": 0, "dtypes": 0, "devices": 0, "node": 0, "handle": 0,
    "primitive": 1,
    "ops": 2,
    "autograd": 3, "batching": 3, "compiler": 3,
    "tensors": 4, "linalg": 4, "special": 4, "cuda": 4, "backends": 4, "accelerator": 4, "random": 4, "__init__": 4,
    "nn": 5, "optim": 5, "utils": 5, "func": 5, "distributions": 5, "testing": 5,
    "interop": 6, "graphs": 6, "capture": 6, "diagnosis": 6,
    "cli": 7, "__main__": 7,
}  # fmt: skip
FILES = sorted(ROOT.rglob("*.py"))


def room(path):
    """The row's name for a file of the package."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imported(path):
    """``(line, name, nested)`` of every module of the package that a file imports."""
    package = ("chainrule", *path.relative_to(ROOT).parts[:-1])
    tree = ast.parse(path.read_text())
    inner = {id(n) for f in ast.walk(tree) if isinstance(f, (ast.FunctionDef, ast.Lambda)) for n in ast.walk(f)}
    for n in ast.walk(tree):
        names = []
        if isinstance(n, ast.ImportFrom):
            if n.level:
                base = package[: len(package) - n.level + 1] + tuple((n.module or "").split(".") if n.module else ())
            else:
                base = tuple((n.module or "").split("."))
            if base == ("chainrule",):
                names = [("chainrule", a.name) for a in n.names]
            elif base[0] == "chainrule":
                names = [base]
        elif isinstance(n, ast.Import):
            names = [tuple(a.name.split(".")) for a in n.names if a.name.split(".")[0] == "chainrule"]
        for name in names:
            yield n.lineno, name[1] if len(name) > 1 else "__init__", id(n) in inner


def test_every_room_has_a_row():
    assert {room(p) for p in FILES} <= set(ROWS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    own = ROWS[room(path)]
    for line, name, nested in imported(path):
        row = ROWS.get(name, ROWS["__init__"])  # a name that is no module comes from the package itself
        assert row <= own or room(path) == "__init__", f"{path.name}:{line} (row {own}) imports {name} (row {row})"
        assert not nested, f"{path.name}:{line} imports {name} inside a function"
