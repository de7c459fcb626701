# Everything runs in .venv, which each target sets up itself when it is missing or out of date.
# It needs Python 3.11 or newer, GNU make and a way to PyPI; name another interpreter with `make PYTHON=…`.

.DEFAULT_GOAL := help

PYTHON ?= python3 python3.13 python3.12 python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
# Stamps: the locked packages are installed; so is the kit itself, in place.
PACKAGES := .venv/.packages
READY := .venv/.ready

# The first stamp holds the folder it was made in: a clone that moved needs a new environment.
ifneq ($(shell cat $(PACKAGES) 2>/dev/null),$(CURDIR))
.PHONY: $(PACKAGES)
endif

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: reports
reports: $(READY) ## Run the study of study.yaml and write its pages to reports/
	$(BIN)/dtimuscle run study.yaml

# One thread for each worker: the tests share the cores among themselves.
# Files begin in the order that tests/conftest.py gives them, the slow ones first.
.PHONY: test
test: export OMP_NUM_THREADS := 1
test: export OPENBLAS_NUM_THREADS := 1
# Every kernel that a test starts would compile the kit anew.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(READY) ## Run the tests (ARGS="-k roc" for some of them)
	$(BIN)/pytest --numprocesses logical --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: lint
lint: $(READY) ## Check format, style, types, docstrings, import layers and notebooks
	$(BIN)/pre-commit run --all-files --show-diff-on-failure

.PHONY: lab
lab: $(READY) ## Open the notebooks in JupyterLab
	$(BIN)/jupyter lab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks $(ARGS)

.PHONY: environment
environment: $(READY) ## Set up .venv and do nothing else

.PHONY: lock
lock: ## Choose the newest versions that pyproject.toml allows (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv, which is not installed: pip install uv" >&2; exit 1; }
	uv pip compile pyproject.toml --extra interactive --group dev --universal --fork-strategy fewest \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --quiet --output-file requirements.lock

.PHONY: clean
clean: ## Remove simulated data, derivatives, reports and caches
	rm -rf data/simulated data/derivatives data/results
	find reports -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./.venv -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Remove .venv as well
	rm -rf .venv *.egg-info

# `--clear` throws away what a set-up that failed or was interrupted has left behind. The lock is complete,
# so pip has nothing to resolve, and every file is checked against its hash. Compiling apart from installing uses all
# cores; a file that does not compile (some packages ship templates) is not ours to mend.
$(PACKAGES): requirements.lock
	@set -e; found=; \
	for python in $(PYTHON); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Python 3.11 or newer is needed; tried: $(PYTHON). Install it, or name it: make PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	echo "Setting up .venv with $$("$$found" --version); this takes a minute or two …"; \
	"$$found" -m venv --clear .venv; \
	$(PIP) --no-compile --require-hashes -r requirements.lock; \
	$(BIN)/python -W ignore -m compileall -qq -j 0 -x '/tests?/' .venv/lib || true; \
	printf '%s' "$(CURDIR)" > $@

$(READY): $(PACKAGES) pyproject.toml
	@$(PIP) --no-build-isolation --editable .
	@$(BIN)/dtimuscle compile-kernels
	@touch $@
