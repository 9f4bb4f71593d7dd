# Every target is one line; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help install demo up check test bench chaos lock docs
BIN := .venv/bin
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options
SERVICES := --extra gateway --extra executor --extra scheduler --extra status --extra local

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

install: ## prepare .venv from the hashed requirements, if it is not up to date
	@infra/install.sh

demo: install ## start the stack, run the flagship strategy on real prices, report, stop
	@$(BIN)/blotter demo

up: install ## start the whole stack on this machine; Ctrl-C stops it
	@$(BIN)/blotter up

check: install ## lint, format, types, import contracts, dead code
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/vulture

test: install ## run all tests
	$(BIN)/pytest

bench: install ## measure throughput, latency, recovery, cancellation, preemption, steps side by side, schedules
	$(BIN)/python -m tests.bench && $(BIN)/python -m tests.bench.preempting && $(BIN)/python -m tests.bench.branching && $(BIN)/python -m tests.bench.scheduling

chaos: install ## simulate 100,000 steps, race 10,000 interrupts, kill 65 processes under 2,000 runs, and beat 100 times
	$(BIN)/pytest -m chaos && $(BIN)/python -m tests.simulation --steps 100000 && $(BIN)/python -m tests.chaos.interrupts && $(BIN)/python -m tests.chaos.large_run && $(BIN)/python -m tests.chaos.beats && $(BIN)/python -m tests.chaos

lock: install ## renew the hashed requirements from pyproject.toml
	$(COMPILE) $(SERVICES) --output-file requirements/run.txt pyproject.toml && $(COMPILE) --all-extras --constraint requirements/run.txt --output-file requirements/dev.txt pyproject.toml

docs: install ## run the examples of the documentation
	$(BIN)/pytest tests/docs
