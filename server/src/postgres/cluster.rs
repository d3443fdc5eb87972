//! Creates the database once.
//!
//! Everything happens in a draft folder that is renamed at the end, so an interrupted first start
//! leaves nothing that looks like a database.

use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::{DirBuilderExt as _, OpenOptionsExt as _},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
};

use super::{Binaries, PostgresError, account::Account, folder::Folder};

/// Prints a message for people about a slow step.
pub(super) type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// The first version with a built-in locale that sorts by code point and classifies Unicode
/// letters.
const BUILTIN_LOCALE: u32 = 17;

/// Creates the cluster with the role and the database `tessera`.
pub(super) async fn make(
    binaries: &Binaries,
    account: &Account,
    folder: &Folder,
    progress: &Progress,
) -> Result<(), PostgresError> {
    progress(&format!(
        "Creating the database with PostgreSQL {} in {} (first start only)",
        binaries.version,
        folder.cluster.display()
    ));
    let (binaries, account, folder) = (binaries.clone(), account.clone(), folder.clone());
    let made =
        tokio::task::spawn_blocking(move || make_blocking(&binaries, &account, &folder)).await;
    made.unwrap_or_else(|error| {
        Err(PostgresError::Program { program: "initdb", said: error.to_string() })
    })
}

fn make_blocking(
    binaries: &Binaries,
    account: &Account,
    folder: &Folder,
) -> Result<(), PostgresError> {
    forget_drafts(&folder.cluster);
    // A unique name, because programs of a killed first start may still write into their draft.
    let draft = folder.cluster.with_extension(format!("draft-{}", std::process::id()));
    let mut refused = None;
    for locale in locales(binaries.version) {
        fresh(&draft, account)?;
        let output = initdb(binaries, account, &draft, locale)?;
        if output.status.success() {
            create_database(binaries, account, &draft)?;
            // The role that owns the files can read them without a password, so it needs none on
            // the socket either. See process.rs for who can reach the socket.
            write_access_rules(&draft, account)?;
            return fs::rename(&draft, &folder.cluster)
                .map_err(PostgresError::io("rename", &draft));
        }
        refused = Some(failure("initdb", &output));
    }
    let _ = fs::remove_dir_all(&draft);
    Err(refused
        .unwrap_or(PostgresError::Program { program: "initdb", said: "no locale".to_owned() }))
}

