//! An external database. Here it is another server's embedded database, which can be stopped and
//! started at will.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::{Cluster, Server, Tessera, server::open_folder, wait::until};
use tempfile::TempDir;

/// The stopped server whose database the others use, and the folder that contains everything.
fn host_dir() -> (TempDir, PathBuf) {
    let folder = open_folder();
    let data_dir = folder.path().join("host");
    let server = Server::builder().data_dir(&data_dir).start();
    server.admin();
    drop(server);
    (folder, data_dir)
}

fn url(host_dir: &Path, database: &str) -> String {
    format!("postgres://tessera@localhost/{database}?host={}", host_dir.join("run").display())
}

fn guest(host_dir: &Path) -> crate::support::ServerBuilder {
    Server::builder()
        .env("TESSERA_DATABASE_URL", &url(host_dir, "tessera"))
        .env("TESSERA_KEYS_FILE", &host_dir.join("keys.toml").to_string_lossy())
}

#[test]
fn server_serves_once_its_database_is_reachable_and_after_an_outage() {
    let (_folder, host_dir) = host_dir();
    let mut guest = guest(&host_dir).without_waiting().start();
    guest.get("/healthz").expect(200);
    let problem = guest.get("/readyz").expect(503);
    assert_eq!(problem.header("content-type"), Some("application/problem+json"));
    assert_eq!(problem.json()["code"], "unavailable");
    assert!(problem.header("retry-after").is_some());
    let page = guest.request("GET", "/").header("accept", "text/html").send().expect(503);
    assert!(page.text().contains("Tessera is starting"));
    guest.wait_for_line("Waiting for the database ");

    let host = Server::builder().data_dir(&host_dir).start();
    guest.wait_until_ready();
    guest.get("/readyz").expect(200);
    assert_eq!(guest.setup_link(), None);
    drop(host);

    until("the outage to be detected", || (guest.get("/readyz").status == 503).then_some(()));
    guest.get("/healthz").expect(200);
    let host = Server::builder().data_dir(&host_dir).start();
    until("readiness", || (guest.get("/readyz").status == 200).then_some(()));
    drop(host);
}

#[test]
fn token_of_one_server_is_valid_at_another_that_shares_database_and_keys() {
    let (_folder, host_dir) = host_dir();
    let host = Server::builder().data_dir(&host_dir).start();
    let guest = guest(&host_dir).start();
    let token = host.managing_token("workspace-1");
    guest.request("GET", "/api/v1/self").bearer(&token).send().expect(200);
    // The guest's commands need no data folder at all.
    assert!(guest.run(&["token", "list", "--workspace", "workspace-1"]).ok().contains("manager"));
    assert!(!guest.data_dir().exists());
}

#[test]
fn server_without_the_keys_of_its_database_is_refused_and_creates_none() {
    let (folder, host_dir) = host_dir();
    let _host = Server::builder().data_dir(&host_dir).start();
    let keys = folder.path().join("elsewhere/keys.toml");
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["workspace", "list"]] {
        let finished = Tessera::on(&folder.path().join("data"), arguments)
            .env("TESSERA_DATABASE_URL", &url(&host_dir, "tessera"))
            .env("TESSERA_KEYS_FILE", &keys.to_string_lossy())
            .run();
        assert_eq!(finished.status, 1, "{finished:?}");
        assert!(finished.stderr.contains("keys.toml is missing"), "{finished:?}");
        assert!(!keys.exists());
    }
}

#[test]
fn mistake_in_the_url_stops_the_server_instead_of_waiting_forever() {
    let (folder, host_dir) = host_dir();
    let _host = Server::builder().data_dir(&host_dir).start();
    let finished = Tessera::on(&folder.path().join("data"), &["serve", "--listen", "127.0.0.1:0"])
        .env("TESSERA_DATABASE_URL", &url(&host_dir, "nowhere"))
        .run();
    assert_eq!(finished.status, 1, "{finished:?}");
    assert!(finished.stderr.contains(r#"database "nowhere" does not exist"#), "{finished:?}");
}

#[test]
fn command_reports_an_unreachable_database_in_one_line() {
    let (folder, host_dir) = host_dir();
    let line = Tessera::on(&folder.path().join("data"), &["workspace", "list"])
        .env("TESSERA_DATABASE_URL", &url(&host_dir, "tessera"))
        .env("TESSERA_KEYS_FILE", &host_dir.join("keys.toml").to_string_lossy())
        .run()
        .refused(1);
    assert!(line.contains("the database cannot be reached"), "{line}");
}

#[test]
fn server_that_waits_for_its_database_stops_on_a_signal() {
    let (_folder, host_dir) = host_dir();
    let guest = guest(&host_dir).without_waiting().start();
    guest.get("/readyz").expect(503);
    let (status, _) = guest.stop();
    assert!(status.success(), "{status}");
}

/// A standby accepts no writes and answers `BEGIN … READ WRITE` with a special error. The server
/// waits for it as for an unavailable database.
#[test]
fn server_that_starts_before_its_standby_is_promoted_waits_for_it() {
    let mut cluster = Cluster::new();
    let signal = cluster.folder().join("house/postgres/standby.signal");
    fs::write(&signal, "").unwrap();
    cluster.give(&signal);
    cluster.start(&[("hot_standby", "on")]);
    let mut guest = cluster.guest(&cluster.url()).without_waiting().start();
    for _ in 0..3 {
        guest.get("/readyz").expect(503);
    }
    until("an attempt", || guest.stderr().contains("during recovery").then_some(()));
    cluster.sql("SELECT pg_promote()");
    guest.wait_until_ready();
    guest.get("/readyz").expect(200);
    guest.managing_token("workspace-1");
}
