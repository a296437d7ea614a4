"""Bad input: one clear line on stderr, exit code 2, no traceback, and no file touched."""

import pickle

import pytest

from cli_tables import write_flowers

pytest.importorskip("typer")
pytest.importorskip("rich")

import chainrule as torch
from chainrule.__main__ import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_flowers(tmp_path / "flowers.csv")
    return tmp_path


@pytest.fixture
def refused(capfd):
    """Runs the command, checks that it refuses in the agreed form, and gives the line it printed."""

    def refused(*argv: str) -> str:
        capfd.readouterr()
        code = main(list(argv))
        out, err = capfd.readouterr()
        assert (code, out) == (2, "")
        assert err.startswith("chainrule: ") and err.endswith("\n") and err.count("\n") == 1
        return err

    return refused


def rows(header: str, *lines: str) -> str:
    return "\n".join([header, *lines]) + "\n"


TABLES = {
    "empty": ("", "'t.csv' is empty"),
    "header only": ("a,y\n", "has column names but no rows"),
    "wrong column": (rows("a,b", *["1,2"] * 30), "--target: 't.csv' has no column 'y'; its columns are 'a', 'b'"),
    "close column": (rows("a,yy", *["1,2"] * 30), "did you mean 'yy'?"),
    "column twice": (rows("a,a,y", *["1,2,3"] * 30), "two columns called 'a'"),
    "text among numbers": (
        rows("a,y", *[f"{i},{i % 2}" for i in range(30)], "old,1"),
        "'t.csv' line 32: column 'a' holds numbers (30 of 31 cells), but here 'old'; mend it",
    ),
    "text in a numeric target": (
        rows("a,y", *[f"{i},{i}.5" for i in range(30)], "1,high"),
        "line 32: column 'y' holds numbers (30 of 31 cells), but here 'high'",
    ),
    "one class": (rows("a,y", *[f"{i},yes" for i in range(30)]), "one class only, 'yes', in all 30 rows"),
    "one value": (rows("a,y", *[f"{i},1" for i in range(30)]), "the same value, 1, in all 30 rows"),
    "target all missing": (rows("a,y", *[f"{i},NA" for i in range(30)]), "column 'y' of 't.csv' has no values"),
    "too few rows": (rows("a,y", *[f"{i},{i % 2}" for i in range(12)]), "12 rows with a known target are too few"),
    "constant columns": (
        rows("a,b,y", *[f"1,x,{i % 2}" for i in range(30)]),
        "none of the columns 'a', 'b' tells rows apart",
    ),
    "only the target": (
        rows("y", *[f"{i % 2}" for i in range(30)]),
        "nothing to learn from: there is no column besides",
    ),
    "ragged": (rows("a,y", "1,2", "1"), "line 3 has 1 cells"),
    "too many classes": (rows("a,y", *[f"{i},name{i}" for i in range(30)]), "30 different values in 30 rows"),
    "NUL": ("a,y\n1,\0\n", "it holds binary data"),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_cannot_be_trained_on(refused, folder, name):
    text, message = TABLES[name]
    (folder / "t.csv").write_text(text)
    assert message in refused("train", "t.csv", "--target", "y")
    assert sorted(path.name for path in folder.iterdir()) == ["flowers.csv", "t.csv"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["no.csv", "--target", "y"], "there is no file 'no.csv'"),
        (
            ["flowers.csv"],
            "say which column to predict with --target COLUMN; the columns of 'flowers.csv' are 'length'",
        ),
        (["digits", "--target", "age"], "--target: the digits have the target 'digit'"),
        (["flowers.csv", "--target", "kind", "--lr", "0"], "--lr: expected a number above 0, got 0"),
        (["flowers.csv", "--target", "kind", "--lr", "nan"], "--lr: expected a number above 0, got nan"),
        (["flowers.csv", "--target", "kind", "--hidden", "64,x"], "--hidden: expected widths from 1 to 65536"),
        (["flowers.csv", "--target", "kind", "--hidden", "0"], "--hidden: expected widths"),
        (["flowers.csv", "--target", "kind", "--epochs", "0"], "Invalid value for '--epochs'"),
        (["flowers.csv", "--target", "kind", "--batch", "many"], "Invalid value for '--batch'"),
        (["flowers.csv", "--target", "kind", "--task", "both"], "Invalid value for '--task'"),
        (["flowers.csv", "--target", "kind", "--task", "regression"], "--task regression needs a numeric target"),
        (["flowers.csv", "--target", "kind", "--ignore", "colour"], "--ignore: 'flowers.csv' has no column 'colour'"),
        (["flowers.csv", "--target", "kind", "--categorical", "kind"], "--categorical: 'kind' is the target"),
        (["flowers.csv", "--target", "kind", "--save", "no/m"], "cannot write 'no/m': No such file or directory"),
        (["flowers.csv", "--target", "kind", "--save", "."], "cannot write '.': it is a folder"),
        (["flowers.csv", "--target", "kind", "--save", "flowers.csv"], "'flowers.csv' exists and is not a model"),
        (["flowers.csv", "--target", "kind", "--lr", "1e30"], "--lr 1e+30 is too large"),
        (["flowers.csv", "--tarket", "kind"], "No such option: --tarket"),
        ([], "Missing argument"),
    ],
)
def test_options_that_cannot_be_used(capfd, folder, argv, message):
    before = (folder / "flowers.csv").read_bytes()
    code = main(["train", *argv])
    err = capfd.readouterr().err
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert (folder / "flowers.csv").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["flowers.csv"]


