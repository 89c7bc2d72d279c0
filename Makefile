# macsgr_jax: `make train` and `make test` work on a machine with only python3, git and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SEEDS ?= 2
EPOCHS ?= 15
OUT ?= runs/synthetic
PIP := $(BIN)/pip --disable-pip-version-check --quiet
UV_VERSION := 0.13.9
# The extras of setup.cfg that the tests, the linters and the documentation need.
DEV_EXTRAS := cli text speech cmu export tensorboard serve paper dev docs

.PHONY: train test report check-results lint types docs lock clean

train: $(VENV)/ready  ## Trains and evaluates on the embedded corpus, prints the table and writes a report.
	$(BIN)/macsgr train --corpus synthetic --seeds $(SEEDS) --epochs $(EPOCHS) --single-modalities --overwrite --out $(OUT)

test: $(VENV)/dev-ready  ## Runs the test suite without the slow part (`make test ARGS="-m slow"` runs that).
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

report: $(VENV)/dev-ready  ## Writes results/README.md and the README's table from results/*.json.
	$(BIN)/python -m experiments.report --readme README.md

check-results: $(VENV)/dev-ready  ## Checks that the generated tables are those of results/*.json.
	$(BIN)/python -m experiments.report --readme README.md --check

lint: $(VENV)/dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev-ready
	$(BIN)/mypy

docs: $(VENV)/dev-ready  ## Builds the documentation site into site/; a warning is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock:  ## Pins every dependency for Python 3.11 and 3.12 again.
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	for file in requirements requirements-dev; do \
	  case $$file in requirements) extras="cli" ;; *) extras="$(DEV_EXTRAS)" ;; esac; \
	  echo "setuptools>=77" | $(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
	    --generate-hashes --no-annotate --custom-compile-command "make lock" \
	    $$(printf -- "--extra %s " $$extras) --output-file $$file.txt setup.cfg - || exit 1; \
	done

$(VENV)/ready: requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes --requirement requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/dev-ready: requirements-dev.txt $(VENV)/ready
	$(PIP) install --require-hashes --requirement requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-lock site .pytest_cache .mypy_cache .ruff_cache
