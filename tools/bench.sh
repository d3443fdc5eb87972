#!/usr/bin/env bash
# Measures the release binary, or the binary that BENCH_BINARY names. Without arguments it runs
# every part except the peers. With arguments it runs only the named parts, for example
#
#     tools/bench.sh verify gateways [--quick]
#     tools/bench.sh peers
#
# Needs two cores: the servers run on one, the driver on the other.
set -euo pipefail
cd "$(dirname "$0")/.."

case " $* " in
*" peers "*) tools/setup.sh peers ;;
*) tools/setup.sh bench ;;
esac
if [ "$(nproc)" -lt 2 ]; then
    echo "bench: needs at least two cores" >&2
    exit 1
fi
exec cargo run --release --quiet --package bench -- "$@"
