#!/usr/bin/env bash
# Runs Tessera from a debug build and builds again whatever is saved. Ctrl-C ends it.
#
#     tools/dev.sh [ARGUMENT OF tessera serve …]
#
# A debug server reads the console's files from target/site: a change of style needs no restart.
# When something does not compile, the server that runs stays as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true
# Both sides need the flags of .cargo/config.toml, which these would replace.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS

server=
stop() {
    [ -n "$server" ] || return 0
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}
trap stop EXIT
trap 'exit 130' INT TERM

start() {
    stop
    target/debug/tessera serve "$@" &
    server=$!
}

# The time of the last build, as a file to compare with.
stamp=$(mktemp)
changed() {
    find "$@" -type f -newer "$stamp" -not -name '.*' 2>/dev/null | grep -q .
}

site=yes binary=yes
while true; do
    next=$(mktemp)
    if [ "$site" = yes ]; then
        cargo run --quiet --package bundler -- --dev || echo "dev: the console is as before" >&2
    fi
    if [ "$binary" = yes ]; then
        if cargo build --package server; then
            start "$@"
        else
            echo "dev: the server is as before" >&2
        fi
    fi
    mv "$next" "$stamp"
    site=no binary=no
    while [ "$site$binary" = nono ]; do
        sleep 0.5
        if changed style public frontend app Cargo.lock; then site=yes; fi
        if changed app server .sqlx Cargo.lock; then binary=yes; fi
    done
done
