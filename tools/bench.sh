#!/usr/bin/env bash
# Measures the release binary: page weight, verification against a server that does nothing, and lists
# among a million tokens against a thousand.
# Runs on two cores: the servers on one, the driver on the other.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh postgres
if ! command -v wrk >/dev/null; then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        echo "Installing wrk, which sends the load" >&2
        apt-get install --yes --quiet wrk >/dev/null
    else
        echo "wrk is missing, which sends the load: apt-get install wrk, dnf install wrk or brew install wrk" >&2
        exit 1
    fi
fi
if ! command -v taskset >/dev/null || [ "$(nproc)" -lt 2 ]; then
    echo "needs taskset (package util-linux) and two cores" >&2
    exit 1
fi
exec cargo run --release --quiet --package bench
