//! Effects of the environment on a database: foreign roles and defaults, encodings, volumes that
//! change modes, copies of a running folder.

#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::support::{
    Server, Tessera,
    process::{is_alive, is_root, postmaster},
    server::open_folder,
};
use serde_json::json;
use tempfile::TempDir;

/// A server with an administrator, whose embedded database other servers may use.
fn host() -> (TempDir, PathBuf, Server) {
    let folder = open_folder();
    let data_dir = folder.path().join("host");
    let server = Server::builder().data_dir(&data_dir).start();
    server.admin();
    (folder, data_dir, server)
}

fn url(host: &Path, role: &str, database: &str) -> String {
    format!("postgres://{role}@localhost/{database}?host={}", host.join("run").display())
}

/// Runs SQL as a role. Returns the rows, or psql's error.
fn psql(host: &Path, role: &str, database: &str, sql: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"])
        .args(["--dbname", &url(host, role, database), "--command", sql])
        .output()
        .expect("psql is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn embedded_server_works_without_rights_on_its_schema() {
    let (_folder, data_dir, server) = host();
    server.managing_token("workspace-1");
    let served_by = psql(
        &data_dir,
        "tessera",
        "tessera",
        "SELECT DISTINCT usename || ' ' || usesuper FROM pg_stat_activity JOIN pg_user USING (usename)
         WHERE application_name = 'tessera'",
    );
    assert_eq!(served_by.unwrap(), "tessera_server false");
    let owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(psql(&data_dir, "tessera", "tessera", owners).unwrap(), "tessera_owner");
    for sql in ["CREATE TABLE public.mine ()", "DROP TABLE tokens", "ALTER TABLE users ADD x int"] {
        let refused = psql(&data_dir, "tessera_server", "tessera", sql).unwrap_err();
        assert!(
            refused.contains("permission denied") || refused.contains("must be owner"),
            "{refused}"
        );
    }
}

#[test]
fn server_works_with_a_role_that_may_only_change_rows() {
    let (folder, data_dir, _server) = host();
    let sql = |sql: &str| psql(&data_dir, "tessera", "postgres", sql).unwrap();
    sql("CREATE DATABASE apart ENCODING 'UTF8' TEMPLATE template0 OWNER tessera_owner");
    fs::write(
        data_dir.join("postgres/pg_hba.conf"),
        "local all tessera trust\nlocal all tessera_owner trust\nlocal all tessera_server trust\n",
    )
    .unwrap();
    sql("SELECT pg_reload_conf()");
    let keys = folder.path().join("keys.toml");
    let serving = url(&data_dir, "tessera_server", "apart");
    let guest = || {
        Server::builder()
            .env("TESSERA_DATABASE_URL", &serving)
            .env("TESSERA_KEYS_FILE", &keys.to_string_lossy())
    };
    // Without the owner, one line contains the reason and what to do.
    let refused = Tessera::on(&folder.path().join("data"), &["serve", "--listen", "127.0.0.1:0"])
        .env("TESSERA_DATABASE_URL", &serving)
        .run();
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stderr.contains("migration_database_url"), "{refused:?}");

    let owner = url(&data_dir, "tessera_owner", "apart");
    let first = guest().env("TESSERA_MIGRATION_DATABASE_URL", &owner).start();
    first.admin();
    first.managing_token("workspace-1");
    drop(first);
    // A migrated database no longer needs the owner.
    let second = guest().start();
    second.managing_token("workspace-1");
    let refused = psql(&data_dir, "tessera_server", "apart", "CREATE TABLE public.mine ()");
    assert!(refused.unwrap_err().contains("permission denied"));
}

/// Foreign objects in Tessera's schema, on which the owner of Tessera's tables has no rights.
const OF_OTHERS: &str = "
    CREATE VIEW public.operator_report AS SELECT 1 AS one;
    CREATE MATERIALIZED VIEW public.operator_summary AS SELECT 1 AS one;
    CREATE SEQUENCE public.operator_numbers;
    CREATE TABLE public.operator_notes (note text);";

fn owners_of_others(data_dir: &Path, database: &str) -> String {
    let sql = "SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ' ') || ' '
                      || string_agg(DISTINCT has_table_privilege('tessera_server', oid, 'SELECT')::text, ' ')
                 FROM pg_class WHERE relname LIKE 'operator%' AND relkind <> 'S'";
    psql(data_dir, "tessera", database, sql).unwrap()
}

