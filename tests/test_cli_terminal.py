"""The command as a process: Ctrl-C, terminals of all kinds, pipes, a missing library."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli_tables import write_flowers

pytest.importorskip("typer")
pytest.importorskip("rich")

from chainrule.__main__ import main
from chainrule.cli import app, workflow
from chainrule.cli.model_file import load_model


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_flowers(tmp_path / "t.csv")
    return tmp_path


def start(*argv: str, **settings) -> subprocess.Popen:
    environment = os.environ | settings.pop("env", {})
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
    return subprocess.Popen([sys.executable, "-m", "chainrule", *argv], env=environment, text=True, **pipes)


@pytest.mark.parametrize("when", [0.5, 2.5])
def test_ctrl_c_saves_the_best_network_so_far(monkeypatch, capfd, when):
    def train(plan, on_progress, stop):
        def press(done, history):
            if done >= when and not stop():
                signal.raise_signal(signal.SIGINT)

        return workflow.train(plan, press, stop)

    monkeypatch.setattr(app, "train", train)
    before = signal.getsignal(signal.SIGINT)
    assert main(["train", "t.csv", "--target", "kind", "--save", "m"]) == 130
    out, err = capfd.readouterr()
    assert err == ""
    assert "epochs: interrupted" in out
    assert f"as it was after epoch {int(when) + 1}, the best one" in out
    assert load_model("m").widths == (3, 64, 32, 3)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_ends_at_once(monkeypatch, capfd, folder):
    def train(plan, on_progress, stop):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("still running")

    monkeypatch.setattr(app, "train", train)
    assert main(["train", "t.csv", "--target", "kind", "--save", "m"]) == 130
    assert not (folder / "m").exists()
    assert capfd.readouterr().err == ""


def test_ctrl_c_to_a_process(folder):
    with start("train", "t.csv", "--target", "kind", "--batch", "1", "--lr", "1e-5", "--epochs", "100000") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 1/"):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert "interrupted" in out
    assert (folder / "t.safetensors").exists()


def test_a_terminal_gets_a_bar(monkeypatch, capfd):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["train", "t.csv", "--target", "kind", "--epochs", "5"]) == 0
    out = capfd.readouterr().out
    assert "Training" in out and "━" in out
    assert re.search(r"epoch \d/5", out)
    assert "Accuracy on 22 held-out rows" in out


def test_elsewhere_plain_lines_without_escapes(capfd):
    assert main(["train", "t.csv", "--target", "kind", "--epochs", "30"]) == 0
    out = capfd.readouterr().out
    assert "\x1b" not in out
    assert len(re.findall(r"^epoch \d+/30  loss [\d.]+  validation [\d.]+$", out, re.M)) == 11


def test_a_terminal_without_unicode():
    with start("train", "t.csv", "--target", "kind", "--epochs", "3", env={"PYTHONIOENCODING": "ascii"}) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.isascii()
    assert "3 -> 64 -> 32 -> 3" in out
    assert "* training loss  o validation loss" in out
    assert "?" not in out


def test_a_reader_that_leaves_early(folder):
    assert main(["train", "t.csv", "--target", "kind", "--epochs", "1", "--save", "m"]) == 0
    write_flowers(folder / "large.csv", 30_000)
    with start("predict", "m", "large.csv", "--keep", "--probabilities") as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("length,width,kind,prediction,probability iris")
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output():
    assert main(["train", "t.csv", "--target", "kind", "--epochs", "1", "--save", "m"]) == 0
    with open("/dev/full", "w") as full, start("predict", "m", "t.csv", stdout=full) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err == "chainrule: cannot write the output: No space left on device\n"


def test_without_typer_the_command_says_what_to_install(folder):
    (folder / "typer.py").write_text("raise ModuleNotFoundError('gone', name='typer')")
    with start(
        "train", "digits", env={"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    ) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err == "chainrule: the command needs typer and rich: pip install 'chainrule[cli]'\n"
