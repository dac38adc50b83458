# The verbs of this repository. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Go and other tools that build/deps.sh had to fetch come first.
export PATH := $(CURDIR)/out/tools/bin:$(CURDIR)/out/tools/go/bin:$(PATH)
export GOFLAGS ?= -buildvcs=false
JOBS ?= $(shell nproc)
ARCH ?= amd64
VERSION ?= v1.32.0
ONLY ?=
RUNS ?= 5
SHARD ?= all
runner = cd tests/run && go build -o ../../out/tests-run . && cd ../.. && out/tests-run

.PHONY: help
help: ## This list
	@echo "usage: make VERB"
	grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14
	echo "variables: RUN_DIR RUN_PORT TOPOLOGY (run); ONLY=\"suite...\" SEED FUZZ_SECONDS (test, test-full); JOBS"
	echo "  ARCH=\"amd64 s390x\"|all VERSION=v1.32.N (images); SHARD=name,name FRESH=1 (upstream-suites)"

.PHONY: run
run: ## Build what is missing and run a control plane in the foreground (Ctrl-C stops it)
	@exec build/run/run.sh

.PHONY: deps
deps: ## Install the packages and tools that building and testing need
	@build/deps.sh

.PHONY: test
test: deps ## Every suite, seeded samples of the long ones; last line: N passed, N failed, N skipped
	@mkdir -p out; $(runner) -class sample -only "$(ONLY)"

.PHONY: test-full
test-full: deps ## Every suite in full length; finished suites of unchanged content are not run again
	@mkdir -p out; $(runner) -class full -resume -only "$(ONLY)"

.PHONY: suites
suites: ## What `make test` and `make test-full` run
	@mkdir -p out; $(runner) -list; echo; echo "in test-full:"; out/tests-run -class full -list

.PHONY: bench
bench: deps ## Measure beside etcd, kine and raw SQL; ONLY=regexp of scenarios, RUNS=5; writes tests/bench/last.json
	@BENCH_ONLY="$${BENCH_ONLY:-$(ONLY)}" BENCH_RUNS="$${BENCH_RUNS:-$(RUNS)}" exec tests/bench/run.sh

.PHONY: lint
lint: ## Formatting, vet, shellcheck, layers
	@tests/run/lint.sh all
	cd tests/layers && go test -count=1 .

.PHONY: tidy
tidy: ## clang-tidy over all C++ (minutes)
	@tests/run/lint.sh tidy

.PHONY: format
format: ## Rewrite C++ and Go sources in the house style
	@tests/run/lint.sh format

.PHONY: build
build: deps library ## Build libstorage, stgctl and the Kubernetes binaries
	@build/kube/build.sh
	echo "built: out/release (library, stgctl), out/kube/$${KUBE_VERSION:-v1.32.0}/bin (Kubernetes)"

.PHONY: library
library: ## Build libstorage and stgctl alone (out/release)
	@mkdir -p out; cmake --preset release >out/configure.log 2>&1 || { cat out/configure.log; exit 1; }
	cmake --build --preset release -j $(JOBS)

.PHONY: dist
dist: library ## libstorage.so, header and .pc file, and stgctl, in dist/
	@rm -rf dist && cmake --install out/release --prefix "$(CURDIR)/dist" --component dist >/dev/null
	find dist -type f -o -type l | sort

.PHONY: upstream-suites
upstream-suites: deps ## Upstream's own test suites on our storage; SHARD=name,name or ci; writes tests/upstream/last.json
	@mkdir -p out/upstream; cd tests && go build -o ../out/upstream/suites ./upstream/suites && cd ..
	out/upstream/suites -root . -shard "$(SHARD)" $(if $(FRESH),,-resume)

.PHONY: patches
patches: ## One patch for each Kubernetes release, hooks and shim, in dist/patches
	@build/kube/patches.sh

.PHONY: images
images: ## OCI images for ARCH="amd64 arm64 ppc64le s390x" (or all) and VERSION, in dist/images
	@build/deps.sh images; exec build/images/images.sh "$(VERSION)" $(ARCH)

.PHONY: clean
clean: ## Remove what was built (run/ with your data stays)
	@rm -rf out dist
	echo "removed out/ and dist/; run/ is left alone"
