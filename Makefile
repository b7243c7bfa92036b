# Every command a person or CI needs. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
MEMBERS := contracts $(wildcard libs/*) $(wildcard services/*) tools/cli tools/bank_simulator tools/chaos
EDITABLES := $(foreach member,$(MEMBERS),-e $(member))
STAMP := .venv/.installed

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# Compiled here: where PYTHONDONTWRITEBYTECODE is set, every process would compile all it imports anew.
$(STAMP): requirements/workspace.txt requirements/bootstrap.txt $(foreach member,$(MEMBERS),$(member)/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Tallystick needs Python >= 3.11; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Set PYTHON=/path/to/python3.11 (or newer)."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/workspace.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(EDITABLES)
	@$(BIN)/python -m compileall -q -j 0 $(addsuffix /src,$(MEMBERS))
	@$(BIN)/tally stack fetch >/dev/null
	@mkdir -p var && touch $@

.PHONY: install
install: $(STAMP) ## Create .venv with the locked dependencies and fill the caches
.PHONY: demo
demo: install ## A funding event to a paid payout, a thousand times, with proof that nothing was lost
	@$(BIN)/tally demo $(ARGS)

.PHONY: up down
up: install ## Start everything and stay up (Ctrl-C stops it)
	@$(BIN)/tally up
down: install ## Stop what an `up` that was killed left running
	@$(BIN)/tally stack stop

.PHONY: test
# Each worker has a Postgres and a Kafka of its own; a file's tests stay with one of them. Three keep two
# cores busy: tests wait for servers a fifth of their time. Tests that start whole platforms come after,
# two files at a time: more of them would wait for each other longer than their faults allow.
WORKERS ?= 3
WHOLE := tests/chaos tests/e2e
test: install ## All tests that need no container engine (ARGS=-x, WORKERS=3), or some (TESTS=libs/money)
ifeq ($(TESTS),)
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(WHOLE:%=--ignore=%) $(ARGS)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(WHOLE) $(ARGS)
else
	@$(BIN)/python -m pytest -q $(ARGS) $(TESTS)
endif

.PHONY: check
check: install ## Format, lint, types, import rules, size limits, contracts
	@$(BIN)/ruff format --check --quiet . || { echo "remedy: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/codespell
	@$(BIN)/mypy --no-error-summary $(addsuffix /src,$(MEMBERS))
	@$(BIN)/lint-imports --no-cache >var/lint-imports.log 2>&1 || { cat var/lint-imports.log; exit 1; }
	@$(BIN)/python tools/tidy.py
	@$(BIN)/python -m tally_contracts.generate --check
	@$(BIN)/python -m tally_contracts.generate --check-compat
	@echo "check: green"

.PHONY: format
format: install ## Format the code and fix what can be fixed
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

.PHONY: contracts
contracts: install ## Generate JSON Schemas, AsyncAPI and the system map from the contracts
	@$(BIN)/python -m tally_contracts.generate

.PHONY: chaos
SEED ?= 1
MINUTES ?= 0.75
chaos: install ## Seeded faults on every process and link under load, then the oracle (SEED=, MINUTES=)
	@$(BIN)/tally chaos run --seed $(SEED) --minutes $(MINUTES) $(ARGS)

.PHONY: chaos-sim
chaos-sim: install ## Replay one simulated run: make chaos-sim SEED=7 [STEPS=20000] [BUG=no_inbox]
	@test -n "$(SEED)" || { echo "remedy: make chaos-sim SEED=<number>"; exit 2; }
	@$(BIN)/python -m tests.simulation --seed $(SEED) $(if $(STEPS),--steps $(STEPS)) $(if $(BUG),--bug $(BUG))

.PHONY: mutants
mutants: install ## Mutation testing of the ledger's core: what its fast tests catch (ARGS=)
	@$(BIN)/python tools/mutants.py $(ARGS)

.PHONY: bench bench-posting bench-kafka bench-payments bench-rules bench-reads bench-directory bench-api
bench: bench-posting bench-kafka bench-payments bench-rules bench-reads bench-directory bench-api ## Benchmarks, as JSON under var/bench and a table
bench-posting: install ## The posting function beside pgbench and a transfer per transaction (ARGS=)
	@$(BIN)/python services/ledger/bench/posting.py $(ARGS)
bench-kafka: install ## The ledger from command topic to fact topic: rate against latency (ARGS=)
	@$(BIN)/python services/ledger/bench/through_kafka.py $(ARGS)
bench-payments: install ## Payments from funding topic to paid, everything running (ARGS=)
	@$(BIN)/python tests/bench/end_to_end.py $(ARGS)
bench-rules: install ## Evaluations a second of a 20-line rule, beside the reference (ARGS=)
	@$(BIN)/python services/funding/bench/rules.py $(ARGS)
bench-reads: install ## Each read of the portfolio at a million movements: time, statements, rows (ARGS=)
	@$(BIN)/python services/portfolio/bench/reads.py $(ARGS)
bench-directory: install ## Commands and pay-ins the directory decides a second, in a large tree (ARGS=)
	@$(BIN)/python services/directory/bench/deciding.py $(ARGS)
bench-api: install ## The API: commands accepted a second, times of commands and reads (ARGS=)
	@$(BIN)/python services/gateway/bench/api.py $(ARGS)

.PHONY: lock
lock: ## Resolve dependencies anew and export the hash-locked requirements (needs network)
	@tools/lock.sh --upgrade

.PHONY: clean
clean: ## Remove what was built and the data of demos; keeps .venv
	@rm -rf var .mypy_cache .ruff_cache .pytest_cache .hypothesis
