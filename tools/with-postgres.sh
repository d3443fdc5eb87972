#!/usr/bin/env bash
# Runs a command beside a private, temporary PostgreSQL, and leaves nothing behind.
#
#     tools/with-postgres.sh cargo nextest run -p authority
#
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

# For those who make clusters of their own.
export POSTGRES_BINARIES=$binaries POSTGRES_OWNER=$owner
export DATABASE_URL="postgres://tessera@localhost/postgres?host=$home"
status=0
"$@" || status=$?
exit "$status"
