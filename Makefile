# `make demo`, `make story` and `make test` need Python 3.11 with venv, and pip's network, nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests wait at times, so there is one more than the cores of a small machine.
WORKERS ?= 3
# `make test TESTS=tests/unit`, `make soak SOAK="--minutes 10 --seed 7"`, `make bench BENCH="load --quick"`,
# `make unit PYTHON=python3.13 VENV=/tmp/python3.13`
TESTS ?=
SOAK ?=
BENCH ?=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo story check unit test lint format types docs soak soak-switch bench bench-check clean

help:
	@echo "make demo    the whole story on sample data and a Postgres of its own"
	@echo "make story   the whole move, from the first look to the signed report, with users at work"
	@echo "make check   the fast ring, within a minute: format, lint, types and unit tests"
	@echo "make unit    the unit tests alone, on the Python that PYTHON names"
	@echo "make test    every test, with real SQLite files and real Postgres servers"
	@echo "make lint    formatting and lint        make format  apply the formatting"
	@echo "make types   mypy, strict               make docs    write the reference pages again"
	@echo "make soak    an hour of everything       make bench   the numbers of this machine"
	@echo "make soak-switch   cutovers and rollbacks that die in every way"
	@echo "make bench-check   compare this machine's ratios with the recorded ones"
	@echo "make clean   remove what these made"

# A stamp that is older than pyproject.toml means that the requirements may have changed.
$(VENV)/.demo: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[embedded]'
	@touch $@

$(VENV)/.story: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[embedded,shadow]'
	@touch $@ $(VENV)/.demo

$(VENV)/.unit: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[unit]'
	@touch $@ $(VENV)/.demo

$(VENV)/.dev: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.unit $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/cdc demo

story: $(VENV)/.story
	$(BIN)/python examples/ytv2/story

# One after the other, and the quickest to fail first.
check: $(VENV)/.dev
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory unit

unit: $(VENV)/.unit
	$(BIN)/python -m pytest --quiet -n $(WORKERS) --dist worksteal tests/unit

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(TESTS)

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.dev
	$(BIN)/mypy

docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py
	$(BIN)/python -m benchmarks.page

soak: $(VENV)/.dev
	$(BIN)/python -m tests.soak $(SOAK)

soak-switch: $(VENV)/.dev
	$(BIN)/python -m tests.soak.switch $(SOAK)

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(BENCH)

bench-check: $(VENV)/.dev
	$(BIN)/python -m benchmarks --check

clean:
	rm -rf $(VENV) .cdc .demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
