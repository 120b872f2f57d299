# Run the teacher once, distil many students from its cache. `make help` lists what there is.

CONFIG  ?= configs/ms1mv2.toml
DATA    ?= data
PYTHON  ?= python3
ifeq ($(origin GPUS),undefined)
GPUS    := $(shell nvidia-smi -L 2>/dev/null | grep -q GPU && echo 1 || echo 0)
endif
PROCS   ?= 1
THREADS ?=
NODES   ?= 1
NODE    ?= 0
MASTER  ?=
SEEDS   ?= 1
SLOTS   ?=
BUILD   ?=
FORMAT  ?=
SET     ?=
CHECK   ?=
OUT     ?=
MUTANTS ?= 40
IMAGES  ?=
FILES   ?=
ROWS    ?=
IN      ?=
SIZE    ?= 112x112
DETECTOR ?= yunet
LANDMARKS ?=
FORMATS ?=

VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --quiet --disable-pip-version-check

# For the shell, whatever a variable holds: 'in single quotes', those it holds as '\''.
quoted   = '$(subst ','\'',$1)'
ARGS     = --data $(call quoted,$(DATA)) $(if $(SET),--sets $(call quoted,$(SET))) $(if $(THREADS),--threads $(call quoted,$(THREADS))) $(if $(CHECK),--check)

# A CONFIG that is a file is one, spaces and all; else every word of it is a file.
CONFIGS  = $(if $(shell test -f $(call quoted,$(CONFIG)) && echo 1),--config $(call quoted,$(CONFIG)),$(foreach c,$(CONFIG),--config $(call quoted,$c)))

# Whole numbers only: what is left of them without their digits is nothing.
letters  = $(subst 0,,$(subst 1,,$(subst 2,,$(subst 3,,$(subst 4,,$(subst 5,,$(subst 6,,$(subst 7,,$(subst 8,,$(subst 9,,$1))))))))))
no_number = $(if $1,,empty)$(call letters,$1)$(filter 0%,$(filter-out 0,$1))
ifneq ($(call no_number,$(GPUS)),)
$(error GPUS=$(GPUS): write a whole number, 0 for the CPU)
endif
ifneq ($(call no_number,$(PROCS))$(filter 0,$(PROCS)),)
$(error PROCS=$(PROCS): write a whole number, 1 or more)
endif
ifneq ($(filter-out 1,$(PROCS)),)
ifneq ($(GPUS),0)
$(error PROCS=$(PROCS) ranks are for the CPU: add GPUS=0, or leave it out)
endif
endif

ifneq ($(call no_number,$(NODES))$(filter 0,$(NODES))$(call no_number,$(NODE)),)
$(error NODES=$(NODES) NODE=$(NODE): write how many machines, and which of them this is, from 0)
endif
ifneq ($(if $(THREADS),$(call no_number,$(THREADS))$(filter 0,$(THREADS))),)
$(error THREADS=$(THREADS): write a whole number, 1 or more)
endif

# GPUS=0 goes on with an environment for GPUs, which computes on the CPU as well: `make .venv/.installed-cpu` exchanges it.
READY   := $(VENV)/.installed-$(if $(filter 0,$(GPUS)),$(if $(wildcard $(VENV)/.installed-gpu),gpu,cpu),gpu)

# One process, or one a GPU (GPUS=4), or several CPU ranks over gloo (PROCS=2); on one machine or several.
RANKS_HERE := $(if $(filter 0,$(GPUS)),$(PROCS),$(GPUS))
ifneq ($(filter-out 1,$(NODES)),)
ifeq ($(MASTER),)
$(error NODES=$(NODES): MASTER=HOST:PORT says where the first machine is)
endif
RANKS   := $(BIN)/python -m common.launch --nnodes=$(NODES) --node_rank=$(NODE) --rdzv_backend=static --rdzv_endpoint=$(call quoted,$(MASTER)) --nproc_per_node=$(RANKS_HERE) -m
else ifneq ($(filter-out 1,$(RANKS_HERE)),)
RANKS   := $(BIN)/python -m common.launch --standalone --nproc_per_node=$(RANKS_HERE) -m
else
RANKS   := $(BIN)/python -m
endif
# Stage one's processes share their work through the disk, and need no group.
NUMBER  := $(filter-out 0 1,$(GPUS))$(if $(filter 0 1,$(GPUS)),$(filter-out 1,$(PROCS)))
PROCESSES := $(BIN)/python $(if $(NUMBER),-m common.processes $(NUMBER)) -m
DEVICE  := $(if $(filter 0,$(GPUS)),cpu,cuda)

