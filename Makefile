# make up      the whole set-up, then the stack of techsapo.yaml (made from examples/techsapo.yaml)
# make test    format, linters, types, unit tests and core labs
# make help    the rest
#
# Debian 12 or 13 needs beforehand: git, make, python3 (3.11 or newer) and python3-venv, which has pip in it. As root,
# clone into /opt and leave PYTHON as it is, Debian's own: an app that runs as the user techsapo has to reach both the
# clone and Python, and from a folder such as /root, or with a Python in one, it would run as root.

SHELL   := /bin/sh
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
ROOT    := $(shell [ "$$(id -u)" = 0 ] && echo yes)
BINDIR  ?= $(if $(ROOT),/usr/local/bin,$(HOME)/.local/bin)
LINK    := $(BINDIR)/techsapo
# Where man looks for the pages of what is in BINDIR, and where they are made.
MANDIR  := $(BINDIR)/../share/man/man1
MAN     := build/man
PIP     := $(BIN)/python -m pip --disable-pip-version-check
SPEC    ?= techsapo.yaml
NEEDED  := as root: apt-get install python3 python3-venv
SBOM    ?= dist/techsapo-ops.cdx.json
# One more than the processors of a small machine, and two more for labs, which wait for servers as well
# (docs/decisions/0003-tests.md).
WORKERS ?= 3
LAB_WORKERS ?= 4
SPREAD  := --dist loadscope --no-loadscope-reorder
PYTEST  := pytest -n $(WORKERS) $(SPREAD)
TESTED  := tests/unit tests/house tests/messages tests/core
MUTATED := tests/lab/alerts/test_alert_mutants_lab.py
MUTANTS := dist/mutants
# Which verdicts of `make mutants` are made: those before a change of the tests, or after it.
NAME    ?= after
POLICY  := /usr/sbin/policy-rc.d
FORM    := $(BIN)/ruff format --check . && $(BIN)/ruff check .
TYPES   := $(BIN)/mypy && $(BIN)/lint-imports

# $(1) with $(TYPES) at the same time: without its cache mypy takes 20 s of one processor, and the tests mostly
# wait. What is wrong with the types is said at once and again at the end; the exit code tells of both.
beside = { { $(TYPES); } >$(VENV)/types.log 2>&1 || { cat $(VENV)/types.log; false; }; } & types=$$!; \
  echo '$(1)'; $(1); code=$$?; wait $$types || { cat $(VENV)/types.log; [ $$code != 0 ] || code=1; }; exit $$code

# Some shells ask Python to keep no compiled modules. Each of some thousand commands of the labs would compile ours.
export PYTHONDONTWRITEBYTECODE :=

# What the tests run, as command:package; a command that is there, from wherever, is taken as it is.
LAB_PARTS := prometheus:prometheus prometheus-alertmanager:prometheus-alertmanager \
  prometheus-node-exporter:prometheus-node-exporter prometheus-redis-exporter:prometheus-redis-exporter \
  prometheus-mysqld-exporter:prometheus-mysqld-exporter prometheus-nginx-exporter:prometheus-nginx-exporter \
  prometheus-blackbox-exporter:prometheus-blackbox-exporter \
  nginx:nginx pebble:pebble openssl:openssl redis-server:redis-server mariadbd:mariadb-server \
  mariadb-backup:mariadb-backup \
  docker:docker-cli docker-compose:docker-compose dockerd:docker.io ip:iproute2 debootstrap:debootstrap \
  logrotate:logrotate rsyslogd:rsyslog cron:cron systemd-analyze:systemd node:nodejs npm:npm chromium:chromium \
  zstd:zstd restic:restic restic-rest-server:restic-rest-server sshd:openssh-server \
  keepalived:keepalived curl:curl

.DEFAULT_GOAL := help
.PHONY: help docs up down install uninstall link test labs nightly fuzz mutations soak mutants coverage lint lab slowest bench bench-peers real-model recovery-lab power-lab swarm-lab picture sbom release figures lock clean

