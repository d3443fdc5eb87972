//! Tests of the precedence of sources, and of invalid values.

use std::{ffi::OsString, fs, path::Path};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    layers::{self, parse_file},
    *,
};

fn inputs(folder: &Path) -> Inputs {
    Inputs {
        config_flag: None,
        flags: Vec::new(),
        environment: Vec::new(),
        folder: folder.to_owned(),
        obstacle: |_| None,
    }
}

fn variable(name: &str, value: &str) -> (OsString, OsString) {
    (name.into(), value.into())
}

fn folder_with(file: &str, text: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    folder
}

#[test]
fn defaults_are_complete() {
    let config = Config::load(&inputs(Path::new("/srv"))).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.data_dir, Path::new("/srv/data"));
    assert_eq!(config.keys_file, Path::new("/srv/data/keys.toml"));
    assert_eq!(config.public_origin(), "http://127.0.0.1:3000");
    assert!(config.database_url.is_none() && config.trusted_proxies.is_empty());
    assert_eq!(config.source(Setting::Listen), Source::Default);
}

#[test]
fn flag_beats_variable_beats_file_beats_default() {
    let folder = folder_with(
        "data/tessera.toml",
        "listen = '127.0.0.1:1'\nlog = 'warn'\nlog_format = 'json'",
    );
    let mut inputs = inputs(folder.path());
    inputs.environment =
        vec![variable("TESSERA_LISTEN", "127.0.0.1:2"), variable("TESSERA_LOG", "debug")];
    inputs.flags = vec![(Setting::Listen, Raw::One("127.0.0.1:3".into()))];
    let config = Config::load(&inputs).unwrap();
    assert_eq!((config.listen.port(), config.log.as_str()), (3, "debug"));
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.source(Setting::Listen).to_string(), "flag --listen");
    assert_eq!(config.source(Setting::Log).to_string(), "environment TESSERA_LOG");
    assert_eq!(
        config.source(Setting::LogFormat),
        Source::File(folder.path().join("data/tessera.toml"))
    );
}

#[test]
fn named_file_replaces_the_one_in_the_data_folder() {
    let folder = folder_with("data/tessera.toml", "listen = '127.0.0.1:1'");
    fs::write(folder.path().join("other.toml"), "log = 'warn'").unwrap();
    for by_flag in [true, false] {
        let mut inputs = inputs(folder.path());
        if by_flag {
            inputs.config_flag = Some("other.toml".into());
        } else {
            inputs.environment = vec![variable("TESSERA_CONFIG", "other.toml")];
        }
        let config = Config::load(&inputs).unwrap();
        assert_eq!((config.listen.port(), config.log.as_str()), (3000, "warn"));
    }
}

#[test]
fn paths_in_a_file_are_relative_to_it() {
    let folder = folder_with("etc/t.toml", "data_dir = '../store'\n[keys]\nfile = 'k.toml'");
    let mut inputs = inputs(Path::new("/elsewhere"));
    inputs.config_flag = Some(folder.path().join("etc/t.toml"));
    let config = Config::load(&inputs).unwrap();
    assert_eq!(config.data_dir, folder.path().join("etc/../store"));
    assert_eq!(config.keys_file, folder.path().join("etc/k.toml"));
}

#[test]
fn nested_and_flat_keys_are_equivalent_but_exclusive() {
    let path = Path::new("t.toml");
    let nested =
        parse_file(path, "[database]\nurl = 'postgres://h/d'\nmax_connections = 7").unwrap();
    assert_eq!(nested[&Setting::DatabaseMaxConnections], Raw::One("7".into()));
    let error = parse_file(path, "database_url = 'a'\n[database]\nurl = 'b'").unwrap_err();
    assert!(error.to_string().contains("keep one"), "{error}");
}

