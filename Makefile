# Every target is a script of a few lines; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup build run test torture lint bench profile fuzz sanitize check clean

export PORT SERVERS FILTER BENCH BENCH_QUICK TARGET RUNS

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what the build and the tests need and this machine lacks
	@scripts/setup test

build: ## Build the module: target/release/libtallybook.so
	@scripts/setup run
	@cargo build --release --locked

run: ## Run a server with the module in the foreground (PORT=6379)
	@scripts/setup run
	@scripts/run

test: ## Run all tests on four servers (SERVERS="redis-7.0 redis-8.2 valkey-8.1 valkey-9.1", FILTER=name)
	@scripts/setup test
	@scripts/test

torture: ## The same tests with large constants: hours, not minutes
	@scripts/setup test
	@TALLYBOOK_TORTURE=1 scripts/test

lint: ## Check formatting and lints, warnings denied
	@scripts/setup run
	@scripts/lint

bench: ## Measure what is promised about speed (BENCH=name for one, BENCH_QUICK=1)
	@scripts/setup run
	@cargo build --release --locked --lib --example floor
	@cargo bench --quiet --locked --bench server

profile: ## Take the profile anew by which a release is laid out: benches/release.profdata
	@scripts/setup profile
	@scripts/profile

fuzz: ## Feed every decoder with what libFuzzer makes up (TARGET=journal, RUNS=10000000)
	@scripts/fuzz

sanitize: ## The same tests with the module under AddressSanitizer, on both Valkeys
	@scripts/setup sanitize
	@scripts/sanitize

check: lint test ## What CI runs

clean: ## Remove what was built and fetched; data in run/ stays
	@cargo clean