def test_an_unknown_command(refused):
    assert "No such command 'tain'" in refused("tain")


@pytest.fixture
def model(folder, capfd):
    assert main(["train", "flowers.csv", "--target", "kind", "--epochs", "1", "--save", "m"]) == 0
    return "m"


def test_tables_that_a_model_cannot_read(refused, folder, model):
    (folder / "t.csv").write_text("width\n1\n")
    assert "'t.csv' lacks the column 'length' that the model was trained on" in refused("predict", model, "t.csv")
    (folder / "t.csv").write_text("width,length\n1,2\n1,long\n")
    assert "'t.csv' line 3: column 'length' needs a number, got 'long'" in refused("predict", model, "t.csv")
    (folder / "t.csv").write_text("width,length\n")
    assert "no rows" in refused("predict", model, "t.csv")
    assert "there is no file 'no.csv'" in refused("predict", model, "no.csv")
    assert "cannot write 'no/out.csv'" in refused("predict", model, "flowers.csv", "--output", "no/out.csv")
    assert "cannot write '.': Is a directory" in refused("predict", model, "flowers.csv", "--output", ".")


def test_probabilities_of_a_number(refused, folder, capfd):
    (folder / "t.csv").write_text(rows("a,y", *[f"{i},{i}.5" for i in range(30)]))
    assert main(["train", "t.csv", "--target", "y", "--epochs", "1", "--save", "m"]) == 0
    assert "predicts a number, 'y', and has no classes" in refused("predict", "m", "t.csv", "--probabilities")


def test_files_that_are_no_model(refused, folder, model):
    assert "there is no model file 'no'" in refused("predict", "no", "flowers.csv")
    assert "cannot read '.': Is a directory" in refused("predict", ".", "flowers.csv")
    content = {
        "flowers.csv": (folder / "flowers.csv").read_bytes(),
        "empty": b"",
        "cut": (folder / model).read_bytes()[:-40],
        "pickle": pickle.dumps(Unpickled()),
    }
    for name, data in content.items():
        (folder / name).write_bytes(data)
        assert f"'{name}' is not a model of 'chainrule train', or it is damaged" in refused(
            "predict", name, "flowers.csv"
        )
    torch.save(torch.nn.Linear(2, 1).state_dict(), folder / "other")
    assert "'other' holds weights, but not a model of" in refused("predict", "other", "flowers.csv")


class Unpickled:
    """Makes itself known when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a file was unpickled",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update({"chainrule table model": 9}), "'forged' has format 9, and this version reads"),
        (lambda content: content.pop("target"), "'forged' is damaged: KeyError: 'target'"),
        (lambda content: content["hidden"].insert(0, 10**9), "'forged' is damaged: ValueError: its weights are"),
        (lambda content: content["columns"].pop(), "'forged' is damaged: ValueError: its weights are"),
        (lambda content: content["columns"][0].update(kind="code"), "a column of kind 'code'"),
        (lambda content: content["columns"][0].update(mean="x"), "'forged' is damaged: ValueError: could not convert"),
        (lambda content: content["columns"].insert(0, 5), "'forged' is damaged: TypeError"),
        (lambda content: content["weights"].pop("0.bias"), "'forged' is damaged: RuntimeError: Error(s) in loading"),
        (lambda content: content.update(weights=3), "'forged' is damaged: AttributeError"),
    ],
)
def test_a_forged_model_is_found_out(refused, folder, model, change, message):
    content = torch.load(model)
    change(content)
    torch.save(content, "forged")
    assert message in refused("predict", "forged", "flowers.csv")


def test_any_safetensors_reader_finds_the_weights(folder, model):
    safetensors = pytest.importorskip("safetensors.numpy")
    weights = safetensors.load_file(model)
    assert sorted(value.shape for value in weights.values()) == [(3,), (3, 32), (32,), (32, 64), (64,), (64, 3)]


def test_a_failed_write_leaves_the_old_model(refused, folder, model, monkeypatch):
    old = (folder / model).read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    argv = ["train", "flowers.csv", "--target", "kind", "--epochs", "1", "--seed", "5", "--save", model]
    assert main(argv) == 2
    assert (folder / model).read_bytes() == old
    assert sorted(path.name for path in folder.iterdir()) == ["flowers.csv", "m"]
