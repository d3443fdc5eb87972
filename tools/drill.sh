#!/usr/bin/env bash
# Looks for stale accepts: three servers over one PostgreSQL, revokes, and everything that goes wrong.
#
#     tools/drill.sh short      part of `make test`: the debug server, less than a minute and a half
#     tools/drill.sh long       `make drill-revocation`: the release server, a million verifications begun after a
#                               revoke's answer, then the negative controls with the debug server; as root, each
#                               server in a network of its own, whose cable is unplugged now and then
#     tools/drill.sh controls   the negative controls alone
#     tools/drill.sh failover   `make drill-failover`: the database fails over in every way, with the debug server (about
#                               two minutes), then the negative controls
#     tools/drill.sh failover-short   two of its scenarios and a negative control, in less than a minute
#
# More arguments go to the drill: tools/drill.sh short --seed 7
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-}
shift || true

drill() {
    tools/with-postgres.sh "$@"
}

# The tests have built both just before, with features of their own: DRILL_BUILT saves building them again.
build() {
    [ -n "${DRILL_BUILT:-}" ] || cargo build --quiet --package server --package drill
}

# Prints the option where this machine's root may make networks.
namespaces() {
    local name=drill$$
    [ "$(id -u)" -eq 0 ] && ip netns add "$name" 2>/dev/null || return 0
    if ip link add "$name" type veth peer name peer netns "$name" 2>/dev/null; then
        ip link del "$name"
        ! ip netns exec "$name" true 2>/dev/null || echo --namespaces
    fi
    ip netns del "$name"
}

# Each must find stale accepts, but the one that is deaf, which must find none.
controls() {
    build
    local debug=(target/debug/drill --binary target/debug/tessera --most-seconds 120)
    echo "Control: a cache before a replica"
    drill "${debug[@]}" --control-stale "$@"
    echo "Control: leases without an end"
    # Asked for once, so that nothing else can be what is found.
    drill "${debug[@]}" --control --once "$@"
    echo "Without notifications"
    drill "${debug[@]}" --without-notify --after-revoke 2000 --seconds 40 "$@"
}

# Arguments follow those of the mode; each control must find violations.
failover() {
    build
    drill target/debug/drill failover --binary target/debug/tessera "$@"
}

case $mode in
short)
    build
    # A machine that is busy asks less, so that what is wanted is little; a quiet one asks tens of thousands.
    drill target/debug/drill --binary target/debug/tessera --seconds 35 --after-revoke 1000 --most-seconds 180 "$@"
    ;;
long)
    cargo build --release --quiet --package drill
    # shellcheck disable=SC2046 # no word where there is no option
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
