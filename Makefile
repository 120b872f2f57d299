# Run the teacher once, distil many students from its cache. `make help` lists what there is.

CONFIG  ?= configs/ms1mv2.toml
DATA    ?= data
PYTHON  ?= python3
GPUS    ?= $(shell nvidia-smi -L 2>/dev/null | grep -q GPU && echo 1 || echo 0)
PROCS   ?= 1
SEEDS   ?= 1
SET     ?=
CHECK   ?=
OUT     ?=
MUTANTS ?= 40
FILES   ?=

VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.installed
ARGS     = --data $(DATA) $(foreach kv,$(SET),--set $(kv)) $(if $(CHECK),--check)

# One process, or torchrun with one a GPU (GPUS=4), or several CPU ranks over gloo (PROCS=2).
ifneq ($(filter-out 0 1,$(GPUS)),)
RANKS   := $(BIN)/torchrun --standalone --nproc_per_node=$(GPUS) -m
else ifneq ($(filter-out 1,$(PROCS)),)
RANKS   := $(BIN)/torchrun --standalone --nproc_per_node=$(PROCS) -m
else
RANKS   := $(BIN)/python -m
endif
DEVICE  := $(if $(filter 0,$(GPUS)),cpu,cuda)

# glibc returns every large buffer to the kernel, which then faults its pages in anew for the next operation: up to half
# of the time of a CPU run. Elsewhere these do nothing.
export MALLOC_MMAP_THRESHOLD_ ?= 4294967296
export MALLOC_TRIM_THRESHOLD_ ?= 8589934592

.DEFAULT_GOAL := help
.PHONY: help demo cache-teacher distill eval audit test test-slow test-faults test-mutants test-mxnet lint lock clean

help: ## This list
	@echo "Run a face-recognition teacher once, distil many students from its cache."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Variables (now):"
	@echo "  CONFIG=$(CONFIG)   experiment file; for eval several, in quotes, make one table"
	@echo "  DATA=$(DATA)       data root that paths in experiment files start from"
	@echo "  SET='a.b=1 c.d=2'  change single values of the experiment file"
	@echo "  CHECK=1            check config against disk and print the plan, do nothing"
	@echo "  GPUS=$(GPUS)       0 runs on the CPU; 4 is torchrun with 4 ranks"
	@echo "  PROCS=$(PROCS)     CPU ranks over gloo, with GPUS=0"
	@echo "  OUT=               folder of the evaluation report; else runs/NAME/evaluation"
	@echo "  SEEDS=$(SEEDS)     how many seeds the demo trains"

$(READY): requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing requirements.lock into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $(READY)

demo: $(READY) ## The whole path on procedural faces, no data needed (SEEDS=3 for three seeds)
	@$(BIN)/python -m demo run --seeds $(SEEDS)

cache-teacher: $(READY) ## Stage one: run the teacher once, write its cache (CONFIG, DATA, GPUS, PROCS, SET, CHECK)
	@$(RANKS) cache build --config $(CONFIG) --device $(DEVICE) $(ARGS)

distill: $(READY) ## Stage two: train a student from the cache (CONFIG, DATA, GPUS, PROCS, SET, CHECK)
	@$(RANKS) distill train --config $(CONFIG) --device $(DEVICE) $(ARGS)

eval: $(READY) ## Evaluate student and teacher on the config's sets (CONFIG, DATA, OUT, SET, CHECK)
	@$(BIN)/python -m evaluate run $(foreach c,$(CONFIG),--config $(c)) --device $(DEVICE) $(if $(OUT),--out $(OUT)) $(ARGS)

audit: $(READY) ## Probable label noise and duplicate people, as the teacher sees them (CONFIG, DATA, OUT)
	@$(BIN)/python -m cache audit --config $(CONFIG) --out $(or $(OUT),audits/$(basename $(notdir $(CONFIG)))) --data $(DATA) $(foreach kv,$(SET),--set $(kv))

test: $(READY) ## All quick tests; those on real faces run where DATA has them
	@DATA=$(DATA) $(BIN)/python -m pytest -m "not slow"

test-slow: $(READY) ## The longer proofs
	@DATA=$(DATA) $(BIN)/python -m pytest -m slow --ignore tests/interop --ignore tests/faults --ignore tests/cache/test_build_kills.py --ignore tests/distill/test_kills.py

test-faults: $(READY) ## Kill -9 at random moments, and every command on damaged, hostile and missing files
	@$(BIN)/python -m pytest -m slow tests/cache/test_build_kills.py tests/distill/test_kills.py
	@$(BIN)/python -m pytest tests/faults

test-mutants: $(READY) ## One-line changes of the program that no test notices (MUTANTS=40, 0 for all; FILES)
	@$(BIN)/python tests/mutants.py --count $(MUTANTS) $(FILES)

test-mxnet: $(READY) .venv-mxnet/.installed ## RecordIO both ways against mxnet 1.9.1 in an environment of its own
	@DATA=$(DATA) $(BIN)/python -m pytest -m slow tests/interop

.venv-mxnet/.installed:
	@$(PYTHON) -m venv .venv-mxnet
	@echo "installing mxnet 1.9.1 with numpy 1.23 into .venv-mxnet (once)"
	@.venv-mxnet/bin/python -m pip install --quiet --disable-pip-version-check mxnet==1.9.1 numpy==1.23.5
	@touch $@

lint: $(READY) ## ruff, mypy, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

lock: ## Write requirements.lock anew from pyproject.toml's dependencies
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print('\n'.join(p['dependencies'] + p['optional-dependencies']['dev']))" > .venv-lock/requirements.in
	@.venv-lock/bin/python -m pip install --quiet -r .venv-lock/requirements.in
	@{ head -2 requirements.lock; .venv-lock/bin/python -m pip freeze | sed 's/+cpu//; /^nvidia-/d; /^triton=/d'; } > .venv-lock/lock && mv .venv-lock/lock requirements.lock
	@rm -rf .venv-lock

clean: ## Remove environments and tool caches; caches/ and runs/ stay
	@rm -rf .venv .venv-mxnet .pytest_cache .mypy_cache .ruff_cache .hypothesis
