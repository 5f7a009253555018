# Needs Python 3.11 or newer and nothing else: everything is installed into .venv on first use.
# PYTHON=/path/to/python chooses the interpreter that .venv is made with; ARGS="-k cron -x" goes to pytest.

VENV := .venv
RUN := $(VENV)/bin/python
TOOLS := $(VENV)/installed-dev
EMBEDDED := $(VENV)/installed-embedded
DEMO := $(VENV)/installed-embedded,web
BROWSER := $(VENV)/installed-dev,browser
MANUAL := $(VENV)/installed-docs
SITE := build/docs
CHECKED := _arq_supervise arq supervisor tests examples benchmarks manual
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
SUITABLE := import sys; sys.version_info >= (3, 11) or sys.exit(1); import ensurepip, venv

# Several processes run all tests; one runs what ARGS names.
SPREAD = $(if $(ARGS),,-n auto --dist loadfile --no-loadscope-reorder)
# Tests start Python a thousand times: it need not compile the same sources each time.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help demo test test-cluster test-systemd test-servers test-pythons test-others test-tools test-docs test-web screenshots fast check format bench bench-all docs docs-links docs-serve clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## four supervised workers do real work on an embedded Valkey, with a dashboard (ARGS=--stay: until Ctrl-C)
	@$(MAKE) --no-print-directory '$(DEMO)' || { test -x $(RUN) && \
	  echo "make: the packages of the dashboard could not be installed: the demo goes on without it" >&2 && \
	  $(MAKE) --no-print-directory $(EMBEDDED); }
	@$(RUN) -m examples.demo $(ARGS)

test: $(TOOLS) ## run all tests
	@$(RUN) -m pytest $(SPREAD) $(ARGS)

test-systemd: $(TOOLS) ## try the units under a booted systemd (needs root, debootstrap, systemd-container)
	@$(RUN) -m pytest tests/systemd $(ARGS)

test-servers: $(TOOLS) ## fast tests of the queue on each Redis and Valkey that can be had
	@$(RUN) -m tests.matrix.servers $(ARGS)

test-pythons: $(TOOLS) ## fast tests on each Python that can be had (ARQ_PYTHONS names others)
	@$(RUN) -m tests.matrix.pythons $(ARGS)

test-others: $(TOOLS) ## run suites of packages that build on arq (SUITES="safir arq-dashboard=/path/to/checkout")
	@$(RUN) -m tests.compat.others $(SUITES)

test-cluster: $(TOOLS) ## run clusters of Redis and of Valkey, with fail-overs and moves of slots under load
	@$(RUN) -m pytest tests/cluster $(ARGS)

test-tools: $(TOOLS) ## run pools under tracers, profilers, a debugger, init programs and packagers (first run: minutes)
	@$(RUN) -m pytest tests/tools $(ARGS)

test-web: $(BROWSER) ## look at the dashboard with a real browser (needs chromium; screenshots in .screenshots/)
	@$(RUN) -m pytest tests/browser $(ARGS)

screenshots: $(BROWSER) ## take the pictures of the dashboard in docs/images again, from the demo (needs chromium)
	@$(RUN) -m tests.browser.screenshots

test-docs: $(TOOLS) ## run every block of code in README and docs (a minute or two)
	@$(RUN) -m pytest tests/docs $(if $(ARGS),,-n auto --dist load) $(ARGS)

fast: $(TOOLS) ## run the tests that take no more than a moment each
	@$(RUN) -m pytest -q $(SPREAD) -m "not slow and not interop and not processes" $(ARGS)

check: $(TOOLS) ## lint, formatting and types
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy $(wildcard $(CHECKED))

format: $(TOOLS) ## let ruff format the code
	@$(RUN) -m ruff check --fix-only --quiet .
	@$(RUN) -m ruff format .

bench: $(TOOLS) ## compare speed with the original arq, in about a minute
	@$(RUN) -m benchmarks $(ARGS)

bench-all: $(TOOLS) ## all scenarios, all peers, tables and plots: under half an hour
	@$(RUN) -m benchmarks --all --out benchmarks/results $(ARGS)

docs: $(MANUAL) ## build the manual into build/docs; warnings and dead links are errors
	@$(RUN) -m sphinx -W --keep-going -q -b html -d build/doctrees docs $(SITE)
	@$(RUN) -m manual.site $(SITE)

docs-serve: docs ## the same at http://127.0.0.1:8000
	@$(RUN) -m http.server --bind 127.0.0.1 --directory $(SITE) 8000

docs-links: $(MANUAL) ## see that links to other sites lead somewhere (needs the internet)
	@$(RUN) -m sphinx -q -b linkcheck docs build/links

clean: ## remove .venv and everything that tools left here
	@rm -rf $(VENV) .venv-* .bench-envs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .screenshots
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each extra, made again when pyproject.toml changes. The stamp comes last: a half-made environment is
# never taken for a whole one.
$(VENV)/installed-%: pyproject.toml
	@set -e; python='$(PYTHON)'; \
	if ! $(RUN) -c 'import pip, sys; sys.exit(sys.prefix == sys.base_prefix)' 2>/dev/null; then \
	  for candidate in $${python:-$(CANDIDATES)}; do \
	    if "$$candidate" -c '$(SUITABLE)' >/dev/null 2>&1; then python=$$candidate; break; fi; python=; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "make: no Python 3.11+ with the venv module found (tried: $(or $(PYTHON),$(CANDIDATES)));" \
	      "install one (Debian: apt install python3-venv) or say PYTHON=/path/to/python" >&2; exit 2; \
	  fi; \
	  echo "Making $(VENV) with $$("$$python" --version)" >&2; \
	  "$$python" -m venv --clear $(VENV); \
	fi; \
	echo "Installing arq[$*] into $(VENV)" >&2; \
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[$*]'; \
	touch $@
