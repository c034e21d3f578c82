# The whole developer interface: make demo | test | lint | bench | setup
PYTHON ?= python3
TORCH ?= torch==2.13.0+cpu
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
UNPACKED := build/unpacked

.PHONY: setup demo test lint bench clean

setup: .venv/ready

# Torch first and by its CPU build: a plain "torch" brings gigabytes of CUDA. Where the configured index has no such
# build, PyTorch's own is asked, and last the plain version (macOS has only that).
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) "$(TORCH)" || $(PIP) "$(TORCH)" --extra-index-url $(TORCH_INDEX) || $(PIP) "$(firstword $(subst +, ,$(TORCH)))"
	$(PIP) setuptools
	$(PIP) --no-build-isolation --editable ".[dev]"
	touch $@

# The whole method on the built-in model; stopped, it goes on where it was.
demo: setup
	$(BIN)/toolformer demo

test: setup
	$(BIN)/python -m pytest

# Types are checked on what a user installs: the wheel, unpacked.
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build .
	$(BIN)/python -m zipfile --extract build/toolformer-*.whl $(UNPACKED)
	cd $(UNPACKED) && ../../$(BIN)/mypy --config-file ../../pyproject.toml --strict --package toolformer
	MYPYPATH=$(UNPACKED) $(BIN)/mypy --strict --explicit-package-bases tests

# make bench PASSAGES=FILE also builds a search index over a file of passages and asks it.
bench: setup
	$(BIN)/python -m tests.bench_tools
	$(BIN)/python -m tests.bench_lm
	$(if $(PASSAGES),$(BIN)/python -m tests.bench_index $(PASSAGES))

clean:
	rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis
