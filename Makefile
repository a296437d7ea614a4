# Two targets do everything on a fresh machine with Python 3.11 or newer:
#   make digits   train a network on handwritten digits
#   make test     lint, types and tests
# Both work in a virtual environment of their own (VENV) and touch nothing else.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin

.PHONY: digits test lint types clean

digits: $(VENV)/.cli
	@$(BIN)/chainrule train digits

# What computes with compiled code; the rest is about threads, signals and the disk.
CHECKED = $(patsubst %,tests/test_%.py,compile_steps compile_programs compile_names compile_examples compile_opinfo compile_values \
	compile_review compile_fuzz simplify loops fuse products vector_math)

# One thread per worker: the workers share the cores already.
test: lint types
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)
	@echo "compiled code once more, with every memory access checked"
	@OMP_NUM_THREADS=1 CHAINRULE_DEBUG=1 $(BIN)/python -m pytest -q -n $(JOBS) $(CHECKED)

lint: $(VENV)/.test
	@$(BIN)/ruff check .

types: $(VENV)/.test
	@$(BIN)/mypy

# Stamps: an environment is made once and filled again only when the requirements change.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"chainrule needs Python 3.11 or newer, and $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.cli: $(VENV)/.python pyproject.toml
	@echo "installing chainrule and its command into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli]'
	@touch $@

$(VENV)/.test: $(VENV)/.python pyproject.toml
	@echo "installing chainrule and what its tests need (PyTorch among them) into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.cli

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
