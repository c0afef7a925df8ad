# Everything runs on the Node that package-lock.json pins; the Node on PATH only has to run npm.
# POSIX shell and GNU make 3.81 suffice, so macOS works as it is.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

BIN := $(CURDIR)/node_modules/.bin
export PATH := $(BIN):$(PATH)

# A kubeconfig lying around in the environment is not meant for us; one given to make is.
ifneq ($(origin KUBECONFIG),command line)
unexport KUBECONFIG
endif

# npm sets NODE for whatever it runs.
ifneq ($(origin NODE),command line)
NODE :=
endif

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## Install the packages, when package-lock.json changed
	@sh dev/tools/setup.sh

.PHONY: test
test: setup ## Run all checks and tests; the last line is "N passed, N failed" (KUBERNETES=1.35: on that version)
	@node dev/tools/test.ts

N ?= 10
.PHONY: test-repeat
test-repeat: setup ## Run the integration tests N times (N=10)
	@node dev/tools/test.ts --repeat '$(N)'

.PHONY: nightly
nightly: setup ## Run 1,000 random sequences of restarts, 100,000 cases of fuzz, and the integration tests on an older Kubernetes
	@node dev/tools/test.ts --nightly

.PHONY: soak
soak: setup ## Change items 100,000 times; heap, handles and sockets stay flat (Linux; ARGS="--rotations 5000 --resources 200")
	@node dev/tools/build-control-plane.ts
	@node test/soak/main.ts $(ARGS)

.PHONY: chaos
chaos: setup ## Kill, stop and spoil all that the operator needs, while users are busy (Linux; TIME=30m SEED=7 repeats a run)
	@node dev/tools/build-control-plane.ts
	@node test/chaos/main.ts --time '$(TIME)' --seed '$(SEED)'

.PHONY: demo
demo: setup ## Show the operator at work (ONCE=1: end by itself; NODE=1: with real pods; KUBECONFIG=file YES=1: in that cluster)
	@ONCE='$(ONCE)' YES='$(YES)' DEMO_NODE='$(NODE)' node dev/demo/main.ts

.PHONY: build
build: setup ## Bundle the operator into dist/
	@node dev/tools/bundle.ts

.PHONY: image
image: setup ## Build the image with docker, podman or buildah (IMAGE=name:tag BUILDER= BUILD_IMAGE= BASE_IMAGE=)
	@IMAGE='$(IMAGE)' BUILDER='$(BUILDER)' BUILD_IMAGE='$(BUILD_IMAGE)' BASE_IMAGE='$(BASE_IMAGE)' SOURCE='$(SOURCE)' node dev/tools/image.ts

.PHONY: e2e
e2e: setup ## Install the chart on a real node and use it (root on Linux; KUBECONFIG=file IMAGE=name:tag YES=1: in that cluster)
	@IMAGE='$(IMAGE)' YES='$(YES)' node dev/tools/e2e.ts

.PHONY: bench
bench: setup ## Measure against a bare loop and count requests (Linux; ARGS="--full --json FILE --only NAME --peer 'COMMAND'")
	@node dev/tools/build-control-plane.ts
	@node test/bench/main.ts $(ARGS)

.PHONY: footprint
footprint: setup ## Measure memory and start with 1,000 resources among 10,000 other Secrets (Linux)
	@node dev/tools/footprint.ts

.PHONY: sbom
sbom: setup ## Write dist/sbom.cdx.json: the packages that the bundle is made of, by the lockfile
	@mkdir -p dist
	@npm sbom --package-lock-only --omit=dev --sbom-format=cyclonedx >dist/sbom.cdx.json

.PHONY: release-check
release-check: setup ## Say whether TAG=v1.2.3 can be released: one version everywhere, and the places to publish to
	@node dev/tools/release-check.ts '$(TAG)'

.PHONY: clean
clean: ## Remove what was built and installed
	rm -rf dist .cache node_modules
