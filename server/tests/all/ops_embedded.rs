//! The embedded database: it keeps data, starts and stops with the server, and recovers after a
//! crash.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use crate::support::{
    Server, Tessera,
    process::{is_alive, is_root, kill, owner, postmaster},
    server::{ADMIN_EMAIL, ADMIN_PASSWORD, open_folder},
    wait::until,
};
use rustix::process::Signal;

#[test]
fn second_start_finds_the_data_of_the_first() {
    let server = Server::embedded();
    assert!(server.setup_link().is_some_and(|link| link.starts_with(&server.url())));
    server.admin();
    server.run(&["workspace", "create", "--name", "Kept"]).ok();
    let data_dir = server.data_dir().to_owned();
    let (status, folder) = server.stop();
    assert!(status.success(), "{status}");

    let server = Server::builder().data_dir(&data_dir).start();
    assert_eq!(server.setup_link(), None);
    assert!(server.run(&["workspace", "list"]).ok().contains("kept"));
    drop(server);
    drop(folder);
}

#[test]
fn every_signal_that_stops_the_server_also_shuts_its_database_down_cleanly() {
    let server = Server::embedded();
    let data_dir = server.data_dir().to_owned();
    let (_, _folder) = server.stop();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut server = Server::builder().data_dir(&data_dir).start();
        let pid = postmaster(&data_dir).expect("a postmaster");
        server.signal(signal);
        assert!(server.wait().success(), "{signal:?}: {}", server.stderr());
        assert!(!is_alive(pid), "{signal:?}");
        assert_eq!(postmaster(&data_dir), None, "{signal:?}");
    }
    let log = fs::read_to_string(data_dir.join("postgres.log")).expect("a log");
    assert!(!log.contains("not properly shut down"), "{log}");
}

#[test]
fn next_server_takes_over_the_database_of_a_killed_one() {
    let server = Server::embedded();
    server.admin();
    let data_dir = server.data_dir().to_owned();
    let orphan = postmaster(&data_dir).expect("a postmaster");
    let folder = server.kill();
    assert!(is_alive(orphan));

    let server = Server::builder().data_dir(&data_dir).start();
    assert!(server.stdout().contains(&format!("Stopping PostgreSQL process {orphan}")));
    assert!(!is_alive(orphan));
    assert!(server.run(&["workspace", "list"]).ok().contains("workspace-1"));
    drop(server);
    drop(folder);
}

#[test]
fn command_finds_the_data_that_a_killed_server_left() {
    let server = Server::embedded();
    server.admin();
    let data_dir = server.data_dir().to_owned();
    let orphan = postmaster(&data_dir).expect("a postmaster");
    let _folder = server.kill();
    assert!(Tessera::on(&data_dir, &["workspace", "list"]).run().ok().contains("workspace-1"));
    assert!(!is_alive(orphan));
    assert_eq!(postmaster(&data_dir), None);
}

#[test]
fn killed_postmaster_is_restarted_while_the_server_runs() {
    let server = Server::embedded();
    server.admin();
    server.get("/readyz").expect(200);
    for _ in 0..2 {
        let before = postmaster(server.data_dir()).expect("a postmaster");
        kill(before);
        until("another postmaster", || {
            postmaster(server.data_dir()).filter(|pid| *pid != before && is_alive(*pid))
        });
        until("readiness", || (server.get("/readyz").status == 200).then_some(()));
        assert_eq!(server.get("/healthz").status, 200);
    }
    assert!(server.run(&["workspace", "list"]).ok().contains("workspace-1"));
}

#[test]
fn server_starts_after_it_was_killed_together_with_its_postmaster() {
    let server = Server::embedded();
    server.admin();
    let data_dir = server.data_dir().to_owned();
    let postmaster = postmaster(&data_dir).expect("a postmaster");
    let _folder = server.kill();
    kill(postmaster);
    let server = Server::builder().data_dir(&data_dir).start();
    assert!(server.run(&["workspace", "list"]).ok().contains("workspace-1"));
}

