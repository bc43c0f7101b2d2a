# Everything from a fresh clone: needs python3 (3.11 or later, with venv) and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.stamp

.PHONY: help setup run test test-all lint bench docs clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: $(STAMP)  ## make .venv with the pinned, tested versions

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

run: $(STAMP)  ## the main job: an adder over three unlike QPUs, verified, run on Aer
	$(BIN)/python examples/main_job.py

lint: $(STAMP)  ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## lint and every test but the slow ones
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

$(STAMP)-doors: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,doors]'
	touch $@

test-all: $(STAMP)-doors lint  ## lint and every test, those of PennyLane and PyTorch too
	$(BIN)/python -m pytest -n 2 --dist loadfile

bench: $(STAMP)  ## the numbers in the documentation
	$(BIN)/python benchmarks/distribution/ebits.py
	$(BIN)/python benchmarks/distribution/published.py
	$(BIN)/python benchmarks/distribution/communication.py
	$(BIN)/python benchmarks/distribution/objectives.py
	$(BIN)/python benchmarks/distribution/scale.py
	$(BIN)/python benchmarks/start_up/start_up.py
	$(BIN)/python benchmarks/scheduling/collectives.py
	$(BIN)/python benchmarks/scheduling/send_data.py
	$(BIN)/python benchmarks/scheduling/ml_routing.py
	$(BIN)/python benchmarks/entanglement/reach.py
	$(BIN)/python benchmarks/entanglement/oxford.py
	$(BIN)/python benchmarks/entanglement/quantum_optimization.py
	$(BIN)/python benchmarks/distribution/chips.py --csv benchmarks/distribution/chips.csv
	$(BIN)/python benchmarks/cutting/error_bars.py
	$(BIN)/python benchmarks/execution/wide.py
	$(BIN)/python benchmarks/execution/sweep.py
	$(BIN)/python benchmarks/execution/executors.py
	$(BIN)/python benchmarks/execution/predicted.py
	$(BIN)/python benchmarks/qkd/distillation.py
	$(BIN)/python benchmarks/qkd/finite_key.py
	$(BIN)/python examples/qkd_and_gates.py --gates 3000 --csv benchmarks/qkd/contention.csv --png benchmarks/qkd/contention.png
	$(BIN)/python benchmarks/annealing/gaps.py
	$(BIN)/python benchmarks/learning/accuracies.py
	$(BIN)/python benchmarks/claims/claims.py
	$(BIN)/python examples/one_fabric.py --csv benchmarks/claims/one_fabric.csv --png benchmarks/claims/one_fabric.png

docs: $(STAMP)  ## the documentation as HTML, examples executed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

clean:  ## remove the environment and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache docs/_build
