# What is done with this project, by one word each. The environment is made from the lock when it is needed.

PYTHON ?= python3
BUDGET ?= 60s
PLAN ?= testplans/nightly.toml
PLANS_BUDGET ?= 20s
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-lock
PURE := vocab wire events oracles sim plan report gen run

.DELETE_ON_ERROR:
.PHONY: help nightly test check bench score soak guest guest-packages environment clean

help:
	@echo "make nightly [BUDGET=60s]  perform $(PLAN) on simulated hosts, judge it, write the reports"
	@echo "make test                  the harness's own tests, then the test plans on simulated hosts"
	@echo "make check                 the fast loop: ruff, mypy, the pure tests"
	@echo "make bench                 the benchmarks, each a ratio beside its limit"
	@echo "make score                 what the search finds, how soon, how small: about 20 minutes"
	@echo "make soak                  200,000 cases on the healthy simulator, which may find nothing: half an hour"
	@echo "make guest                 the QEMU guest: a real Linux for ppc64le, built from Debian's packages"
	@echo "make guest-packages        what make guest needs, installed (Debian and Ubuntu, as root)"
	@echo "make clean                 remove the environment and caches"

nightly: environment
	$(BIN)/harness run $(PLAN) --budget $(BUDGET)

test: environment
	$(BIN)/python -m pytest tests testplans -n 2 --dist worksteal --budget $(PLANS_BUDGET) --capi-seed 1
	$(BIN)/harness score --short

check: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict harness
	$(BIN)/python -m pytest -q -n 2 $(wildcard $(addprefix tests/,$(PURE))) $(wildcard tests/test_layers.py tests/test_registry.py)

bench: environment
	$(BIN)/python -m bench

score: environment
	$(BIN)/harness score

soak: environment
	$(BIN)/harness score --healthy 200000

guest: environment
	@$(BIN)/python -m harness.guest

guest-packages: environment
	@packages="$$($(BIN)/python -m harness.guest --missing)"; test -z "$$packages" || { \
	  apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $$packages; }

environment: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no $(PYTHON) here. Install Python 3.11 or newer, or name one: make PYTHON=PATH"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "This needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
	  echo "Name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