help:
	@echo "make up         install, bring missing system parts (as root), start the stack"
	@echo "make test       format, linters, types, unit tests, core labs; without root, Docker or a browser"
	@echo "make down       stop the stack"
	@echo "make install    venv and the techsapo command in $(BINDIR)"
	@echo "make uninstall  remove that command"
	@echo "make labs       all other labs, on real servers; as root. ONLY=backup for those of one capability"
	@echo "make nightly    what takes hours: fuzzing, mutations, soak, recovery, three machines, power cuts"
	@echo "make fuzz       the tests that make up their input, with fresh seeds and more of it"
	@echo "make mutations  whether the cases of each alert notice that one of its numbers is another"
	@echo "make mutants    whether the tests notice 60 random changes of the code (hours)"
	@echo "make lab        install the servers that labs start (as root); starts none of them"
	@echo "make coverage   the same as test, and which lines no test runs"
	@echo "make slowest    the slowest tests and files of the last run"
	@echo "make bench      start-up and speed, as ratios to a baseline of the same run"
	@echo "make bench-peers  the same load on LiteLLM's proxy, installed into .venv-peers"
	@echo "make real-model   ask a small real model, built into .real-model, everything that a stack asks"
	@echo "make power-lab  a Debian whose power is cut at twelve moments (as root, ten minutes)"
	@echo "make recovery-lab  lose a stack of 50 MB of Redis and a million rows, bring it back on an empty host, time it"
	@echo "make swarm-lab  three machines with a cable each: cut, killed, parted, under load (as root, with Docker)"
	@echo "make docs       the pages of docs/ as a site, which the app serves under /help, and the man pages"
	@echo "make sbom       what is installed with us, as CycloneDX, into $(SBOM)"
	@echo "make release    wheel, source archive and checksums into dist/, tried in clean environments of two Pythons"
	@echo "make figures    size and time of an installation, into docs/measurements.md"
	@echo "make lock       resolve the dependencies anew into requirements*.lock"

# A lock names all that is installed, so pip looks up no further package. Otherwise a pip before 23.3, as Python 3.11
# brings it, takes the newest version of what is needed with an extra, and refuses that one: the lock has no hash of it.
# An environment without pip is one that was not made to its end, as without Debian's python3-venv: it is made anew.
# pip flushes nothing: without `sync` a power cut leaves empty files, and a stack that does not come back.
$(VENV)/runtime: .ci/requirements.lock pyproject.toml techsapo_ops/__init__.py
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: $(NEEDED)"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
	  { rm -rf $(VENV); echo "no Python environment could be made: $(NEEDED)"; exit 1; }
	@echo "installing the Python packages of .ci/requirements.lock into $(VENV)"
	@$(PIP) install --quiet --no-deps --require-hashes -r .ci/requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@sync -f $(VENV) 2>/dev/null || sync
	@touch $@

$(VENV)/dev: .ci/requirements-dev.lock $(VENV)/runtime
	@echo "installing the Python packages of .ci/requirements-dev.lock into $(VENV)"
	@$(PIP) install --quiet --no-deps --require-hashes -r .ci/requirements-dev.lock
	@$(PIP) check
	@touch $@

# What builds the pages of docs/. It is 90 MB, so only who builds them has it.
$(VENV)/docs: .ci/requirements-docs.lock $(VENV)/runtime
	@echo "installing the Python packages of .ci/requirements-docs.lock into $(VENV)"
	@$(PIP) install --quiet --no-deps --require-hashes -r .ci/requirements-docs.lock
	@touch $@

# What looks at metadata, and the installers that docs/install.md shows.
$(VENV)/release: .ci/requirements-release.lock $(VENV)/runtime
	@echo "installing the Python packages of .ci/requirements-release.lock into $(VENV)"
	@$(PIP) install --quiet --no-deps --require-hashes -r .ci/requirements-release.lock
	@touch $@

# The pages of docs/ as a site, which the app serves under /help.
docs: $(VENV)/docs
	@PYTHONPATH=.ci $(BIN)/python -m docsite

