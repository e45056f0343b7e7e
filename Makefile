# `make run` and `make test` set up a virtual environment of their own, once, and need no other step.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
STAGE ?= conformance speed training
GPU ?= build/gpu
FOR ?= 3.11
ARCHIVE ?= $(GPU)/results.zip
MINUTES ?= 8
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
SOURCES = arbench plugins tasks tests scripts setup.py leaderboards/__init__.py zoo/__init__.py
# Each worker gets one thread: more would fight over the cores.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest

# One line for a Python that is missing or too old.
NEEDED = arbench needs Python 3.11 or later; name one, as in `make PYTHON=python3.12 run`
FITS = found=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2]); \
	sys.exit(sys.version_info < (3, 11))' 2>/dev/null) \
	|| { echo "$(PYTHON) is $${found:+Python }$${found:-no Python here}. $(subst `,\`,$(NEEDED))" >&2; exit 2; }

.DEFAULT_GOAL := help
.PHONY: help run test test-all bench mutants versions dist gpu gpu-report gpu-wheels check docs format

help: ## what the targets do
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

$(STAMP): pyproject.toml setup.py constraints.txt
	@$(FITS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[measure,music,test,dev,docs]'
	touch $@

run: $(STAMP) ## set up, then the main job: train NADE on the digits that ship with the package
	$(BIN)/arbench run --task mnist-mini --model nade

test: $(STAMP) ## set up, then the fast tests (at most 15 minutes on 2 cores)
	$(PYTEST) -n $(WORKERS) -m 'not slow'

test-all: test ## the fast tests, then fault and kill tests and benchmarks: about an hour
	$(PYTEST) -m slow --ignore tests/hub/test_table.py
	# Most of its time is waiting: for a server that stalls, or asks for patience.
	$(PYTEST) -n 10 -m slow tests/hub/test_table.py
	$(MAKE) bench

bench: $(STAMP) ## time all that has a promise, against an older commit, peers and the processor; BENCH="nade gpt" some of it
	$(BIN)/python tests/benchmarks/bench.py $(BENCH)

mutants: $(STAMP) ## break the sources in 140 places, one at a time: which of them no test notices
	$(BIN)/python scripts/mutate.py --named
	$(BIN)/python scripts/mutate.py --count 120 --most 10

versions: $(STAMP) ## the main job with the lowest and the newest versions of all dependencies (CUDA: 5 GB each)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python scripts/versions.py

dist: ## wheel and sdist in dist/, checked
	@$(FITS)
	$(PYTHON) -m venv build/tools
	build/tools/bin/python -m pip install --quiet build check-wheel-contents twine
	rm -rf dist
	build/tools/bin/python -m build --outdir dist
	build/tools/bin/twine check --strict dist/*
	build/tools/bin/check-wheel-contents dist/*.whl

gpu: ## try arbench on a GPU, nothing is installed: STAGE=conformance, speed or training
	@$(FITS)
	set -e; for stage in $(STAGE); do \
		$(PYTHON) scripts/gpu $$stage --folder $(GPU) --minutes $(MINUTES) --only $(ONLY); done

gpu-wheels: $(STAMP) ## the wheels that `make gpu` needs beside torch on a machine without a network: FOR=3.12
	$(BIN)/python scripts/gpu wheels --folder $(GPU) --for $(FOR)

gpu-report: ## the tables in docs/gpu.md, from ARCHIVE
	$(PYTHON) scripts/gpu report $(ARCHIVE)

check: $(STAMP) ## lint, format check and types
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

docs: $(STAMP) ## the pages under docs/ and the reference, built into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: $(STAMP) ## put the sources in shape
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
