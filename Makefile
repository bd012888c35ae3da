# Two commands do everything: `make demo` and `make test`. `make setup` is their first step.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export OMP_NUM_THREADS ?= 1

.PHONY: setup demo test test-fast lint

setup: $(STAMP)

# Reinstalls only when what is to be installed changed. pip, not uv: only pip takes torch's CPU
# build from a local wheel folder (PIP_FIND_LINKS) or an extra index.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: setup
	$(BIN)/isoflop demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup lint
	./tests/install-browser
	$(BIN)/python -m pytest -m ""

test-fast: setup
	$(BIN)/python -m pytest -m "not slow and not ray and not browser and not postgres"
