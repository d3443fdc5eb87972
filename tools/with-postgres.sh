#!/usr/bin/env bash
# Runs a command with a private, temporary PostgreSQL, and removes it afterwards.
#
#     WITH_POSTGRES=migrated tools/with-postgres.sh cargo nextest run --workspace --exclude frontend
#
# DATABASE_URL names the database. The server listens only on a Unix socket, in a folder that other
# users cannot enter. It writes without fsync, because its data is deleted when the command ends.
# With WITH_POSTGRES=durable it writes as in production, which measurements need. With
# WITH_POSTGRES=migrated, new databases already have Tessera's tables: they are copies of a migrated
# database. The exit status is that of the command.
set -euo pipefail

if [ $# -eq 0 ]; then
    echo "usage: tools/with-postgres.sh COMMAND [ARGUMENT…]" >&2
    exit 2
fi

# Prints the folder of initdb, pg_ctl and postgres: TESSERA_POSTGRES_BIN_DIR, the folder on the
# PATH, or the newest version in the usual folders.
find_binaries() {
    local folder
    for folder in \
        "${TESSERA_POSTGRES_BIN_DIR:-}" \
        "$(dirname "$(readlink -f "$(command -v pg_ctl || echo /nowhere/pg_ctl)")")" \
        $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin \
            /usr/local/opt/postgresql@*/bin 2>/dev/null | sort -rV); do
        if [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ] && [ -x "$folder/postgres" ]; then
            echo "$folder"
            return
        fi
    done
    echo "with-postgres: found no PostgreSQL server programs; run tools/setup.sh postgres" >&2
    exit 1
}
binaries=$(find_binaries)

# PostgreSQL refuses to run as root. Run it as postgres, or as nobody if postgres does not exist.
as_server=()
owner=$(id -un)
if [ "$(id -u)" -eq 0 ]; then
    owner=postgres
    id "$owner" >/dev/null 2>&1 || owner=nobody
    as_server=(runuser -u "$owner" --)
fi

# Use /tmp, because a socket's path can have at most 107 bytes, and TMPDIR may be long or private.
home=$(mktemp -d /tmp/tessera-postgres.XXXXXX)
chown "$owner" "$home"
chmod 700 "$home"

stop() {
    # The mode "immediate" loses unwritten data, which is not needed any more.
    "${as_server[@]}" "$binaries/pg_ctl" --pgdata="$home/data" --mode=immediate --silent stop \
        >/dev/null 2>&1 || true
    rm -rf "$home"
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# The caller's PGHOST and similar variables must not direct the command to another server.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGPASSWORD PGDATABASE PGSERVICE PGSSLMODE PGOPTIONS PGDATA

hasty="-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c autovacuum=off"
[ "${WITH_POSTGRES:-}" != durable ] || hasty=

start() (
    cd "$home"
    "${as_server[@]}" "$binaries/initdb" --pgdata="$home/data" --username=tessera --auth=trust \
        --encoding=UTF8 --locale=C --no-sync >"$home/initdb.log" 2>&1 || {
        cat "$home/initdb.log" >&2
        return 1
    }
    "${as_server[@]}" "$binaries/pg_ctl" --pgdata="$home/data" --log="$home/server.log" --silent --wait \
        --options="-c listen_addresses='' -c unix_socket_directories='$home' -c max_connections=200 \
            $hasty" start \
        >/dev/null || {
        cat "$home/server.log" >&2
        return 1
    }
)
start

# migrate DATABASE ROLE: applies all migrations to a database as a role and records them as sqlx
# does, so that Tessera has nothing to migrate.
migrate() {
    local migration version description begin commit
    {
        echo "\\set ON_ERROR_STOP on"
        echo "SET client_min_messages = warning;"
        echo "SET ROLE $2;"
        echo "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL,
            installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL,
            execution_time bigint NOT NULL);"
        for migration in "$migrations"/*.sql; do
            version=$(basename "$migration" .sql)
            description=${version#*_}
            version=${version%%_*}
            # sqlx runs these migrations outside a transaction, too.
            begin="BEGIN;" commit="COMMIT;"
            [[ $(head -n 1 "$migration") != "-- no-transaction"* ]] || begin='' commit=''
            echo "$begin"
            cat "$migration"
            echo "; $commit"
            echo "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                VALUES ($((10#$version)), '${description//_/ }', true, '\\x$(sha384sum <"$migration" | cut -d ' ' -f 1)', 0);"
        done
    } | psql --quiet --no-psqlrc "postgres://tessera@localhost/$1?host=$home" --file - >/dev/null
}

# Tests copy databases that have the schema: template1, which sqlx's tests copy, and a database that
# belongs to the owner role of docs/operating.md. Measurements and programs other than tests start
# with empty databases.
if [ "${WITH_POSTGRES:-}" = migrated ]; then
    migrations=$(dirname "$0")/../server/authority/migrations
    psql --quiet --no-psqlrc "postgres://tessera@localhost/postgres?host=$home" --command "
        CREATE ROLE tessera_owner LOGIN" --command "
        CREATE ROLE tessera_server LOGIN" --command "
        CREATE DATABASE tessera_template TEMPLATE template0 OWNER tessera_owner" >/dev/null
    migrate template1 tessera &
    migrate tessera_template tessera_owner
    wait $!
    export TESSERA_TEST_TEMPLATE=tessera_template
fi

# For commands that create their own clusters.
export POSTGRES_BINARIES=$binaries POSTGRES_OWNER=$owner
export DATABASE_URL="postgres://tessera@localhost/postgres?host=$home"
status=0
"$@" || status=$?
exit "$status"
