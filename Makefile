# What a developer and CI run. `make test` needs Rust, Python 3.11+ (with venv) and a C compiler; with Node.js it also
# tests the JavaScript SDK, and with psql and Go (as root on Debian: installed) those clients of PostgreSQL's protocol.
VENV ?= .venv
PYTHON ?= python3
STAMP := $(VENV)/.installed
NODE_STAMP := .node/.installed
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release/sessionlake
# Flags for `cargo test`, for example TEST='--test it replay'
TEST ?=
# What `make hostile` and `make faults` run against; nothing: a release build, which is made first
BINARY ?=
# What `make hostile` runs: HOSTILE='--row 14 --row 15'
HOSTILE ?=
# Minutes for each target of `make fuzz`, or FUZZ="redact_apply" for one of them
MINUTES ?= 1
FUZZ ?= otlp_proto otlp_json hook_json journal_reader redact_apply
# What `make faults` runs: words of the faults' names, --seed N; LOAD='--minutes 1'
FAULTS ?=
LOAD ?=
# What `make conformance` runs: --item N, more than once; nothing: all
ITEMS ?=

.PHONY: help test lint check conformance bench bench-latency sql-tools faults faults-long fault-tools load hostile fuzz demo sbom clean

help: ## Lists the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

test: $(STAMP) $(NODE_STAMP) sql-tools ## Installs what the tests need (once), then runs all tests
	cargo test $(TEST)

# Clients of PostgreSQL's protocol; tests of the ones that are missing are skipped, and say so.
sql-tools:
	@missing=; command -v psql >/dev/null 2>&1 || missing=postgresql-client; \
	[ -d /usr/share/gocode/src/github.com/jackc/pgx ] && command -v go >/dev/null 2>&1 \
	  || missing="$$missing golang-go golang-github-lib-pq-dev golang-github-jackc-pgx-v4-dev"; \
	$(call install,$$missing)

lint: ## Formatting, clippy, and dependency rules where cargo-deny is installed
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null 2>&1; then cargo deny check bans licenses sources; \
	else echo 'cargo-deny is not installed: dependency rules (deny.toml) were not checked'; fi

check: lint test ## lint and test

conformance: $(STAMP) ## The OTLP receiver's checklist, item by item, against the release build (ITEMS='--item 26')
	cargo build --release
	$(VENV)/bin/python tests/conformance/run.py $(ITEMS) $(RELEASE)

bench: ## Criterion benchmarks: decode, redact, fold, encode
	cargo bench

bench-latency: $(STAMP) ## End of a session to its readable row, 1,000 sessions, release build
	cargo build --release
	$(VENV)/bin/python tests/py/latency.py --sessions 1000

faults: $(STAMP) fault-tools ## Kills, disks, stores, crowds against the release build (FAULTS='store kill --seed 7')
	$(if $(BINARY),,cargo build --release)
	SESSIONLAKE_BINARY=$(or $(BINARY),$(RELEASE)) cargo test --test faults -- run $(FAULTS)

faults-long: ## The same for hours: 1,000 kills, a store that is away for an hour
	$(MAKE) faults FAULTS='--long $(FAULTS)'

# Faults whose tools are missing are skipped, and say so.
fault-tools:
	@missing=; command -v strace >/dev/null 2>&1 || missing=strace; \
	ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || missing="$$missing faketime"; \
	$(call install,$$missing)

# Debian's packages, where this user may install them
define install
	if [ -n "$(1)" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  (apt-get update -qq && apt-get install -qq -y --no-install-recommends $(1)) >/dev/null 2>&1 \
	    || echo "could not be installed: $(1)"; \
	fi
endef

load: $(STAMP) ## 10,000 log records/s for 10 minutes against the release build (LOAD='--rate 5000 --minutes 1')
	cargo build --release
	SESSIONLAKE_BINARY=$(RELEASE) cargo test --test faults -- load $(LOAD)

hostile: $(STAMP) ## Hostile inputs as a table against the release build, within 512 MiB (HOSTILE='--row 14')
	$(if $(BINARY),,cargo build --release)
	$(VENV)/bin/python tests/hostile/run.py --binary $(or $(BINARY),$(RELEASE)) $(HOSTILE)

# Without a sanitizer the pinned toolchain will do. Journals are made in memory, where nothing waits
# for a disk. New inputs go to fuzz/corpus; worthy ones belong in tests/fuzz_corpus.
fuzz: ## Fuzzes each target (MINUTES=10 FUZZ=otlp_json); installs cargo-fuzz where it is missing
	@command -v cargo-fuzz >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	@for target in $(FUZZ); do \
	  mkdir -p fuzz/corpus/$$target && \
	  TMPDIR=$$(test -w /dev/shm && echo /dev/shm || echo $${TMPDIR:-/tmp}) cargo fuzz run --sanitizer none --target-dir $(or $(CARGO_TARGET_DIR),fuzz/target)/fuzz $$target \
	    fuzz/corpus/$$target tests/fuzz_corpus/$$target -- \
	    -max_total_time=$$(($(MINUTES) * 60)) -rss_limit_mb=1024 -timeout=20 -max_len=4096 || exit 1; \
	done

demo: ## A captured session sent through the whole path, shown as a timeline
	cargo run --release -- demo

sbom: ## What the binary is built from, as CycloneDX JSON: target/sessionlake.cdx.json
	@command -v cargo-cyclonedx >/dev/null 2>&1 || cargo install --locked cargo-cyclonedx
	cargo cyclonedx --format json --override-filename sessionlake.cdx
	mkdir -p target && mv sessionlake.cdx.json target/sessionlake.cdx.json

clean: ## Removes what `make test` installed (not cargo's target directory)
	rm -rf $(VENV) .node

# Reinstalled only when the list of requirements changes.
$(STAMP): tests/requirements.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

$(NODE_STAMP): tests/js/package.json tests/js/package-lock.json
	mkdir -p .node && cp $^ .node
	@if command -v npm >/dev/null 2>&1; then cd .node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; \
	else echo 'Node.js is not installed: the JavaScript SDK is not tested'; fi
	touch $@
