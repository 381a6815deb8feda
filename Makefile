# Two commands a new machine needs: `make learn` to take the course, `make test` to prove it.

PORT ?= 8501
WORKSPACE ?= work
VENV := .venv
BIN := $(VENV)/bin
ENV_INPUTS := pyproject.toml constraints.txt scripts/setup.sh

.PHONY: help learn setup test fast seconds lint types browser schemas axe clean

help:
	@echo "make learn    set up, make your workspace, open the course at http://127.0.0.1:$(PORT)   (PORT=, WORKSPACE=)"
	@echo "make test     set up, then lint, types and the whole suite"
	@echo "make fast     the suite without slow tests and without a browser"
	@echo "make setup    the environment alone"
	@echo "$(BIN)/mi --help   everything else"

learn: $(VENV)/.learn
	@$(BIN)/mi init $(WORKSPACE)
	@MI_WORKSPACE="$(abspath $(WORKSPACE))" $(BIN)/mi app --port $(PORT)

setup: $(VENV)/.learn

$(VENV)/.learn: $(ENV_INPUTS)
	@scripts/setup.sh $(VENV)
	@touch $@

$(VENV)/.dev: $(ENV_INPUTS)
	@scripts/setup.sh $(VENV) dev
	@touch $(VENV)/.learn $@

# Threads beyond the two test processes would only fight each other. tests/conftest.py deals the files, longest first.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.dev lint types browser schemas axe
	$(PYTEST) --durations=10

fast: $(VENV)/.dev
	$(PYTEST) -m "not slow and not browser"

# How long each test takes, by which the files are dealt and the dear ones sampled. On a machine that does nothing else.
seconds: $(VENV)/.dev browser schemas axe
	$(PYTEST) --write-seconds

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

# The page tests need a Chromium. Where none can be had this says so, and the tests skip with that reason (in CI they fail).
browser:
	@scripts/browser.sh

# Reports are checked against the published schemas of their formats. Where these cannot be had, the tests skip likewise.
schemas: $(VENV)/.dev
	@scripts/schemas.sh $(VENV)/schemas

# The pages are looked at by axe-core. Where npm cannot be reached, those tests skip with that reason, in CI too.
axe: $(VENV)/.dev
	@scripts/axe.sh $(VENV)/axe

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
