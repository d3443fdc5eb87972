#!/usr/bin/env bash
# Measures the release binary, or the one that BENCH_BINARY names. Without arguments everything but the
# peers; else these parts alone, such as
#
#     tools/bench.sh verify gateways [--quick]
#     tools/bench.sh peers
#
# Runs on two cores: the servers on one, the driver on the other.
set -euo pipefail
cd "$(dirname "$0")/.."

case " $* " in
*" peers "*) tools/setup.sh peers ;;
*) tools/setup.sh bench ;;
esac
if [ "$(nproc)" -lt 2 ]; then
    echo "needs two cores" >&2
    exit 1
fi
exec cargo run --release --quiet --package bench -- "$@"
