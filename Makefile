# `make demo` and `make test` each do all set-up on a fresh Linux or macOS with Python >= 3.11.
#   PYTHON=...     which Python makes the environment
#   VENV=...       where it goes
#   TORCH_PIP=...  extra pip arguments for torch, e.g. the index of a CPU or CUDA build
#   PYTEST=...     extra pytest arguments, e.g. PYTEST="-k lfp"
#   JOBS=...       how many processes test; each has an embedded server of its own

VENV ?= .venv
JOBS ?= 2
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,\
  $(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))) python3)
bin := $(abspath $(VENV))/bin
pip := $(bin)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
export MPLBACKEND = Agg

.PHONY: env demo test test-mysql lint bench
.DEFAULT_GOAL := test

env: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("fieldbase needs Python >= 3.11, $(PYTHON) is %d.%d; try make PYTHON=..." % v[:2])'
	@test -x $(bin)/python || { echo "making $(VENV) (a few minutes, once)"; $(PYTHON) -m venv $(VENV); }
	@$(pip) $(TORCH_PIP) torch
	@$(pip) -e '.[dev]'
	@touch $@

demo: env
	@$(bin)/fieldbase demo

test: env
	@$(bin)/python -m pytest --timeout=900 -n $(JOBS) --dist loadfile $(PYTEST)

test-mysql: env
	@$(bin)/python tests/run_on_mysql.py --timeout=900 -n $(JOBS) --dist loadfile $(PYTEST)

lint: env
	@$(bin)/ruff check .
	@$(bin)/ruff format --check .
	@$(bin)/lint-imports

bench: env
	@missed=; for script in bench/[!_]*.py; do \
	  echo "== $$script"; $(bin)/python $$script || missed="$$missed $$script"; \
	done; test -z "$$missed" || { echo "promises not kept:$$missed" >&2; exit 1; }
