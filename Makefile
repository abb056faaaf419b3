# All set-up on a fresh machine that has Python 3.11 and make. PYTHON=python3.12 chooses another one.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Processes that tests run in, each file in one of them; a process of the viewer's tests needs up to 2 GB.
WORKERS ?= 2
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-fast test-all lint bench clean

demo: $(VENV)/.installed
	$(BIN)/cicimage demo

test: $(VENV)/.installed-test
	@.ci/system-packages
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

test-fast: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m "not slow"

# Other Pythons found on the PATH, lowest versions, built distributions, adapters, R and the long campaigns; hours.
test-all: test
	$(INSTALL) -e ".[test-all]"
	$(BIN)/nox -f .ci/noxfile.py

lint: $(VENV)/.installed-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: $(VENV)/.installed-test
	$(BIN)/python benchmarks/run_all.py

$(VENV)/.made:
	$(PYTHON) -c "import sys; sys.exit('cicimage needs Python 3.11 or newer, this is %d.%d; call make with PYTHON=python3.11' % sys.version_info[:2] if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(INSTALL) -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.made pyproject.toml constraints.txt
	$(INSTALL) -e ".[test,napari,nd2,lif,czi]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) demo_results .pytest_cache .mypy_cache .ruff_cache .ci/.nox
