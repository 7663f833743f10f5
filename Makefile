# Two commands from a fresh clone: `make run` and `make test`. They need make and Python 3.11 or newer, nothing else.
# Each makes its own environment in .venv, with uv where uv is installed and with venv and pip otherwise.
# `make UV= run` leaves uv aside; `make PYTHON=/path/to/python run` chooses the interpreter.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help run test test-agreement test-representative test-oldest fuzz bench notebooks docs test-docs lint clean

# the environment is .venv alone, whatever the calling shell has set up
unexport PYTHONPATH
unexport PYTHONHOME
unexport VIRTUAL_ENV

UV ?= $(shell command -v uv 2>/dev/null)
PYTHON ?=
ARGS ?=
WORKERS ?= 2

CANDIDATES = $(if $(PYTHON),$(PYTHON),python3.14 python3.13 python3.12 python3.11 python3 python)
VENV_PYTHON = .venv/bin/python
RUN_READY = .venv/.run-ready
TEST_READY = .venv/.test-ready
DOCS_READY = .venv/.docs-ready
OLDEST_PYTHON = .venv-oldest/bin/python
OLDEST_READY = .venv-oldest/.ready
OLDEST_TESTS = tests/unit/test_trajectory.py tests/unit/test_store.py tests/unit/test_damaged_files.py \
    $(addprefix tests/unit/test_cli.py::,test_help_teaches_with_examples test_fixed_points_of_the_reference_model \
    test_solve_prints_and_saves test_simulate_prints_and_saves_each_case)

# Without --compile-bytecode uv leaves compiling to every later process, which costs 5 s an import where
# PYTHONDONTWRITEBYTECODE is set; pip compiles on its own.
ifneq ($(UV),)
MODULES = sys
INSTALL = $(UV) pip install --quiet --compile-bytecode --python $(VENV_PYTHON)
else
MODULES = sys, venv, ensurepip
INSTALL = $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --no-input
endif

help: ## show this list
	@echo 'make <target>:'
	@sed -n 's/^\([a-z-]*\):.*## /  \1|/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-22s%s\n", $$1, $$2}'

run: $(RUN_READY) ## derive, solve, simulate and compare the reference model; report in results/ (options in ARGS="...")
	.venv/bin/steode run $(ARGS)

test: $(TEST_READY) ## the default test suite, under five minutes (pytest options in ARGS="...")
	$(VENV_PYTHON) -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-agreement: $(TEST_READY) ## the slow set: the limit against simulations over a ladder of dimensions
	$(VENV_PYTHON) -m pytest -n $(WORKERS) tests/agreement $(ARGS)

test-representative: $(TEST_READY) ## the part of the slow set that every change must pass, under ten minutes
	$(VENV_PYTHON) -m pytest -n $(WORKERS) tests/agreement -m representative $(ARGS)

test-oldest: $(OLDEST_READY) ## the lowest versions pyproject.toml allows: import, solve, simulate, files (Python 3.11 or 3.12)
	$(OLDEST_PYTHON) -m pytest -p no:cacheprovider -W ignore::DeprecationWarning $(OLDEST_TESTS) $(ARGS)

fuzz: $(TEST_READY) ## 1450 random specifications of every system, 475 of them solved and simulated, under an hour (ARGS="--minutes 10")
	$(VENV_PYTHON) -m tests.fuzz --workers $(WORKERS) $(ARGS)

bench: $(TEST_READY) ## speed beside plain references; results in benchmarks/results and in the docs' tables
	$(VENV_PYTHON) benchmarks/simulation.py --write
	$(VENV_PYTHON) benchmarks/first_answer.py
	$(VENV_PYTHON) benchmarks/solvers.py
	$(VENV_PYTHON) benchmarks/fixed_points.py
	$(VENV_PYTHON) benchmarks/regression.py
	$(VENV_PYTHON) benchmarks/layer.py
	$(VENV_PYTHON) benchmarks/estimators.py
	$(VENV_PYTHON) benchmarks/classification.py
	$(VENV_PYTHON) benchmarks/committee.py
	$(VENV_PYTHON) benchmarks/update_rules.py

