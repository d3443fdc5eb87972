#!/usr/bin/env bash
# Maintains .sqlx: the descriptions of all SQL queries, with which sqlx checks them offline.
#
#     tools/sqlx.sh prepare     regenerates .sqlx
#     tools/sqlx.sh check       fails if .sqlx does not match the queries and migrations, or if clippy
#                               finds something in the server code
#
# sqlx's macros prepare each query on a temporary database that has all migrations, and write its
# description to SQLX_OFFLINE_DIR. Only the crate authority contains SQL.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${SQLX_TEMPORARY:-}" ]; then
    case "${1:-}" in
    prepare | check) exec env SQLX_TEMPORARY=1 tools/with-postgres.sh "$0" "$1" ;;
    *)
        echo "usage: tools/sqlx.sh prepare | check" >&2
        exit 2
        ;;
    esac
fi

for migration in server/authority/migrations/*.sql; do
    transaction=(--single-transaction)
    # sqlx runs these migrations outside a transaction, too.
    [[ $(head -n 1 "$migration") != "-- no-transaction"* ]] || transaction=()
    psql "$DATABASE_URL" --quiet --no-psqlrc --set ON_ERROR_STOP=1 "${transaction[@]}" --file "$migration" \
        >/dev/null
done

fresh=$PWD/target/sqlx
rm -rf "$fresh"
mkdir -p "$fresh"
# The macros run only when the crate is compiled, and Cargo cannot detect a changed database.
touch server/authority/src/lib.rs
export SQLX_OFFLINE_DIR=$fresh
if [ "$1" = check ]; then
    # `make test` needs clippy's result in any case. For the crate alone, Cargo would build nearly all
    # dependencies once more, with other features.
    SQLX_OFFLINE=false cargo clippy --workspace --exclude frontend --all-targets -- -D warnings
else
    SQLX_OFFLINE=false cargo check --quiet --package authority --all-targets
fi
# The next build must check queries against .sqlx instead of reusing the result of this check.
touch server/authority/src/lib.rs

if [ "$1" = check ]; then
    if ! diff --brief --recursive "$fresh" .sqlx >&2; then
        echo "sqlx: .sqlx is out of date; run make sqlx and commit the result" >&2
        exit 1
    fi
    exit
fi
rm -rf .sqlx
cp -r "$fresh" .sqlx
echo "sqlx: .sqlx describes $(find .sqlx -name 'query-*.json' | wc -l) queries" >&2
