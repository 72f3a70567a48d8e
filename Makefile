# Everything here needs nothing but python3 (3.11 or newer): uv comes from pip into .tools, all the rest by uv into .venv.
# HEDGEROW_* variables are passed through: `HEDGEROW_PORT=9000 make up`.

PYTHON ?= python3
TESTS ?= tests
SLOW = --ignore=tests/end_to_end --ignore=tests/agents_real
ARGS ?=

# Without bytecode every start is three to four times slower, and the tests start many processes.
unexport PYTHONDONTWRITEBYTECODE

UV := .tools/bin/uv
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help up install install-dev test test-fast test-agents test-bars test-chaos test-s3 test-whole test-as-user bench lint format requirements clean

help: ## Show what can be made
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 18

up: .venv/installed ## Start everything: API, worker and database (ARGS="--port 9000")
	@$(BIN)/hedgerow up $(ARGS)

install: .venv/installed ## Install what `up` needs into .venv

install-dev: .venv/installed-dev ## Install what the tests need as well

test: lint test-fast ## Lint, then every test that needs no agent of others

test-fast: .venv/installed-dev ## The tests alone (TESTS=tests/db ARGS="-k journal")
	@scripts/install-bubblewrap || echo "the tests of bubblewrap sandboxes are skipped" >&2
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -q -m "not s3 and not whole and not bars" $(SLOW) $(TESTS) $(ARGS)

test-agents: .venv/installed-dev ## The real Claude Code and Codex against a scripted model on loopback
	@$(BIN)/pytest -q -m agents tests/agents_real $(ARGS)

test-bars: .venv/installed-dev ## The bars of docs/guarantees.md that take long
	@$(BIN)/pytest -q -m bars tests/bars $(ARGS)

test-chaos: .venv/installed-dev ## kill -9 of everything that may die, under single runs and under thirty (HEDGEROW_CHAOS_SECONDS=600: for longer)
	@$(BIN)/pytest -n 2 --dist loadfile -q -m chaos tests/end_to_end $(ARGS)

test-whole: .venv/installed-dev ## Whole programs: hedgerows, with GitHub, Slack and files on loopback; agents and their servers; databases; checkpoints
	@$(BIN)/pytest -n 2 --dist loadfile -q -m "whole and not chaos and not s3" tests/end_to_end tests/agent_server tests/agents tests/cli tests/db tests/lifecycle tests/scripted_agent $(ARGS)

test-s3: .venv/installed-dev ## The object store on a real S3 server: Ceph's, fetched from the packages of Debian
	@scripts/install-ceph || { echo "the tests of S3 are skipped" >&2; [ -z "$$CI" ]; }
	@$(BIN)/pytest -q -m s3 tests/storage tests/api tests/end_to_end $(ARGS)

test-as-user: .venv/installed-dev ## As root: `make test` once more in a clone, as an account without rights
	@scripts/test-as-user $(PYTHON)

bench: .venv/installed-dev ## Measure what the README promises
	@$(BIN)/python -m benchmarks $(ARGS)

lint: .venv/installed-dev ## Style, types and floors
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: .venv/installed-dev ## Put the code into shape
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

requirements: $(UV) ## Choose the newest versions that pyproject.toml allows
	@scripts/lock-requirements

clean: ## Remove the environments, not the data
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(UV):
	@scripts/install-uv $(PYTHON)

.venv/installed: $(UV) requirements.txt pyproject.toml
	@scripts/install-environment $(PYTHON)

.venv/installed-dev: $(UV) requirements-dev.txt pyproject.toml
	@scripts/install-environment $(PYTHON) dev
