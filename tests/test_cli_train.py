"""``chainrule train`` and ``chainrule predict``, from file to report."""

import csv
import io
import re

import numpy as np
import pytest

from cli_tables import write_flowers, write_houses

pytest.importorskip("typer")
pytest.importorskip("rich")

from chainrule.__main__ import main
from chainrule.cli.model_file import load_model

QUICK = ["--epochs", "40", "--lr", "0.01", "--hidden", "16"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capfd):
    """Runs the command: exit code, stdout, stderr."""

    def run(*argv: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(list(argv))
        out, err = capfd.readouterr()
        return code, out, err

    return run


def accuracy_of(report: str) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in re.findall(r"^  (network|linear model|majority class) +([\d.]+) %", report, re.M)
    }


def test_digits(run, folder):
    pytest.importorskip("sklearn")
    code, out, err = run("train", "digits", "--epochs", "12")
    assert (code, err) == (0, "")
    found = accuracy_of(out)
    assert found["network"] > 93
    assert found["majority class"] < 15
    assert "Target   digit (10 classes)" in out
    assert "1258 training, 269 validation, 270 held out" in out
    assert re.search(r"best: epoch \d+", out)
    assert re.search(r"Time +\d+\.\d s, 12 of 12 epochs", out)
    assert "Saved    digits.safetensors" in out
    assert (folder / "digits.safetensors").stat().st_size > 10_000
    code, out, err = run("predict", "digits.safetensors", "digits")
    assert code == 0
    assert len(out.splitlines()) == 1798
    assert float(re.search(r"accuracy on the 1797 rows with a known 'digit': ([\d.]+) %", err)[1]) > 93


def test_a_table_of_classes_and_its_predictions(run, folder):
    write_flowers(folder / "flowers.csv")
    code, out, _ = run("train", "flowers.csv", "--target", "kind", *QUICK)
    assert code == 0
    found = accuracy_of(out)
    assert found["network"] > 85 > found["majority class"]
    (folder / "new.csv").write_text("width,length,colour\n0.0,0.1,red\n-2,4,blue\n,,\n")
    code, out, err = run("predict", "flowers.safetensors", "new.csv", "--probabilities")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["prediction"] for row in rows[:2]] == ["iris", "tulip"]
    assert list(rows[0]) == ["prediction", "probability iris", "probability rose", "probability tulip"]
    for row in rows:
        chances = [float(value) for name, value in row.items() if name != "prediction"]
        assert sum(chances) == pytest.approx(1, abs=1e-5)
        assert max(chances) == float(row["probability " + row["prediction"]])


def test_a_table_of_numbers_and_its_predictions(run, folder):
    write_houses(folder / "houses.csv")
    code, out, _ = run("train", "houses.csv", "--target", "price", *QUICK, "--save", "prices.safetensors")
    assert code == 0
    assert "Target   price (regression)" in out
    assert "not used, as they do not tell rows apart: 'planet'" in out
    assert "The linear model does better here than the network." in out
    errors = {
        name: float(value) for name, value in re.findall(r"^  (network|linear model|mean) +([\d.e+]+)  R²", out, re.M)
    }
    assert errors["network"] < 0.5 * errors["mean"]
    (folder / "new.csv").write_text("area,age,town\n200,0,Genf\n50,90,Chur\n,10,Mars\n")
    assert run("predict", "prices.safetensors", "new.csv", "--keep", "--output", "out.csv") == (0, "", "")
    rows = list(csv.DictReader(io.StringIO((folder / "out.csv").read_text())))
    assert rows[2]["town"] == "Mars"
    large, small, unknown = (float(row["prediction"]) for row in rows)
    assert large == pytest.approx(750_000, rel=0.2)
    assert small < unknown < large


def test_the_same_seed_gives_the_same_file_and_another_seed_another(run, folder):
    write_flowers(folder / "t.csv")
    files = []
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        assert run("train", "t.csv", "--target", "kind", "--epochs", "3", "--seed", seed, "--save", name)[0] == 0
        files.append((folder / name).read_bytes())
    assert files[0] == files[1] != files[2]


def test_predictions_after_loading_are_those_before_saving(run, folder):
    write_flowers(folder / "t.csv")
    run("train", "t.csv", "--target", "kind", *QUICK, "--save", "m")
    first = run("predict", "m", "t.csv", "--probabilities")[1]
    assert first == run("predict", "m", "t.csv", "--probabilities")[1]
    model = load_model("m")
    assert model.widths == (3, 16, 3)
    assert model.target.classes == ("iris", "rose", "tulip")
    assert model.preprocessor.columns[0].flag


