#!/usr/bin/env bash
# The description of every SQL query, from which sqlx checks queries where no database is: .sqlx
#
#     tools/sqlx.sh prepare     writes .sqlx again
#     tools/sqlx.sh check       fails when .sqlx is not what the queries and migrations say
#
# sqlx's macros describe each query to a temporary database that has all migrations, and write what
# they learn to SQLX_OFFLINE_DIR. Only the crate authority has SQL.
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
    # As sqlx runs it.
    [[ $(head -n 1 "$migration") != "-- no-transaction"* ]] || transaction=()
    psql "$DATABASE_URL" --quiet --no-psqlrc --set ON_ERROR_STOP=1 "${transaction[@]}" --file "$migration" \
        >/dev/null
done

fresh=$PWD/target/sqlx
rm -rf "$fresh"
mkdir -p "$fresh"
# Macros run only when the crate is compiled, and Cargo does not know that the database has changed.
touch server/authority/src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$fresh cargo check --quiet --package authority --all-targets
# What was checked against the temporary database must not pass for a build from .sqlx.
touch server/authority/src/lib.rs

if [ "$1" = check ]; then
    if ! diff --brief --recursive "$fresh" .sqlx >&2; then
        echo ".sqlx is not current: run make sqlx and commit the result" >&2
        exit 1
    fi
    exit
fi
rm -rf .sqlx
cp -r "$fresh" .sqlx
echo "$(find .sqlx -name 'query-*.json' | wc -l) queries described in .sqlx" >&2
