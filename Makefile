# macsgr_jax: `make train` and `make test` work on a machine with only python3, git and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SEEDS ?= 2
OUT ?= runs/synthetic

.PHONY: train test report lint types lock clean

train: $(VENV)/ready  ## Train and evaluate on the embedded corpus, print the table, write a report.
	$(BIN)/python -m macsgr_jax.cli.train --corpus synthetic --seeds $(SEEDS) --single-modalities --overwrite --out $(OUT)

test: $(VENV)/ready  ## The test suite without the slow part (`make test ARGS="-m slow"` runs that).
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

report: $(VENV)/ready  ## The tables of results/ as Markdown, and results/README.md, from results/*.json.
	$(BIN)/python -m experiments.report

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

lock: $(VENV)/ready  ## Pin every dependency for Python 3.11 and 3.12 again.
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --custom-compile-command "make lock" --output-file requirements.txt setup.cfg

$(VENV)/ready: requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