#[test]
fn foreign_objects_in_the_schema_are_left_alone_and_prevent_no_start() {
    let (folder, data_dir, server) = host();
    psql(&data_dir, "tessera", "tessera", OF_OTHERS).unwrap();
    drop(server);
    let server = Server::builder().data_dir(&data_dir).start();
    server.managing_token("workspace-1");
    assert_eq!(owners_of_others(&data_dir, "tessera"), "tessera false");

    // The same with two roles in a separate database.
    let sql = |database: &str, sql: &str| psql(&data_dir, "tessera", database, sql).unwrap();
    sql("postgres", "CREATE DATABASE apart ENCODING 'UTF8' TEMPLATE template0 OWNER tessera_owner");
    sql("apart", OF_OTHERS);
    // Some administrators revoke PostgreSQL's default privileges of PUBLIC.
    sql(
        "apart",
        "ALTER DEFAULT PRIVILEGES FOR ROLE tessera_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
         ALTER DEFAULT PRIVILEGES FOR ROLE tessera_owner REVOKE USAGE ON TYPES FROM PUBLIC",
    );
    fs::write(
        data_dir.join("postgres/pg_hba.conf"),
        "local all tessera trust\nlocal all tessera_owner trust\nlocal all tessera_server trust\n",
    )
    .unwrap();
    sql("postgres", "SELECT pg_reload_conf()");
    let guest = |arguments: &[&str]| {
        Tessera::on(&folder.path().join("data"), arguments)
            .env("TESSERA_DATABASE_URL", &url(&data_dir, "tessera_server", "apart"))
            .env("TESSERA_MIGRATION_DATABASE_URL", &url(&data_dir, "tessera_owner", "apart"))
            .env("TESSERA_KEYS_FILE", &folder.path().join("keys.toml").to_string_lossy())
            .run()
    };
    guest(&["migrate"]).ok();
    assert_eq!(owners_of_others(&data_dir, "apart"), "tessera false");
    // The serving role reads which migrations were applied, and changes nothing there.
    let rights = "SELECT string_agg(kind || ' ' || has_table_privilege('tessera_server', '_sqlx_migrations', kind), ', ')
                    FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS kind";
    for database in ["tessera", "apart"] {
        assert_eq!(
            sql(database, rights),
            "SELECT true, INSERT false, UPDATE false, DELETE false",
            "{database}"
        );
    }

    let callable = "SELECT string_agg(DISTINCT has_function_privilege('tessera_server', oid, 'EXECUTE')::text, ' ')
                      FROM pg_proc f WHERE pronamespace = 'public'::regnamespace
                       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = f.oid AND d.deptype = 'e')";
    assert_eq!(sql("apart", callable), "true");

    // The error names a table of Tessera that belongs to a foreign role, and what to do.
    sql(
        "apart",
        "ALTER TABLE tokens OWNER TO tessera; REVOKE ALL ON tokens FROM tessera_owner, tessera_server",
    );
    let line = guest(&["migrate"]).refused(1);
    assert!(line.contains("the table tokens belongs to the role tessera"), "{line}");
    assert!(line.contains("ALTER TABLE tokens OWNER TO"), "{line}");
}

