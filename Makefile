# Two commands do everything on a fresh machine with Python 3.11 or 3.12:
#   make quickstart    sets up .venv, then runs the whole way on a drawn demo catalogue
#   make test          sets up .venv, then passes the tests
# Your own catalogue: make quickstart CATALOG=products.tsv IMAGES=images/
PYTHON ?= python3
VENV ?= .venv
OUT ?= quickstart
export PYTHON

.PHONY: setup test lint quickstart clean

setup: $(VENV)/.ready

$(VENV)/.ready: setup.py scripts/setup_venv.sh
	scripts/setup_venv.sh $(VENV)

test: setup
	$(VENV)/bin/python -m pytest

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

quickstart: setup
	VENV=$(VENV) OUT=$(OUT) CATALOG=$(CATALOG) IMAGES=$(IMAGES) examples/quickstart/run.sh

clean:
	rm -rf quickstart build *.egg-info
