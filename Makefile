# Tessera's commands. `make` alone lists them.
#
#   make run  ARGS="--listen 0.0.0.0:8080"   arguments go to `tessera serve`
#   make dev  ARGS=…                         likewise

.DEFAULT_GOAL := help
SHELL := /bin/bash
ARGS ?=

# Queries are checked against .sqlx, whatever database the caller's environment names.
export SQLX_OFFLINE := true
# Both sides need the compiler's flags of .cargo/config.toml, which these would replace.
unexport RUSTFLAGS CARGO_ENCODED_RUSTFLAGS

.PHONY: help run build dev test fuzz-api drill-races drill-revocation drill-failover bench bench-peers fmt lint sqlx clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Build what is needed, then start Tessera with its own database in ./data
	@tools/setup.sh postgres
	@exec target/release/tessera serve $(ARGS)

build: ## One self-contained release binary: target/release/tessera
	@tools/setup.sh build
	@echo "Building the console's files (about 3 minutes the first time)" >&2
	@cargo run --package bundler -- --release
	@echo "Building target/release/tessera (about 6 minutes the first time)" >&2
	@cargo build --release --package server

dev: ## Run a debug build, and build again whatever is saved
	@tools/setup.sh build
	@tools/setup.sh postgres
	@exec tools/dev.sh $(ARGS)

test: ## Install what tests need, then run all of them (unit, storage, REST, browser)
	@tools/test.sh

fuzz-api: build ## Call every operation of the API with what it allows and forbids, for an hour
	@tools/setup.sh test
	@tools/api.sh fuzz

drill-races: ## Run each race of 64 a thousand times: caps, rotations, repeated requests
	@tools/setup.sh postgres
	@TESSERA_RACE_ROUNDS=1000 WITH_POSTGRES=migrated tools/with-postgres.sh cargo test --package authority --package server \
		--test all -- crowd_at_ of_64_ one_request_64_times

drill-revocation: build ## A million verifications of revoked tokens while servers are stopped, cut off and killed
	@tools/setup.sh postgres
	@tools/drill.sh long

drill-failover: ## Fail over the database in every way behind running servers: nobody answers by what is gone (3 minutes)
	@tools/setup.sh build
	@tools/setup.sh poolers
	@tools/drill.sh failover
	@tools/with-postgres.sh cargo test --package server --test all -- --ignored ops_poolers

bench: build ## Measure everything against what does nothing, pgbench and itself; prints ratios (about an hour)
	@tools/bench.sh

bench-peers: build ## Install other systems that verify tokens, and compare with them (half an hour)
	@tools/bench.sh peers

fmt: ## Format the code
	@cargo fmt --all

lint: ## Clippy of both sides, without the tests
	@tools/setup.sh build
	@cargo clippy --workspace --exclude frontend --all-targets -- -D warnings
	@cargo clippy --package frontend --target wasm32-unknown-unknown -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; fi

sqlx: ## Describe the SQL queries again (.sqlx), after a query or a migration has changed
	@tools/setup.sh build
	@tools/setup.sh postgres
	@tools/sqlx.sh prepare

clean: ## Remove everything that was built; ./data stays
	@cargo clean
	@rm -rf end2end/node_modules end2end/test-results end2end/playwright-report
