# Every target makes the environment that it needs; a second run finds it there and is quick.
# Works with GNU make and any Python from 3.11 on that has venv and pip: `make PYTHON=/path/to/python3.12 test`.

.DEFAULT_GOAL := help
.PHONY: help demo test lint format typecheck layers bench bench-large bench-models bench-memory bench-packages bench-devices bench-power bench-ranking bench-report bench-kills bench-characterise ranker characteriser \
	crosscheck power-constants power predictors check-reproducible accuracy-page accuracy-gate demo-model docs site wheel ci clean

ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)
endif

# The folder with public traces and model files that some tests read; those tests skip where it is absent.
ifndef PERFMODEL_SHARED
ifneq ($(wildcard ../shared),)
export PERFMODEL_SHARED := $(abspath ../shared)
endif
endif

VENV := .venv
VENV_TEST := .venv-test
VENV_TRAIN := .venv-train
BASE := $(VENV)/.installed
TEST := $(VENV_TEST)/.installed
DEV := $(VENV_TEST)/.installed-dev
AIC := $(VENV_TEST)/.installed-aiconfigurator
MODELS := $(VENV_TEST)/.installed-models
TRAIN := $(VENV_TRAIN)/.installed
# The versions that the shipped predictors were trained with: others may give boosters that differ in their last bits.
LOCK := $(wildcard models/lock.txt)
NO_PYTHON := perfmodel needs Python 3.11 or newer, with venv and pip: make PYTHON=/path/to/python3 $(MAKECMDGOALS)
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(BASE) ## install the base package into .venv and predict ResNet-18 on an H100
	$(VENV)/bin/perfmodel predict examples/resnet18.onnx --device h100-sxm --dim batch=8 --dtype bf16
	@echo "to go on: . $(VENV)/bin/activate"

test: $(TEST) $(MODELS) ## install the test extra into .venv-test and run the whole suite
	$(VENV_TEST)/bin/python -m pytest $(PYTEST_ARGS)

lint: $(DEV) ## style, format and the layers
	$(VENV_TEST)/bin/ruff check .
	$(VENV_TEST)/bin/ruff format --check .
	$(VENV_TEST)/bin/lint-imports

format: $(DEV) ## rewrite the code in the project's style
	$(VENV_TEST)/bin/ruff check --fix .
	$(VENV_TEST)/bin/ruff format .

typecheck: $(DEV) ## mypy, strict
	$(VENV_TEST)/bin/mypy

bench: $(BASE) ## what it costs: import, --help, predictions, installed size
	$(VENV)/bin/python tools/bench.py

bench-packages: $(MODELS) ## ONNX models that packages of the Python Package Index install
	$(VENV_TEST)/bin/python tests/bench/package_models.py

bench-large: $(TEST) ## graphs of up to 200,000 nodes: seconds and memory a node
	$(VENV_TEST)/bin/python tests/bench/large_graphs.py

bench-models: $(TEST) ## whole networks against runs that no training used
	$(VENV_TEST)/bin/python tests/bench/whole_models.py

bench-memory: $(TEST) ## the memory plan of CPUs against onnxruntime's arena
	$(VENV_TEST)/bin/python tests/bench/memory.py

bench-kills: $(TEST) ## `perfmodel collect`, killed 50 times: no row that was reported may be lost
	$(VENV_TEST)/bin/python tests/bench/collect_kills.py

bench-power: $(TEST) ## energy of networks and GPUs that the power constants never saw; what a cap does to held-out GPUs
	$(VENV_TEST)/bin/python tests/bench/power.py

bench-ranking: $(TEST) ## kernel configurations: the best of those that are named, with a device held out, and after measurements
	$(VENV_TEST)/bin/python tests/bench/ranking.py
	OMP_NUM_THREADS=1 $(VENV_TEST)/bin/python tests/bench/ranking.py --speed
	OMP_NUM_THREADS=1 $(VENV_TEST)/bin/python tests/bench/exported.py
	OMP_NUM_THREADS=1 $(VENV_TEST)/bin/python tests/bench/iree_search.py replay

ranker: $(TRAIN) ## train the shipped ranker of kernel configurations again, from the benchmark hub's spaces
	@test -n "$(PERFMODEL_SHARED)" || { echo "make ranker needs PERFMODEL_SHARED, a folder with data/benchmark_hub" >&2; exit 2; }
	$(VENV_TRAIN)/bin/python tools/train_ranker.py "$(PERFMODEL_SHARED)/data/benchmark_hub"

bench-characterise: $(TEST) ## what compilers make of modules: predictions held out, next to a linear model, words and medians
	OMP_NUM_THREADS=1 $(VENV_TEST)/bin/python tests/bench/characterise.py

characteriser: $(TRAIN) ## train the shipped characteriser again, from datasets/iree-cpu
	OMP_NUM_THREADS=1 $(VENV_TRAIN)/bin/python tools/train_characteriser.py

bench-report: $(TEST) ## size of report pages, and how long a browser takes for them (needs Chromium)
	$(VENV_TEST)/bin/python tests/bench/report.py

crosscheck: $(AIC) ## the catalogue against AIConfigurator's system files and measurements (82 MB to download)
	$(VENV_TEST)/bin/python -m pytest tests/test_hardware_crosscheck.py $(PYTEST_ARGS)

bench-devices: $(AIC) ## GPUs that no training has seen, from their catalogue files alone
	$(VENV_TEST)/bin/python tests/bench/unseen_devices.py

