#!/usr/bin/env bash
# Tests the API against its own OpenAPI document, on a running server: the release binary, or
# the one that TESSERA_BINARY names.
#
#     tools/api.sh test     part of `make test`: generated clients, then each operation briefly
#     tools/api.sh fuzz     `make fuzz-api`: each operation for an hour, or until it is interrupted
#
# Clients: openapi-python-client and openapi-typescript generate clients in Python and TypeScript
# from the document. Each client takes a token through its lifecycle. Operations: schemathesis calls
# each operation with valid and invalid input, and fails if a response does not match the document.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
binary=${TESSERA_BINARY:-target/release/tessera}
python=$root/target/python/bin
export PATH="$python:$PATH"
# The caller's settings must not affect the tests.
for name in $(compgen -e | grep '^TESSERA_' || true); do unset "$name"; done

case ${1:-} in
test) amount=(--max-examples 12 --phases examples,coverage,fuzzing) ;;
fuzz) amount=(--max-examples 100000 --max-time "${FUZZ_SECONDS:-3600}") ;;
*)
    echo "usage: tools/api.sh test | fuzz" >&2
    exit 2
    ;;
esac

home=$(mktemp -d /tmp/tessera-api.XXXXXX)
# When root starts the server, the database runs as another user, which needs access to its files.
chmod 755 "$home"
server=
stop() {
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$home"
}
trap stop EXIT
trap 'exit 130' INT TERM

"$binary" serve --data-dir "$home/data" --listen 127.0.0.1:0 --api-rate-limit 0 >"$home/out" 2>"$home/log" &
server=$!
until grep -q '^Ready: ' "$home/out"; do
    if ! kill -0 "$server" 2>/dev/null; then
        cat "$home/out" "$home/log" >&2
        exit 1
    fi
    sleep 0.1
done
url=$(sed -n 's/^Ready: //p' "$home/out")
password=$(python3 -c 'import secrets; print(secrets.token_urlsafe(24))')
"$binary" admin create --data-dir "$home/data" --email api@example.com --name Api <<<"$password" >/dev/null
session=$(curl --silent --show-error --fail --output /dev/null --dump-header - \
    --header 'sec-fetch-site: same-origin' --data-urlencode email=api@example.com \
    --data-urlencode "password=$password" "$url/sign-in" |
    sed -n 's/^set-cookie: \(tessera=[^;]*\);.*/\1/p')

clients() {
    local token
    "$binary" openapi >"$home/openapi.json"
    token=$("$binary" token create --data-dir "$home/data" --workspace workspace-1 --name clients \
        --audience tessera --audience default --scope tokens:write --scope verify --scope rivers:run \
        2>/dev/null)
    echo "clients: Python"
    openapi-python-client generate --path "$home/openapi.json" --output-path "$home/tessera_api" \
        --meta none --config end2end/api/python-client.yaml >"$home/generate.log" 2>&1 || {
        cat "$home/generate.log" >&2
        return 1
    }
    PYTHONPATH=$home python3 end2end/api/smoke.py "$url" <<<"$token"
    echo "clients: TypeScript"
    mkdir -p target/clients
    (
        cd end2end
        npx --no-install openapi-typescript "$home/openapi.json" --output ../target/clients/api.d.ts \
            >"$home/generate.log" 2>&1 || { cat "$home/generate.log" >&2; exit 1; }
        npx --no-install tsc --project api/tsconfig.json
        # From this folder, Node finds the packages that the client imports.
        cp ../target/clients/end2end/api/smoke.js api/.smoke.mjs
        trap 'rm -f api/.smoke.mjs' EXIT
        node api/.smoke.mjs "$url" <<<"$token"
    )
}

operations() {
    local as status=0 exclude
    for as in token session; do
        exclude=()
        # The document describes only tokens. A request without one still succeeds with the session.
        [ "$as" = token ] || exclude=(--exclude-checks ignored_auth)
        echo "operations: each matches its description when called with a $as"
        API_URL=$url API_SESSION=$session API_AS=$as SCHEMATHESIS_HOOKS=hooks PYTHONPATH=end2end/api \
            schemathesis --config-file end2end/api/schemathesis.toml run "$url/api/openapi.json" \
            --checks all "${exclude[@]}" "${amount[@]}" --suppress-health-check all --warnings off \
            --request-timeout 30 --generation-database "$home/examples" --no-color || status=1
    done
    no_errors_logged || status=1
    return "$status"
}

no_errors_logged() {
    ! grep -q '"level":"ERROR"' "$home/log" || {
        echo "the server logged errors:" >&2
        grep '"level":"ERROR"' "$home/log" | head -n 20 >&2
        return 1
    }
}

# Tests the responses for clients of other products against the OpenAPI document of each surface.
# Schemathesis runs only the checks that hold for any API, because it cannot know which requests
# those products reject.
surfaces() {
    local surface token status=0 audience given=()
    "$binary" preset apply devo --data-dir "$home/data" --workspace workspace-1 --yes >/dev/null 2>&1
    for audience in tessera default aggregations alerts apiv2 apiv2-admin http; do
        given+=(--audience "$audience")
    done
    token=$("$binary" token create --data-dir "$home/data" --workspace workspace-1 --name surfaces "${given[@]}" \
        --scope tokens:write --scope tokens:reveal --scope rivers:run --scope 'table://**' --scope 'level://*' 2>/dev/null)
    for surface in devo kriten robust-intelligence; do
        echo "surface: $surface"
        schemathesis run "$url/api/openapi/$surface.json" --header "Authorization: Bearer $token" \
            --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
            "${amount[@]}" --phases examples,fuzzing --suppress-health-check all --warnings off \
            --request-timeout 30 --generation-database "$home/examples" --no-color || status=1
    done
    no_errors_logged || status=1
    return "$status"
}

[ "$1" = fuzz ] || clients
operations
surfaces