.DEFAULT_GOAL := help
# Stages follow each other, with -j2 as well: `make -j2 cache-teacher distill`.
.NOTPARALLEL:
.PHONY: help doctor demo photos cache-teacher distill eval ablate report audit export test test-slow test-faults test-mutants test-mxnet gpu-check rehearse lint lock clean

help: ## This list
	@echo "Run a face-recognition teacher once, distil many students from its cache."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Variables (now):"
	@echo '  CONFIG='$(call quoted,$(CONFIG))
	@echo '            experiment file; lfw is configs/lfw.toml; a finished run has its'
	@echo '            own, CONFIG=runs/NAME/config.toml; several, quoted, for one eval'
	@echo '  DATA='$(call quoted,$(DATA))'       data root that paths in experiment files start from'
	@echo "  SET='a.b=1 c.d=2'  change values of the file; spaces: SET=\"a.b='x y'\""
	@echo "  CHECK=1         print the plan and what is missing, do nothing"
	@echo '  GPUS='$(call quoted,$(GPUS))'          0 runs on the CPU; 4 starts 4 ranks, one a card'
	@echo '  PROCS='$(call quoted,$(PROCS))'         CPU ranks over gloo, with GPUS=0'
	@echo '  THREADS='$(call quoted,$(THREADS))'        of each rank; else its share of the cores'
	@echo '  NODES='$(call quoted,$(NODES))' NODE='$(call quoted,$(NODE))'  several machines, this one'"'"'s number; MASTER=HOST:PORT'
	@echo "  OUT=            folder of the report or audit; else it is named by CONFIG"
	@echo "  IN=folder OUT=data/mine SIZE=112x96 DETECTOR=mtcnn|none LANDMARKS=file"
	@echo "                  for photos"
	@echo '  SLOTS='$(call quoted,$(SLOTS))'         runs of an ablation at once; else one a GPU'
	@echo '  BUILD=1         an ablation builds the caches it lacks first'
	@echo '  FORMAT=         of a report: html md csv tex record, several quoted'
	@echo '  SEEDS='$(call quoted,$(SEEDS))'     how many seeds the demo trains'

$(VENV)/.installed-cpu: requirements.lock pyproject.toml
	$(call install,requirements.lock,faiss-gpu onnxruntime-gpu)

$(VENV)/.installed-gpu: requirements-gpu.lock pyproject.toml
	@if $(PIP) show torch 2>/dev/null | grep -q '^Version:.*+cpu'; then $(PIP) uninstall --yes torch; fi
	$(call install,requirements-gpu.lock,faiss-cpu onnxruntime)

# faiss-cpu and faiss-gpu bring the same files, and so do both of onnxruntime: where one of $2 is in the environment, all
# four leave it first, for pip would take away with one what it has just written for the other.
define install
@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
@rm -f $(VENV)/.installed $(VENV)/.installed-*
@if $(PIP) show $2 >/dev/null 2>&1; then $(PIP) uninstall --yes faiss-cpu faiss-gpu onnxruntime onnxruntime-gpu 2>/dev/null; fi
@echo "installing $1 into $(VENV) (once)"
@$(PIP) install -r $1
@$(PIP) install --no-deps --editable .
@touch $@
endef

doctor: $(READY) ## What is here, and what is wrong with it
	@$(BIN)/python -m common.doctor

demo: $(READY) ## The whole path on procedural faces, no data (SEEDS)
	@$(BIN)/python -m demo run --seeds $(call quoted,$(SEEDS))

photos: $(READY) ## Your photos to a training set (IN, OUT, SIZE, DETECTOR)
	@test -n $(call quoted,$(IN)) -a -n $(call quoted,$(OUT)) || { echo "make photos: say IN=folder of photos and OUT=data/mine" >&2; exit 2; }
	@$(BIN)/python -m photos align --data $(call quoted,$(DATA)) --size $(call quoted,$(SIZE)) --detector $(call quoted,$(DETECTOR)) $(if $(LANDMARKS),--landmarks $(call quoted,$(LANDMARKS))) -- $(call quoted,$(IN)) $(call quoted,$(OUT)-aligned)
	@$(BIN)/python -m photos pack -- $(call quoted,$(OUT)-aligned) $(call quoted,$(OUT))

cache-teacher: $(READY) ## Stage one: run the teacher once, write its cache
	@$(PROCESSES) cache build --config $(call quoted,$(CONFIG)) --device $(DEVICE) $(ARGS)

