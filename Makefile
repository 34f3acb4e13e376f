# Two commands:
#   make figures   every root script, with its figures under visualization/ and styles_images/
#   make test      format, lint and the whole test suite
# and: make page, the same in a browser; make writeup, the report as a PDF; make docs, the tour and the pages' pictures;
# make bench, our speed beside the peers'.
# All build .venv first, once. PYTHON=python3.12 make ... picks another interpreter (3.10 or newer).

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Python compiles what is imported, once; to compile every file of every package takes longer than to install them.
PIP    := $(BIN)/python -m pip install --quiet --no-compile
SCRIPTS := $(wildcard class_visualization.py style_transfer.py saliency_map.py gradcam.py fooling_image.py)
FIGURES := $(SCRIPTS:%.py=figures-of-%)
# Two scripts at a time, each on half of the cores: one image keeps a second core hardly more than half busy.
THREADS := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) / 2)) | sed s/^0$$/1/)
AT_ONCE := --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: figures $(FIGURES) test page docs writeup bench format clean help
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -6

figures: $(VENV)/installed
	@echo "a minute or two: $(SCRIPTS)"
	@$(MAKE) --no-print-directory $(AT_ONCE) $(FIGURES)
	$(BIN)/python -m docs.make_index

$(FIGURES): figures-of-%:
	@echo "$*.py"
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-$(THREADS)} $(BIN)/python $*.py

test: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2 --dist worksteal

page: $(VENV)/installed-page
	$(BIN)/python page.py

docs: figures $(VENV)/installed-dev
	$(BIN)/python -m docs.make_gallery
	$(BIN)/python -m docs.make_tour
	$(BIN)/python -m docs.make_broken

writeup: $(VENV)/installed
	$(BIN)/python -m course.writeup

bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; choose one with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "on Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/installed: requirements.txt torchvision_cure.py | $(BIN)/python
	$(PIP) --requirement requirements.txt
	$(BIN)/python torchvision_cure.py
	@touch $@

$(VENV)/installed-page: $(VENV)/installed requirements-page.txt
	$(PIP) --requirement requirements-page.txt
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed requirements-bench.txt
	$(PIP) --no-deps --requirement requirements-bench.txt
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt requirements-page.txt
	$(PIP) --requirement requirements-dev.txt
	@touch $@
