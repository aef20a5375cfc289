# make run: the main job on the embedded data, ending with a report. make test: the default tests. Both set up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
READY := $(VENV)/.ready
DEV := $(VENV)/.dev

.PHONY: run test test-slow check docs setup bench clean

run: $(READY)
	$(BIN)/rolewise run configs/digits.yaml --out runs/digits

test: $(DEV)
	$(BIN)/python -m pytest

test-slow: $(DEV)
	$(BIN)/python -m pytest -m slow --timeout 1200

check: $(DEV)
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/mypy

docs: $(DEV)
	$(PIP) --editable '.[docs]'
	$(BIN)/mkdocs build --strict

bench: $(DEV)
	$(PIP) --editable '.[bench]'
	for name in benchmarks/*.py; do $(BIN)/python $$name || exit 1; done

setup: $(DEV)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $(READY)

$(DEV): $(READY)
	$(PIP) --editable '.[dev]'
	touch $(DEV)

clean:
	rm -rf $(VENV) site runs
