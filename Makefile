# Every target sets up what it needs: a fresh clone and Python 3.11 or later are enough.
# What stands on make's own command line counts. Nothing in the environment does: `:=` here and .ci/venv.py see to it.
PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
            $$python -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
RECENT  = test -n "$(PYTHON)" && $(PYTHON) -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
            { echo "Python 3.11 or later is needed$(if $(PYTHON),; $(PYTHON) isn't one). Name one: make PYTHON=python3.13" >&2; exit 1; }
# `$(RUN) NAME=value … -m module …` runs Python with what the tests need, `$(RUN_DEMO)` with what the demo needs.
RUN      = @$(RECENT); exec $(PYTHON) -I .ci/venv.py dev
RUN_DEMO = @$(RECENT); exec $(PYTHON) -I .ci/venv.py demo

CORE   := agent/guard/*,agent/redact/*,agent/spool/*,agent/link/*,agent/circuit.py,agent/config.py,agent/settings.py,agent/model.py,agent/errors.py

.PHONY: help venv demo playground test chaos breakages stampede bench soak performance redact-score incidents pictures coverage lint types layers lock image sbom wheel controlplane cluster-test clean
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

venv:  ## create or repair .venv for development; every target does this by itself
	$(RUN)

CLUSTER :=
LINK    :=
YES     :=
CHOSEN   = $(if $(CLUSTER), --cluster "$$CLUSTER")$(if $(YES), --yes)$(if $(LINK), --link $(LINK))
demo:  ## a command's life through outages and a kill, in about 30 s (LINK=stream; CLUSTER=kubeconfig for a cluster of yours)
	$(RUN_DEMO) -m demo$(CHOSEN)

playground:  ## API, sample cluster and agent run until Ctrl-C, for queries with curl
	$(RUN_DEMO) -m demo --playground$(CHOSEN)

THOROUGH :=
test:  ## all tests except those that need a cluster or root (THOROUGH=1: with many more examples)
	$(RUN) $(if $(THOROUGH),THOROUGH=1 )-m pytest -n auto --dist worksteal -m "not cluster and not image"

SEED    := $(shell shuf -i 1-999999 -n 1 2>/dev/null || echo 1)
MINUTES := 2
chaos:  ## kills, outages, full disks at random, on each link (SEED=…, MINUTES=2, LINK=poll), then each planted breakage
	$(RUN) -m tests.chaos.run --seed $(SEED) --minutes $(MINUTES) $(if $(LINK),--link $(LINK))
	$(RUN) -m tests.chaos.breakages

breakages:  ## each planted breakage must turn the suite red
	$(RUN) -m tests.chaos.breakages

stampede:  ## draw docs/stampede.svg: 10,000 agents reconnect after an outage
	$(RUN) -m tests.chaos.stampede docs/stampede.svg

incidents:  ## cause every incident, and renew the output in docs/incident.md and README (2.5 min)
	$(RUN) -m tests.rehearsal

pictures:  ## redraw docs/pictures from the real program; the dashboard only if prometheus is installed (5 min)
	$(RUN) -m tests.pictures

# The agent is measured with the runtime requirements alone, as in the image: what else is installed costs memory.
RUNTIME      := .venv-runtime
BENCH_PYTHON  = $(shell python3.13 -I -c 'import sys; print(sys.executable)' 2>/dev/null || echo $(PYTHON))
RUNTIME_OF    = $(RUNTIME)/.installed-$(subst /,_,$(BENCH_PYTHON))
$(RUNTIME_OF): requirements.txt
	@$(BENCH_PYTHON) -I -m venv --clear $(RUNTIME)
	@$(RUNTIME)/bin/python -I -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@touch $@

PARTS   :=
MEASURE  = $(RUN) BENCH_PYTHON='$(CURDIR)/$(RUNTIME)/bin/python' -m
bench: $(RUNTIME_OF)  ## measure every budget in comparison with the peer, in 10 min (PARTS="latency drain", BENCH_PYTHON=…)
	$(MEASURE) tests.benchmarks.run $(PARTS)

soak: $(RUNTIME_OF)  ## steady load with faults; plots memory, descriptors and file sizes (MINUTES=2)
	$(MEASURE) tests.benchmarks.soak --minutes $(MINUTES)

performance:  ## rewrite docs/performance.md from the last `make bench`
	$(RUN) -m tests.benchmarks.page

redact-score:  ## score redaction, by class of output
	$(RUN) -m tests.unit.redact.score

coverage:  ## branch coverage; 100 % is required of the core
	$(RUN) -m coverage erase
	$(RUN) -m coverage run -m pytest -q -m "not cluster and not image" tests/unit tests/tasks tests/whole
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage report --include='$(CORE)' --fail-under=100

lint:  ## ruff, and zizmor for the workflows
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	@.venv/bin/zizmor --quiet --offline --persona=auditor .github

types:  ## mypy, strict
	$(RUN) -m mypy

layers:  ## imports run downward
	$(RUN) -c 'from importlinter.cli import lint_imports_command as check; check()'

COMPILE := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --upgrade
lock:  ## regenerate requirements*.txt from pyproject.toml
	@$(PYTHON) -I -m venv --clear .venv-lock && .venv-lock/bin/python -I -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) -o requirements.txt pyproject.toml
	$(COMPILE) -c requirements.txt --group demo -o requirements-demo.txt pyproject.toml
	$(COMPILE) -c requirements-demo.txt --group dev -o requirements-dev.txt pyproject.toml

# The first that answers; docker's command is often there without its service.
ENGINE    = $(shell for e in docker podman buildah; do $$e info >/dev/null 2>&1 && { echo $$e; break; }; done)
VERSION  := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' agent/__init__.py)
IMAGE    := kubently-agent:$(VERSION)
REVISION  = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BUILD_OPTIONS :=
image:  ## build the container image with docker, podman or buildah (ENGINE=…, IMAGE=…, BUILD_OPTIONS=…)
	@test -n "$(ENGINE)" || { echo "None of docker, podman and buildah works here (try: docker info)"; exit 1; }
	$(ENGINE) build $(if $(filter buildah,$(ENGINE)),--layers --force-rm) $(BUILD_OPTIONS) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t $(IMAGE) .

SBOM := build/kubently-agent-$(VERSION).spdx.json
sbom:  ## list what is in the image, as SPDX and in docs/deploying.md; builds syft once with Go (3 min)
	@test -n "$(ENGINE)" || { echo "None of docker, podman and buildah works here (try: docker info)"; exit 1; }
	@tests/image/sbom.sh $(ENGINE) $(IMAGE) $(SBOM)
	$(RUN) -m tests.image.listing $(SBOM)

controlplane:  ## build etcd, kube-apiserver and others for `make cluster-test`, once, with Go (10 min), into ~/.cache
	@tests/cluster/build.sh

cluster-test:  ## tests on a real control plane, and of the image if podman is installed
	$(RUN)
	@.venv/bin/python -m pytest -m "cluster or image" tests/cluster tests/image

wheel:  ## build dist/*.whl
	$(RUN) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

clean:  ## delete what the other targets made
	rm -rf .venv .venv.* .venv-lock $(RUNTIME) build dist *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
