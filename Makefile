# Tessera's commands. Run `make` without arguments to list them.
#
#   make run  ARGS="--listen 0.0.0.0:8080"   passes ARGS to `tessera serve`
#   make dev  ARGS=…                         does the same

.DEFAULT_GOAL := help
SHELL := /bin/bash
ARGS ?=

# sqlx checks queries against .sqlx and ignores the caller's DATABASE_URL.
export SQLX_OFFLINE := true
# These variables would replace the compiler flags in .cargo/config.toml, which both sides need.
unexport RUSTFLAGS CARGO_ENCODED_RUSTFLAGS

.PHONY: help run quick build dev test fuzz-api drill-races drill-revocation drill-failover bench bench-peers fmt lint sqlx clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: quick ## Build Tessera to try it out, then start it with its own database in ./data
	@tools/setup.sh postgres
	@exec target/quick/tessera serve $(ARGS)

# The profile `quick` in Cargo.toml states what the short build costs.
quick:
	@tools/setup.sh build
	@echo "Building the console assets (takes a few minutes the first time)" >&2
	@cargo run --profile quick --package bundler -- --quick
	@echo "Building target/quick/tessera (takes a few minutes the first time)" >&2
	@cargo build --profile quick --package server

build: ## Build one self-contained release binary: target/release/tessera
	@tools/setup.sh build
	@echo "Building the console assets (takes about 3 minutes the first time)" >&2
	@cargo run --profile quick --package bundler -- --release
	@echo "Building target/release/tessera (takes about 6 minutes the first time)" >&2
	@cargo build --release --package server

dev: ## Run a debug build and rebuild when a file is saved
	@tools/setup.sh build
	@tools/setup.sh postgres
	@exec tools/dev.sh $(ARGS)

test: ## Install the tests' requirements, then run all tests (unit, storage, REST, browser)
	@tools/test.sh

fuzz-api: build ## Fuzz every API operation with valid and invalid requests for an hour
	@tools/setup.sh test
	@tools/api.sh fuzz

drill-races: ## Run each 64-way race a thousand times: limits, rotations, repeated requests
	@tools/setup.sh postgres
	@TESSERA_RACE_ROUNDS=1000 WITH_POSTGRES=migrated tools/with-postgres.sh cargo test --package authority --package server \
		--test all -- concurrent_creations_at_ of_64_ one_request_64_times

drill-revocation: build ## Verify revoked tokens a million times while servers are stopped, cut off and killed
	@tools/setup.sh postgres
	@tools/drill.sh long

drill-failover: ## Fail over the database in every way; no server may answer from lost data (3 minutes)
	@tools/setup.sh build
	@tools/setup.sh poolers
	@tools/drill.sh failover
	@tools/with-postgres.sh cargo test --package server --test all -- --ignored ops_poolers

bench: build ## Compare with a no-op server, pgbench and Tessera itself, and print ratios (about an hour)
	@tools/bench.sh

bench-peers: build ## Install other token systems and compare with them (half an hour)
	@tools/bench.sh peers

fmt: ## Format the code
	@cargo fmt --all

lint: ## Run Clippy on the server and browser code, without running tests
	@tools/setup.sh build
	@cargo clippy --workspace --exclude frontend --all-targets -- -D warnings
	@cargo clippy --package frontend --target wasm32-unknown-unknown -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; fi

sqlx: ## Regenerate .sqlx after changing a query or a migration
	@tools/setup.sh build
	@tools/setup.sh postgres
	@tools/sqlx.sh prepare

clean: ## Remove all build output, but keep ./data
	@cargo clean
	@rm -rf end2end/node_modules end2end/test-results end2end/playwright-report
