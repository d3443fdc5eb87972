#!/usr/bin/env bash
# Runs all checks of the project, the fastest first. Stops at the first failed check and names it.
# Ends with the number of tests that passed and failed.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
logs=$root/target/test-logs
mkdir -p "$logs"

# The tests must not use the caller's database. sqlx checks queries against .sqlx, and a separate
# step checks .sqlx against a real database.
unset DATABASE_URL
# The compiler flags come from .cargo/config.toml.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
export SQLX_OFFLINE=true CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"
# CI builds everything once, so incremental builds and debug information only cost time there.
if [ -n "${CI:-}" ]; then
    export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=none
fi

passed=0 failed=0 number=0
readonly steps=15
# The server in the steps for the API and the browser.
readonly binary=$root/target/quick/tessera

summary() {
    echo
    echo "$passed passed, $failed failed"
}

# step TITLE COMMAND…: runs a command below a heading.
step() {
    local title=$1 begin=$SECONDS status=0
    shift
    number=$((number + 1))
    echo
    echo "==> [$number/$steps] $title"
    "$@" || status=$?
    if [ "$status" -ne 0 ]; then
        echo
        echo "FAILED: $title (status $status, after $((SECONDS - begin)) s; $((SECONDS / 60)) min in total)"
        [ "$failed" -gt 0 ] || failed=1
        summary
        exit 1
    fi
    echo "    $((SECONDS - begin)) s"
}

# count LOG PATTERN: adds up the numbers that precede a match of PATTERN in the lines of a log.
count() {
    sed 's/\x1b\[[0-9;]*m//g' "$1" | grep -oE "[0-9]+ $2" | awk '{ sum += $1 } END { print sum + 0 }'
}

imports() {
    tools/check-imports.py --self-test && tools/check-imports.py
}

clippy_browser() {
    cargo clippy --package frontend --target wasm32-unknown-unknown -- -D warnings
}

# The browser code must not depend on the server's crates or on server-only libraries.
browser_dependencies() {
    local tree found
    tree=$(cargo tree --package frontend --target wasm32-unknown-unknown --edges normal --prefix none --format '{p}') || return
    found=$(echo "$tree" | awk '{ print $1 }' | sort -u |
        grep -xE 'authority|server|axum|axum-core|leptos_axum|sqlx|sqlx-.*|tokio|hyper|argon2' || true)
    if [ -n "$found" ]; then
        echo "the WebAssembly build depends on:" $found
        return 1
    fi
    tools/crates.sh
}

# The licences, sources and duplicate versions of all dependencies, by the rules in deny.toml.
dependency_rules() {
    PATH="$root/target/python/bin:$PATH" cargo deny --locked check --hide-inclusion-graph bans licenses sources
}

# Broken links in the documentation of all modules, private ones included.
documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --exclude frontend --no-deps --document-private-items --quiet
}

rust_tests() {
    local status=0
    if command -v cargo-nextest >/dev/null 2>&1; then
        # Use more threads than cores, because tests mostly wait for their servers and databases.
        WITH_POSTGRES=migrated tools/with-postgres.sh cargo nextest run --workspace --exclude frontend --no-fail-fast \
            --test-threads "$(($(nproc) * 3 / 2))" \
            --status-level "${TESSERA_TEST_STATUS_LEVEL:-slow}" 2>&1 | tee "$logs/rust.log" || status=$?
        local line
        line=$(sed 's/\x1b\[[0-9;]*m//g' "$logs/rust.log" | grep -E '^ *Summary ' | tail -n 1 || true)
        echo "$line" >"$logs/rust-summary.log"
        passed=$((passed + $(count "$logs/rust-summary.log" passed)))
        failed=$((failed + $(count "$logs/rust-summary.log" '(failed|timed out)')))
    else
        WITH_POSTGRES=migrated tools/with-postgres.sh cargo test --workspace --exclude frontend --no-fail-fast \
            2>&1 | tee "$logs/rust.log" || status=$?
        grep '^test result:' "$logs/rust.log" >"$logs/rust-summary.log" || true
        passed=$((passed + $(count "$logs/rust-summary.log" passed)))
        failed=$((failed + $(count "$logs/rust-summary.log" failed)))
    fi
    return "$status"
}

# Builds the binary for the last steps while other steps run, which leave a core idle often enough.
# The server has the profile of `make run`, because its release profile doubles the time. The console
# has the release profile, because a test limits what a first visit transfers. The bundler has the
# server's profile, so that the background build does not use the debug build folder.
start_binary() {
    # The build gets its own process group, so that stop_binary stops all of it.
    set -m
    nice bash -c 'cargo run --profile quick --package bundler -- --release && cargo build --profile quick --package server' \
        >"$logs/binary.log" 2>&1 </dev/null &
    building=$!
    set +m
}

wait_for_binary() {
    local status=0
    wait "$building" || status=$?
    building=
    [ "$status" -eq 0 ] || cat "$logs/binary.log"
    return "$status"
}

building=
stop_binary() {
    [ -n "$building" ] || return 0
    kill -TERM -- -"$building" 2>/dev/null || true
    wait "$building" 2>/dev/null || true
}
trap stop_binary EXIT
trap 'exit 130' INT TERM

browser_tests() {
    local status=0
    export PATH="$root/target/python/bin:$PATH:/usr/sbin" PYTHON="$root/target/python/bin/python" TESSERA_BINARY=$binary
    (cd end2end && npx --no-install tsc --noEmit && npx --no-install playwright test --reporter=list,./support/failures.ts) \
        2>&1 | tee "$logs/browser.log" || status=$?
    tail -n 40 "$logs/browser.log" | grep -E '^ +[0-9]+ (passed|failed|flaky|interrupted|did not run)' \
        >"$logs/browser-summary.log" || true
    passed=$((passed + $(count "$logs/browser-summary.log" '(passed|flaky)')))
    failed=$((failed + $(count "$logs/browser-summary.log" '(failed|interrupted|did not run)')))
    return "$status"
}

step "Requirements of the tests (tools/setup.sh)" tools/setup.sh test
step "Formatting (cargo fmt)" cargo fmt --all --check
step "Paths in the documentation" tools/check-paths.sh
step "Layers (imports between modules)" imports
step "Dependencies of the browser code, and their number (cargo tree)" browser_dependencies
step "Licences, sources and versions of the dependencies (cargo deny)" dependency_rules
step "Console assets and binary (starts the build in the background)" start_binary
step "Lints of the server code (cargo clippy) and descriptions of its SQL queries (.sqlx)" tools/sqlx.sh check
step "Lints of the browser code (cargo clippy)" clippy_browser
step "Links in the documentation of the code (cargo doc)" documentation
step "Unit, storage and REST tests on PostgreSQL" rust_tests
step "No stale accepts while servers are stopped, cut off and killed (drill)" env DRILL_BUILT=1 tools/drill.sh short
step "Console assets and binary (waits for the build)" wait_for_binary
step "The API against its OpenAPI document (generated clients, schemathesis)" env TESSERA_BINARY="$binary" tools/api.sh test
step "Browser tests in Chromium (end2end)" browser_tests

echo
echo "All checks passed in $((SECONDS / 60)) min $((SECONDS % 60)) s."
summary
