# The book's commands; `make help` lists them.
.SILENT:
.PHONY: help lab workbook train check test full stress bench export execute chapter browser badges web

PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.ready
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)  # JupyterLab wants to be told, in a container say
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:  ## this list
	awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: $(READY) data/tinyshakespeare/input.txt  ## set up, fetch the text, open JupyterLab on the first notebook
	echo "JupyterLab opens notebooks/00_start_here.ipynb; leave it with Ctrl-C"
	.venv/bin/jupyter lab $(AS_ROOT) notebooks/00_start_here.ipynb

workbook: $(READY)  ## copy the workbooks into mine/, to write the parts yourself; what is there stays as it is
	$(PY) -m tools.notebooks mine

web: $(READY)  ## build the web book from the notebooks: web/_build/index.html, no kernel and no network
	$(PY) -m web

train: $(READY)  ## train a model here: the small one on a CPU, the full one on a CUDA GPU
	$(PY) -m gptlib train --preset $$($(PY) -c "import torch; print('char-gpu-best' if torch.cuda.is_available() else 'char-cpu')")

check: $(READY) data/tinyshakespeare/input.txt  ## lint, format, exports, unit tests: what to run while you change things
	$(PY) -m tests.run check

test: $(READY) .venv/colab data/tinyshakespeare/input.txt  ## what CI runs: also all notebooks, their outputs compared, and JupyterLab in a browser
	$(PY) -m tests.run test

full: $(READY) .venv/colab data/tinyshakespeare/input.txt  ## that and `make stress`: what runs every night
	$(PY) -m tests.run full

stress: $(READY)  ## tests at length: checkpoints under killed writers, flipped bits, full disks; whole chapters in the browser
	$(PY) -m tests.run stress

bench: $(READY) data/tinyshakespeare/input.txt  ## how fast everything is on this machine: a table, and runs/bench.json
	$(PY) -m tools.measure.bench

export: $(READY)  ## write what the notebooks export and what is generated in them: modules, solutions, links, workbooks
	$(PY) -m tools.notebooks export
	$(PY) -m tools.notebooks solutions
	$(PY) -m tools.notebooks fold
	$(PY) -m tools.notebooks links
	$(PY) -m tools.notebooks minutes
	$(PY) -m tools.notebooks workbook

execute: $(READY)  ## run the notebooks and store their outputs (NAMES="05 07" for some)
	$(PY) -m tools.notebooks execute $(NAMES)

chapter: $(READY)  ## begin a chapter: notebook, checkers, answers, tests (NAME=retrieval)
	$(PY) -m tools.notebooks chapter $(NAME)

browser:  ## install Chromium and axe-core for the browser tests, where that is possible
	tests/browser/install.sh

badges: $(READY)  ## point badges and Colab cells to your repository (REPO=owner/name)
	$(PY) -m tools.notebooks badges $(REPO)

# Installed once; again only when the requirements change.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed, this is ' + sys.version.split()[0] + ': set PYTHON=python3.12, say')"
	echo "setting up .venv (a minute or two)"
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $(READY)

# What Colab has is older: the way that a notebook takes there is tested with it.
.venv/colab: $(READY)
	echo "fetching IPython and ipywidgets as Colab has them"
	rm -rf $@ $@.part
	$(PY) -m pip install --quiet --no-deps --target $@.part ipywidgets==7.7.1 ipython_genutils==0.2.0 \
		ipython==7.34.0 backcall==0.2.0 decorator==5.3.1 pickleshare==0.7.5
	mv $@.part $@

# Asked for every time unless it lies in data/: load_corpus also looks in $GPTLIB_DATA, then downloads.
data/tinyshakespeare/input.txt: | $(READY)
	$(PY) -c "from gptlib.data import load_corpus; c = load_corpus(); print('text:', c.name, 'from', c.source)"