# Made from the commands, and anew when one has changed.
$(MAN)/techsapo.1: $(wildcard techsapo_ops/cli/*.py techsapo_ops/cli/*/*.py techsapo_ops/cli/*/*.yaml)
	@$(BIN)/python -m techsapo_ops.cli.reference $(MAN)

install: $(VENV)/runtime link

# Without man pages the command is as good, so what keeps them from being made keeps nothing else.
link:
	@target="$(CURDIR)/$(BIN)/techsapo"; \
	old="$$(readlink "$(LINK)" 2>/dev/null)"; \
	case "$$old" in */$(BIN)/techsapo) [ -e "$(LINK)" ] || rm -f "$(LINK)";; esac; \
	if [ "$$old" = "$$target" ] && [ -e "$(LINK)" ]; then :; \
	elif [ -e "$(LINK)" ] || [ -L "$(LINK)" ]; then echo "$(LINK) is something else and stays; run $$target"; \
	elif mkdir -p "$(BINDIR)" 2>/dev/null && ln -s "$$target" "$(LINK)" 2>/dev/null; then echo "linked $(LINK) to $$target"; \
	else echo "$(BINDIR) is not writable; run $$target"; fi
	@$(MAKE) --no-print-directory $(MAN)/techsapo.1 >/dev/null 2>&1 && mkdir -p "$(MANDIR)" 2>/dev/null && ln -sf "$(CURDIR)"/$(MAN)/*.1 "$(MANDIR)" 2>/dev/null || true

uninstall:
	@if [ "$$(readlink "$(LINK)" 2>/dev/null)" = "$(CURDIR)/$(BIN)/techsapo" ]; then \
	  rm "$(LINK)" && echo "removed $(LINK)"; \
	elif [ -e "$(LINK)" ]; then echo "$(LINK) is not ours and stays"; \
	else echo "nothing to remove at $(LINK)"; fi
	@for page in "$(MANDIR)"/techsapo*.1; do \
	  case "$$(readlink "$$page" 2>/dev/null)" in "$(CURDIR)"/$(MAN)/*) rm "$$page";; esac; done

up: install
	@if [ ! -e "$(SPEC)" ]; then $(BIN)/techsapo init --example examples/techsapo.yaml "$(SPEC)"; fi
	@if [ -n "$(ROOT)" ] && command -v apt-get >/dev/null 2>&1; then \
	  $(BIN)/techsapo doctor --fix --quiet --file "$(SPEC)" || echo "some parts could not be installed; going on without them"; fi
	@$(BIN)/techsapo up --yes --file "$(SPEC)"

down:
	@$(BIN)/techsapo down --yes --file "$(SPEC)"

# Debian starts what it installs where an init system runs; policy-rc.d 101 keeps that from happening to
# a machine whose owner only wants to run tests.
lab:
	@missing=""; for part in $(LAB_PARTS); do \
	  PATH="$$PATH:/usr/sbin:/sbin" command -v "$${part%%:*}" >/dev/null 2>&1 || missing="$$missing $${part##*:}"; done; \
	case "$$missing" in *chromium*) missing="$$missing fonts-noto-cjk";; esac; \
	if [ -z "$$missing" ]; then exit 0; \
	elif [ -z "$(ROOT)" ] || ! command -v apt-get >/dev/null 2>&1; then echo "the lab lacks:$$missing (as root: apt-get install$$missing)"; \
	else echo "installing for the lab:$$missing"; \
	  mkdir -p $(VENV) || exit; \
	  kept=""; if [ -e $(POLICY) ]; then kept=yes; else printf '#!/bin/sh\nexit 101\n' >$(POLICY) && chmod +x $(POLICY); fi; \
	  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; } >$(VENV)/lab.log 2>&1; code=$$?; \
	  [ -n "$$kept" ] || rm -f $(POLICY); \
	  [ $$code = 0 ] || { tail -n 20 $(VENV)/lab.log; exit $$code; }; fi

lint: $(VENV)/dev
	$(FORM)
	$(TYPES)

# A core lab whose server is missing is skipped and names it; with CI=true it fails.
test: $(VENV)/dev
	$(FORM)
	@$(call beside,$(BIN)/python -m $(PYTEST) $(TESTED))

# Without ONLY all of them; ONLY=backup is tests/lab/backup.
labs: $(VENV)/dev $(VENV)/docs $(VENV)/release lab
	$(BIN)/python -m pytest -n $(LAB_WORKERS) $(SPREAD) -m "not nightly" $(if $(ONLY),$(ONLY:%=tests/lab/%),tests/lab tests/e2e)

# One after the other, whatever fails.
nightly: $(VENV)/dev lab
	@failed=""; for part in fuzz mutations soak recovery-lab swarm-lab power-lab; do \
	  $(MAKE) --no-print-directory $$part || failed="$$failed $$part"; done; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

# What it finds is printed with the input; that one becomes an example of its test, and stays.
fuzz: $(VENV)/dev lab
	FUZZ=fresh $(BIN)/python -m $(PYTEST) --timeout 1800 -m "hypothesis or fuzz" tests

# Each threshold, minimum and duration of every alert is moved a step; what no case notices fails. ONLY=DiskFilling for one.
mutations: $(VENV)/dev lab
	ALERTS="$(ONLY)" $(BIN)/python -m $(PYTEST) --timeout 1800 $(MUTATED)

# What is marked `nightly` and not tried by the two above.
soak: $(VENV)/dev lab
	$(BIN)/python -m $(PYTEST) --timeout 1800 -m "nightly and not fuzz" --ignore $(MUTATED) tests/lab

# In a clone, as each mutant is a change of the code. Goes on where it was stopped; see tests/mutants.py.
mutants: $(VENV)/dev
	@[ -d $(MUTANTS)/tree ] || git clone --quiet . $(MUTANTS)/tree
	@$(MAKE) --no-print-directory -C $(MUTANTS)/tree .venv/dev
	@[ -e $(MUTANTS)/picked.json ] || $(BIN)/python -m tests.mutants pick $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.mutants judge $(MUTANTS)/tree $(NAME)
	@$(BIN)/python -m tests.mutants table

# A tool for developers, a third slower; CI does not use it, for coverage's lock outlasts a Ctrl-C (decision 3).
coverage: $(VENV)/dev
	$(FORM)
	$(BIN)/coverage erase
	@$(call beside,$(BIN)/coverage run -m $(PYTEST) $(TESTED))
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered

# Of the last run here; any run of pytest notes the tests that it ran.
slowest:
	@$(BIN)/python -m tests.slowest

bench: $(VENV)/dev
	$(BIN)/python -m tests.bench

# The peer is measured, never depended on: it has a venv of its own.
.venv-peers/bin/litellm:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip --disable-pip-version-check install --quiet "litellm[proxy]"

bench-peers: $(VENV)/dev .venv-peers/bin/litellm
	$(BIN)/python -m tests.bench.peers .venv-peers/bin/litellm

# llama.cpp's server and a model of 98 MB, built once into .real-model; two providers on it. ONLY=investigations for one step.
real-model: $(VENV)/dev
	$(BIN)/python -m tests.real_model $(ONLY)

# A Debian in namespaces whose power is cut; as root. ONLY="traffic_mariadb keys" for some of it.
power-lab: LAB_PARTS = systemd-nspawn:systemd-container fusermount3:fuse3 mke2fs:e2fsprogs debootstrap:debootstrap \
  socat:socat $(shell /usr/bin/python3 -c 'import fusepy' 2>/dev/null || echo fusepy:python3-fusepy)
power-lab: $(VENV)/dev lab
	$(BIN)/python -m tests.power $(ONLY)

# S3, SFTP and REST, both engines, kill -9 at each step; as root. Its report is dist/recovery/report.md.
recovery-lab: $(VENV)/dev lab
	$(BIN)/python -m tests.recovery

# Three machines on one kernel; ONLY="redis mysql" for some proofs, CUTS=3 for fewer faults. Its report is dist/swarm/report.md.
swarm-lab: $(VENV)/dev lab
	$(BIN)/python -m tests.swarm $(ONLY) $(if $(CUTS),--cuts $(CUTS))

# Draws docs/images/up.svg from a real run on the well-known ports.
picture: $(VENV)/dev
	$(BIN)/python -m tests.picture

# What is installed with us, by name, version and hash, for whoever has to answer for it (CycloneDX, ECMA-424).
sbom: $(VENV)/dev
	@mkdir -p $(dir $(SBOM))
	@$(BIN)/cyclonedx-py requirements .ci/requirements.lock --pyproject pyproject.toml --mc-type application \
	  --output-reproducible --of JSON --sv 1.6 --validate -o $(SBOM) 2>$(VENV)/sbom.log || { cat $(VENV)/sbom.log; exit 1; }
	@echo "wrote $(SBOM)"

# Wheel, source archive, list of parts and checksums into dist/, once they worked in clean environments of the oldest
# and the newest Python (some ten minutes). PYTHONS=3.13 tries that one alone.
release: $(VENV)/dev $(VENV)/docs $(VENV)/release
	@PYTHONPATH=.ci $(BIN)/python -m docsite
	@PYTHONPATH=.ci $(BIN)/python -m release $(PYTHONS)

# What an installation takes here, into docs/measurements.md.
figures: $(VENV)/dev
	@PYTHONPATH=.ci $(BIN)/python -m release.figures

# Hashes only: no index address may enter the repository.
lock: $(VENV)/dev
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --extra build -o .ci/requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --extra build --extra otel -c .ci/requirements.lock -o .ci/requirements-otel.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --extra build --extra mcp -c .ci/requirements-otel.lock -o .ci/requirements-mcp.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --extra build --extra otel --extra mcp --extra dev -c .ci/requirements-mcp.lock -o .ci/requirements-dev.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --extra docs -c .ci/requirements-dev.lock -o .ci/requirements-docs.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --extra build --extra release -c .ci/requirements-dev.lock -o .ci/requirements-release.lock pyproject.toml

clean:
	rm -rf $(VENV) .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
