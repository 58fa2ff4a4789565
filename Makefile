# Each target does all of its own set-up, in .venv beside this file.
PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check

.PHONY: run test lint

run: .venv/installed
	.venv/bin/scaling-search run --phi 1

test: .venv/installed-dev
	.venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: .venv/installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python setup.cfg pyproject.toml setup.py
	$(PIP) install --quiet --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(PIP) install --quiet --editable '.[dev]'
	touch $@