#[test]
fn unknown_setting_is_reported_with_a_suggestion() {
    let folder = folder_with("data/tessera.toml", "[database]\nurls = 'x'");
    let error = Config::load(&inputs(folder.path())).unwrap_err().to_string();
    assert!(error.contains("unknown setting database.urls in "), "{error}");
    assert!(error.ends_with("did you mean database_url?"), "{error}");

    let mut inputs = inputs(Path::new("/srv"));
    inputs.environment = vec![variable("TESSERA_LISEN", "x")];
    let error = Config::load(&inputs).unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown setting TESSERA_LISEN in the environment; did you mean TESSERA_LISTEN?"
    );
}

#[test]
fn secret_is_read_from_a_separate_file_but_not_from_two_sources() {
    let folder = folder_with("url", "postgres://u:p@h/d\n");
    let file = folder.path().join("url");
    let mut inputs = inputs(folder.path());
    inputs.environment = vec![variable("TESSERA_DATABASE_URL_FILE", file.to_str().unwrap())];
    let config = Config::load(&inputs).unwrap();
    assert_eq!(config.database_url.as_ref().unwrap().expose(), "postgres://u:p@h/d");
    assert!(!format!("{:?}", config.database_url).contains("u:p@"));
    let shown = effective(&config).into_iter().find(|row| row.setting == "database_url").unwrap();
    assert_eq!(shown.value.as_deref(), Some("postgres://u:***@h/d"));

    inputs.environment.push(variable("TESSERA_DATABASE_URL", "postgres://h/d"));
    assert!(matches!(Config::load(&inputs), Err(ConfigError::Twice { .. })));
    inputs.environment = vec![variable("TESSERA_LISTEN_FILE", "x")];
    assert!(matches!(Config::load(&inputs), Err(ConfigError::Unknown { .. })));
}

#[test]
fn empty_variable_is_ignored() {
    let mut inputs = inputs(Path::new("/srv"));
    inputs.environment = vec![variable("TESSERA_DATABASE_URL", "")];
    assert!(Config::load(&inputs).unwrap().database_url.is_none());
}

#[test]
fn tessera_url_is_not_a_setting() {
    let mut inputs = inputs(Path::new("/srv"));
    inputs.environment = vec![variable("TESSERA_URL", "http://127.0.0.1:9")];
    let config = Config::load(&inputs).unwrap();
    assert_eq!(config.public_origin(), "http://127.0.0.1:3000");
}

#[test]
fn kubernetes_service_variables_are_not_settings() {
    let mut inputs = inputs(Path::new("/srv"));
    let variables = [
        ("TESSERA_SERVICE_HOST", "10.0.0.1"),
        ("TESSERA_SERVICE_PORT", "3000"),
        ("TESSERA_SERVICE_PORT_HTTP", "3000"),
        ("TESSERA_PORT", "tcp://10.0.0.1:3000"),
        ("TESSERA_PORT_3000_TCP", "tcp://10.0.0.1:3000"),
        ("TESSERA_PORT_3000_TCP_PROTO", "tcp"),
        ("TESSERA_PORT_3000_TCP_PORT", "3000"),
        ("TESSERA_PORT_3000_TCP_ADDR", "10.0.0.1"),
        ("TESSERA_POSTGRES_SERVICE_HOST", "fd00::1"),
        ("TESSERA_POSTGRES_PORT_5432_TCP_ADDR", "10.0.0.1"),
    ];
    inputs.environment = variables.map(|(name, value)| variable(name, value)).to_vec();
    assert_eq!(Config::load(&inputs).unwrap().listen.port(), 3000);
    for name in [
        "TESSERA_PORT",
        "TESSERA_LISTEN_PORT",
        "TESSERA_LISTEN_PORTS",
        "TESSERA_HOST",
        "TESSERA_PORT_TCP",
        "TESSERA_PORT_3000",
    ] {
        inputs.environment = vec![variable(name, "3000")];
        assert!(matches!(Config::load(&inputs), Err(ConfigError::Unknown { .. })), "{name}");
    }
    // None of these variables hides a setting.
    for setting in Setting::ALL {
        for value in ["tcp://10.0.0.1:3000", "10.0.0.1", "3000"] {
            let name = setting.variable();
            assert!(!layers::is_of_a_service(&name, value), "{name}");
        }
    }
}

