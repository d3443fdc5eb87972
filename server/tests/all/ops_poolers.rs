//! Programs between Tessera and its database: real `HAProxy` and `PgBouncer`. `make drill-failover`
//! installs them and runs these tests.

#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::support::{Server, Tessera, process::is_root, server::open_folder, wait::until};
use serde_json::json;
use tempfile::TempDir;

/// A running program, which is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Finds a program that `tools/setup.sh poolers` installs.
fn find(program: &str) -> PathBuf {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{program} is missing: run tools/setup.sh poolers"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a program and waits until it listens.
fn start(mut command: Command, port: u16) -> Running {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(child.process_group(0).spawn().unwrap());
    until("the port", || TcpStream::connect(("127.0.0.1", port)).ok());
    running
}

/// A database with an administrator. It belongs to a server, so it can be stopped.
struct House {
    folder: TempDir,
    data_dir: PathBuf,
}

impl House {
    fn new() -> Self {
        let folder = open_folder();
        let data_dir = folder.path().join("house");
        Self { folder, data_dir }
    }

    fn open(&self) -> Server {
        Server::builder().data_dir(&self.data_dir).start()
    }

    fn guest(&self, port: u16) -> Server {
        Server::builder()
            .env("TESSERA_DATABASE_URL", &url(port))
            .env("TESSERA_KEYS_FILE", &self.data_dir.join("keys.toml").to_string_lossy())
            .start()
    }

    fn pgbouncer(&self, program: &Path, mode: &str, lines: &str) -> (Running, u16) {
        let port = free_port();
        let file = self.folder.path().join(format!("pgbouncer-{port}.ini"));
        let text = format!(
            "[databases]\n* = host={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {mode}\n{lines}",
            self.data_dir.join("run").display()
        );
        fs::write(&file, text.replace("host=", "user=tessera_server host=")).unwrap();
        let mut command = Command::new(program);
        if is_root() {
            command.args(["-u", "postgres"]);
        }
        command.arg(&file);
        (start(command, port), port)
    }

    fn haproxy(&self, program: &Path) -> (Running, u16) {
        let port = free_port();
        let file = self.folder.path().join("haproxy.cfg");
        let text = format!(
            "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1m\n  timeout server 1m\n  retries 0\n\
             listen db\n  bind 127.0.0.1:{port}\n  server pg unix@{}/.s.PGSQL.5432\n",
            self.data_dir.join("run").display()
        );
        fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(&file);
        (start(command, port), port)
    }
}

fn url(port: u16) -> String {
    format!("postgres://tessera_server@127.0.0.1:{port}/tessera")
}

/// Creates a token, verifies it and revokes it.
fn live(guest: &Server, manager: &str) {
    for round in 0..3 {
        let made = guest
            .request("POST", "/api/v1/workspaces/workspace-1/tokens")
            .bearer(manager)
            .json(&json!({"name": format!("t{round}"), "audiences": ["tessera"], "scopes": ["tokens:read"]}))
            .send();
        assert_eq!(made.status, 201, "round {round}: {}", guest.stderr());
        let made = made.json();
        let text = made["secret"].as_str().unwrap();
        guest.request("GET", "/api/v1/self").bearer(text).send().expect(200);
        let id = made["token"]["id"].as_str().unwrap();
        guest.request("DELETE", &format!("/api/v1/tokens/{id}")).bearer(manager).send().expect(204);
        guest.request("GET", "/api/v1/self").bearer(text).send().expect(401);
    }
}

/// Without a database, every response is 503, and the log contains the reason.
fn is_away(guest: &Server, manager: &str) {
    until("the outage to be detected", || (guest.get("/readyz").status == 503).then_some(()));
    for (method, path) in [
        ("GET", "/api/v1/self"),
        ("GET", "/auth/forward"),
        ("GET", "/api/v1/workspaces/workspace-1/tokens"),
    ] {
        let status = guest.request(method, path).bearer(manager).send().status;
        assert!(status == 503 || status == 200, "{path}: {status}");
    }
    guest.request("GET", "/api/v1/workspaces").bearer(manager).send().expect(503);
    assert!(guest.stderr().contains("the database cannot be reached"), "{}", guest.stderr());
    assert!(!guest.stderr().contains("\"status\":500"), "{}", guest.stderr());
}

#[test]
#[ignore = "needs HAProxy and PgBouncer: make drill-failover"]
fn server_works_behind_pgbouncer_in_session_mode() {
    let program = find("pgbouncer");
    let house = House::new();
    let host = house.open();
    host.admin();
    let manager = host.managing_token("workspace-1");
    let (bouncer, port) = house.pgbouncer(&program, "session", "");
    let guest = house.guest(port);
    live(&guest, &manager);
    // A second server gets connections that were used before.
    drop(guest);
    let guest = house.guest(port);
    live(&guest, &manager);
    drop(bouncer);
    is_away(&guest, &manager);
}

#[test]
#[ignore = "needs HAProxy and PgBouncer: make drill-failover"]
fn pgbouncer_in_transaction_or_statement_mode_ends_the_start_with_the_remedy() {
    let program = find("pgbouncer");
    let house = House::new();
    let host = house.open();
    host.admin();
    for (mode, lines) in [
        ("transaction", ""),
        ("statement", ""),
        ("transaction", "server_round_robin = 1\n"),
        ("transaction", "default_pool_size = 1\n"),
        ("transaction", "server_round_robin = 1\ndefault_pool_size = 1\n"),
    ] {
        let (_bouncer, port) = house.pgbouncer(&program, mode, lines);
        let data_dir = house.folder.path().join("data");
        let finished = Tessera::on(&data_dir, &["serve", "--listen", "127.0.0.1:0"])
            .env("TESSERA_DATABASE_URL", &url(port))
            .env("TESSERA_KEYS_FILE", &house.data_dir.join("keys.toml").to_string_lossy())
            .run();
        assert_eq!(finished.status, 1, "{mode}: {finished:?}");
        assert!(finished.stderr.contains("pool_mode = session"), "{mode}: {finished:?}");
    }
    // Nor does the server wait if PgBouncer refuses a parameter.
    let (_bouncer, port) = house.pgbouncer(&program, "session", "");
    let finished =
        Tessera::on(&house.folder.path().join("data"), &["serve", "--listen", "127.0.0.1:0"])
            .env("TESSERA_DATABASE_URL", &format!("{}?options=-cwork_mem%3D8MB", url(port)))
            .env("TESSERA_KEYS_FILE", &house.data_dir.join("keys.toml").to_string_lossy())
            .run();
    assert_eq!(finished.status, 1, "{finished:?}");
    assert!(finished.stderr.contains("unsupported startup parameter"), "{finished:?}");
}

#[test]
#[ignore = "needs HAProxy and PgBouncer: make drill-failover"]
fn database_behind_haproxy_is_unavailable_while_it_is_down_and_recovers() {
    let program = find("haproxy");
    let house = House::new();
    let host = house.open();
    host.admin();
    let manager = host.managing_token("workspace-1");
    let (_proxy, port) = house.haproxy(&program);
    let guest = house.guest(port);
    live(&guest, &manager);
    drop(host);
    is_away(&guest, &manager);
    let _host = house.open();
    until("the database to be back", || (guest.get("/readyz").status == 200).then_some(()));
    // A change that runs while the server detects the new connection is answered with 503.
    until("the new connection to be detected", || {
        guest.stderr().contains("the database's history may have changed").then_some(())
    });
    live(&guest, &manager);
}