/// Returns the locales to try. They sort by code point (upgrades of system libraries can change
/// other orders, which breaks indexes), and classify Unicode letters if the system can.
fn locales(version: u32) -> &'static [&'static [&'static str]] {
    const PLAIN: &[&str] = &["--no-locale"];
    const SYSTEM: &[&str] = &["--locale=C.UTF-8"];
    const BUILTIN: &[&str] =
        &["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
    if version >= BUILTIN_LOCALE { &[BUILTIN, SYSTEM, PLAIN] } else { &[SYSTEM, PLAIN] }
}

/// Removes the drafts of interrupted starts, as far as possible.
fn forget_drafts(cluster: &Path) {
    let entries = cluster.parent().and_then(|parent| fs::read_dir(parent).ok());
    let prefix = cluster.with_extension("draft");
    for entry in entries.into_iter().flatten().flatten() {
        let path = entry.path();
        if path.as_os_str().as_encoded_bytes().starts_with(prefix.as_os_str().as_encoded_bytes()) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

fn fresh(draft: &Path, account: &Account) -> Result<(), PostgresError> {
    match fs::remove_dir_all(draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(PostgresError::io("remove", draft)(error));
        }
        _ => {}
    }
    fs::DirBuilder::new()
        .mode(0o700)
        .create(draft)
        .map_err(PostgresError::io("create the folder", draft))?;
    account.own(draft)
}

fn initdb(
    binaries: &Binaries,
    account: &Account,
    draft: &Path,
    locale: &[&str],
) -> Result<Output, PostgresError> {
    let mut command = command(binaries, "initdb", account);
    command
        .arg("--pgdata")
        .arg(draft)
        .args(["--username=tessera", "--encoding=UTF8", "--data-checksums", "--auth=trust"])
        .args(locale)
        .arg("--lc-messages=C")
        .stdin(Stdio::null());
    let program = binaries.program("initdb");
    named(account, &mut command, draft, |command| {
        command.output().map_err(PostgresError::io("run", &program))
    })
}

/// Runs a command that looks up the name of its user ID, and supplies a name if the ID has none.
fn named<T>(
    account: &Account,
    command: &mut Command,
    draft: &Path,
    run: impl FnOnce(&mut Command) -> Result<T, PostgresError>,
) -> Result<T, PostgresError> {
    let names = account.name(command, &draft.with_extension("names"))?;
    let outcome = run(command);
    if let Some(names) = names {
        let _ = fs::remove_dir_all(names);
    }
    outcome
}

/// Runs `CREATE DATABASE` in single-user mode, which needs neither a server nor a client.
fn create_database(
    binaries: &Binaries,
    account: &Account,
    draft: &Path,
) -> Result<(), PostgresError> {
    let program = binaries.program("postgres");
    let mut command = command(binaries, "postgres", account);
    command
        .args(["--single", "-D"])
        .arg(draft)
        .args(["-c", "log_min_messages=warning", "-c", "exit_on_error=on", "postgres"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = named(account, &mut command, draft, |command| {
        let mut child = command.spawn().map_err(PostgresError::io("run", &program))?;
        if let Some(mut input) = child.stdin.take() {
            input
                .write_all(b"CREATE DATABASE tessera;\n")
                .map_err(PostgresError::io("write to", &program))?;
        }
        child.wait_with_output().map_err(PostgresError::io("run", &program))
    })?;
    if output.status.success() { Ok(()) } else { Err(failure("postgres", &output)) }
}

/// Writes access rules that accept only the socket and only Tessera's roles. This happens at every
/// start, because version 0.1 created databases with only one role.
pub(super) fn write_access_rules(cluster: &Path, account: &Account) -> Result<(), PostgresError> {
    const RULES: &str = "# Written by Tessera. The mode of the socket's folder keeps other users out.\n\
                         local  all          tessera         trust\n\
                         local  tessera      tessera_owner   trust\n\
                         local  tessera      tessera_server  trust\n\
                         local  replication  tessera         trust\n";
    let path = cluster.join("pg_hba.conf");
    // Writes a new file under another name: root must not follow a link that PostgreSQL's user may
    // have created.
    let draft = cluster.join("pg_hba.conf.tessera");
    let _ = fs::remove_file(&draft);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(PostgresError::io("write", &draft))?;
    file.write_all(RULES.as_bytes()).map_err(PostgresError::io("write", &draft))?;
    account.own(&draft)?;
    fs::rename(&draft, &path).map_err(PostgresError::io("rename", &draft))
}

/// Returns a command that runs a PostgreSQL program as the right user, without environment
/// variables of the caller that could redirect it (`PGDATA`, `PGOPTIONS`, `LC_ALL`, …).
pub(super) fn command(binaries: &Binaries, program: &str, account: &Account) -> Command {
    let mut command = Command::new(binaries.program(program));
    command
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", binaries.folder.display()))
        .env("LC_ALL", "C")
        // The other user may not be able to enter the caller's folder.
        .current_dir("/")
        // Ctrl+C on the terminal is meant for Tessera, which stops its database when it no longer
        // needs it.
        .process_group(0);
    for name in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    account.run(&mut command);
    command
}

fn failure(program: &'static str, output: &Output) -> PostgresError {
    let said = String::from_utf8_lossy(&output.stderr);
    let telling =
        said.lines().map(str::trim).filter(|line| !line.is_empty()).find(|line| {
            ["error", "FATAL", "PANIC", "ERROR"].iter().any(|word| line.contains(word))
        });
    let said = telling.or_else(|| said.lines().next_back()).unwrap_or("it printed nothing").trim();
    PostgresError::Program { program, said: format!("{said} ({})", output.status) }
}
