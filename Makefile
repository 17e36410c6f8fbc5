# Everything needs only Python 3.11 or later: .venv is made from requirements.lock by the first target that wants it.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --progress-bar off

# torch is the only pin without hashes, since its builds differ by platform. Its CUDA build names these by itself and in
# its own versions; its CPU builds name none of them
CUDA := cuda-bindings cuda-toolkit nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvshmem-cu13 triton

.PHONY: help .venv test lint docs report figures notebooks lab lock audit licences clean
.DELETE_ON_ERROR:

help: ## this list
	@sed -n 's/^\([a-z.]*\):[^#]*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.venv: .venv/complete ## the locked environment; made again when the lock or pyproject.toml changes

# The stamp is written last, so that an environment left half-made is taken for what it is and begun anew.
.venv/complete: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON): no such program; install Python 3.11 or later, or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python %d.%d is too old: 3.11 or later is needed; name one: make PYTHON=/path/to/python" % sys.version_info[:2])'
	@echo "making .venv from requirements.lock: about three minutes and 2.8 GB, or 6 GB where torch brings CUDA"
	@$(PYTHON) -m venv --clear .venv
	@grep -v '^torch==' requirements.lock >.venv/hashed.txt
	@echo "1 of 3: $$(grep -c == .venv/hashed.txt) packages"
	@$(PIP) --no-deps --require-hashes --requirement .venv/hashed.txt
	@echo "2 of 3: torch"
	@$(PIP) "$$(grep '^torch==' requirements.lock)"
	@echo "3 of 3: lipsync_lab"
	@$(PIP) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check
	@touch $@

# One thread each, and as many tests at a time as there are cores; a notebook's cells stay together.
test: export OMP_NUM_THREADS := 1
test: .venv ## the tests, then every notebook from top to bottom
	$(BIN)/python -m pytest -n auto --dist worksteal
	$(BIN)/python -m pytest -n auto --dist loadfile --nbval-lax notebooks

lint: .venv ## ruff over the package, the tests and the notebooks; spelling; no retired name is used
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m codespell_lib
	$(BIN)/python tests/test_names.py

docs: .venv ## the documentation, in build/docs; a warning is an error
	$(BIN)/python -m sphinx -b html -q -W --keep-going docs build/docs

report: .venv ## run the samples and print the notebooks into reports/
	$(BIN)/python -m lipsync_lab report

figures: .venv ## the figures of the README and the documentation, rendered anew; some minutes
	$(BIN)/python benchmarks/render_figures.py
	$(BIN)/python benchmarks/render_concepts.py
	$(BIN)/python benchmarks/render_gallery.py

notebooks: .venv ## execute the notebooks anew, and keep what a commit should hold
	$(BIN)/python -c "from lipsync_lab.reporting.notebooks import renew; renew()"

lab: .venv ## the notebooks in JupyterLab
	$(BIN)/python -m jupyterlab notebooks

# uv has an environment of its own: a dependency that pyproject.toml names and the lock does not must not stand in its way
lock: ## renew requirements.lock; pins that still fit stay (newer ones: make lock UPGRADE=--upgrade)
	$(PYTHON) -m venv --clear build/uv
	build/uv/bin/python -m pip install --quiet --disable-pip-version-check uv
	printf '%s\n' $(CUDA) | build/uv/bin/uv pip compile pyproject.toml --output-file requirements.lock $(UPGRADE) \
		--all-extras --universal --python-version 3.11 --fork-strategy fewest --excludes - \
		--no-annotate --generate-hashes --custom-compile-command "make lock" --quiet
	awk '/^[^ #]/ { bare = /^torch==/; if (bare) sub(/ *\\$$/, "") } !(bare && /^ /)' requirements.lock >build/lock
	mv build/lock requirements.lock

# A package may be pinned in two versions for two Pythons, which go into two lists. --strict: what cannot be looked up is
# an error; without it, an audit that reached no database would say that nothing is known.
audit: .venv ## known weaknesses of what the lock pins; needs the network
	$(PYTHON) -m venv --clear build/audit
	build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	sed -n 's/^\([a-z][^ ;]*==[^ ;]*\).*/\1/p' requirements.lock | sort -u | awk -F== '{ print >"build/audit/pins" ++seen[$$1] ".txt" }'
	for pins in build/audit/pins*.txt; do \
		build/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement $$pins || exit 1; done

licences: .venv ## the licence of every package that the environment holds
	$(BIN)/python benchmarks/licences.py

clean: ## remove .venv and every cache; reports/ and fetched weights stay
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache
	find lipsync_lab tests notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
