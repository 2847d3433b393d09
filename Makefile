# Works with GNU make and bmake: POSIX make only, what needs logic is a script in .ci/.
PYTHON = .venv/bin/python

.PHONY: help venv deps demo test unit lint proto proto-check bench lab clean

help: ## say what can be made (the default)
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 22

venv: .venv/.ready ## .venv with jaild and its tools, made again when pyproject.toml changes

.venv/.ready: pyproject.toml .ci/venv
	@.ci/venv

deps: ## the system's programs that real tests and the demo need (installs them on Debian when root)
	@.ci/deps

demo: venv ## two hosts, two Debian bases, Redis, a migration each way: build/demo.json
	@JAILD_REQUIRE_ALL=1 .ci/deps
	@mkdir -p build
	$(PYTHON) -m tests.demo

test: deps venv lint proto-check ## everything that can fail
	$(PYTHON) -m pytest

unit: venv ## the tests that need neither root nor real ZFS
	$(PYTHON) -m pytest -m "not real"

lint: venv ## ruff, mypy, the direction of imports
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports

proto: venv ## generate the protobuf code again
	@.ci/proto generate

proto-check: venv ## refuse committed protobuf code that differs from what proto/ generates
	@.ci/proto check

lab: venv ## the ZFS contract on kernel OpenZFS, in virtual machines: build/lab.json (docs/lab.md)
	@JAILD_REQUIRE_ALL=1 .ci/deps lab
	$(PYTHON) -m pytest tests/lab

bench: deps venv ## measure: build/bench.json
	@mkdir -p build
	$(PYTHON) -m tests.bench

clean: ## remove what was made here, but not .venv nor the cached Debian trees
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
