#!/usr/bin/env bash
# Runs a command beside a private, temporary PostgreSQL, and leaves nothing behind.
#
#     WITH_POSTGRES=migrated tools/with-postgres.sh cargo nextest run --workspace --exclude frontend
#
# With WITH_POSTGRES=migrated, new databases have Tessera's tables already: they are copies of migrated ones.
# The command finds the database under DATABASE_URL. The server listens on a Unix socket only, in a
# folder that other users cannot enter, and writes without fsync: its data live as long as the command. With
# WITH_POSTGRES=durable it writes as in production, which is what measurements are made with.
# The exit status is the command's.
set -euo pipefail

if [ $# -eq 0 ]; then
    echo "usage: tools/with-postgres.sh COMMAND [ARGUMENT…]" >&2
    exit 2
fi

# The folder of initdb, pg_ctl and postgres: the newest of PATH's and the usual ones.
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
    echo "with-postgres: no PostgreSQL server programs found; run tools/setup.sh postgres" >&2
    exit 1
}
binaries=$(find_binaries)

# PostgreSQL refuses to run as root: then it runs as postgres, or as nobody where that is missing.
as_server=()
owner=$(id -un)
if [ "$(id -u)" -eq 0 ]; then
    owner=postgres
    id "$owner" >/dev/null 2>&1 || owner=nobody
    as_server=(runuser -u "$owner" --)
fi

# Below /tmp, because a socket's path may have 107 bytes at most and TMPDIR may be long or private.
home=$(mktemp -d /tmp/tessera-postgres.XXXXXX)
chown "$owner" "$home"
chmod 700 "$home"

stop() {
    # "immediate" loses what was not written: nobody will read it.
    "${as_server[@]}" "$binaries/pg_ctl" --pgdata="$home/data" --mode=immediate --silent stop \
        >/dev/null 2>&1 || true
    rm -rf "$home"
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# The caller's own PGHOST and the like must not lead anybody elsewhere.
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

# Applies all migrations to a database, as a role, and records them as sqlx does, so that Tessera finds nothing to do.
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
            # As sqlx runs it.
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

# Tests copy databases that have the schema: one for sqlx's tests, which copy template1, and one that belongs to the
# owner's role of docs/operating.md. Measurements and programs other than tests begin with nothing.
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

# For those who make clusters of their own.
export POSTGRES_BINARIES=$binaries POSTGRES_OWNER=$owner
export DATABASE_URL="postgres://tessera@localhost/postgres?host=$home"
status=0
"$@" || status=$?
exit "$status"