#[test]
fn defaults_of_role_and_database_have_no_effect() {
    let (_folder, data_dir, server) = host();
    for default in [
        "default_transaction_isolation = 'serializable'",
        "search_path = 'nowhere'",
        "lock_timeout = '1ms'",
        "statement_timeout = '20ms'",
        "TimeZone = 'Pacific/Chatham'",
        "standard_conforming_strings = off",
    ] {
        let sql = format!("ALTER ROLE tessera_server SET {default}");
        psql(&data_dir, "tessera", "tessera", &sql).unwrap();
    }
    drop(server);
    let server = Server::builder().data_dir(&data_dir).start();
    let manager = server.managing_token("workspace-1");
    let statuses: Vec<u16> = thread::scope(|scope| {
        let calls: Vec<_> = (0..32)
            .map(|number| {
                let (server, manager) = (&server, &manager);
                scope.spawn(move || {
                    server
                        .request("POST", "/api/v1/workspaces/workspace-1/tokens")
                        .bearer(manager)
                        .json(&json!({
                            "name": format!("t{number}"), "audiences": ["tessera"], "scopes": ["tokens:read"]
                        }))
                        .send()
                        .status
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(statuses, vec![201; 32]);
}

/// Terminates every connection of the server's role.
const CUT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'tessera_server'";

#[test]
fn database_that_refuses_connections_or_lacks_a_right_is_503() {
    let (_folder, data_dir, server) = host();
    let manager = server.managing_token("workspace-1");
    let sql = |database: &str, sql: &str| psql(&data_dir, "tessera", database, sql).unwrap();
    let list = || {
        let path = "/api/v1/workspaces/workspace-1/tokens";
        server.request("GET", path).bearer(&manager).send().status
    };
    assert_eq!(list(), 200);
    sql("tessera", "REVOKE SELECT ON tokens FROM tessera_server");
    assert_eq!(list(), 503);
    sql("tessera", "GRANT SELECT ON tokens TO tessera_server");
    assert_eq!(list(), 200);
    sql("tessera", "ALTER TABLE tokens RENAME TO tokens_away");
    assert_eq!(list(), 503);
    sql("tessera", "ALTER TABLE tokens_away RENAME TO tokens");
    assert_eq!(list(), 200);
    // Objects that a restore creates after the data.
    let held = "held_scopes(text[], text[], uuid, uuid)";
    sql("tessera", &format!("ALTER FUNCTION {held} RENAME TO held_away"));
    assert_eq!(list(), 503);
    sql(
        "tessera",
        &format!(
            "ALTER FUNCTION {} RENAME TO held_scopes",
            held.replace("held_scopes", "held_away")
        ),
    );
    assert_eq!(list(), 200);
    sql("tessera", "ALTER TABLE tokens RENAME COLUMN hint TO hint_away");
    assert_eq!(list(), 503);
    sql("tessera", "ALTER TABLE tokens RENAME COLUMN hint_away TO hint");
    assert_eq!(list(), 200);
    sql("tessera", "ALTER TABLE sign_in_attempts DROP CONSTRAINT sign_in_attempts_pkey");
    let form = [("email", "ada@example.com"), ("password", "wrong")];
    let sign_in = || {
        let request = server.request("POST", "/sign-in").header("sec-fetch-site", "same-origin");
        request.form(&form).send().status
    };
    assert_eq!(sign_in(), 503);
    sql(
        "tessera",
        "ALTER TABLE sign_in_attempts ADD CONSTRAINT sign_in_attempts_pkey PRIMARY KEY (key)",
    );
    assert_eq!(sign_in(), 401);
    sql("postgres", "ALTER DATABASE tessera ALLOW_CONNECTIONS false");
    sql("postgres", CUT);
    for _ in 0..5 {
        assert_eq!(list(), 503);
    }
    sql("postgres", "ALTER DATABASE tessera ALLOW_CONNECTIONS true");
    crate::support::wait::until("the database to be back", || (list() == 200).then_some(()));
}

/// Stops a load when dropped.
#[derive(Default)]
struct Load(Arc<AtomicBool>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A database that accepts fewer connections than a server wants.
#[test]
fn server_recovers_after_it_lost_all_connections_under_load() {
    let (_folder, data_dir, server) = host();
    let manager = server.managing_token("workspace-1");
    let sql = |sql: &str| psql(&data_dir, "tessera", "tessera", sql).unwrap();
    let status = |path: &str| server.request("GET", path).bearer(&manager).send().status;
    let (list, forward) = ("/api/v1/workspaces/workspace-1/tokens", "/auth/forward");
    sql("ALTER ROLE tessera_server CONNECTION LIMIT 6");
    thread::scope(|scope| {
        let load = Load::default();
        for client in 0..24 {
            let (status, is_over) = (&status, load.0.clone());
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    status(if client % 4 == 0 { forward } else { list });
                }
            });
        }
        for _ in 0..3 {
            sql(CUT);
            let renewals = "SELECT sum(renewals) FROM replicas";
            let before = sql(renewals);
            crate::support::wait::until("the lease to be renewed", || {
                (sql(renewals) != before).then_some(())
            });
            crate::support::wait::until("an answer", || (status(forward) == 200).then_some(()));
        }
    });
    sql("ALTER ROLE tessera_server CONNECTION LIMIT -1");
}

#[test]
fn lock_held_too_long_is_503_with_the_reason() {
    let (_folder, data_dir, server) = host();
    let manager = server.managing_token("workspace-1");
    // A foreign statement that PostgreSQL cancels, as a time limit would.
    let blocker = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--dbname", &url(&data_dir, "tessera", "tessera")])
        .args([
            "--command",
            "BEGIN; LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)",
        ])
        .spawn()
        .expect("psql is installed");
    crate::support::wait::until("the lock", || {
        let sql = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
                   AND relation = 'tokens'::regclass";
        (psql(&data_dir, "tessera", "tessera", sql).as_deref() == Ok("1")).then_some(())
    });
    thread::scope(|scope| {
        let call = scope.spawn(|| {
            server
                .request("POST", "/api/v1/workspaces/workspace-1/tokens")
                .bearer(&manager)
                .json(&json!({"name": "late", "audiences": ["tessera"], "scopes": ["tokens:read"]}))
                .send()
        });
        crate::support::wait::until("the cancelled statement", || {
            let sql = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                       WHERE wait_event_type = 'Lock' AND usename = 'tessera_server'";
            let _ = psql(&data_dir, "tessera", "tessera", sql);
            call.is_finished().then_some(())
        });
        let answer = call.join().unwrap().expect(503);
        assert!(answer.header("retry-after").is_some());
    });
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%' AND pid <> pg_backend_pid()";
    psql(&data_dir, "tessera", "tessera", sql).unwrap();
    let _ = blocker.wait_with_output();
}

#[test]
fn unusable_database_ends_the_start_with_the_remedy() {
    let (folder, data_dir, _server) = host();
    let sql = |sql: &str| psql(&data_dir, "tessera", "postgres", sql).unwrap();
    sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    sql("CREATE DATABASE frozen ENCODING 'UTF8' TEMPLATE template0");
    sql("ALTER DATABASE frozen SET default_transaction_read_only = on");
    for (role, database, said) in [
        ("tessera", "latin", "CREATE DATABASE tessera ENCODING 'UTF8'"),
        ("tessera", "frozen", "default_transaction_read_only"),
        ("tessera", "missing", "does not exist"),
        ("stranger", "tessera", "no pg_hba.conf entry"),
    ] {
        for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["doctor"]] {
            let finished = Tessera::on(&folder.path().join("data"), arguments)
                .env("TESSERA_DATABASE_URL", &url(&data_dir, role, database))
                .run();
            assert_eq!(finished.status, 1, "{database}: {finished:?}");
            let printed = format!("{}{}", finished.stdout, finished.stderr);
            assert!(printed.contains(said), "{database}: {finished:?}");
        }
    }
}

#[test]
fn group_accessible_volume_does_not_prevent_a_start() {
    let (_folder, data_dir, server) = host();
    drop(server);
    open_to_group(&data_dir);
    let server = Server::builder().data_dir(&data_dir).start();
    server.managing_token("workspace-1");
    for (path, mode) in [("postgres", 0o700), ("run", 0o700), ("keys.toml", 0o600)] {
        let found = fs::metadata(data_dir.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
}

/// Does the same as Kubernetes for `fsGroup`: g+rwX, and the set-group-ID bit on folders.
fn open_to_group(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let found = entry.metadata().unwrap();
        let path = entry.path();
        if found.is_dir() {
            open_to_group(&path);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o2770)).unwrap();
        } else if found.is_file() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        }
    }
}

#[test]
fn server_on_a_copied_folder_does_not_touch_the_original() {
    let (folder, data_dir, server) = host();
    let original = postmaster(&data_dir).expect("a postmaster");
    let copy = folder.path().join("copy");
    copy_folder(&data_dir, &copy);
    assert_eq!(postmaster(&copy), Some(original), "the copied file names the original's process");

    // A command on the copy starts the copy's own database, and changes nothing in the original.
    Tessera::on(&copy, &["workspace", "create", "--name", "Only here"]).run().ok();
    assert!(is_alive(original));
    server.get("/readyz").expect(200);
    assert!(!server.run(&["workspace", "list"]).ok().contains("only-here"));

    let second = Server::builder().data_dir(&copy).start();
    assert!(second.run(&["workspace", "list"]).ok().contains("only-here"));
    assert!(is_alive(original));
    server.get("/readyz").expect(200);
}

/// Copies files, modes and owners, as a snapshot of a volume does. Sockets are not copied.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, found) = (entry.path(), entry.metadata().unwrap());
        let target = to.join(entry.file_name());
        if found.is_dir() {
            copy_folder(&path, &target);
        } else if found.is_file() && fs::copy(&path, &target).is_ok() {
            keep_owner(&path, &target);
        }
    }
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    keep_owner(from, to);
}