power-constants: $(TEST) ## fit the power constants again, to the public runs (perfmodel/models/power/fitted.toml)
	@test -n "$(PERFMODEL_SHARED)" || { echo "make power-constants needs PERFMODEL_SHARED, a folder with data/energaizer" >&2; exit 2; }
	$(VENV_TEST)/bin/python tools/fit_power.py "$(PERFMODEL_SHARED)/data"

predictors: $(TRAIN) ## train the shipped predictors again, from the public traces, with the locked versions
	@test -n "$(PERFMODEL_SHARED)" || { echo "make predictors needs PERFMODEL_SHARED, a folder with data/aiconfigurator" >&2; exit 2; }
	mkdir -p build
	$(VENV_TRAIN)/bin/perfmodel datasets build aiconfigurator --family gemm --table gemm --from "$(PERFMODEL_SHARED)/data/aiconfigurator" -o build/aiconfigurator-gemm.parquet
	$(VENV_TRAIN)/bin/perfmodel datasets build aiconfigurator --family attention,moe,quantize,collective --from "$(PERFMODEL_SHARED)/data/aiconfigurator" -o build/aiconfigurator-others.parquet
	$(VENV_TRAIN)/bin/perfmodel datasets build neusight --from "$(PERFMODEL_SHARED)/data/neusight" -o build/neusight.parquet
	OMP_NUM_THREADS=1 $(VENV_TRAIN)/bin/perfmodel train build/aiconfigurator-gemm.parquet build/aiconfigurator-others.parquet build/neusight.parquet -o models/default --jobs 2

power: $(TRAIN) ## train what the shipped predictor says of power again; its latency stays (the labelled tables alone)
	@test -n "$(PERFMODEL_SHARED)" || { echo "make power needs PERFMODEL_SHARED, a folder with data/aiconfigurator" >&2; exit 2; }
	mkdir -p build
	$(VENV_TRAIN)/bin/perfmodel datasets build aiconfigurator --family gemm --table gemm --from "$(PERFMODEL_SHARED)/data/aiconfigurator" -o build/aiconfigurator-gemm.parquet
	$(VENV_TRAIN)/bin/perfmodel datasets build aiconfigurator --family attention,moe,quantize,collective --from "$(PERFMODEL_SHARED)/data/aiconfigurator" -o build/aiconfigurator-others.parquet
	OMP_NUM_THREADS=1 $(VENV_TRAIN)/bin/perfmodel train build/aiconfigurator-gemm.parquet build/aiconfigurator-others.parquet --only power -o models/default --jobs 2

check-reproducible: $(TRAIN) ## train one small booster twice: the same bytes, and those that ship
	@test -n "$(PERFMODEL_SHARED)" || { echo "make check-reproducible needs PERFMODEL_SHARED, a folder with data/aiconfigurator" >&2; exit 2; }
	OMP_NUM_THREADS=1 $(VENV_TRAIN)/bin/python tools/check_reproducible.py

accuracy-page: $(TEST) ## put the figures of models/default/accuracy.json into docs/accuracy.md and README.md, draw the plots
	$(VENV_TEST)/bin/python tools/accuracy_page.py

accuracy-gate: $(TEST) ## predictions of a fixed sample of the measurements against recorded figures (seconds)
	OMP_NUM_THREADS=1 $(VENV_TEST)/bin/python tools/accuracy_gate.py

demo-model: $(BASE) ## write the models in examples/ again
	$(VENV)/bin/python tools/make_demo_model.py

docs: $(BASE) ## run the commands in the pages again and put their output in; write the table of ONNX operators
	$(VENV)/bin/python tools/refresh_docs.py
	$(VENV)/bin/python tools/operators_page.py
	$(VENV)/bin/python tools/mlir_page.py

site: $(TEST) ## build the documentation site, offline, into build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(VENV_TEST)/bin/python -m mkdocs build --quiet --strict

wheel: $(DEV) ## dist/: the wheel and the source archive
	rm -rf dist
	$(VENV_TEST)/bin/python -m build --outdir dist .

ci: ## everything that a change must pass
	bash .ci/run

clean: ## remove environments, caches and built files
	rm -rf $(VENV) $(VENV_TEST) $(VENV_TRAIN) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find perfmodel tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# An editable install: changes of the code need no new one, changes of the dependencies do.
$(BASE): pyproject.toml
	@test -n "$(PYTHON)" || { echo "$(NO_PYTHON)" >&2; exit 2; }
	@echo "installing into $(VENV): 230 MB, a minute or two"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(PIP_INSTALL) --editable .
	@touch $@

$(TEST): pyproject.toml
	@test -n "$(PYTHON)" || { echo "$(NO_PYTHON)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV_TEST)
	$(VENV_TEST)/bin/python $(PIP_INSTALL) --editable '.[test]'
	@touch $@

# Its data files alone are read: without its dependencies, which are many.
$(AIC): $(TEST)
	$(VENV_TEST)/bin/python $(PIP_INSTALL) --no-deps 'aiconfigurator-core>=0.12,<0.13'
	@touch $@

# Only the model files are read: no dependencies, and any Python will do.
$(MODELS): tests/installed-models.txt $(TEST)
	$(VENV_TEST)/bin/python $(PIP_INSTALL) --no-deps --ignore-requires-python --requirement tests/installed-models.txt
	@touch $@

$(TRAIN): pyproject.toml $(LOCK)
	@test -n "$(PYTHON)" || { echo "$(NO_PYTHON)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV_TRAIN)
	$(VENV_TRAIN)/bin/python $(PIP_INSTALL) $(LOCK:%=--constraint %) --editable '.[train]'
	@touch $@

$(DEV): $(TEST)
	$(VENV_TEST)/bin/python $(PIP_INSTALL) --editable '.[dev]'
	@touch $@
