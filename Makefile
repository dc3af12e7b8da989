# Everything a newcomer needs: `make demo` and `make test`.
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
export VENV

.PHONY: setup demo test test-slow check bench clean

setup:
	@bash .ci/setup

demo: setup
	$(BIN)/steadyhand demo $(ARGS)

test: setup
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

test-slow: setup
	$(BIN)/python -m pytest -q -m slow

# What CI runs after the tests: lint, format of imports, types, import rules.
check: setup
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m pytest -q -s -m bench tests/bench

clean:
	rm -rf $(VENV) runs build dist *.egg-info
