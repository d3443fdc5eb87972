//! The configuration from the users' point of view.

use std::{fs, net::TcpListener};

use crate::support::{Tessera, server::open_folder};
use serde_json::Value;

#[test]
fn check_prints_values_and_sources_without_secrets() {
    let folder = open_folder();
    let file = folder.path().join("t.toml");
    fs::write(&file, "log = 'warn'\n[database]\nurl = 'postgres://u:geheim@db.example/t'\n")
        .expect("ours");
    let check = |arguments: &[&str]| {
        Tessera::new(arguments)
            .folder(folder.path())
            .env("TESSERA_CONFIG", "t.toml")
            .env("TESSERA_SESSION_IDLE", "30m")
            .run()
            .ok()
    };
    let text = check(&["config", "check", "--listen", "127.0.0.1:4000"]);
    assert!(!text.contains("geheim"), "{text}");
    for (setting, value, from) in [
        ("listen", "127.0.0.1:4000", "flag --listen"),
        ("session_idle", "30m", "environment TESSERA_SESSION_IDLE"),
        ("log ", "warn", "t.toml"),
        ("database_url", "postgres://u:***@db.example/t", "t.toml"),
        ("session_absolute", "12h", "default"),
        ("public_url", "http://127.0.0.1:4000", "default"),
    ] {
        let line = text.lines().find(|line| line.starts_with(setting)).expect("a separate line");
        assert!(line.contains(value) && line.contains(from), "{line}");
    }
    let json = check(&["config", "check", "--json"]);
    assert!(!json.contains("geheim"));
    let rows: Value = serde_json::from_str(&json).expect("JSON");
    assert!(
        rows.as_array().is_some_and(|rows| rows.iter().any(|row| row["setting"] == "keys_file"))
    );
}

#[test]
fn unknown_key_and_unknown_variable_are_refused_with_the_nearest_known_one() {
    let folder = open_folder();
    fs::write(folder.path().join("t.toml"), "lissen = '127.0.0.1:1'").expect("ours");
    let line =
        Tessera::new(&["serve", "--config", "t.toml"]).folder(folder.path()).run().refused(1);
    assert!(
        line.contains("unknown setting lissen") && line.contains("did you mean listen?"),
        "{line}"
    );
    let line = Tessera::new(&["serve"])
        .folder(folder.path())
        .env("TESSERA_DATABSE_URL", "postgres://u:geheim@h/d")
        .run()
        .refused(1);
    assert!(
        line.contains("did you mean TESSERA_DATABASE_URL?") && !line.contains("geheim"),
        "{line}"
    );
}

#[test]
fn bad_value_of_a_flag_is_a_usage_error_and_of_a_variable_a_failure() {
    let line = Tessera::new(&["config", "check", "--listen", "here"]).run().refused(2);
    assert!(line.contains("listen (flag --listen) must be an IP address and a port"), "{line}");
    let line = Tessera::new(&["config", "check"]).env("TESSERA_LISTEN", "here").run().refused(1);
    assert!(line.contains("environment TESSERA_LISTEN"), "{line}");
    assert_eq!(Tessera::new(&["config", "chek"]).run().status, 2);
}

#[test]
fn malformed_database_url_is_refused_without_being_quoted() {
    for url in ["geheim", "mysql://u:geheim@h/d"] {
        let line = Tessera::new(&["serve"]).env("TESSERA_DATABASE_URL", url).run().refused(1);
        assert!(line.contains("database_url") && !line.contains("geheim"), "{line}");
    }
}

#[test]
fn unencoded_password_is_never_shown() {
    let folder = open_folder();
    for (number, url) in [
        "postgres://u:12/Geheim@127.0.0.1:1/d",
        "postgres://u:12#Geheim@127.0.0.1:1/d",
        "postgres://u:12?Geheim@127.0.0.1:1/d",
        "postgres://u:?Geheim@127.0.0.1:1/d",
        "postgres://u:12?host=Geheim@127.0.0.1:1/d",
    ]
    .into_iter()
    .enumerate()
    {
        let data_dir = folder.path().join(number.to_string());
        for arguments in [&["config", "check"][..], &["doctor"], &["serve"]] {
            for variable in ["TESSERA_DATABASE_URL", "TESSERA_MIGRATION_DATABASE_URL"] {
                let run = Tessera::on(&data_dir, arguments).env(variable, url).run();
                let said = format!("{}{}", run.stdout, run.stderr);
                assert!(run.status != 0 && said.contains("percent-encode"), "{url}: {said}");
                assert!(!said.contains("Geheim"), "{url}: {said}");
            }
        }
    }
}

#[test]
fn port_in_use_is_reported_in_one_line_and_leaves_nothing_running() {
    let folder = open_folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let data_dir = folder.path().join("data");
    let line = Tessera::on(&data_dir, &["serve", "--listen", &address]).run().refused(1);
    assert!(
        line.contains(&format!("cannot listen on {address}: another program uses this port")),
        "{line}"
    );
    assert!(!data_dir.join("postgres").exists());
}
