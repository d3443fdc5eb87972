#!/usr/bin/env bash
# Looks for stale accepts: revokes tokens and injects faults while three servers share a PostgreSQL.
#
#     tools/drill.sh short      part of `make test`: runs the debug server for less than a minute and a half
#     tools/drill.sh long       `make drill-revocation`: runs the release server until a million verifications have
#                               started after the response to a revoke, then the negative controls with the debug
#                               server; as root, each server gets its own network, which is unplugged now and then
#     tools/drill.sh controls   runs only the negative controls
#     tools/drill.sh failover   `make drill-failover`: fails over the database in every way behind the debug server
#                               (about two minutes), then runs the negative controls
#     tools/drill.sh failover-short   runs two failover scenarios and one negative control in less than a minute
#
# Further arguments are passed to the drill: tools/drill.sh short --seed 7
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-}
shift || true

drill() {
    tools/with-postgres.sh "$@"
}

# `make test` has already built both packages with other features. DRILL_BUILT skips this build.
build() {
    [ -n "${DRILL_BUILT:-}" ] || cargo build --quiet --package server --package drill
}

# Prints --namespaces if the user is root and can create network namespaces on this machine.
namespaces() {
    local name=drill$$
    [ "$(id -u)" -eq 0 ] && ip netns add "$name" 2>/dev/null || return 0
    if ip link add "$name" type veth peer name peer netns "$name" 2>/dev/null; then
        ip link del "$name"
        ! ip netns exec "$name" true 2>/dev/null || echo --namespaces
    fi
    ip netns del "$name"
}

# Runs the negative controls. Each must find stale accepts, except the last: without notifications,
# it must find none.
controls() {
    build
    local debug=(target/debug/drill --binary target/debug/tessera --most-seconds 120)
    echo "Control: a cache in front of a replica"
    drill "${debug[@]}" --control-stale "$@"
    echo "Control: leases without an end"
    # Verifies each revoked token once, so that only the endless lease can cause a stale accept.
    drill "${debug[@]}" --control --once "$@"
    echo "Without notifications"
    drill "${debug[@]}" --without-notify --after-revoke 2000 --seconds 40 "$@"
}

# Runs the failover drill with the given arguments. With a --control option it must find violations.
failover() {
    build
    drill target/debug/drill failover --binary target/debug/tessera "$@"
}

case $mode in
short)
    build
    # The minimum is low for busy machines. A quiet one runs tens of thousands of verifications.
    drill target/debug/drill --binary target/debug/tessera --seconds 35 --after-revoke 1000 --most-seconds 180 "$@"
    ;;
long)
    cargo build --release --quiet --package drill
    # shellcheck disable=SC2046 # an empty output must not become an argument
    drill target/release/drill --binary target/release/tessera $(namespaces) --after-revoke 1000000 --seconds 300 --most-seconds 7200 "$@"
    controls
    ;;
controls)
    controls "$@"
    ;;
failover)
    failover "$@"
    echo "Control: servers that do not check the history"
    failover --control-history --only "lacks commits" --only dump
    echo "Control: leases without an end"
    failover --control-lease --only "runs, synchronous"
    ;;
failover-short)
    failover --only "lacks commits" --only paused "$@"
    echo "Control: servers that do not check the history"
    failover --control-history --only "lacks commits"
    ;;
*)
    echo "usage: tools/drill.sh short | long | controls | failover | failover-short" >&2
    exit 2
    ;;
esac
