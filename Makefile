# Two commands set everything up on a machine with python3, python3-venv, make and git:
#   make demo    renders the shipped sketch with the built-in model
#   make test    runs every test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
RUN ?= $(HOME)/.cache/underpaint-training
MINUTES ?= 120

.PHONY: demo test check bench bench-sd15 train evaluate-gesso pictures gallery guide clean

demo: $(VENV)/.runtime
	@$(BIN)/underpaint render examples/sketch.png "gouache" \
		--strength 0.6 --seed 7 --output demo.png --overwrite
	@echo "The sketch is examples/sketch.png, the painting is $(CURDIR)/demo.png"

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(VENV)/.runtime
	$(BIN)/python -m benchmarks.first_picture

# Beside diffusers, and OpenVINO where it is installed, on a random SD 1.5 of full size: 5 GB of disk,
# and an hour or two on a small CPU.
bench-sd15: $(VENV)/.runtime
	$(BIN)/python -m benchmarks.compare_sd15

# How Gesso is made, from nothing, in resumable parts: training/README.md.
train: $(VENV)/.dev
	$(BIN)/python -m training --run $(RUN) --minutes $(MINUTES)

# The measures of the released weights; SIZE=256 is a sample of them in a few minutes.
SIZE ?= 512
evaluate-gesso: $(VENV)/.dev
	$(BIN)/python -m training.evaluate --size $(SIZE)

# The pictures in README and docs, rendered by the released weights.
pictures: $(VENV)/.dev
	$(BIN)/python -m docs.make_pictures

gallery: $(VENV)/.dev
	$(BIN)/python -m docs.make_gallery

guide: $(VENV)/.dev
	$(BIN)/python -m docs.make_guide

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing into $(VENV); the first time this takes a few minutes."
	@$(PIP) torch
	@$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@$(PIP) --editable ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
