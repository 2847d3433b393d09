# Works with GNU make and bmake: POSIX make only, what needs logic is a script in .ci/.
PYTHON = .venv/bin/python
CUTS = 50
FAULTS = 0
WORKERS = 1
MIGRATIONS = 100
# One more than this project's machines have cores: real programs are waited for.
PROCESSES = 3
UNIT = --ignore=tests/e2e --ignore=tests/model -m "not real and not exhaustive and not rule"
# A matrix of faults strikes one call of so many, other ones each time; CI strikes all (EVERY=1).
EVERY = 4
SALT = tests/salt
# Without the longest: a minion and a master that are away, what is refused.
SALT1 = tests/salt/test_bench.py tests/salt/test_states.py tests/salt/test_events.py \
	-k "not (is_away or was_away or somebody_else or refused or in_use or healthy or another_archive)"
# Python keeps what it compiled, whatever the environment says: tests start hundreds of daemons and commands.
PYTEST = PYTHONDONTWRITEBYTECODE= $(PYTHON) -m pytest

.PHONY: help venv compiled deps demo docs test unit slowest clients lint proto proto-check bench lab lab-quick integrations man deb packages salt compare faults soak truth clean

help: ## say what can be made (the default)
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 22

venv: .venv/.ready ## .venv with jaild and its tools, made again when pyproject.toml changes

.venv/.ready: pyproject.toml .ci/venv
	@PYTHON=$(PYTHON) .ci/venv

compiled: venv # what a daemon or a command imports
	@$(PYTHON) -m compileall -q jaild

deps: ## the system's programs that real tests and the demo need (installs them on Debian when root)
	@.ci/deps

demo: compiled ## two hosts, two bases (FreeBSD: BASES="A/base.txz B/base.txz"), Redis, a migration each way: build/demo.json; SHOW=1: with Prometheus and the page, and stays to be looked at
	@JAILD_REQUIRE_ALL=1 .ci/deps $(SHOW:1=show)
	@mkdir -p build
	$(PYTHON) -m tests.demo $(BASES) $(SHOW:1=--show)

docs: compiled ## run what README and docs show of a console, and write what it prints
	PYTHONDONTWRITEBYTECODE= $(PYTHON) -m tests.transcripts

test: deps compiled lint proto-check ## everything that can fail; EVERY=1: at all calls of each fault matrix, not at one of four
	JAILD_FAULT_EVERY=$(EVERY) $(PYTEST) -n $(PROCESSES) --dist loadgroup

unit: compiled ## the tests that need neither root nor real ZFS, but for those that go through a large set (fault matrices); fewer examples of a property
	HYPOTHESIS_PROFILE=quick $(PYTEST) $(UNIT) -n $(PROCESSES) --dist worksteal

slowest: compiled ## as unit, one after the other and in their order, with the twenty slowest at the end
	HYPOTHESIS_PROFILE=quick $(PYTEST) $(UNIT) -p no:randomly --durations=20 --durations-min=0.2

clients: deps compiled proto-check ## the programs of docs/clients.md, those in other languages too (make test: Python)
	@JAILD_REQUIRE_ALL=1 .ci/deps clients
	@mkdir -p build/clients
	npm install --silent --no-audit --no-fund --prefix build/clients @grpc/grpc-js@1 @grpc/proto-loader@0
	JAILD_REQUIRE_ALL=1 JAILD_CLIENTS=1 $(PYTEST) tests/e2e/test_product_team.py -k docs_clients

lint: venv ## ruff, mypy, the direction of imports, the rules that these do not know
	@.ci/lint

proto: venv ## generate the protobuf code again
	@.ci/proto generate

proto-check: venv ## refuse committed protobuf code that differs from what proto/ generates
	@.ci/proto check

lab: compiled ## contract, story and CUTS=50 power cuts on kernel OpenZFS in virtual machines: build/lab.json
	@JAILD_REQUIRE_ALL=1 .ci/deps lab
	@rm -f build/lab.json build/lab-failures.txt
	JAILD_LAB_CUTS=$(CUTS) $(PYTEST) tests/lab

lab-quick: compiled ## what CI runs of it: the contract on one OpenZFS, and four power cuts
	@JAILD_REQUIRE_ALL=1 .ci/deps lab
	@rm -f build/lab-failures.txt
	JAILD_LAB_ZFS=2.3 JAILD_LAB_CUTS=4 $(PYTEST) tests/lab/test_zfs_contract.py tests/lab/test_power_cuts.py

integrations: compiled ## what is brought for Prometheus, Zabbix, rsyslog and others, on their own programs; the page in a Chromium: build/web
	@JAILD_REQUIRE_ALL=1 .ci/deps integrations
	JAILD_REQUIRE_ALL=1 $(PYTEST) tests/integrations

man: compiled ## the manual pages jailctl(1), jaild.yaml(5), jaild-spec(5) and jaild(8), of what the programs say: build/man
	$(PYTHON) -m jaild.manual build/man

deb: ## the package for the Debian that it is made on, by debhelper: build/deb
	@.ci/deb

packages: compiled ## Debian's packages, built, installed, upgraded and removed in clean trees of Debian 12 and 13
	@JAILD_REQUIRE_ALL=1 .ci/deps
	JAILD_REQUIRE_ALL=1 $(PYTEST) tests/packages

salt: compiled ## a master and minions of Salt, and what jaild brings for them, on embedded hosts; QUICK=1: what CI runs of it, one minion
	@JAILD_REQUIRE_ALL=1 .ci/deps
	@.ci/salt
	JAILD_REQUIRE_ALL=1 PYTHONDONTWRITEBYTECODE= build/salt/bin/python -m pytest $(SALT$(QUICK))

compare: compiled ## a migration beside syncoid and incus, in two machines of the lab: build/compare.json
	@JAILD_REQUIRE_ALL=1 .ci/deps lab
	PYTHONDONTWRITEBYTECODE= $(PYTHON) -m tests.lab.compare

faults: compiled ## a fault at every step of a migration on real ZFS (FAULTS=n: at n of them): build/faults.json
	@JAILD_REQUIRE_ALL=1 .ci/deps
	$(PYTHON) -m tests.faults --points $(FAULTS) --workers $(WORKERS)

soak: compiled ## MIGRATIONS=100 back and forth between two daemons, with cuts and kills: build/soak.json
	@JAILD_REQUIRE_ALL=1 .ci/deps
	$(PYTHON) -m tests.faults.soak --migrations $(MIGRATIONS)

truth: compiled ## real packages of Debian as releases, judged by the proof and by the bases' own linkers: build/truth.json
	@JAILD_REQUIRE_ALL=1 .ci/deps
	$(PYTHON) -m tests.truth

bench: deps compiled ## measure: build/bench.json
	@mkdir -p build
	$(PYTHON) -m tests.bench

clean: ## remove what was made here, but not .venv nor the cached Debian trees
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
