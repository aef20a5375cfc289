# make run: the main job on the embedded data, ending with a report. make test: the default tests. Both set up first.
# PYTHON is the interpreter that makes the environment, VENV the folder where it stands.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONFIG := configs/digits.yaml
OUT := runs/digits
# JOBS processes share the tests: each begins with a run of neighbours, which share fixtures, and then takes from the others.
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal
# One --quiet hides what is fetched, the second hides warnings; errors are shown.
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable
# One stamp for each set of requirements that is installed.
READY := $(VENV)/.ready
TEST := $(VENV)/.ready-test
DEV := $(VENV)/.ready-dev

.DEFAULT_GOAL := help
.PHONY: help run test test-slow coverage coverage-report check format docs bench gpu setup clean

help:
	@echo "make run        set up, run $(CONFIG) into $(OUT), write its report"
	@echo "make test       set up, run the default tests; make test-slow runs the slow ones"
	@echo "make coverage   the default tests, and which lines of src/ they leave out"
	@echo "make check      formatting, lint and types; make format mends the first two"
	@echo "make docs       the documentation, into site/"
	@echo "make bench      the benchmarks, into benchmarks/results/"
	@echo "make gpu        the next 9 minutes of what is measured on a GPU; GPU='--list' says what is left"
	@echo "make setup      everything that development needs, into $(VENV)/"
	@echo "make clean      removes what was built and the caches; keeps $(VENV)/ and runs/"

run: $(READY)
	$(BIN)/rolewise run $(CONFIG) --out $(OUT)

test: $(TEST)
	$(PYTEST)

test-slow: $(TEST)
	$(PYTEST) -m slow --timeout 1200

# What a process wrote that outlived the tests that started it is added. One that a test killed while it wrote leaves a
# file without a table; where there is no other, combining fails, and that is no fault: the report decides.
coverage: $(TEST)
	rm -f .coverage .coverage.*
	COVERAGE_FILE=$(CURDIR)/.coverage $(PYTEST) --cov=rolewise --cov-append --cov-report=
	$(MAKE) coverage-report

coverage-report:
	if ls .coverage.* >/dev/null 2>&1; then $(BIN)/python -m coverage combine --append --quiet || true; fi
	$(BIN)/python -m coverage report --fail-under=90

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(DEV)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation: site/index.html"

bench: $(DEV)
	for name in augment search step stacked roofline ranks teacher_cache streaming quant losses method_cost mixing deploy onnx_agreement freed_memory; do OMP_WAIT_POLICY=PASSIVE $(BIN)/python benchmarks/$$name.py --json benchmarks/results/$$name.json || exit 1; done

# Whatever Python has a torch for this GPU: nothing is installed but from a folder of wheels, by GPU='--wheels DIR'.
gpu:
	$(PYTHON) benchmarks/gpu.py $(GPU)

setup: $(DEV)

# An environment that was begun and not finished has no pip that runs: it is made anew.
define ENVIRONMENT
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python must be 3.10 or newer, got %d.%d; choose another: make PYTHON=python3.12" % sys.version_info[:2])'
@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
@echo "Installing into $(VENV); the first time takes a minute or more"
endef

$(READY): pyproject.toml constraints.txt
	$(ENVIRONMENT)
	@$(PIP) .
	@touch $@

$(TEST): pyproject.toml constraints.txt
	$(ENVIRONMENT)
	@$(PIP) '.[test]'
	@touch $(READY) $@

$(DEV): pyproject.toml constraints.txt
	$(ENVIRONMENT)
	@$(PIP) '.[dev]'
	@touch $(READY) $(TEST) $@

clean:
	rm -rf site build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