def test_early_stopping_keeps_the_best_network(run, folder):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 4))
    lines = ["a,b,c,y", *(f"{a},{b},{c},{y}" for a, b, c, y in noise)]
    (folder / "noise.csv").write_text("\n".join(lines))
    code, out, _ = run("train", "noise.csv", "--target", "y", "--lr", "0.05", "--epochs", "300")
    assert code == 0
    stopped, best = (
        int(re.search(r", (\d+) of 300 epochs: stopped early", out)[1]),
        int(re.search(r"best: epoch (\d+)", out)[1]),
    )
    assert stopped == best + 20
    assert f"as it was after epoch {best}, the best one" in out


def test_a_network_that_learns_nothing_is_called_so(run, folder):
    lines = ["x,y", *(f"{i % 7},{'no' if i % 10 else 'yes'}" for i in range(140))]
    (folder / "t.csv").write_text("\n".join(lines))
    code, out, _ = run("train", "t.csv", "--target", "y", "--epochs", "3")
    assert code == 0
    assert "The network is no better than always answering with the majority class." in out


def test_rows_without_a_target_are_left_out(run, folder):
    text = write_flowers(folder / "t.csv").read_text()
    (folder / "t.csv").write_text(text + "1,1,\n2,2,NA\n")
    code, out, _ = run("train", "t.csv", "--target", "kind", "--epochs", "2")
    assert code == 0
    assert "2 rows without a value in 'kind' left out" in out


def test_ignored_and_categorical_columns(run, folder):
    lines = ["id,code,y", *(f"{i},{i % 4},{float(i % 4 == 2)}" for i in range(80))]
    (folder / "t.csv").write_text("\n".join(lines))
    argv = [
        "train",
        "t.csv",
        "--target",
        "y",
        "--ignore",
        "id",
        "--categorical",
        "code",
        "--hidden",
        "none",
        "--epochs",
        "1",
    ]
    assert run(*argv, "--save", "m")[0] == 0
    model = load_model("m")
    assert [(column.name, column.width) for column in model.preprocessor.columns] == [("code", 4)]
    assert model.widths == (4, 2)
    assert model.target.classes == ("0", "1")


def test_a_table_from_standard_input(run, folder, monkeypatch):
    class Input:
        buffer = io.BytesIO(write_flowers(folder / "t.csv").read_bytes())

    monkeypatch.setattr("sys.stdin", Input)
    assert run("train", "-", "--target", "kind", "--epochs", "1")[0] == 0
    assert (folder / "table.safetensors").exists()


def test_names_with_markup_and_control_characters_stay_plain(run, folder):
    rows = "\n".join(f"{i % 5},{i},{'a' if i % 2 else 'b'}" for i in range(40))
    (folder / "t.csv").write_text(f"[bold]x[/bold],\x1b[31mred,[/]y\n{rows}\n")
    code, out, _ = run("train", "t.csv", "--target", "[/]y", "--epochs", "1")
    assert code == 0
    assert "Target   [/]y (2 classes)" in out
    _, _, err = run("train", "t.csv", "--target", "no")
    assert "\x1b" not in err
    assert "\\x1b[31mred" in err


def test_a_prediction_column_in_the_table_is_kept_apart(run, folder):
    write_flowers(folder / "t.csv")
    run("train", "t.csv", "--target", "kind", "--epochs", "1", "--save", "m")
    (folder / "new.csv").write_text("length,width,prediction\n1,1,mine\n")
    _, out, _ = run("predict", "m", "new.csv", "--keep")
    assert out.splitlines()[0] == "length,width,prediction,prediction (chainrule)"
    assert out.splitlines()[1].startswith("1,1,mine,")


def test_help_and_version(run):
    assert run("--version") == (0, "chainrule 0.1.0\n", "")
    for argv in ([], ["--help"]):
        code, out, _ = run(*argv)
        assert code == 0
        assert "train" in out and "predict" in out
    code, out, _ = run("train", "--help")
    assert code == 0
    for word in ("--target", "--epochs", "--lr", "--hidden", "--batch", "--seed", "--save", "regression"):
        assert word in out
