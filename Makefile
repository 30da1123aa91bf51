PYTHON ?= python3.11
BIN := .venv/bin
SIDE_BY_SIDE ?= 4 # processes that share the tests; they mostly wait for processes of their own, so two a core
KILLS ?= 200
SEED ?= 0
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export DO_NOT_TRACK = 1
export RAY_USAGE_STATS_ENABLED = 0

.PHONY: run test test-deploy quick faults chaos fetch-chaos fetch-benchmark check docs dist setup models clean

run: models  ## set up, then run recipe `demo` on the sample photographs into runs/demo
	$(BIN)/fld run demo --root runs/demo

test: models  ## set up, then pass the tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(SIDE_BY_SIDE)

test-deploy: models  ## pass the tests that need environments, clusters, pools or services; say what is skipped, and why
	tests/deploy/tools.sh $(BIN)/python
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.deploy

quick: setup  ## while writing: lint, types, and the tests that take little time
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(SIDE_BY_SIDE) -q -m "not long and not faults_slow and not deploy"

faults: setup  ## show the known faults that take long, and say how many stand, are mended, or fail otherwise
	$(BIN)/pytest tests/known_faults -m faults_slow -q -rfE

chaos: setup  ## kill runs at KILLS moments, resume them, and say whether anything came out otherwise (SEED, CASE)
	$(BIN)/python -m tests.chaos --kills $(KILLS) --seed $(SEED) $(addprefix --case ,$(CASE))

fetch-chaos: setup  ## fetch 100,000 addresses of which 40 % are hostile, killed 20 times; say whether each was asked once, to the same bytes
	$(BIN)/python -m tests.fetch_chaos

fetch-benchmark: setup  ## addresses/s and memory of fetching beside img2dataset, in an environment of its own
	test -x build/img2dataset/bin/img2dataset || { $(PYTHON) -m venv build/img2dataset && build/img2dataset/bin/pip install --quiet img2dataset==1.47.0; }
	$(BIN)/python -m benchmarks.fetch --beside build/img2dataset/bin/python

check: setup  ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@said="$$($(BIN)/mypy)" || { echo "$$said"; exit 1; }; echo "$$said"; \
	found=$$(find -L src -name '*.py' | wc -l); checked=$$(echo "$$said" | sed -n 's/.* in \([0-9]*\) source files.*/\1/p'); \
	[ "$$checked" -ge "$$found" ] || { echo "mypy checked $$checked of $$found files"; exit 1; }
	$(BIN)/lint-imports

docs: setup  ## write docs/ as a site for a browser into build/site, without a network
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "build/site/index.html"

setup: .venv/ready

dist: setup  ## build the source distribution, and the wheel from it, into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist

models: setup
	$(BIN)/fld models pull demo

.venv/ready: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not here: install Python 3.11, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv runs .pytest_cache .mypy_cache .ruff_cache
