# metarec. `make` on its own lists what can be asked for.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The first interpreter of a supported version that really runs (a version manager's shim may be there and refuse).
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$p && break; done)
# torch is no part of the lock, so that each machine can take the build that fits it:
#   make book TORCH_INDEX=<address of a package index that serves the wanted CPU or CUDA build>
TORCH_SPEC ?= torch==2.13.0
TORCH_INDEX ?=
# Test files at a time; each computes on one thread.
TEST_JOBS ?= auto

NOTEBOOKS = $(sort $(wildcard notebooks/*.ipynb notebooks/*/*.ipynb))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "metarec needs Python 3.11 or 3.12; name one with PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version), once; later calls reuse it."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$(TORCH_SPEC)"
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: env
env: $(STAMP) ## make the virtual environment (.venv) from the lock

.PHONY: book
book: $(STAMP) ## build the book into _build/html, from the outputs stored in the notebooks
	$(BIN)/jupyter-book build . -W -n --keep-going
	@echo "The book: $(CURDIR)/_build/html/index.html"

PYTEST = OMP_NUM_THREADS=1 $(BIN)/pytest -n $(TEST_JOBS) --dist loadfile
BROWSER = tests/test_site.py
QUICK = tests/test_notebooks.py

# What opens a page, a notebook or a browser.
PAGES = $(BROWSER) $(QUICK) tests/test_pages.py tests/test_page_figures.py tests/test_derivations.py

.PHONY: unit
unit: $(STAMP) ## the tests of the package alone: no book, no notebook, no browser, no real data
	$(PYTEST) -m "not slow and not realdata" tests $(addprefix --ignore ,$(PAGES))

.PHONY: test-site
test-site: book ## the built pages in a browser
	$(PYTEST) $(BROWSER)

.PHONY: test
test: lint book ## every check: lint, types, the book, all tests, the site in a browser, the notebooks
	$(PYTEST) --nbval --nbval-current-env \
		--nbval-sanitize-with tests/nbval_sanitize.cfg tests $(wildcard notebooks)

.PHONY: lint
lint: $(STAMP) ## ruff and mypy, changing nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: $(STAMP) ## let ruff mend and lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: notebooks
notebooks: $(STAMP) ## run every notebook again as recorded and store its outputs (NOTEBOOKS=... for some)
	$(BIN)/python tools/execute_notebook.py $(NOTEBOOKS)

.PHONY: lock
lock: $(STAMP) ## solve requirements.lock again from pyproject.toml (UPGRADE=--upgrade for the newest versions)
	$(BIN)/uv pip compile --quiet pyproject.toml tools/lock/torch-light.in --extra book --extra test --extra cluster \
		--universal --python-version 3.11 --overrides tools/lock/no-torch.override.txt $(UPGRADE) \
		--generate-hashes --no-annotate --custom-compile-command "make lock" --output-file requirements.lock

.PHONY: bench
bench: $(STAMP) ## measure what training costs, against a loop over tasks, into results/benchmarks
	$(BIN)/python -m benchmarks

.PHONY: clean
clean: ## remove what the build wrote (the virtual environment stays)
	rm -rf _build build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
