# The one list of commands; .ci/run calls it too. ARGS="..." is passed on, PYTHON=... names another interpreter.
SHELL = /bin/sh
PYTHON ?= python3
WEB ?= --web
SEEDS ?= 200
WORKERS ?= 2
BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip
# Each worker has an engine and brokers of its own, and takes whole files. WORKERS=0 runs in one process, for --pdb.
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile
RUN := .venv/.installed
DEV := .venv/.installed-dev

.PHONY: help soak test test-slow storm drill mutants simulate check audit bench size golden pages dashboards lock clean
.DELETE_ON_ERROR:

help:
	@echo "make soak       install into .venv, then run a dark shadow soak and its page (WEB= without it; ARGS=\"--json\" and other flags of violet soak)"
	@echo "make test       the tests, without the slow ones (ARGS=\"tests/lanes -k acb\" and other flags of pytest; WORKERS=0 in one process)"
	@echo "make test-slow  long soaks, the built wheel, a month of recorded bars"
	@echo "make simulate   soaks in simulated time, one for each seed of its faults (SEEDS=10000, ARGS=\"--first 10000\")"
	@echo "make drill      the quick set of violet drill: faults in a scratch directory (ARGS=\"--seed 7\" and its other flags)"
	@echo "make storm      dozens of kills of soaks and engines, at random moments and at every step; all of violet drill"
	@echo "make mutants    small changes of lanes, evaluation and ledger, each of which a test must notice (ARGS=\"--within 120\", ARGS=lanes/ob.py)"
	@echo "make check      format, lint, types, import contracts"
	@echo "make audit      bill of materials (dist/violet.cdx.json), licences and known vulnerabilities of the locked packages (ARGS=--offline asks nobody)"
	@echo "make bench      measurements, as a table"
	@echo "make size       lines of code of each package, without docstrings, comments and blank lines (ARGS=\"CHECKOUT...\")"
	@echo "make golden     rewrite the golden files on purpose; needs a line in CHANGELOG.md"
	@echo "make pages      write the generated pages of docs/ anew"
	@echo "make dashboards  write deploy/grafana/dashboards anew"
	@echo "make lock       resolve the locks from pyproject.toml (ARGS=--upgrade for newer versions)"
	@echo "make clean      remove .venv, caches and builds; journals (violet-data) stay"

# 0 is PASS, 2 is HOLD or a soak that was stopped. Ctrl-C is the soak's to handle: it drains.
soak: $(RUN)
	@trap : INT; $(BIN)/violet soak $(WEB) $(ARGS); rc=$$?; case $$rc in 0|2) exit 0;; *) exit $$rc;; esac

test: $(DEV)
	@$(PYTEST) $(ARGS)

test-slow: $(DEV)
	@$(PYTEST) -m "slow and not storm" $(ARGS)

storm: $(DEV)
	@$(BIN)/python -m pytest -m storm $(ARGS)
	@$(BIN)/violet drill

drill: $(RUN)
	@$(BIN)/violet drill --quick $(ARGS)

simulate: $(DEV)
	@$(BIN)/python -m tests.simulate --seeds $(SEEDS) $(ARGS)

mutants: $(DEV)
	@$(BIN)/python -m tests.mutants $(ARGS)

check: $(DEV)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

audit: $(DEV)
	@$(BIN)/python -m tests.audit $(ARGS)

bench: $(DEV)
	@$(BIN)/python -m pytest -m bench --capture=no $(ARGS)

size: $(DEV)
	@$(BIN)/python -m tests.size $(ARGS)

golden: $(DEV)
	@$(BIN)/python -m pytest -m golden --rewrite-golden $(ARGS)
	@git diff --stat -- tests/golden
	@echo "Each changed file needs a line under 'Decisions change' in CHANGELOG.md."

pages: $(DEV)
	@$(BIN)/python docs/generate.py

dashboards: $(DEV)
	@$(BIN)/python deploy/grafana/dashboards.py

# The development lock is held to the versions of the runtime lock. That of the extra tdigest holds what it adds alone;
# none of that has a wheel.
COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
	--quiet $(ARGS)
EXTRA = import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["tdigest"])
lock: $(DEV)
	$(COMPILE) pyproject.toml --group build --no-build --output-file requirements.lock
	$(COMPILE) pyproject.toml --group build --no-build --extra dev --constraint requirements.lock \
		--output-file requirements-dev.lock
	$(BIN)/python -c '$(EXTRA)' | $(COMPILE) - --constraint requirements.lock --no-annotate \
		--output-file requirements-tdigest.lock

clean:
	rm -rf .venv .kafka dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find lanes reactor journal violet tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): requirements.lock pyproject.toml
	@$(call install,requirements.lock)
	@touch $@

# It holds all of the runtime lock, so it makes that stamp too.
$(DEV): requirements-dev.lock requirements-tdigest.lock pyproject.toml
	@$(call install,requirements-dev.lock)
	@$(sketches)
	@touch $(RUN) $@

# The extra tdigest, where it can be built: tests that need it skip and say so.
HEADERS = import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))
define sketches
if command -v cc >/dev/null && $(BIN)/python -c '$(HEADERS)' && \
	$(PIP) install --quiet --require-hashes --no-deps --no-build-isolation -r requirements-tdigest.lock; \
then echo "installed the extra tdigest"; \
else echo "did not install the extra tdigest: it wants a C compiler and Python.h; make test goes on without" >&2; fi
endef

# pip's exit status passes through a file, since /bin/sh has no pipefail. The project itself is installed as a link to
# this folder, by the hashed build backend that the lock has just brought.
define install
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "VIOLET needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Fix: make PYTHON=python3.11 ..." >&2; exit 1; }; \
[ -x $(BIN)/pip ] || { echo "creating .venv"; $(PYTHON) -m venv --clear .venv; } || exit 1; \
echo "installing $(1) into .venv"; \
{ $(PIP) install --require-hashes --only-binary :all: -r $(1); echo $$? > .venv/.status; } | \
	awk '/^ *(Downloading|Using cached) / { printf "  %3d  %s %s %s\n", ++n, $$(NF-2), $$(NF-1), $$NF; fflush() }'; \
read status < .venv/.status; [ "$$status" -eq 0 ] || exit "$$status"; \
$(PIP) install --quiet --no-deps --no-build-isolation --editable .
endef