distill: $(READY) ## Stage two: train a student from the cache
	@$(RANKS) distill train --config $(call quoted,$(CONFIG)) --device $(DEVICE) $(ARGS)

eval: $(READY) ## Evaluate student and teacher on the config's sets
	@$(BIN)/python -m evaluate run $(CONFIGS) --device $(DEVICE) $(if $(OUT),--out $(call quoted,$(OUT))) $(ARGS)

ablate: $(READY) ## Many students of one cache (SLOTS, BUILD)
	@$(BIN)/python -m ablate $(if $(CHECK),plan,run) --config $(call quoted,$(CONFIG)) --device $(DEVICE) --slots $(call quoted,$(or $(SLOTS),$(filter-out 0,$(GPUS)),1)) $(if $(BUILD),--build) $(filter-out --check,$(ARGS))

report: $(READY) ## Their page: table, tests, curves (FORMAT, OUT)
	@$(BIN)/python -m ablate report --config $(call quoted,$(CONFIG)) --data $(call quoted,$(DATA)) $(if $(SET),--sets $(call quoted,$(SET))) $(if $(OUT),--out $(call quoted,$(OUT))) $(foreach f,$(FORMAT),--format $(call quoted,$f))

audit: $(READY) ## Probable label noise and duplicate people (OUT)
	@$(BIN)/python -m cache audit --config $(call quoted,$(CONFIG)) $(if $(OUT),--out $(call quoted,$(OUT))) --data $(call quoted,$(DATA)) $(if $(SET),--sets $(call quoted,$(SET))) $(if $(CHECK),--check)

export: $(READY) ## Student as ONNX, fp16, int8, measured (FORMATS, OUT)
	@$(BIN)/python -m export run --config $(call quoted,$(CONFIG)) $(if $(FORMATS),--formats $(call quoted,$(FORMATS))) $(if $(OUT),--out $(call quoted,$(OUT))) --data $(call quoted,$(DATA)) $(if $(SET),--sets $(call quoted,$(SET))) $(if $(CHECK),--check)

test: $(READY) ## All quick tests; on real faces too where DATA has them
	@DATA=$(call quoted,$(DATA)) $(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 8 --dist loadfile

test-slow: $(READY) ## The longer proofs
	@DATA=$(call quoted,$(DATA)) $(BIN)/python -m pytest -m slow --ignore tests/interop --ignore tests/faults --ignore tests/cache/test_build_kills.py --ignore tests/distill/run/test_kills.py

test-faults: $(READY) ## Kill -9 at random moments, damaged and hostile files
	@$(BIN)/python -m pytest -m slow tests/cache/test_build_kills.py tests/distill/run/test_kills.py
	@$(BIN)/python -m pytest tests/faults

test-mutants: $(READY) ## Changes that no test notices (MUTANTS, FILES)
	@$(BIN)/python tests/mutants.py --count $(MUTANTS) $(FILES)

test-mxnet: $(READY) .venv-mxnet/.installed ## RecordIO both ways against mxnet 1.9.1
	@DATA=$(call quoted,$(DATA)) $(BIN)/python -m pytest -m slow tests/interop

.venv-mxnet/.installed:
	@$(PYTHON) -m venv .venv-mxnet
	@echo "installing mxnet 1.9.1 with numpy 1.23 into .venv-mxnet (once)"
	@.venv-mxnet/bin/python -m pip install --quiet --disable-pip-version-check mxnet==1.9.1 numpy==1.23.5
	@touch $@

gpu-check: $(READY) ## Claims about GPUs against the CPU (ROWS, OUT)
	@$(BIN)/python -m benchmarks.gpu --device $(DEVICE) $(if $(ROWS),--rows $(call quoted,$(ROWS))) $(if $(OUT),--out $(call quoted,$(OUT)))

rehearse: $(READY) ## Both stages on 1 M made-up faces, with kills (IMAGES)
	@PYTHONPATH=. $(BIN)/python benchmarks/rehearse.py $(if $(IMAGES),--images $(call quoted,$(IMAGES)))

lint: $(READY) ## ruff, mypy, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

lock: ## Write both lock files anew from pyproject.toml
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python .ci/locks.py
	@rm -rf .venv-lock

clean: ## Remove environments; caches/ and runs/ stay
	@rm -rf .venv .venv-mxnet .pytest_cache .mypy_cache .ruff_cache .hypothesis
