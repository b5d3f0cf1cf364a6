# Two commands are all a newcomer needs: `make demo`, then `make test`.
VENV ?= .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: demo gate test quick lint format docs site gpu

$(READY): pyproject.toml constraints.txt
	@if command -v uv >/dev/null 2>&1; then \
	  test -x $(PY) || uv venv --quiet $(VENV); \
	  uv pip install --quiet --compile-bytecode --python $(PY) --constraint constraints.txt --editable '.[dev]'; \
	else \
	  test -x $(PY) || python3 -m venv $(VENV); \
	  $(PY) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'; \
	fi
	@touch $@

# Left to `--models all`: searches and networks that take over a third of a second an image on a core.
SLOW := -bertalmio,-dgm,-hr,-hrii,-mat,-pennet

# A home of its own: weights that were trained or imported here would take the places of starters.
demo: $(READY)  ## models on the shipped photographs: prints one table and the page's path
	BENCH_HOME="$(CURDIR)/runs/home" $(VENV)/bin/bench run --models all,$(SLOW) --dataset demo --masks rectangular,freeform,cellular --buckets deciles --limit 4 --out runs/demo
	$(VENV)/bin/bench report runs/demo --html runs/demo/page

gate: $(READY)  ## the demo's numbers against those that are written down
	$(VENV)/bin/bench check runs/demo --against reports/regression/demo.json

test: $(READY)  ## every test
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2

quick: $(READY)  ## the fast part
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 -m "not slow"

lint: $(READY)  ## style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(READY)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(READY)  ## the generated pages, and the table and picture of the README
	$(PY) docs/tables.py
	$(PY) perf/metrics.py --docs
	$(PY) docs/readme.py
	$(PY) docs/starters.py
	$(PY) docs/zoo.py
	$(PY) docs/scale.py
	$(PY) docs/weights.py

	$(MAKE) site

site: $(READY)  ## the documentation as a site, in site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

gpu:  ## every check and benchmark for a CUDA device, with the Python and torch at hand
	PYTHONPATH=. $(or $(wildcard $(PY)),python3) perf/gpu.py
