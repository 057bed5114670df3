# hwsim on a bare Debian or Ubuntu machine with Python 3.11 or later, make and g++. `make help` lists the targets.
#   PYTHON=/path/to/python   the interpreter to build .venv from
#   JOBS=2                   test processes
#   TESTS="tests/rtl -k pe"  what `make test` runs; default: everything
VENV  := .venv
BIN   := $(VENV)/bin
JOBS  ?= 2
TESTS ?= tests
SLOW  ?= tests/sweep tests/cli/test_trouble.py tests/cli/test_again.py tests/docs
PIP   := $(BIN)/python -m pip install --quiet --disable-pip-version-check

DEMO_OUT     := reports/demo
GALLERY      := reports
DEMO_TARGETS := --target nvidia-h100 --target ascend-910b4 --target hwsim-int4-ws16

.DEFAULT_GOAL := help
.PHONY: help demo gallery test test-slow coverage docs lint types layers bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.base ## a trained network on three chips, bit-exact, and an HTML report that compares them
	@$(BIN)/hwsim emulate mnist-cnn $(DEMO_TARGETS) --out $(DEMO_OUT)

gallery: $(VENV)/.test ## what of reports/ takes seconds or minutes, made again; says which of the rest is stale
	@.ci/bootstrap.sh tool iverilog iverilog
	@.ci/bootstrap.sh libpython $(VENV)
	@.ci/bootstrap.sh tool chromium chromium
	@$(BIN)/python -m bench.gallery
	@chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,1030 \
		--screenshot=docs/demo.png file://$(CURDIR)/$(GALLERY)/mnist-cnn/report.html 2>/dev/null

test: $(VENV)/.test ## the tests (installs Icarus Verilog when missing)
	@.ci/bootstrap.sh tool iverilog iverilog
	@.ci/bootstrap.sh libpython $(VENV)
	@if [ -n "$$CI" ]; then .ci/bootstrap.sh tool chromium chromium; .ci/bootstrap.sh tool espeak-ng espeak-ng; fi
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(TESTS)

test-slow: $(VENV)/.test ## the slow tests that need no more than the others do: kills, Ctrl-C, runs at once, the wheel, the pages
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow $(SLOW)

# What trains is only reached where torch is installed, which the tests do without.
TRAINS := */hwsim/quant/qat/*,*/hwsim/training/*,*/hwsim/zoo/llama_torch.py,*/hwsim/zoo/train_*.py
KERNELS := */_kernels*.py,*/hwsim/verify/bench/*

coverage: $(VENV)/.test ## the tests, and which lines of hwsim/ they reach; fails below the figure in pyproject.toml
	@$(PIP) 'coverage>=7.10'
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest $(TESTS)
	$(BIN)/python -m coverage combine
	@if $(BIN)/python -c 'import torch' 2>/dev/null; then $(BIN)/python -m coverage report --skip-covered; else \
	echo 'without torch: what trains is left out'; \
	$(BIN)/python -m coverage report --skip-covered --omit='$(KERNELS),$(TRAINS)'; fi

docs: $(VENV)/.docs ## the documentation into docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -c docs . docs/_build/html
	@echo "docs/_build/html/docs/index.html"

lint: $(VENV)/.dev ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy --strict over the package
	$(BIN)/mypy

layers: $(VENV)/.dev ## import-linter: which room may import which
	$(BIN)/lint-imports

bench: $(VENV)/.test ## the benchmarks
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean: ## remove the virtual environment and everything made by a build or a test
	rm -rf $(VENV) build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is as new as what it was installed from, so a second run installs nothing.
$(VENV)/.made:
	@.ci/bootstrap.sh venv $(VENV)
	@touch $@

$(VENV)/.base: pyproject.toml | $(VENV)/.made
	@echo "installing hwsim into $(VENV)"
	@$(PIP) -e .
	@touch $@

$(VENV)/.test $(VENV)/.dev $(VENV)/.docs: $(VENV)/.%: pyproject.toml | $(VENV)/.made
	@echo "installing hwsim[$*] into $(VENV)"
	@$(PIP) -e '.[$*]'
	@touch $@ $(VENV)/.base
