# Everything runs in .venv, a private virtual environment that is made and refreshed when needed,
# with uv where there is one, else with Python's own venv and pip. Nothing else is installed.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:

# Another checkout or package must not shadow what the environment holds.
unexport PYTHONHOME
unexport PYTHONPATH

BIN := .venv/bin
# A file's tests stay together, since they share what they start; tests/conftest.py says how many
# run at once, and orders them.
PARALLEL ?= --numprocesses=auto --dist=loadfile --no-loadscope-reorder
ifdef PYTHON
export PYTHON
else
CURRENT := $(BIN)/python -I tools/environment.py --check 2>/dev/null ||
endif

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile
	@echo
	@echo 'Variables: PYTHON=/path/to/python3 (3.11 or newer), ARGS="..." for demo, test, bench and mutants,'
	@echo 'PARALLEL= to run the tests one after the other.'

.PHONY: demo
demo: environment ## Run the main job on your own machine: push, deploy, call, job, secret, update
	@$(BIN)/moorage demo $(ARGS)

# Each of the processes that share the tests would compile all of them if none might keep them.
.PHONY: test
test: environment ## Run the tests; ARGS="tests/unit -k name" chooses some
	@$(BIN)/python tools/official.py || echo 'the tests that need it are skipped' >&2
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest $(PARALLEL) $(ARGS)

.PHONY: official
official: environment ## Make the environments of the clouds' own clients, which some tests run
	@$(BIN)/python tools/official.py

.PHONY: check
check: environment ## Check format, lint, types, docs and the lock
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/python tools/lock.py --check

.PHONY: fix
fix: environment ## Format the code and apply the fixes that lint knows
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: lock
lock: environment ## Lock the dependencies again after a change of a pyproject.toml
	$(BIN)/python tools/lock.py

.PHONY: bench
bench: environment ## Measure what is promised, side by side with plain tools
	@$(BIN)/python benchmarks $(ARGS)

.PHONY: mutants
mutants: environment ## Measure the conformance suite: seed bugs into a good plugin, see what catches them
	@$(BIN)/python conformance/mutants $(ARGS)

.PHONY: docs
docs: environment ## Build the documentation into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo 'open docs/_build/html/index.html'

.PHONY: environment
environment: ## Make or refresh .venv; the other targets do it by themselves
	@$(CURRENT) { python=$$(tools/find-python) && "$$python" tools/environment.py; }

.PHONY: clean
clean: ## Remove .venv and everything built or cached
	rm -rf .venv build dist docs/_build .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find core plugins conformance tests tools docs -name __pycache__ -type d -prune -exec rm -rf {} +
