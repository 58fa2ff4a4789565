# Each target does all of its own set-up, in .venv beside this file. `make test PYTHON=python3.13` does it with that
# Python, and starts over where .venv has another.
PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check

# pyenv's python3.13 does not run where another version is selected, even if it is installed.
ifeq ($(shell $(PYTHON) -c 'print("runs")' 2>/dev/null),)
PYENV = PYENV_VERSION=$$(pyenv whence $(PYTHON) | tail -n 1) pyenv which $(PYTHON)
override PYTHON := $(or $(shell { $(PYENV); } 2>/dev/null),$(PYTHON))
endif

ifneq ($(origin PYTHON),file)
ifneq ($(shell .venv/bin/python -VV 2>/dev/null),$(shell $(PYTHON) -VV 2>/dev/null))
.PHONY: .venv/bin/python
endif
endif

.PHONY: run test lint docs

run: .venv/installed
	.venv/bin/scaling-search run --phi 1

# One process more than there are cores, as tests wait for others much of their time.
test: .venv/installed-dev
	.venv/bin/python -m pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: .venv/installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# Into build/site. A broken link or reference is an error, which --quiet would ignore. The variable silences Material's
# notice of its successor.
docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

.venv/bin/python:
	$(PYTHON) -m venv --clear .venv

# Each by itself, so that from nothing `make test` has pip resolve, build and install once; `all` is for continuous
# integration, which needs them all.
.venv/installed-dev: EXTRAS = [dev]
.venv/installed-docs: EXTRAS = [docs]
.venv/installed-all: EXTRAS = [dev,docs]
.venv/installed-all: AND_SO = .venv/installed-dev .venv/installed-docs

# pip compiles bytecode on one core, and other packages' tests too. Some have files that this Python cannot compile.
.venv/installed .venv/installed-dev .venv/installed-docs .venv/installed-all: .venv/bin/python setup.cfg pyproject.toml setup.py
	$(PIP) install --quiet --no-compile --editable '.$(EXTRAS)'
	.venv/bin/python -m compileall -qq -j 0 -x /tests/ .venv/lib || true
	touch $(AND_SO) $@
