# Two commands do everything on a fresh machine with Python 3.11, 3.12 or 3.13:
#   make quickstart    sets up .venv, then runs the whole way on a synthetic demo catalogue
#   make test          sets up .venv, then passes lint, type check and tests
# Without a GPU: TORCH_INDEX=URL takes torch from an index of CPU wheels, 5 GB less.
# Your own catalogue, feed or export: make quickstart CATALOG=products.csv IMAGES=photos/
# While working: make test-fast, in under a minute, leaves out what is marked slow (CONTRIBUTING.md).
PYTHON ?= python3
VENV ?= .venv
OUT ?= quickstart
# Tests run side by side. Each is on one thread (tests/conftest.py).
JOBS ?= 2
export PYTHON

.PHONY: setup test test-fast test-long test-optional robustness soak kill-training lint quickstart smoke benchmark gpu scale docs clean

setup: $(VENV)/.ready

$(VENV)/.ready: setup.py scripts/setup_venv.sh
	scripts/setup_venv.sh $(VENV)

test: lint
	$(VENV)/bin/python -m pytest -n $(JOBS) --dist worksteal -m "not long and not robustness"

test-fast: setup
	$(VENV)/bin/python -m pytest -n $(JOBS) --dist worksteal -m "not slow and not long and not robustness"

# Recipes and benchmarks as a whole, of a hundred processes each.
test-long: setup
	$(VENV)/bin/python -m pytest -n $(JOBS) --dist worksteal -m long

# What `make test` passes over where packages are missing: Ray, S3, databases, the page in a browser
# (a Chromium that is there), the benchmarks' rivals. Installs them.
test-optional: setup
	scripts/setup_venv.sh $(VENV) ray cloud qdrant milvus pgvector servers browser benchmark
	$(VENV)/bin/python -m pytest -n $(JOBS) --dist worksteal -rs tests/test_engines.py \
	    tests/test_remote.py tests/export/databases tests/serve/test_page.py \
	    tests/examples/test_benchmark_embedding.py tests/examples/test_benchmark_training.py

# Bad inputs, killed and doubled runs, full disks: some minutes, and a table of what became of each.
robustness: setup
	$(VENV)/bin/python -m pytest -n $(JOBS) --dist worksteal tests/robustness

# Half an hour of random kills over packing, embedding, indexing and searching 100,000 products;
# less: make soak PRODUCTS=5000 MINUTES=10.
MODEL ?= $(OUT)/model
PRODUCTS ?= 100000
MINUTES ?= 30
soak: setup
	$(VENV)/bin/python tests/robustness/soak.py --out soak --model $(MODEL) \
	    --products $(PRODUCTS) --minutes $(MINUTES)

# Training that is killed and resumed, beside training left alone: equal digit by digit.
kill-training: setup
	$(VENV)/bin/python -W ignore -m tests.robustness.kill_training --out kill-training

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

quickstart: setup
	VENV="$(VENV)" OUT="$(OUT)" CATALOG="$(CATALOG)" IMAGES="$(IMAGES)" \
	    examples/quickstart/run.sh

# Every model and experiment in a size that takes a minute.
smoke: setup
	$(VENV)/bin/python examples/reproduce/reproduce.py --size smoke --out reproduce-smoke --jobs 2

benchmark: setup
	scripts/setup_venv.sh $(VENV) benchmark
	VENV=$(VENV) OUT=benchmark examples/benchmark/run.sh

# What a GPU does, in under 25 minutes, as tables and JSON in GPU_OUT.
GPU_OUT ?= gpu
gpu: setup
	$(VENV)/bin/python examples/benchmark/gpu.py --out $(GPU_OUT)

# Costs of a product in each stage, throughput a process, recall, as tables and JSON in SCALE_OUT,
# in under ten minutes; what catalogues of a million and more would take (docs/scaling.md).
SCALE_OUT ?= scale
scale: setup
	$(VENV)/bin/python examples/benchmark/scale.py --out $(SCALE_OUT)
	$(VENV)/bin/python examples/scale_out/engines.py --out $(SCALE_OUT) --photos 400 \
	    --checkpoint $(SCALE_OUT)/small/model/checkpoint_last.pt --data $(SCALE_OUT)/small/data
	$(VENV)/bin/python examples/benchmark/approximate.py --out $(SCALE_OUT) --quick

# The documentation as a site, in site/; `.venv/bin/mkdocs serve` shows it while it is written.
docs: setup
	scripts/setup_venv.sh $(VENV) docs
	$(VENV)/bin/mkdocs build --strict

clean:
	rm -rf quickstart reproduce-smoke benchmark soak kill-training site build *.egg-info
