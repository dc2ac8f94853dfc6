# Everything a person does with this checkout. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: help
help:  ## list what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

.venv/ready: requirements.txt pyproject.toml
	@echo "setting up .venv (a minute the first time)" >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bellpull needs Python 3.11 or later, this is " + sys.version.split()[0])'
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: setup
setup: .venv/ready  ## make .venv with everything, from the hash-locked requirements

.PHONY: demo
demo: .venv/ready  ## see a push become a synced directory, with what can go wrong on the way
	@$(BIN)/bellpull demo $(ARGS)

.PHONY: test
test: .venv/ready  ## run the tests; ARGS='-k journal' passes options to pytest
	@$(BIN)/python -m pytest $(ARGS)

.PHONY: check
check: .venv/ready  ## format, lint, types, layers, docs
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tests.docs --check
	@$(BIN)/sphinx-build -q -W -n -b html docs docs/_build

.PHONY: format
format: .venv/ready  ## format the code and mend what can be mended by itself
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

.PHONY: docs
docs: .venv/ready  ## write the generated pages of the reference anew
	@$(BIN)/python -m tests.docs

.PHONY: soak
soak: .venv/ready  ## the fault tests with large counts; prints a table
	@$(BIN)/python -m pytest -m soak $(ARGS)

.PHONY: bench
bench: .venv/ready  ## figures as ratios to a floor of the same run, into docs/reference/performance.md
	@$(BIN)/python -m tests.bench

.PHONY: cluster
cluster: .venv/ready  ## a Kubernetes API server without nodes, for trying things; prints its kubeconfig
	@$(BIN)/python -m tests.control_plane

.PHONY: lock
lock: .venv/ready  ## resolve requirements.txt anew
	@$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --upgrade -q -o requirements.txt

.PHONY: clean
clean:  ## remove what was made here
	@rm -rf .venv build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis
