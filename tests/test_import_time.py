"""``import chainrule`` brings NumPy and nothing else that is large. How long it takes: benchmarks/import_time.py."""

import subprocess
import sys

import pytest

LATE = ("scipy", "llvmlite", "typer", "rich", "sklearn", "pandas", "safetensors", "torch", "ml_dtypes")


@pytest.mark.parametrize(
    "statement", ["import chainrule", "import chainrule.nn, chainrule.optim, chainrule.utils.data"]
)
def test_large_libraries_are_imported_when_first_used(statement):
    code = f"import sys; {statement}; print(*sorted(set(sys.modules) & set({LATE!r})))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert found == []


def test_the_commands_reading_and_training_need_no_terminal_library():
    modules = "table, preprocess, target, split, training, baseline, score, model, workflow, model_file, source, curve"
    code = f"import sys; from chainrule.cli import {modules}; print(*sorted(set(sys.modules) & {{'typer', 'rich'}}))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert found == []
