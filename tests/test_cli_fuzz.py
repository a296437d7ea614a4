"""Whatever bytes come: a table or one clear refusal, and what can be read can be prepared, judged and predicted."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.cli.errors import InputError
from chainrule.cli.model_file import load_model, save_model
from chainrule.cli.table import Table, read_table
from chainrule.cli.training import Settings
from chainrule.cli.workflow import prepare, train

FEW = settings(max_examples=60, deadline=None)


@FEW
@given(st.one_of(st.binary(max_size=200), st.text("a1,;\t|\"' \n\r.\0é", max_size=200).map(str.encode)))
def test_any_bytes_are_a_table_or_refused(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(data)
        try:
            table = read_table(str(path))
        except InputError as error:
            assert str(path) in str(error)
        else:
            assert len(table) > 0
            assert {len(cells) for cells in table.columns.values()} == {len(table)}


CELLS = st.sampled_from(
    ["", "NA", "0", "1", "2", "-3.5", "1e308", "-1e308", "5e-324", "1e999", "red", "blue", "0x1", "é"]
)


@FEW
@given(st.data(), st.sampled_from(["auto", "classification", "regression"]))
def test_any_cells_are_trained_on_or_refused(data, task):
    rows = data.draw(st.integers(1, 45))
    kinds = [st.sampled_from(["0", "1"]), st.floats(-1e3, 1e3).map(str), CELLS, st.just("x")]
    columns = {
        name: data.draw(st.sampled_from(kinds).flatmap(lambda kind: st.lists(kind, min_size=rows, max_size=rows)))
        for name in ("a", "b", "y")
    }
    table = Table("t.csv", columns, list(range(2, rows + 2)))
    try:
        plan = prepare(table, "y", task, [], [], Settings(epochs=1, hidden=(4,)))
        result = train(plan, lambda done, history: None, lambda: False)
    except InputError as error:
        assert "\n" not in str(error)
        return
    assert np.isfinite(plan.x).all()
    assert result.network.rows == result.simple.rows == len(plan.split.held_out)
    with tempfile.TemporaryDirectory() as folder:
        save_model(f"{folder}/m", plan.model)
        again = load_model(f"{folder}/m")
    assert again.preprocessor == plan.model.preprocessor
    assert again.target == plan.model.target
    np.testing.assert_array_equal(again.predict(table), plan.model.predict(table))
