# Every target sets up what it needs: a fresh clone and Python 3.11 or later are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

CORE   := agent/guard/*,agent/spool/*,agent/link/*,agent/outage.py,agent/reach.py,agent/config.py,agent/settings.py,agent/model.py,agent/errors.py

.PHONY: help demo test chaos breakages stampede bench soak performance import-cost incidents pictures coverage lint types layers lock image sbom controlplane cluster-test clean
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(STAMP): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { found=$$($(PYTHON) --version 2>&1); echo "Python 3.11 or later is needed. $(PYTHON) is: $${found:-nothing}. Name another: make PYTHON=python3.13"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@echo "Installing pinned requirements into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)  ## the main job, told as a story, in about 30 s (KUBECONFIG=… for a cluster of yours, LINK=stream)
	@$(BIN)/python -m demo $(if $(KUBECONFIG),--kubeconfig $(KUBECONFIG)) $(if $(LINK),--link $(LINK))

test: $(STAMP)  ## all tests but those that need a cluster or root
	@$(BIN)/python -m pytest -n auto --dist worksteal -m "not cluster and not image"

SEED    ?= $(shell shuf -i 1-999999 -n 1 2>/dev/null || echo 1)
MINUTES ?= 2
chaos: $(STAMP)  ## kills, outages, full disks at random, on each link (SEED=…, MINUTES=2, LINK=poll), then each planted breakage
	@$(BIN)/python -m tests.chaos.run --seed $(SEED) --minutes $(MINUTES) $(if $(LINK),--link $(LINK))
	@$(BIN)/python -m tests.chaos.breakages

breakages: $(STAMP)  ## each planted breakage must turn the suite red
	@$(BIN)/python -m tests.chaos.breakages

stampede: $(STAMP)  ## docs/stampede.svg: 10,000 agents after an outage
	@$(BIN)/python -m tests.chaos.stampede docs/stampede.svg

incidents: $(STAMP)  ## docs/incident.md and README's queries anew: each incident is made to happen (2.5 min)
	@$(BIN)/python -m tests.rehearsal

pictures: $(STAMP)  ## docs/pictures anew, from the real program; the dashboard only where prometheus is (5 min)
	@$(BIN)/python -m tests.pictures

# The agent is measured with the runtime requirements alone, as in the image: what else is installed costs memory.
RUNTIME      := .venv-runtime
BENCH_PYTHON ?= $(shell python3.13 -c 'import sys; print(sys.executable)' 2>/dev/null || echo $(PYTHON))
RUNTIME_OF   := $(RUNTIME)/.installed-$(subst /,_,$(BENCH_PYTHON))
$(RUNTIME_OF): requirements.txt
	@$(BENCH_PYTHON) -m venv --clear $(RUNTIME)
	@$(RUNTIME)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@touch $@

MEASURE := BENCH_PYTHON=$(CURDIR)/$(RUNTIME)/bin/python $(BIN)/python -m
bench: $(STAMP) $(RUNTIME_OF)  ## every budget beside the bare thing, in 12 min (PARTS="latency drain", BENCH_PYTHON=…)
	@$(MEASURE) tests.benchmarks.run $(PARTS)

soak: $(STAMP) $(RUNTIME_OF)  ## steady load with faults; memory, descriptors and file sizes as plots (MINUTES=2)
	@$(MEASURE) tests.benchmarks.soak --minutes $(MINUTES)

performance: $(STAMP)  ## docs/performance.md anew, from the last `make bench`
	@$(BIN)/python -m tests.benchmarks.page

import-cost: $(STAMP) $(RUNTIME_OF)  ## what each import costs the agent, in memory and time
	@$(MEASURE) tests.benchmarks.imports

coverage: $(STAMP)  ## branch coverage; the core must have all of it
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q -m "not cluster and not image" tests/unit tests/tasks tests/whole
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --include='$(CORE)' --fail-under=100

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy, strict
	$(BIN)/mypy

layers: $(STAMP)  ## imports run downward
	$(BIN)/lint-imports

lock: $(VENV)/.uv  ## requirements*.txt anew, from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --upgrade -o requirements.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --upgrade -c requirements.txt --group dev -o requirements-dev.txt pyproject.toml

$(VENV)/.uv:
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet uv
	@touch $@

# The first that answers; docker's command is often there without its service.
ENGINE   ?= $(shell for e in docker podman buildah; do $$e info >/dev/null 2>&1 && { echo $$e; break; }; done)
VERSION  := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' agent/__init__.py)
IMAGE    ?= kubently-agent:$(VERSION)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
image:  ## the container image, by docker, podman or buildah (ENGINE=…, IMAGE=…, BUILD_OPTIONS=…)
	@test -n "$(ENGINE)" || { echo "None of docker, podman and buildah works here (try: docker info)"; exit 1; }
	$(ENGINE) build $(if $(filter buildah,$(ENGINE)),--layers --force-rm) $(BUILD_OPTIONS) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t $(IMAGE) .

SBOM := build/kubently-agent-$(VERSION).spdx.json
sbom: $(STAMP)  ## what is in the image, as SPDX, and the list in docs/deploying.md; syft is built once with Go (3 min)
	@test -n "$(ENGINE)" || { echo "None of docker, podman and buildah works here (try: docker info)"; exit 1; }
	@tests/image/sbom.sh $(ENGINE) $(IMAGE) $(SBOM)
	@$(BIN)/python -m tests.image.listing $(SBOM)

controlplane:  ## etcd, kube-apiserver and others for `make cluster-test`, built once with Go (10 min) into ~/.cache
	@tests/cluster/build.sh

cluster-test: $(STAMP)  ## tests on a real control plane, and of the image where podman is
	$(BIN)/pytest -m "cluster or image" tests/cluster tests/image

clean:  ## what the other targets made
	rm -rf $(VENV) $(RUNTIME) build dist *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
