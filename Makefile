# Every target does its own set-up: nothing needs installing first but Python 3.11 or newer.
PYTHON ?= python3.11
PY := .venv/bin/python
READY := .venv/.ready
export OMP_WAIT_POLICY := PASSIVE
export MPLBACKEND := Agg

.DEFAULT_GOAL := help
.PHONY: help setup demo readme test test-all check format docs lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## make .venv with everything, from the hashed lock

# uv when it is there (seconds), else venv and pip (a few minutes): the same lock either way.
$(READY): requirements.lock pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv -q --clear --python $(PYTHON) .venv && \
	  uv pip sync -q --compile-bytecode --python $(PY) --require-hashes requirements.lock && \
	  uv pip install -q --python $(PY) --no-deps --no-build-isolation -e . ; \
	else \
	  rm -rf .venv && $(PYTHON) -m venv .venv && \
	  $(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock && \
	  $(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $(READY)

demo: $(READY)  ## the main job on the sample and on real data, with a report and one HTTP answer
	.venv/bin/intentcast demo

readme: $(READY)  ## run the demo and put its output into the README
	.venv/bin/intentcast demo --out out/demo > docs/demo.txt
	$(PY) docs/make_readme.py

test: $(READY)  ## the test suite, without the slow tests
	$(PY) -m pytest -q -n 2 --dist loadfile -m "not slow"

test-all: $(READY)  ## the test suite, with the slow tests
	$(PY) -m pytest -q -n 2

check: $(READY)  ## format, lint, types, architecture: what CI runs first
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_architecture.py

format: $(READY)  ## rewrite the code in the house format
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

lock:  ## resolve the dependencies anew (needs uv); the file holds no addresses
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --extra dev pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --extra serve pyproject.toml -o requirements-serve.lock

clean:  ## remove what the targets made
	rm -rf .venv out models/bundles mlruns mlflow.db .mypy_cache .ruff_cache .pytest_cache
	find src -name "*.nb[ic]" -delete