fn keep_owner(from: &Path, to: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    if is_root() {
        let found = fs::metadata(from).unwrap();
        chown(to, Some(found.uid()), Some(found.gid())).unwrap();
    }
}

/// Creates an empty database in the host's cluster.
fn fresh(host: &Path, name: &str) {
    let make = format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0");
    psql(host, "tessera", "postgres", &make).unwrap();
}

/// A command with its own data folder, and therefore its own keys.
fn with_keys(folder: &TempDir, keys: &str, url: &str, arguments: &[&str]) -> Tessera {
    Tessera::on(&folder.path().join(keys), arguments).env("TESSERA_DATABASE_URL", url)
}

#[test]
fn migration_neither_needs_nor_creates_keys_and_leaves_the_log_to_the_instance() {
    let (folder, data_dir, _server) = host();
    fresh(&data_dir, "new");
    let url = url(&data_dir, "tessera", "new");
    assert_eq!(
        with_keys(&folder, "job", &url, &["migrate"]).run().ok(),
        "The database is up to date."
    );
    assert!(!folder.path().join("job/keys.toml").exists());
    let guest = |keys: &str| {
        let builder = Server::builder().data_dir(&folder.path().join(keys));
        builder.env("TESSERA_DATABASE_URL", &url).start()
    };
    // A server with other keys was there before and wrote a row.
    let other = guest("other");
    other.get("/setup/wrong").expect(404);
    drop(other);
    assert_eq!(
        psql(&data_dir, "tessera", "new", "SELECT count(*) FROM audit_events").unwrap(),
        "1"
    );
    let server = guest("own");
    server.get("/setup/wrong").expect(404);
    server.admin();
    server.managing_token("workspace-1");
    let whole = server.run(&["audit", "verify"]);
    assert_eq!(whole.status, 0, "{whole:?}");
    assert!(!server.stderr().contains("was changed"), "{}", server.stderr());
    // A database in use is migrated without its keys, too, and no keys are created for it.
    with_keys(&folder, "job", &url, &["migrate"]).run().ok();
    assert!(!folder.path().join("job/keys.toml").exists());
    let line = with_keys(&folder, "other", &url, &["migrate"]).run().refused(1);
    assert!(line.contains(OTHER_KEYS), "{line}");
}

