# Every entrance to this repository. `make` alone lists them.

CARGO ?= cargo

.PHONY: help demo demo-cluster test bench fuzz generate check-generated clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

demo: ## sign in at an example provider in front of two example services (no cluster; ARGS='--port 8080')
	@tests/tools/install demo
	@echo "Building Vestibule; the first time takes some minutes ..."
	@$(CARGO) run --locked --quiet -- demo $(ARGS)

demo-cluster: ## the same on a real Kubernetes API server with Traefik and the Helm chart
	@tests/tools/install cluster
	@echo "Building Vestibule; the first time takes some minutes ..."
	@$(CARGO) build --locked --quiet --bin vestibule --example demo_cluster
	@$${CARGO_TARGET_DIR:-target}/debug/examples/demo_cluster $(ARGS)

test: ## everything: format, lints, unit and property tests, and the tests on real components
	@tests/run

fuzz: ## look for inputs that break what must hold (SECONDS_EACH=20)
	@tests/fuzz/run

bench: ## what a check costs, into docs/performance.md (SECONDS=3 ROUNDS=3 OAUTH2_PROXY=path; an idle machine)
	@tests/speed/bench

generate: ## write the CRDs, the chart's copy of them and the plain manifests
	@tests/tools/install cluster
	@$(CARGO) run --locked --quiet -- crd --dir crds
	@deploy/generate

check-generated: ## say whether `make generate` would change anything
	@tests/tools/install cluster
	@tests/run generated

clean: ## remove what was built here (the installed tools stay)
	@$(CARGO) clean --quiet
	@rm -rf artifacts
