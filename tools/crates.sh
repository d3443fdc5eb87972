#!/usr/bin/env bash
# Counts the crates that `make run` compiles, and fails if there are more than tools/crates.txt allows.
#
#     tools/crates.sh          compares the numbers
#     tools/crates.sh list     prints the crates instead
#
# The first build is as long as the list of crates, and grows a little with every new dependency. A
# raise therefore needs a line with its reason.
set -euo pipefail
cd "$(dirname "$0")/.."

# list PACKAGE TARGET: prints the crates that a package compiles for a target and for its build. The
# same crate in two versions counts twice.
list() {
    local tree
    tree=$(cargo tree --locked --package "$1" --target "$2" --edges normal,build --prefix none --format '{p}') || return
    awk 'NF { print $1, $2 }' <<<"$tree" | sort -u
}

status=0
while read -r package target; do
    crates=$(list "$package" "$target")
    if [ "${1:-}" = list ]; then
        sed "s/^/$package /" <<<"$crates"
        continue
    fi
    count=$(wc -l <<<"$crates")
    # The last line of a package applies. Earlier lines are its history.
    allowed=$(awk -v package="$package" '$1 == package { allowed = $2 } END { print allowed + 0 }' tools/crates.txt)
    echo "    $package: $count crates of $allowed"
    if [ "$count" -gt "$allowed" ]; then
        echo "$package compiles $count crates, but tools/crates.txt allows $allowed. Each makes the first build longer."
        echo "Remove the new dependencies or their features ('cargo tree --package $package --invert CRATE' shows where a"
        echo "crate comes from), or add a line to tools/crates.txt with the new number and the reason."
        status=1
    elif [ "$count" -lt "$allowed" ]; then
        echo "    Add '$package $count' to tools/crates.txt, so that the number stays this low."
    fi
done <<'PACKAGES'
bundler x86_64-unknown-linux-gnu
frontend wasm32-unknown-unknown
server x86_64-unknown-linux-gnu
PACKAGES
exit "$status"
