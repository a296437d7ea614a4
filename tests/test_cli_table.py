"""Reading tables, telling columns apart, turning them into numbers."""

import numpy as np
import pytest

from chainrule.cli.errors import InputError
from chainrule.cli.preprocess import CategoryColumn, NumberColumn, Preprocessor, is_numeric
from chainrule.cli.split import split_rows
from chainrule.cli.table import Table, read_table
from chainrule.cli.target import Target


def table(**columns: list[str]) -> Table:
    rows = len(next(iter(columns.values())))
    return Table("t.csv", columns, list(range(2, rows + 2)))


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(data: str | bytes) -> str:
        (tmp_path / "t.csv").write_bytes(data if isinstance(data, bytes) else data.encode())
        return "t.csv"

    return write


@pytest.mark.parametrize(
    "data",
    [
        "a,b\n1,x\n2,y\n",
        "a,b\r\n1,x\r\n2,y",  # no newline at the end, as some editors leave it
        "\ufeffa,b\n1,x\n2,y\n",
        "a;b\n1;x\n2;y\n",
        "a\tb\n1\tx\n2\ty\n",
        "a|b\n1|x\n2|y\n",
        "\n a , b \n\n 1 , x \n\n2,y\n\n",
        '"a","b"\n"1","x"\n2,y\n',
        "a,b\n1,x\n2,y\n".encode("utf-16"),
    ],
)
def test_one_table_in_many_dialects(write, data):
    found = read_table(write(data))
    assert found.columns == {"a": ["1", "2"], "b": ["x", "y"]}


def test_quoted_cells_keep_delimiters_and_line_breaks_and_lines_are_those_of_the_file(write):
    found = read_table(write('a,b\n"1,5","x\ny"\n\n2,z\n'))
    assert found.columns == {"a": ["1,5", "2"], "b": ["x\ny", "z"]}
    assert found.lines == [2, 5]


def test_a_single_column_and_a_column_without_a_name(write):
    assert read_table(write("a\n1\n2\n")).columns == {"a": ["1", "2"]}
    assert read_table(write(",a\n1,2\n")).names == ["column 1", "a"]


def test_decimal_comma_only_where_the_semicolon_separates(write):
    german = read_table(write("a;b\n1,5;x\n"))
    assert german.number("1,5") == 1.5
    assert read_table(write("a,b\n1,x\n")).number("1,5") is None


@pytest.mark.parametrize("cell", ["1_000", "inf", "1e999", "x", "0x10", "12 kg"])
def test_what_is_not_a_number(cell):
    assert table(a=["1"]).number(cell) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "'t.csv' is empty; expected a line of column names"),
        ("\n \n", "'t.csv' is empty"),
        ("a,b\n", "has column names but no rows"),
        ("a,a\n1,2\n", "has two columns called 'a'"),
        ("a,b\n1,2\n3\n", "line 3 has 1 cells and the line of column names 2"),
        ("a,b\n1,2,3\n", "line 2 has 3 cells"),
        ('a,b\n1,"2\n', "is not a CSV file: unexpected end of data"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "it holds binary data"),
        (b"a,b\n1,\x00\n", "it holds binary data"),
        ("a,b\n1,Zürich\n".encode("latin-1"), "not UTF-8 text \\(byte 0xfc in line 2\\)"),
    ],
)
def test_files_that_are_no_table(write, data, message):
    with pytest.raises(InputError, match=message):
        read_table(write(data))


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_table(str(tmp_path / "no.csv"))
    with pytest.raises(InputError, match="is a folder; name a CSV file"):
        read_table(str(tmp_path))


def test_a_column_of_numbers_or_texts_and_text_where_numbers_belong():
    assert is_numeric(table(a=["1", "", "2.5", "NA", "-3e2"]), "a", "")
    assert not is_numeric(table(a=["1", "two", "three"]), "a", "")
    with pytest.raises(
        InputError, match=r"'t.csv' line 4: column 'a' holds numbers \(2 of 3 cells\), but here 'x'; mend"
    ):
        is_numeric(table(a=["1", "", "x", "2"]), "a", "mend")


def test_numbers_are_standardised_and_missing_ones_become_the_median_and_a_flag():
    train = table(a=["1", "2", "", "9"])
    column = NumberColumn.fit(train, "a")
    out = column.transform(train)
    assert out.shape == (4, 2)
    assert out[:, 1].tolist() == [0, 0, 1, 0]
    np.testing.assert_allclose([out[:, 0].mean(), out[:, 0].std()], [0, 1], atol=1e-12)
    assert out[2, 0] == out[1, 0]  # the median is 2


