#!/usr/bin/env bash
# Runs a debug build of Tessera and rebuilds it when a file is saved. Press Ctrl-C to stop it.
#
#     tools/dev.sh [ARGUMENT OF tessera serve …]
#
# The debug server reads the console assets from target/site, so a change of style needs no restart.
# If a build fails, the running server keeps running.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true
# These variables would replace the compiler flags in .cargo/config.toml, which both sides need.
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

# The modification time of this file is the start of the last build.
stamp=$(mktemp)
changed() {
    find "$@" -type f -newer "$stamp" -not -name '.*' 2>/dev/null | grep -q .
}

site=yes binary=yes
while true; do
    next=$(mktemp)
    if [ "$site" = yes ]; then
        cargo run --quiet --profile quick --package bundler -- --dev || echo "dev: the build failed; the console is unchanged" >&2
    fi
    if [ "$binary" = yes ]; then
        if cargo build --package server; then
            start "$@"
        else
            echo "dev: the build failed; the server is unchanged" >&2
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
