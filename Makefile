# Everything a developer does, and the same for the build server: `make check` is what .ci/run calls.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
INSTALLED := .venv/.installed
# Another interpreter: make PYTHON=python3.12
PYTHON ?=
# Tests side by side; a file stays in one lane, so that each lane has its own servers.
LANES ?= 2
# No figures: make test COVERAGE=
COVERAGE ?= --cov --cov-report=term:skip-covered

# Where the unit tests keep their files: in memory, where the system has that, as they wait for the disk half of the time otherwise.
IN_MEMORY := $(shell [ -d /dev/shm ] && [ -w /dev/shm ] && echo TMPDIR=/dev/shm)

# Compiled tests are kept for the next time, also where the environment forbids it, as many containers do: compiling takes a fifth of the time.
COMPILED := PYTHONDONTWRITEBYTECODE=

# What no unit test asks for and every test would pay for.
UNUSED := -p no:anyio -p no:cov -p no:logging

.PHONY: help demo unit test soak contract-large lint format check bench servers bench-tools clean

help: ## Show this list
	@grep -E '^[a-z.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z.-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: $(INSTALLED) ## Build a small office and run the whole job on it
	@$(BIN)/python -m demo

unit: $(INSTALLED) ## Run the tests that need no server, with fewer random examples; seconds
	@QUICK=1 $(COMPILED) $(IN_MEMORY) $(BIN)/python -m pytest -n $(LANES) --dist worksteal $(UNUSED) -o tmp_path_retention_policy=failed tests/unit

# Files in the order of their folders, the unit tests last: by the number of their tests, which is what pytest-xdist prefers, the
# longest come last, of one test each, and one lane waits for minutes while the other has three of them.
test: $(INSTALLED) servers ## Run all tests, on real servers too
	@$(BIN)/python -m pytest -n $(LANES) --dist loadfile --no-loadscope-reorder $(COVERAGE)

soak: $(INSTALLED) servers ## Hurt an installation 500 times, and go through a million records with many workers; long
	@RETENTION_SOAK_KILLS=$${RETENTION_SOAK_KILLS:-500} ROWS=$${ROWS:-1000000} \
	  $(BIN)/python -m pytest -s tests/systems/test_soak.py tests/systems/test_soak_large.py

contract-large: $(INSTALLED) servers ## Read 100,000 records with every connector and print time and memory; long. Some: SYSTEMS="webdav sftp"
	@$(BIN)/python -m tests.large $(SYSTEMS)

lint: $(INSTALLED) ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(INSTALLED) ## Lay out the code and mend what can be mended
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

check: lint test ## Everything the build server checks

bench: $(INSTALLED) servers bench-tools ## Measure the speed against the databases' own means; long
	@$(BIN)/python -m bench

servers: ## Install the servers and checkers that the tests need (MariaDB, PostgreSQL, promtool ...), starting none
	@tests/systems/servers/install.sh servers

bench-tools: ## Install what the benchmark compares with
	@tests/systems/servers/install.sh bench-tools

clean: ## Remove the environment and everything that was made
	@rm -rf .venv .demo .bench .servers build *.egg-info .coverage .coverage.* \
	  .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv: $(INSTALLED) ## Make the environment with everything in it

# A Python of 3.11 or later that can make environments; Debian and Ubuntu put that half into a package of its own.
$(INSTALLED): pyproject.toml
	@chosen=; lame=; \
	for name in $(PYTHON) $(if $(PYTHON),,python3 python3.14 python3.13 python3.12 python3.11); do \
	  "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  if "$$name" -c 'import venv, ensurepip' 2>/dev/null; then chosen=$$name; break; fi; \
	  lame=$${lame:-$$("$$name" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')}; \
	done; \
	if [ -z "$$chosen" ] && [ -n "$$lame" ]; then \
	  echo "$$lame can't make environments. Install the package for it:  apt install $$lame-venv" >&2; exit 2; fi; \
	if [ -z "$$chosen" ]; then \
	  echo "Python 3.11 or later is needed.  apt install python3 python3-venv" >&2; exit 2; fi; \
	[ -x $(BIN)/python ] && [ -x $(BIN)/pip ] || "$$chosen" -m venv --clear .venv
	@echo "Installing into .venv; this takes a minute or two the first time." >&2
	@$(BIN)/python -m pip install -qq --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install -qq --editable '.[dashboard,imap,rest,s3,sftp,webdav]' --group test --group lint --group demo
	@touch $@