#[test]
fn process_id_reused_by_another_process_does_not_prevent_a_start() {
    let server = Server::embedded();
    let data_dir = server.data_dir().to_owned();
    let pid_file = data_dir.join("postgres/postmaster.pid");
    let text = fs::read_to_string(&pid_file).expect("there");
    let found = fs::metadata(&pid_file).expect("there");
    let (_, _folder) = server.stop();

    let mut command = Command::new("sleep");
    command.arg("600");
    if is_root() {
        command.uid(found.uid()).gid(found.gid());
    }
    let mut stranger = command.spawn().expect("every system has sleep");
    let rest = text.split_once('\n').expect("lines").1;
    fs::write(&pid_file, format!("{}\n{rest}", stranger.id())).expect("ours");
    chown(&pid_file, Some(found.uid()), Some(found.gid())).expect("ours");

    let server = Server::builder().data_dir(&data_dir).start();
    server.get("/readyz").expect(200);
    assert!(stranger.try_wait().expect("our child").is_none(), "the other process still runs");
    stranger.kill().expect("our child");
    stranger.wait().expect("our child");
}

#[test]
fn second_server_on_the_same_folder_is_refused_in_one_line() {
    let server = Server::embedded();
    let line =
        Tessera::on(server.data_dir(), &["serve", "--listen", "127.0.0.1:0"]).run().refused(1);
    assert!(
        line.contains(&format!("in use by another Tessera server (process {})", server.pid())),
        "{line}"
    );
    server.get("/readyz").expect(200);
}

#[test]
fn files_are_private_and_the_database_never_runs_as_root() {
    let server = Server::embedded();
    let mode = |name: &str| {
        let path = server.data_dir().join(name);
        fs::metadata(path).expect("the file exists").permissions().mode() & 0o777
    };
    assert_eq!(mode("keys.toml"), 0o600);
    assert_eq!(mode("postgres"), 0o700);
    assert_eq!(mode("run"), 0o700);
    assert_eq!(mode("postgres.log"), 0o600);
    let pid = postmaster(server.data_dir()).expect("a postmaster");
    assert_ne!(owner(pid), 0);
    assert_eq!(owner(pid), fs::metadata(server.data_dir().join("postgres")).expect("there").uid());
    let options =
        fs::read_to_string(server.data_dir().join("postgres/postmaster.opts")).expect("there");
    for needed in ["listen_addresses=", "fsync=on", "full_page_writes=on"] {
        assert!(options.contains(needed), "{options}");
    }
}

#[test]
fn data_folder_with_a_long_path_works_with_a_socket_elsewhere() {
    let folder = open_folder();
    let data_dir = folder.path().join("a".repeat(60)).join("b".repeat(60)).join("data");
    let server = Server::builder().data_dir(&data_dir).start();
    server.admin();
    let text = fs::read_to_string(data_dir.join("postgres/postmaster.pid")).expect("there");
    let socket = text.lines().nth(4).expect("the folder of the socket").to_owned();
    assert!(socket.starts_with("/tmp/tessera-"), "{socket}");
    assert_eq!(fs::metadata(&socket).expect("there").permissions().mode() & 0o777, 0o700);
    assert!(server.run(&["workspace", "list"]).ok().contains("workspace-1"));
    drop(server);
    fs::remove_dir_all(&socket).expect("it is empty");
}

#[test]
fn interrupted_first_start_is_repeated() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    fs::create_dir_all(data_dir.join("postgres.draft-1/base")).expect("a folder");
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o711)).expect("ours");
    let server = Server::builder().data_dir(&data_dir).start();
    server.get("/readyz").expect(200);
    assert!(!data_dir.join("postgres.draft-1").exists());
}

#[test]
fn setup_link_is_printed_and_never_logged() {
    let server = Server::embedded();
    let secret = server.setup_secret();
    assert_eq!(secret.len(), 43);
    assert!(!server.stderr().contains(secret));
    let second = Server::embedded();
    assert_ne!(second.setup_secret(), secret);
}

