//! Connects keys, database, clock and randomness. The server and every command share this code, so
//! that both see the same tokens.

use std::{path::Path, sync::Arc, time::Duration};

use authority::{
    Actor, Authority, Drill, OpContext, ServiceError, Settings, Surface, clock::SystemClock,
    entropy::SystemEntropy, store,
};
use thiserror::Error;
use tokio::time::sleep;

use crate::{
    config::Config,
    data_folder::{
        FolderError, Holder, KeysFile, KeysFileError, Lock, LockError, MissingKeys, Use,
    },
    database::{Urls, chain, describe},
    postgres::{Embedded, PostgresError},
};

/// How long a server waits for a command that uses the data folder.
const PATIENCE: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(50);

/// The reasons why the core cannot start or cannot be used.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Keys(#[from] KeysFileError),
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    #[error("database_url {0}")]
    Url(#[from] store::UrlError),
    /// The database rejects Tessera's connection, and waiting cannot change that.
    #[error("the database {place} refuses this connection: {}", chain(.cause))]
    Refused {
        /// Host, port and name.
        place: String,
        cause: store::StoreError,
    },
    /// An error of either database, embedded or external.
    #[error("{}", describe(.0))]
    Service(#[from] ServiceError),
}

/// Creates the core for this database and these keys. It does not query the database yet.
pub(crate) fn authority(
    config: &Config,
    urls: &Urls,
    keys: &KeysFile,
) -> Result<Authority, StartError> {
    let pool = store::connect(urls.serving.expose(), config.database_max_connections)?;
    let settings = Settings {
        session_idle: config.session_idle,
        session_absolute: config.session_absolute,
        cached_tokens: config.cached_tokens,
        unknown_token_rate: config.unknown_token_rate,
        public_host: config.public_url.host_str().unwrap_or_default().to_owned(),
        stale_grace: config.stale_grace.unsigned_abs(),
        drill: drill(),
        ..Settings::default()
    };
    Ok(Authority::new(pool, keys.keys()?, Arc::new(SystemClock), Arc::new(SystemEntropy), settings))
}

/// Returns the mechanisms that a drill switches off. A release build ignores these variables.
fn drill() -> Drill {
    let set = |name| cfg!(debug_assertions) && std::env::var_os(name).is_some();
    Drill {
        without_lease: set("TESSERA_DRILL_WITHOUT_LEASE"),
        without_notify: set("TESSERA_DRILL_WITHOUT_NOTIFY"),
        without_history: set("TESSERA_DRILL_WITHOUT_HISTORY"),
    }
}

/// Returns how long every managing request blocks its thread in a drill, which shows that no
/// verification waits for such a thread.
pub(crate) fn stall() -> Option<Duration> {
    if !cfg!(debug_assertions) {
        return None;
    }
    let text = std::env::var("TESSERA_DRILL_STALL_MS").ok()?;
    text.parse().ok().map(Duration::from_millis)
}

/// Opens the keys file. New keys are created only if no database can contain tokens that were
/// created with other keys.
pub(crate) fn keys(config: &Config, missing: MissingKeys) -> Result<KeysFile, StartError> {
    let keys = KeysFile::open(&config.keys_file, missing, &SystemEntropy)?;
    if keys.is_exposed() && keys.make_private(&config.data_dir) {
        tracing::warn!(
            file = %config.keys_file.display(),
            "other users could read the keys file; its mode was reset to 600"
        );
    } else if keys.is_exposed() {
        tracing::warn!(
            file = %config.keys_file.display(),
            "other users can read the keys file: set its mode to 600"
        );
    }
    Ok(keys)
}

/// Decides what happens if the keys of an embedded database are missing.
pub(crate) fn missing_keys_of_embedded(data_dir: &Path) -> MissingKeys {
    if Embedded::exists(data_dir) { MissingKeys::Refuse } else { MissingKeys::Make }
}

/// Brings the schema up to date and checks that the keys belong to this database. Then it writes
/// keys that were only proposed.
pub(crate) async fn settle(
    authority: &Authority,
    urls: &Urls,
    keys: &KeysFile,
    config: &Config,
) -> Result<(), StartError> {
    settle_tables(authority, urls).await?;
    match authority.check_keys().await {
        // Newly generated keys never belong to a database that is already in use.
        Err(ServiceError::Internal(_)) if keys.is_unwritten() => {
            return Err(KeysFileError::Missing(config.keys_file.clone()).into());
        }
        checked => checked?,
    }
    // The log must begin with keys that were saved.
    keys.keep()?;
    Ok(authority.begin_log().await?)
}

/// Runs the part of the migration that needs no keys.
pub(crate) async fn settle_tables(authority: &Authority, urls: &Urls) -> Result<(), StartError> {
    authority.check_database().await?;
    if let Some(owner) = &urls.owner {
        store::migrate_as_owner(owner.expose(), urls.serving.expose()).await?;
    }
    Ok(authority.migrate_tables().await?)
}

/// Takes the lock for a server. Waits while a command holds it, and fails if another server holds
/// it.
pub(crate) async fn lock_for_server(
    data_dir: &Path,
    tell: impl Fn(&str),
) -> Result<Lock, StartError> {
    let mut told = false;
    for _ in 0..(PATIENCE.as_millis() / STEP.as_millis()) {
        match Lock::take(data_dir, Use::Serve) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Held { holder: Some(Holder { what: Use::Command, pid }), .. }) => {
                if !told {
                    tell(&format!("Waiting for a tessera command (process {pid}) to finish"));
                    told = true;
                }
            }
            // The holder has just taken the lock and has not written its name yet.
            Err(LockError::Held { holder: None, .. }) => {}
            Err(error) => return Err(error.into()),
        }
        sleep(STEP).await;
    }
    Ok(Lock::take(data_dir, Use::Serve)?)
}

/// Returns the context of a command, or of work that the server does on its operator's behalf.
pub(crate) fn operator(authority: &Authority) -> OpContext {
    authority.context(Actor::Operator, Surface::Cli, authority.request_id(), None)
}
