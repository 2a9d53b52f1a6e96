# make bench: install, then compare the classical agents on MovieLens-100K.
# make test: install, then run the tests.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: bench test

bench: $(VENV)/.bench
	$(BIN)/vrsim bench

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n auto

$(VENV)/.%: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'vrsim needs Python 3.11 or newer')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$(EXTRA_$*)]"
	touch $@

EXTRA_bench := recbole,report
EXTRA_test := test
