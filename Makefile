# make demo   set up, then from the bundled teacher to a verified INT8 artifact: the recipe in examples/
# make test   set up, then all tests
# The first call makes .venv and installs into it what constraints.txt pins; later calls find it up to date.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
RECIPE ?= examples/fashion_mnist.yaml

.PHONY: demo test lint format types schema wheel clean

demo: $(INSTALLED)
	$(VENV)/bin/edgedistill run $(RECIPE)

test: $(INSTALLED)
	$(VENV)/bin/pytest -q

lint: $(INSTALLED)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

format: $(INSTALLED)
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

types: $(INSTALLED)
	$(VENV)/bin/mypy

# the JSON schemas of a recipe and of a measurement; tests compare them with the code
schema: $(INSTALLED)
	$(VENV)/bin/edgedistill schema > edgedistill/recipe.schema.json.partial
	mv edgedistill/recipe.schema.json.partial edgedistill/recipe.schema.json
	$(VENV)/bin/edgedistill schema --measurement > edgedistill/bench/measurement.schema.json.partial
	mv edgedistill/bench/measurement.schema.json.partial edgedistill/bench/measurement.schema.json

wheel: $(INSTALLED)
	rm -rf build
	$(VENV)/bin/python -m build --wheel --no-isolation

# keeps runs/: training took time
clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find edgedistill targets calibration tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -c constraints.txt -e '.[dev]'
	touch $@