#[test]
fn invalid_value_is_reported_with_its_setting_and_source() {
    let mut inputs = inputs(Path::new("/srv"));
    inputs.environment = vec![variable("TESSERA_SESSION_IDLE", "soon")];
    let error = Config::load(&inputs).unwrap_err();
    assert_eq!(
        error.to_string(),
        "session_idle (environment TESSERA_SESSION_IDLE) must be a duration such as 30m, 12h or 30d"
    );
    assert!(!error.is_usage());
    inputs.flags = vec![(Setting::SessionIdle, Raw::One("soon".into()))];
    assert!(Config::load(&inputs).unwrap_err().is_usage());
    inputs.flags = vec![(Setting::SessionIdle, Raw::One("13h".into()))];
    assert!(Config::load(&inputs).unwrap_err().to_string().contains("session_absolute"));
}

#[test]
fn syntax_error_does_not_quote_the_file() {
    let error =
        parse_file(Path::new("t.toml"), "listen = 'x'\ndatabase_url = 'postgres://u:geheim@h/d\n")
            .unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("t.toml line 2: ") && !text.contains("geheim"), "{text}");
}

#[test]
fn file_in_the_data_folder_cannot_move_the_data_folder() {
    let folder = folder_with("data/tessera.toml", "data_dir = 'elsewhere'");
    let error = Config::load(&inputs(folder.path())).unwrap_err();
    assert!(error.to_string().contains("data_dir"), "{error}");
}

#[test]
fn unusable_default_data_folder_is_replaced_by_the_system_folder() {
    let mut inputs = inputs(Path::new("/closed/x"));
    inputs.obstacle = |_| Some("of a closed door".into());
    let config = Config::load(&inputs).unwrap();
    assert_eq!(config.data_dir, Path::new(SYSTEM_DATA_DIR));
    assert_eq!(config.source(Setting::DataDir).to_string(), "default, because of a closed door");
    // An explicitly configured folder or database is always used.
    inputs.flags = vec![(Setting::DataDir, Raw::One("d".into()))];
    assert_eq!(Config::load(&inputs).unwrap().data_dir, Path::new("/closed/x/d"));
    inputs.flags = vec![(Setting::DatabaseUrl, Raw::One("postgres://h/d".into()))];
    assert_eq!(Config::load(&inputs).unwrap().data_dir, Path::new("/closed/x/data"));
}

#[test]
fn bound_address_appears_in_the_public_url_unless_configured() {
    let real = "0.0.0.0:4242".parse().unwrap();
    let mut inputs = inputs(Path::new("/srv"));
    inputs.flags = vec![(Setting::Listen, Raw::One("0.0.0.0:0".into()))];
    let config = Config::load(&inputs).unwrap().bound(real);
    assert_eq!(config.public_origin(), "http://127.0.0.1:4242");
    inputs.flags.push((Setting::PublicUrl, Raw::One("https://t.example".into())));
    assert_eq!(Config::load(&inputs).unwrap().bound(real).public_origin(), "https://t.example");
}

#[test]
fn lists_are_read_from_variables_and_files() {
    let folder = folder_with("data/tessera.toml", "trusted_proxies = ['10.0.0.0/8', '::1']");
    let from_file = Config::load(&inputs(folder.path())).unwrap().trusted_proxies;
    let mut inputs = inputs(Path::new("/srv"));
    inputs.environment = vec![variable("TESSERA_TRUSTED_PROXIES", "10.0.0.0/8, ::1")];
    assert_eq!(Config::load(&inputs).unwrap().trusted_proxies, from_file);
    assert_eq!(from_file.len(), 2);
}

proptest! {
    #[test]
    fn reading_any_file_never_panics(text in any::<String>()) {
        let _ = parse_file(Path::new("t.toml"), &text);
    }

    #[test]
    fn reading_any_variable_never_panics(name in "[A-Z_]{0,30}", value in any::<String>()) {
        let mut inputs = inputs(Path::new("/srv"));
        inputs.environment = vec![variable(&format!("TESSERA_{name}"), &value.replace('\0', ""))];
        let _ = Config::load(&inputs);
    }
}
