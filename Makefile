# Verbs: demo, dev, test, lint, format, conformance, mutants, bench, chaos, soak, fuzz, docs, lock, clean. Each does its own set-up.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
    command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
JS := tests/interop/js
SOURCES := $(shell git ls-files '*.py' '*.typed' '*.did' 2>/dev/null) pyproject.toml README.md
PACKAGES := icws_secure client/icws_client gateway/icws_gateway canister_mock/icws_canister_mock cli/icws_cli spec/conformance/icws_conformance
PARTS := $(wildcard $(PACKAGES))
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo dev test lint format conformance mutants bench chaos soak fuzz docs lock clean install install-dev node icpy browser redis proxies python

demo: install
	$(BIN)/icws demo

dev: install
	$(BIN)/icws dev

# Tests marked "alone" play whole scenes in real time and get the machine for themselves. Exit 5: PYTEST_ARGS left none.
test: install-dev node icpy browser redis proxies
	$(BIN)/pytest -n auto -m "not alone" $(PYTEST_ARGS)
	$(BIN)/pytest -m alone $(PYTEST_ARGS) || [ $$? -eq 5 -a -n "$(PYTEST_ARGS)" ]

lint: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: install-dev node
	$(BIN)/python bench/run.py --json bench/results/latest.json $(BENCH_ARGS)

fuzz: install-dev
	$(BIN)/python fuzz/run.py $(FUZZ_ARGS)

conformance: install
	$(BIN)/icws conformance lint
	$(BIN)/icws conformance generate --check spec/vectors
	$(BIN)/icws conformance vectors spec/vectors/*.json tests/vectors/*.json --strict --report reports/conformance
	$(BIN)/icws conformance gateway --report reports/conformance
	$(BIN)/icws conformance client --report reports/conformance
	$(BIN)/icws conformance canister --report reports/conformance
	$(BIN)/icws conformance report reports/conformance/*.json --html reports/conformance/index.html

mutants: install
	$(BIN)/icws conformance mutants --matrix spec/kill_matrix $(MUTANTS_ARGS)

chaos: install
	$(BIN)/python tests/chaos/run.py $(CHAOS_ARGS)

soak: install
	$(BIN)/python tests/soak/run.py $(SOAK_ARGS)

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Every program, link and name in the pages, and every example, is tried.
docs: install-dev
	$(BIN)/pytest -n auto tests/docs tests/icws_client/test_docstrings.py tests/end_to_end/test_docstrings.py

lock:
	sh requirements/lock.sh

clean:
	rm -rf $(VENV) .venv-icpy .stamps build dist reports bench/results $(JS)/node_modules

# ------------------------------------------------------------------ set-up

python:
	@test -n "$(PYTHON)" || { echo "icws-secure needs Python 3.11 or newer with the venv module (Debian: apt-get install python3 python3-venv)."; exit 1; }

$(VENV)/.created: | python
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runtime: requirements/runtime.txt $(VENV)/.created
	$(PIP) install --require-hashes -r requirements/runtime.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

# The wheel is built from the sources and installed: demo and tests run on the installed package, not on the checkout.
$(VENV)/.package: $(VENV)/.runtime $(SOURCES)
	$(PIP) install --no-deps --force-reinstall .
	@touch $@

install: $(VENV)/.package

install-dev: $(VENV)/.dev install

node: $(JS)/node_modules/.created

$(JS)/node_modules/.created: $(JS)/package-lock.json
	@if command -v npm >/dev/null 2>&1; then cd $(JS) && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.created; \
	elif [ -n "$$CI" ]; then echo "CI needs Node.js and npm"; exit 1; \
	else echo "Node.js and npm are not installed: the interoperability tests will be skipped (Debian: apt-get install nodejs npm)."; fi

browser:
	@if command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1; then :; \
	elif [ -n "$$CI" ] && command -v apt-get >/dev/null 2>&1; then \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
	else echo "Chromium is not installed: the test of the status page will be skipped (Debian: apt-get install chromium)."; fi

redis:
	@if command -v redis-server >/dev/null 2>&1 || command -v valkey-server >/dev/null 2>&1; then :; \
	elif [ -n "$$CI" ] && command -v apt-get >/dev/null 2>&1; then \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server; \
	else echo "Redis is not installed: the tests of gateways that share polls will be skipped (Debian: apt-get install redis-server)."; fi

# What the files in gateway/deploy are for: each program and its Debian package.
proxies:
	@for each in nginx:nginx-light haproxy:haproxy promtool:prometheus systemd-analyze:systemd; do \
	PATH="$$PATH:/usr/sbin" command -v $${each%%:*} >/dev/null 2>&1 && continue; \
	if [ -n "$$CI" ] && command -v apt-get >/dev/null 2>&1; then \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $${each##*:} || exit 1; \
	else echo "$${each%%:*} is not installed: tests of the deploy files will be skipped (Debian: apt-get install $${each##*:})."; fi; done

icpy: .venv-icpy/.created

.venv-icpy/.created: requirements/icpy.txt | python
	$(PYTHON) -m venv --clear .venv-icpy
	.venv-icpy/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/icpy.txt
	@touch $@
