VENV ?= .venv
PYTHON ?= python3
RECIPE ?= tiny
PY = $(VENV)/bin/python
# Files of tests side by side, one process a core.
TEST = $(PY) -m pytest -n auto --maxprocesses 8 --dist loadfile
STAMP = $(VENV)/.jnlp-installed
BENCH_VENV ?= .venv-bench
BENCH_PY = $(BENCH_VENV)/bin/python
BENCH_STAMP = $(BENCH_VENV)/.installed

.PHONY: help setup demo test test-all check bench docs models clean

help:
	@echo "make demo      set up, then index, search, fill a mask, classify and screen on the built-in models"
	@echo "make test      set up, then all tests of the fast tier (with CI=true the slow tier too)"
	@echo "make test-all  set up, then both tiers"
	@echo "make check     the tests without the set-up"
	@echo "make bench     the benchmarks    make docs   rewrite the printed docs    make models DATA=DIR   the built-in family"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(PY) || { echo "set-up 1 of 3: making $(VENV) (seconds)"; $(PYTHON) -m venv $(VENV); }
	@$(PY) -c "import torch; assert tuple(map(int, torch.__version__.split('.')[:2])) >= (2, 11)" 2>/dev/null || { \
		echo "set-up 2 of 3: downloading PyTorch into $(VENV) (minutes; without a CPU build, gigabytes: see README.md)"; \
		$(PY) -m pip install --quiet --disable-pip-version-check torch==2.13.0; }
	@echo "set-up 3 of 3: installing jnlp and the other packages, compiling the kernels (some minutes)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)
	@echo "set-up done: source $(VENV)/bin/activate puts jnlp on the path"

demo: setup
	@echo "demo: the main commands on the sample documents, each shown with its output and checked (about a minute)"
	@$(PY) docs/examples/demo.py

test: setup
	@echo "test: all tests of the fast tier, on all cores (minutes)"
	@$(TEST)

test-all: setup
	@$(TEST) --slow

check:
	@$(TEST)

bench: setup $(BENCH_STAMP)
	@$(PY) -m tests.benchmarks

# The peers' own environment.
$(BENCH_STAMP): tests/benchmarks/requirements.txt
	@echo "set-up of the benchmarks: downloading PyTorch and the compared packages into $(BENCH_VENV) (minutes)"
	@test -x $(BENCH_PY) || $(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_PY) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(BENCH_PY) -m pip install --quiet --disable-pip-version-check -r tests/benchmarks/requirements.txt
	@touch $(BENCH_STAMP)

docs: setup
	@echo "docs: running the samples of docs/ and README.md, and printing their output (a minute or two)"
	@$(PY) docs/build.py

# The built-in family, from the data that may train a shipped model (see the cards). Trained, measured and described under
# $JNLP_RUNS (default: the user's cache), going on where it stopped; put in place only when all is whole.
# With a GPU, tiny is trained for 15 minutes as the shipped one was (MINUTES=N for another time); without, by the steps of
# RECIPE, and AFTER=N goes on from the shipped tiny, as the recipe's stage N. TEACHER=DIR, a folder of
# multilingual-e5-small, is what the shipped tiny-search learned from; without it, it is trained from tiny.
# SMOKE=DIR makes a useless family within minutes, into DIR.
DATA ?= ../shared/data
models: setup
	@$(PY) -m jnlp_family.make make $(DATA) --recipe $(RECIPE) $(if $(AFTER),--after $(AFTER)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(TEACHER),--teacher $(TEACHER)) \
		$(if $(SMOKE),--smoke --out $(SMOKE),--final --quality docs/quality.md)

clean:
	rm -rf $(VENV) $(BENCH_VENV) build dist *.egg-info