def test_huge_and_constant_numbers():
    huge = table(a=["1e300", "-1e300", "1e308"])
    column = NumberColumn.fit(huge, "a")
    assert np.isfinite(column.transform(huge)).all()
    assert NumberColumn.fit(table(a=["3", "3", ""]), "a") is None
    assert NumberColumn.fit(table(a=["", "NA"]), "a") is None
    small = NumberColumn.fit(table(a=["0", "1"]), "a")
    assert np.abs(small.transform(huge)).max() <= 1e4


def test_categories_rare_unseen_and_missing():
    column = CategoryColumn.fit(table(c=["b", "a", "b", "", "a", "rare"]), "c")
    assert column.categories == ("a", "b")
    assert column.transform(table(c=["a", "b", "rare", "unseen", "NA"])).tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 1],
    ]
    assert CategoryColumn.fit(table(c=["a", "b", "c"]), "c") is None
    assert CategoryColumn.fit(table(c=["a", "a"]), "c") is None
    without = CategoryColumn.fit(table(c=["a", "a", "b", "b"]), "c")
    assert without.transform(table(c=[""])).tolist() == [[0, 0]]


def test_only_the_training_rows_are_learnt_from():
    whole = table(a=["0", "2", "1000"], c=["x", "x", "y"], d=["u", "u", "u"])
    found = Preprocessor.fit(whole, [0, 1], ["a", "c", "d"], set())
    assert [column.name for column in found.columns] == ["a"]
    assert found.columns[0].mean == 1.0
    with pytest.raises(InputError, match=r"nothing to learn from: none of the columns 'd' tells rows apart"):
        Preprocessor.fit(whole, [0, 1], ["d"], set())


def test_transform_names_what_is_missing():
    found = Preprocessor.fit(table(a=["0", "2"], b=["1", "5"]), [0, 1], ["a", "b"], set())
    with pytest.raises(InputError, match=r"lacks the columns 'a', 'b'"):
        found.transform(table(c=["1"]))
    with pytest.raises(InputError, match="line 2: column 'b' needs a number, got 'x'"):
        found.transform(table(a=["1"], b=["x"]))


def cells(*values: object) -> list[str]:
    return [str(value) for value in values]


@pytest.mark.parametrize(
    ("column", "task", "classes"),
    [
        (["no", "yes"] * 10, "auto", ("no", "yes")),
        (["10", "9"] * 10, "auto", ("9", "10")),
        (["1", "1.0", "2"] * 10, "auto", ("1", "2")),
        (cells(*range(20)) * 5, "auto", tuple(cells(*range(20)))),
        (cells(*range(20)) * 4, "auto", None),  # too few rows for each
        (cells(*range(21)) * 9, "auto", None),  # too many different ones
        (["1.5", "2"] * 10, "auto", None),
        (["1.5", "2"] * 10, "classification", ("1.5", "2")),
        (["1", "2"] * 10, "regression", None),
        (["1", "2", "3", "x"] * 5, "classification", ("1", "2", "3", "x")),
    ],
)
def test_classification_and_regression_are_told_apart(column, task, classes):
    target, values = Target.fit(table(y=column), "y", task)
    assert target.classes == classes
    if classes is None:
        assert values.tolist() == [float(cell) for cell in column]
    else:
        known, again = target.known(table(y=column))
        assert known == list(range(len(column)))
        assert again.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("column", "task", "message"),
    [
        (["a"] * 9, "auto", "has one class only, 'a', in all 9 rows"),
        (["3"] * 9, "auto", "the same value, 3, in all 9 rows"),
        (cells(*"abcdefgh"), "auto", "8 different values in 8 rows: too many classes"),
        (["1", "2", "x"], "auto", "line 4: column 'y' holds numbers .* or pass --task classification"),
        (["a", "b"], "regression", "--task regression needs a numeric target, and column 'y' holds texts like 'a'"),
    ],
)
def test_targets_that_cannot_be_learnt(column, task, message):
    with pytest.raises(InputError, match=message):
        Target.fit(table(y=column), "y", task)


def test_split_is_disjoint_complete_stratified_and_reproducible():
    classes = np.repeat([0, 1, 2], [700, 200, 100])
    split = split_rows(classes, seed=3)
    parts = [split.train, split.validation, split.held_out]
    assert [part.size for part in parts] == [700, 150, 150]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(1000))
    for part in parts:
        share = np.bincount(classes[part]) / part.size
        np.testing.assert_allclose(share, [0.7, 0.2, 0.1], atol=0.01)
    assert np.array_equal(split.train, split_rows(classes, seed=3).train)
    assert not np.array_equal(split.train, split_rows(classes, seed=4).train)
    with pytest.raises(InputError, match="19 rows with a known target are too few"):
        split_rows(np.zeros(19), 0)