notebooks: $(TEST_READY) ## execute the notebooks and write their outputs (ARGS="03" for one)
	$(VENV_PYTHON) notebooks/execute.py $(ARGS)

docs: $(DOCS_READY) ## the documentation, in docs/_build/html; needs no internet to be read
	$(VENV_PYTHON) -m sphinx -b html -W --keep-going -n docs docs/_build/html

test-docs: docs $(TEST_READY) ## every page of the documentation in a headless Chromium with the network cut off
	$(VENV_PYTHON) -m pytest tests/agreement/test_docs_in_browser.py

lint: $(TEST_READY) ## ruff, and the import contracts of pyproject.toml
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	.venv/bin/lint-imports --no-cache

clean: ## remove the environment, the results and every cache
	rm -rf docs/_build docs/notebooks
	rm -rf .venv .venv-oldest results build dist .pytest_cache .hypothesis .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment is made anew if its interpreter is gone or the folder was moved or copied: its scripts hold the old path.
ifneq ($(shell exec 2>/dev/null; [ "$$(cat .venv/.place)" = '$(CURDIR)' ] && $(VENV_PYTHON) -c 'print("usable")'),usable)
.PHONY: $(VENV_PYTHON)
endif

# A candidate is run before it is chosen: a pyenv shim may exist and fail, a system Python may lack ensurepip.
$(VENV_PYTHON):
	@for candidate in $(CANDIDATES); do \
	    if $$candidate -c 'import $(MODULES); sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	        found=$$candidate; break; \
	    fi; \
	done; \
	if [ -n "$(UV)" ]; then \
	    echo "Making .venv with uv and $${found:-a Python that uv provides}"; \
	    $(UV) venv --quiet --clear --python "$${found:->=3.11}" .venv; \
	elif [ -n "$$found" ]; then \
	    echo "Making .venv with $$found"; \
	    $$found -m venv --clear .venv; \
	else \
	    echo "No Python 3.11 or newer with venv and ensurepip was found among: $(strip $(CANDIDATES))." >&2; \
	    echo "Install one (on Debian: python3-venv too), or run make PYTHON=/path/to/python." >&2; \
	    exit 1; \
	fi
	@echo '$(CURDIR)' > .venv/.place

$(RUN_READY): pyproject.toml $(VENV_PYTHON)
	@echo 'Installing steode (one to two minutes the first time)'
	@$(INSTALL) --editable .
	@touch $@

$(DOCS_READY): pyproject.toml $(VENV_PYTHON)
	@echo 'Installing steode and its documentation tools'
	@$(INSTALL) --editable '.[docs]'
	@touch $(RUN_READY) $@

# Wheels of the oldest versions end with Python 3.12, so that this environment has an interpreter of its own.
$(OLDEST_READY): pyproject.toml tests/oldest.txt
	@echo 'Installing steode with the lowest versions it allows (about a minute)'
	@for candidate in $(if $(PYTHON),$(PYTHON),python3.11 python3.12); do \
	    if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] > (3, 12))' >/dev/null 2>&1; then \
	        found=$$candidate; break; \
	    fi; \
	done; \
	if [ -z "$$found" ]; then echo 'This needs Python 3.11 or 3.12; run make PYTHON=/path/to/python test-oldest.' >&2; exit 1; fi; \
	$$found -m venv --clear .venv-oldest
	@$(OLDEST_PYTHON) -m pip install --quiet --disable-pip-version-check --no-input --constraint tests/oldest.txt \
	    --editable . 'pytest>=8' 'hypothesis>=6.100'
	@touch $@

# the test extra contains all that run needs
$(TEST_READY): pyproject.toml $(VENV_PYTHON)
	@echo 'Installing steode and its test tools (one to two minutes the first time)'
	@$(INSTALL) --editable '.[test]'
	@touch $(RUN_READY) $@
