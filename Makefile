VENV ?= .venv
PYTHON ?= python3
RECIPE ?= tiny
PY = $(VENV)/bin/python
STAMP = $(VENV)/.jnlp-installed

.PHONY: help setup demo test test-all check bench docs models clean

help:
	@echo "make demo      set up, then index, search, fill a mask, classify and screen on the built-in models"
	@echo "make test      set up, then all tests of the fast tier (with CI=true the slow tier too)"
	@echo "make test-all  set up, then both tiers"
	@echo "make check     the tests without the set-up"
	@echo "make bench     the benchmarks    make docs   rewrite the printed docs    make models DATA=DIR   the built-in family"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -c "import torch; assert tuple(map(int, torch.__version__.split('.')[:2])) >= (2, 11)" 2>/dev/null \
		|| $(PY) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: setup
	@$(PY) docs/examples/demo.py

test: setup
	@$(PY) -m pytest

test-all: setup
	@$(PY) -m pytest --slow

check:
	@$(PY) -m pytest

bench: setup
	@$(PY) -m tests.benchmarks

docs: setup
	@$(PY) docs/build.py

# The built-in family, from the data that may train a shipped model (see the cards). Weights are swapped in only when whole.
DATA ?= ../shared/data
MADE = build/models
CORPUS = corpus tasks/jsts/train.jsonl tasks/jcommonsenseqa/train.jsonl tasks/commonsense_moral/train.jsonl
models: setup
	@test -d $(DATA)/corpus || { echo "make models: there is no training data at $(DATA); say make models DATA=DIR"; exit 2; }
	@mkdir -p $(MADE)
	@$(VENV)/bin/jnlp pretrain $(RECIPE) $(foreach part,$(CORPUS),--corpus $(DATA)/$(part)) -o $(MADE)/tiny
	@$(PY) -m jnlp_toxicity.train $(DATA) --base $(MADE)/tiny --out $(MADE)/tiny-toxicity
	@for name in tiny tiny-toxicity; do \
		rm -rf jnlp/models/builtin/$$name && cp -r $(MADE)/$$name jnlp/models/builtin/$$name; done

clean:
	rm -rf $(VENV) build dist *.egg-info
