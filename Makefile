# Two commands do everything on a fresh machine with Python 3.11 or 3.12:
#   make quickstart    sets up .venv, then runs the whole way on a drawn demo catalogue
#   make test          sets up .venv, then passes the tests
# Your own catalogue: make quickstart CATALOG=products.tsv IMAGES=images/
PYTHON ?= python3
VENV ?= .venv
OUT ?= quickstart
export PYTHON

.PHONY: setup test lint quickstart smoke benchmark clean

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

# Every model and experiment in a size that takes a minute.
smoke: setup
	$(VENV)/bin/python examples/reproduce/reproduce.py --size smoke --out reproduce-smoke --jobs 2

benchmark: setup
	$(VENV)/bin/python -m pip --disable-pip-version-check install -q --no-build-isolation -e ".[benchmark]"
	VENV=$(VENV) OUT=benchmark examples/benchmark/run.sh

clean:
	rm -rf quickstart reproduce-smoke benchmark build *.egg-info
