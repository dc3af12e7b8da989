# Everything a newcomer needs: `make demo` and `make test`.
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
export VENV

FAST := not slow and not hil and not peer and not bench
SAFETY := robot/guard.py,robot/supervisor.py,hardware/watchdog.py

.PHONY: setup demo test test-slow check cover mutate bench clean

setup:
	@bash .ci/setup

demo: setup
	$(BIN)/steadyhand demo $(ARGS)

# What goes by the clock has the machine to itself: another test's processes would take the arm's half second.
test: setup
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "$(FAST) and not realtime"
	$(BIN)/python -m pytest -q -n 0 -m "$(FAST) and realtime"

test-slow: setup
	$(BIN)/python -m pytest -q -m slow

# What CI runs beside the tests: lint, types, import rules, and every line and branch of the three safety layers.
check: setup cover
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

cover: setup
	$(BIN)/python -m coverage run --branch --include=$(SAFETY) -m pytest -q -n 0 \
		tests/robot/test_guard.py tests/robot/test_supervisor.py tests/hardware/test_watchdog.py
	$(BIN)/python -m coverage report -m --fail-under=100

# Do the tests notice when one of the three is spoiled? An hour.
mutate: setup
	$(BIN)/python tests/mutate.py robot/guard.py -- tests/robot/test_guard.py
	$(BIN)/python tests/mutate.py robot/supervisor.py -- tests/robot/test_supervisor.py
	$(BIN)/python tests/mutate.py hardware/watchdog.py -- tests/hardware/test_watchdog.py

bench: setup
	$(BIN)/python -m pytest -q -s -m bench tests/bench

clean:
	rm -rf $(VENV) runs build dist *.egg-info
