PYTHON ?= python3
CIFAR10 ?= cifar10
BUDGET ?= 30m
RUN ?= runs/photos
VENV := .venv
BIN := $(VENV)/bin
JAVASCRIPT := .ci/javascript
BIOME := $(JAVASCRIPT)/node_modules/.package-lock.json

.PHONY: setup demo demo-photos cifar10 figures test check docs check-javascript mutants clean

setup: $(VENV)/.ready

# What it takes to use scalenas.
$(VENV)/.installed: pyproject.toml constraints.txt setup.py $(wildcard nas/kernels/_*.[ch])
	@echo "Installing scalenas and PyTorch into $(VENV): a minute or two, and the time of the downloads"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install -qq -c constraints.txt torch
	@$(BIN)/python -m pip install -qq -c constraints.txt -e .
	@touch $@

# What it takes to work on it besides.
$(VENV)/.ready: $(VENV)/.installed
	@echo "Installing what tests and checks need: a minute or two, and the time of the downloads"
	@$(BIN)/python -m pip install -qq -c constraints.txt -e . --group dev
	@touch $@

$(VENV)/.extras: $(VENV)/.ready
	$(BIN)/python -m pip install -qq -c constraints.txt -e ".[ray,postgresql]"
	touch $@

demo: $(VENV)/.installed
	@$(BIN)/scalenas run digits --run runs/demo --preset demo
	@echo "Open runs/demo/report.html in a browser. On your own images: make demo-photos PHOTOS=folder"

demo-photos:
	@test -d "$(PHOTOS)" || { echo "make demo-photos PHOTOS=folder, with one folder of images per class"; exit 2; }
	@$(MAKE) --silent $(VENV)/.installed
	@$(BIN)/scalenas run "$(PHOTOS)" --run $(RUN) --budget $(BUDGET)

cifar10: setup
	$(BIN)/scalenas run $(CIFAR10) --run runs/cifar10 --preset cifar10_cpu
	$(BIN)/scalenas discover $(CIFAR10) --run runs/cifar10_random --preset cifar10_cpu --sampler random --cache runs/cifar10/cache
	$(BIN)/scalenas compare $(CIFAR10) --run runs/cifar10 --preset cifar10_cpu --arch runs/cifar10_random

# Three searches, a random one, and their networks on one frontier with all opponents; goes on where it was stopped.
# make evidence-cifar10 DATA=folder, and so for flowers and imagenette.
evidence-%:
	@test -d "$(DATA)" || { echo "make $@ DATA=folder"; exit 2; }
	@$(MAKE) --silent $(VENV)/.installed
	for seed in 0 1 2; do $(BIN)/scalenas discover "$(DATA)" --run runs/$*_$$seed --seed $$seed --preset $*_small --cache runs/cache || exit; done
	$(BIN)/scalenas discover "$(DATA)" --run runs/$*_random --seed 0 --sampler random --preset $*_small --cache runs/cache
	$(BIN)/scalenas compare "$(DATA)" --run runs/$*_0 --preset $*_small --cache runs/cache
	$(BIN)/scalenas compare "$(DATA)" --run runs/$*_0 --preset $*_small --cache runs/cache \
	  --arch runs/$*_1 --arch runs/$*_2 --arch runs/$*_random

figures: setup
	$(BIN)/scalenas redraw $(dir $(wildcard experiments/results/*/run.json))

test: setup $(VENV)/.extras
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: setup check-javascript
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

# The report's scripts are one program in several files: formatted one by one, linted together.
check-javascript:
	@if ! command -v npm >/dev/null; then echo "no npm: the report's JavaScript is not checked"; \
	elif ! $(MAKE) --silent $(BIOME); then echo "npm cannot install Biome: the report's JavaScript is not checked"; \
	else npm --prefix $(JAVASCRIPT) run --silent check; fi

# Copied beside each other first, so that the links from page to page and to the results hold.
docs: setup
	@rm -rf build/docs && mkdir -p build/docs
	@cp --parents -r *.md docs $(wildcard experiments/results/*/*.md experiments/results/*/*.png benchmarks/results/*.md) build/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "Open build/site/index.html"

mutants: $(VENV)/.mutants
	$(BIN)/python -m benchmarks.mutants --to runs/mutants.csv

$(VENV)/.mutants: $(VENV)/.ready
	$(BIN)/python -m pip install -qq -c constraints.txt --group mutants
	touch $@

$(BIOME): $(JAVASCRIPT)/package-lock.json
	npm --prefix $(JAVASCRIPT) ci --silent
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info $(JAVASCRIPT)/node_modules $(JAVASCRIPT)/build
