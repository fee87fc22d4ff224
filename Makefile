# Thin: every target is one command that a person could type. `make run` and `make test` work in a fresh clone.
# The first Python that really runs and is new enough: a name on the PATH may be an empty shim.
PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin

.PHONY: run test test-gateways bench setup lint lock

setup: .venv/ready

.venv/ready: requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: on Debian, apt install python3 python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "On Debian: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.venv/ready-dev: .venv/ready requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

run: .venv/ready
	@$(BIN)/flask migrate
	@$(BIN)/flask seed --if-empty
	@exec $(BIN)/flask serve

lint: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -n 2

test-gateways: .venv/ready-dev # with real gateways of Debian; says what to install when one is missing
	$(BIN)/pytest -n 2 tests/gateways_real

bench: .venv/ready-dev
	$(BIN)/python -m bench

lock: # after a change of dependencies in pyproject.toml; needs uv
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml -o requirements.txt
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --extra postgres -c requirements.txt -c requirements-dev.txt pyproject.toml -o requirements-postgres.txt
