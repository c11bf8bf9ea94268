# Every target works after a fresh clone with Python >= 3.11, pip and make: each makes the environment that it needs.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST_ARGS ?= -n 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-lowest lint format bench docs wheel clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# One stamp for each set of extras; a change of pyproject.toml installs anew.
$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed; say which with make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.stamp-%: pyproject.toml | $(VENV)/.stamp-venv
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

demo: $(VENV)/.stamp-demo ## Federate the three airports of New York and prove that all models are equal
	$(BIN)/python docs/examples/demo_flights.py $(ARGS)

test: $(VENV)/.stamp-test ## Run all tests (ARGS="tests/psr -k merge" to choose)
	$(BIN)/python -m pytest $(PYTEST_ARGS) $(ARGS)

test-lowest: ## Run all tests with the oldest releases that pyproject.toml allows (PYTHON=python3.11)
	$(MAKE) .venv-lowest/.stamp-lowest
	.venv-lowest/bin/python -m pytest $(PYTEST_ARGS) $(ARGS)

.venv-lowest/.stamp-lowest: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -c 'import tomllib; print(*(name.replace(">=", "==") for name in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]), sep="\n")' > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --editable '.[test]' --constraint .venv-lowest/lowest.txt
	@touch $@

lint: $(VENV)/.stamp-lint $(VENV)/.stamp-test ## Check style (ruff) and types (mypy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.stamp-lint ## Let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.stamp-test ## Run every benchmark
	@for script in benchmarks/bench_*.py benchmarks/accuracy.py; do echo "== $$script"; $(BIN)/python "$$script" $(ARGS) || exit 1; done

docs: $(VENV)/.stamp-venv ## Check that every relative link in README.md and docs/ leads somewhere
	$(BIN)/python docs/check.py

wheel: $(VENV)/.stamp-build ## Build the source archive and the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build

clean: ## Remove environments, caches and built files
	rm -rf $(VENV) .venv-lowest build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
