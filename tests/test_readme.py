"""What the README says is run: every Python block against the output below it, every command, every link."""

import contextlib
import io
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from cli_tables import write_houses

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", README, re.M | re.S)
COMMANDS = [
    line[2:] for block in re.findall(r"^```console\n(.*?)^```$", README, re.M | re.S) for line in block.splitlines()
]


def test_every_block_is_looked_at():
    assert len(PROGRAMS) == README.count("```python") >= 4
    assert len(COMMANDS) >= 7
    assert re.findall(r"^```(\w+)", README, re.M).count("text") == len(PROGRAMS)


@pytest.mark.parametrize("program, output", PROGRAMS, ids=range(len(PROGRAMS)))
def test_programs_print_what_the_readme_shows(program, output):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})
    assert printed.getvalue() == output


def test_commands_work_as_written(tmp_path, monkeypatch, capfd):
    pytest.importorskip("typer")
    pytest.importorskip("sklearn")
    from chainrule.__main__ import main

    monkeypatch.chdir(tmp_path)
    text = write_houses(tmp_path / "houses.csv").read_text()
    (tmp_path / "new.csv").write_text(text)
    commands = [shlex.split(line) for line in COMMANDS if line.startswith("chainrule ")]
    assert len(commands) == 4
    for _, *argv in commands:
        quick = ["--epochs", "2"] if argv[0] == "train" else []
        assert main([*argv, *quick]) == 0, capfd.readouterr().err
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == len(text.splitlines())


def test_make_targets_and_extras_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)$", "\n".join(COMMANDS), re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in re.findall(r"\[(\w+)\]'", "\n".join(COMMANDS)):
        assert extra in extras


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) >= 5
    for link in links:
        assert (ROOT / link).exists(), link