const OTHER_KEYS: &str = "the keys file does not match this database";

#[test]
fn server_with_different_keys_stops_when_the_instance_is_set_up() {
    let (folder, data_dir, _server) = host();
    fresh(&data_dir, "rolled");
    let url = url(&data_dir, "tessera", "rolled");
    let guest = |keys: &str| {
        let builder = Server::builder().data_dir(&folder.path().join(keys));
        builder.env("TESSERA_DATABASE_URL", &url).start()
    };
    let own = guest("own");
    let mut other = guest("other");
    own.get("/readyz").expect(200);
    other.get("/readyz").expect(200);
    own.admin();
    let token = own.managing_token("workspace-1");
    let asked = |server: &Server| {
        server.request("GET", "/auth/forward?audience=tessera").bearer(&token).try_send()
    };
    // From then on, it never answers that a token is unknown.
    while let Ok(answer) = asked(&other) {
        assert_eq!(answer.status, 503);
    }
    let status = other.wait();
    assert_eq!(status.code(), Some(1));
    assert!(other.stderr().contains(OTHER_KEYS), "{}", other.stderr());
    assert_eq!(asked(&own).unwrap().status, 200);
    let whole = own.run(&["audit", "verify"]);
    assert_eq!(whole.status, 0, "{whole:?}");
    let refused = with_keys(&folder, "other", &url, &["serve", "--listen", "127.0.0.1:0"]).run();
    assert!(refused.stderr.contains(OTHER_KEYS), "{refused:?}");
}
