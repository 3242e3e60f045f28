# `make help` lists what there is. Everything runs from .venv, which make builds
# from the pinned and hashed lock files; a stamp named after the lock's hash
# says that it is up to date.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/.runtime-$(shell sha256sum < requirements.txt | cut -c1-16)
DEVELOPMENT := .venv/.development-$(shell sha256sum < requirements-dev.txt | cut -c1-16)
COMPILE := uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url

.PHONY: help run install test check conformance conformance-mutate bench lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' Makefile

run: $(RUNTIME) ## start everything on this machine and print one address (LAN=1: for your phone, too)
	@PASSES_MODE=development exec $(BIN)/python -m passes run $(if $(LAN),--lan)

install: $(RUNTIME) ## make or renew the environment that the service runs in
	@echo 'The environment is up to date.'

test: $(DEVELOPMENT) ## everything: lint, types, arrows and all tests on both databases
	@$(BIN)/python -m tests.stages test

check: $(DEVELOPMENT) ## the quick part of it, in less than a minute
	@$(BIN)/python -m tests.stages check

conformance: $(DEVELOPMENT) ## which numbered checks of docs/checks are proven
	@$(BIN)/python -m pytest -q -n 2 -m check --conformance

conformance-mutate: $(DEVELOPMENT) ## break the product once for each [!] check: a test must notice
	@$(BIN)/python -m tests.mutate

bench: $(DEVELOPMENT) ## how fast it is, beside other programs on this machine (BENCH=full: a million cards)
	@$(BIN)/python -m benchmarks

lock: ## choose versions anew and pin them (needs uv)
	@$(COMPILE) --upgrade -o requirements.txt
	@$(COMPILE) --upgrade --group dev --constraint requirements.txt -o requirements-dev.txt

# The environment ---------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed.")'
	@$(PYTHON) -m venv --clear .venv || { echo 'On Debian: apt-get install --no-install-recommends python3-venv'; exit 1; }

# wallet-py3k is published as source only. Its build tool is pinned too, and is
# installed first, so that the build fetches nothing by itself.
define install
@echo 'Installing $(1) (a minute or two, once) …'
@awk '/^[^ ]/ {wanted = /^setuptools==/} wanted' $(1) > .venv/build-tool.txt
@began=$$SECONDS; \
	$(BIN)/pip install -qq --disable-pip-version-check --require-hashes --no-deps -r .venv/build-tool.txt; \
	$(BIN)/pip install -qq --disable-pip-version-check --require-hashes --no-build-isolation -r $(1); \
	echo "✓ environment $$((SECONDS - began)) s"
endef

$(RUNTIME): requirements.txt | $(BIN)/python
	$(call install,requirements.txt)
	@rm -f .venv/.runtime-*
	@touch $@

# The lock for development holds every pin of the other one.
$(DEVELOPMENT): requirements-dev.txt | $(BIN)/python
	$(call install,requirements-dev.txt)
	@rm -f .venv/.runtime-* .venv/.development-*
	@touch $(RUNTIME) $@
