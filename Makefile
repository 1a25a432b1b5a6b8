# Everything that a person or CI does with a checkout. `make` alone lists the targets.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STORE ?= $(CURDIR)/.oastfs/store
MOUNT ?= ./mnt
UP_OPTIONS ?=
PYTEST_OPTIONS ?=
BASELINE ?= bench/baselines/two-cores.json
BENCH_LIMIT ?=
BENCH_RESULTS := build/bench-results.json
# Growth of a namespace is compared within its own run, which takes minutes.
BENCH = $(BIN)/python -m pytest bench --ignore bench/test_scale.py --benchmark-only --benchmark-json=$(BENCH_RESULTS) --timeout 1800 $(PYTEST_OPTIONS)
RESULTS := build/test-results.xml
# Most tests wait for processes, not for processors.
TEST_WORKERS ?= 3
IN_C := $(shell find oastfs -name '*.[ch]')

.DEFAULT_GOAL := help
.PHONY: help run test test-long lint format bench bench-baseline bench-compare protobuf setup-run setup-test clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

run: setup-run ## Set up and run OastFS on the embedded store, mounted at ./mnt
	@exec $(BIN)/oastfs up '$(STORE)' --mount '$(MOUNT)' $(UP_OPTIONS)

test: setup-test lint ## Set up, check style and types, run all tests but the long ones
	@mkdir -p build
	@exec $(BIN)/python -m pytest -m 'not long' -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder --junitxml=$(RESULTS) -o junit_suite_name=oastfs $(PYTEST_OPTIONS)

test-long: setup-test ## Run the long tests only
	@$(MAKE) -s --no-print-directory $(VENV)/stamp-tensorflow-io
	@mkdir -p build
	@exec $(BIN)/python -m pytest -m long --timeout 7200 --junitxml=build/test-results-long.xml $(PYTEST_OPTIONS)

lint: setup-test ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup-test ## Bring the code into the common form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup-test ## Measure the library, and show the figures
	@mkdir -p build
	$(BENCH)

bench-baseline: bench ## Measure the library, and keep the figures to compare with
	$(BIN)/python -m bench.baselines save $(BENCH_RESULTS) $(BASELINE)

bench-compare: bench ## Measure the library, and compare with the kept figures
	$(BIN)/python -m bench.baselines compare $(BASELINE) $(BENCH_RESULTS) --again $(if $(BENCH_LIMIT),--limit $(BENCH_LIMIT))

protobuf: setup-test ## Make the protobuf code anew from the .proto files
	PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/generate_protobuf.sh

# Set-up is done once: the stamps are younger than what they were made from. Only missing system
# packages are installed, and asking for them takes milliseconds.
setup-run:
	@bash scripts/setup_debian.sh run
	@$(MAKE) -s --no-print-directory $(VENV)/stamp-run

setup-test:
	@bash scripts/setup_debian.sh test
	@$(MAKE) -s --no-print-directory $(VENV)/stamp-test

$(VENV)/stamp-run: pyproject.toml scripts/setup_venv.sh $(IN_C)
	@bash scripts/setup_venv.sh $(VENV) -e .
	@touch $@

$(VENV)/stamp-test: pyproject.toml scripts/setup_venv.sh scripts/setup_hadoop_tools.py scripts/build_libhdfs.sh $(IN_C)
	@bash scripts/setup_venv.sh $(VENV) -e '.[bench,dev,compat]'
	@$(BIN)/python scripts/setup_hadoop_tools.py $(VENV)/share/hadoop-tools
	@bash scripts/build_libhdfs.sh $(VENV)
	@touch $(VENV)/stamp-run $@

# TensorFlow IO works with few releases of TensorFlow, and with no newer Python than they do.
$(VENV)/stamp-tensorflow-io: Makefile scripts/setup_venv.sh
	@bash scripts/setup_venv.sh $(VENV)/tensorflow-io tensorflow-cpu==2.16.2 tensorflow-io==0.37.1 'setuptools<81' \
		|| echo 'No TensorFlow IO for this Python: its tests are skipped'
	@touch $@

clean: ## Remove what was built and installed here (not the store in .oastfs)
	@if mountpoint -q '$(MOUNT)'; then echo 'mounted at $(MOUNT): stop `make run` first'; exit 1; fi
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find oastfs -name '*.so' -delete
	find oastfs tests bench -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