#[test]
fn lost_or_foreign_keys_are_refused_and_never_replaced() {
    let server = Server::embedded();
    server.admin();
    let data_dir = server.data_dir().to_owned();
    let (_, _folder) = server.stop();
    let keys = data_dir.join("keys.toml");
    let text = fs::read_to_string(&keys).expect("keys");

    fs::remove_file(&keys).expect("ours");
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["workspace", "list"]] {
        let line = Tessera::on(&data_dir, arguments).run().refused(1);
        assert!(line.contains("keys.toml is missing"), "{line}");
        assert!(!keys.exists());
    }

    // The keys of another instance.
    let other = Server::embedded();
    fs::copy(other.data_dir().join("keys.toml"), &keys).expect("ours");
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["workspace", "list"]] {
        let finished = Tessera::on(&data_dir, arguments).run();
        assert_eq!(finished.status, 1, "{finished:?}");
        assert!(
            finished.stderr.contains("the keys file does not match this database"),
            "{finished:?}"
        );
        assert_eq!(postmaster(&data_dir), None);
    }

    fs::write(&keys, text).expect("ours");
    drop(Server::builder().data_dir(&data_dir).start());
}

#[test]
fn missing_programs_are_reported_with_how_to_install_them() {
    let folder = open_folder();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    let line = Tessera::on(&folder.path().join("data"), &["serve", "--postgres-bin-dir"])
        .argument(&empty.to_string_lossy())
        .env("PATH", "")
        .run()
        .refused(1);
    for way_out in
        ["apt-get install postgresql", "dnf install postgresql-server", "brew install postgresql"]
    {
        assert!(line.contains(way_out), "{line}");
    }
}

#[test]
fn database_of_another_version_is_refused_with_both_versions() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    fs::create_dir_all(data_dir.join("postgres")).expect("a folder");
    fs::write(data_dir.join("postgres/PG_VERSION"), "9\n").expect("ours");
    let line = Tessera::on(&data_dir, &["serve", "--listen", "127.0.0.1:0"]).run().refused(1);
    assert!(line.contains("was created by PostgreSQL 9, but only PostgreSQL "), "{line}");
}

#[test]
fn folder_that_the_database_user_cannot_reach_is_refused_with_an_alternative() {
    if !is_root() {
        return;
    }
    let folder = open_folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("ours");
    let data_dir = folder.path().join("data");
    let line = Tessera::on(&data_dir, &["serve", "--listen", "127.0.0.1:0"]).run().refused(1);
    assert!(line.contains("--data-dir /var/lib/tessera"), "{line}");
    assert!(line.contains(&folder.path().to_string_lossy().into_owned()), "{line}");
}

/// As on `OpenShift`. `initdb` looks up the name of its user ID.
#[test]
fn user_id_without_a_name_needs_nss_wrapper() {
    const UID: u32 = 1_234_567;
    let folder = open_folder();
    // A path where this user can run the program.
    let program = folder.path().join("tessera");
    fs::copy(env!("CARGO_BIN_EXE_tessera"), &program).expect("room for it");
    let data_dir = folder.path().join("data");
    fs::create_dir(&data_dir).expect("ours");
    if is_root() {
        chown(&data_dir, Some(UID), Some(UID)).expect("root may");
    }
    let run = |arguments: &[&str], input: &str| {
        Tessera::on(&data_dir, arguments).nameless(UID, &program).input(input).run()
    };
    let admin = ["admin", "create", "--email", ADMIN_EMAIL, "--name", "Ada"];

    let wrapped =
        ["/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
            .iter()
            .any(|folder| Path::new(folder).join("libnss_wrapper.so").exists());
    if wrapped {
        run(&admin, ADMIN_PASSWORD).ok();
        assert!(run(&["workspace", "list"], "").ok().contains("workspace-1"));
        return;
    }
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &admin] {
        let finished = run(arguments, ADMIN_PASSWORD);
        assert_eq!(finished.status, 1, "{finished:?}");
        for cure in ["libnss-wrapper", "1234567", "/etc/passwd", "TESSERA_DATABASE_URL"] {
            assert!(finished.stderr.contains(cure), "{finished:?}");
        }
    }
    let doctor = run(&["doctor"], "");
    let line = doctor.stdout.lines().find(|line| line.contains("PostgreSQL")).unwrap_or_default();
    assert!(line.starts_with("fail") && line.contains("libnss-wrapper"), "{doctor:?}");
    assert!(!data_dir.join("postgres").exists());
}
