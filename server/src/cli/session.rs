//! The connection of a command to the database: the server's database while the server runs,
//! otherwise one that the command starts and stops itself.

use std::time::Duration;

use authority::{Authority, OpContext};
use tokio::time::sleep;

use super::Failure;
use crate::{
    config::Config,
    data_folder::{self, KeysFile, Lock, LockError, MissingKeys, Use},
    database::Urls,
    output,
    postgres::{self, Embedded, Running},
    runtime::{self, StartError},
};

/// How long to wait for a server that is starting, or for another command.
const PATIENCE: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(50);

/// What a command expects to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// A database in use. If it does not exist, the command's data folder or URL is wrong.
    Existing,
    /// Nothing. Everything that is missing is created.
    Nothing,
    /// Nothing. Only tables are created. Keys are created only for an embedded database, which then
    /// has no other keys.
    Tables,
}

/// The core, connected to its database.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) authority: Authority,
    own: Option<(Running, Lock)>,
}

impl Session {
    /// Connects to the database.
    pub(super) async fn open(config: &Config, expect: Expect) -> Result<Self, Failure> {
        let (urls, own, missing) = match Urls::configured(config) {
            Some(urls) => {
                let missing = match expect {
                    Expect::Existing => MissingKeys::Refuse,
                    Expect::Nothing | Expect::Tables => MissingKeys::Propose,
                };
                (urls, None, missing)
            }
            None => embedded(config, expect).await?,
        };
        let opened = connect(config, expect, &urls, missing).await;
        match opened {
            Ok(authority) => Ok(Self { authority, own }),
            Err(failure) => {
                stop(own).await;
                Err(failure)
            }
        }
    }

    /// Returns the context of this command.
    pub(super) fn context(&self) -> OpContext {
        runtime::operator(&self.authority)
    }

    /// Writes buffered data, and stops a database that this command started.
    pub(super) async fn close(self) {
        self.authority.close().await;
        stop(self.own).await;
    }
}

/// Runs `command` between [`Session::open`] and [`Session::close`].
pub(super) async fn with<T>(
    config: &Config,
    expect: Expect,
    command: impl AsyncFnOnce(&Session) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let session = Session::open(config, expect).await?;
    let result = command(&session).await;
    session.close().await;
    result
}

async fn stop(own: Option<(Running, Lock)>) {
    if let Some((running, lock)) = own {
        running.stop().await;
        drop(lock);
    }
}

async fn connect(
    config: &Config,
    expect: Expect,
    urls: &Urls,
    missing: MissingKeys,
) -> Result<Authority, Failure> {
    let keys: KeysFile = runtime::keys(config, missing)?;
    let authority = runtime::authority(config, urls, &keys)?;
    match expect {
        Expect::Nothing => runtime::settle(&authority, urls, &keys, config).await?,
        Expect::Tables => {
            runtime::settle_tables(&authority, urls).await?;
            if !keys.is_unwritten() {
                authority.check_keys().await?;
            }
        }
        Expect::Existing => {
            let pending = authority.pending_migrations().await?;
            if pending > 0 {
                return Err(Failure::new(
                    "the database's schema is older than this program; run tessera migrate, or start the server",
                ));
            }
            authority.check_keys().await?;
        }
    }
    Ok(authority)
}

type Found = (Urls, Option<(Running, Lock)>, MissingKeys);

/// Returns the embedded database: the running one, or one that is started here.
async fn embedded(config: &Config, expect: Expect) -> Result<Found, Failure> {
    if expect == Expect::Existing && !Embedded::exists(&config.data_dir) {
        return Err(Failure::new(format_args!(
            "{} contains no database; start the server first (tessera serve), or pass the server's \
             data folder with --data-dir",
            config.data_dir.display()
        )));
    }
    let data_dir = data_folder::open(&config.data_dir).map_err(StartError::from)?;
    for _ in 0..(PATIENCE.as_millis() / STEP.as_millis()) {
        match Lock::take(&data_dir, Use::Command) {
            Ok(lock) => {
                let missing = runtime::missing_keys_of_embedded(&data_dir);
                let (urls, running) = start(config, &data_dir, missing).await?;
                return Ok((urls, Some((running, lock)), missing));
            }
            Err(LockError::Held { holder: Some(holder), .. }) if holder.what == Use::Serve => {
                // The server may stop in the meantime, so this checks only briefly and then tries
                // the lock again.
                if let Ok(urls) = postgres::running_urls(&data_dir, STEP).await {
                    return Ok((urls, None, MissingKeys::Refuse));
                }
            }
            Err(LockError::Held { .. }) => {}
            Err(error) => return Err(StartError::from(error).into()),
        }
        sleep(STEP).await;
    }
    Err(match Lock::take(&data_dir, Use::Command) {
        Err(LockError::Held { holder: Some(holder), .. }) if holder.what == Use::Serve => {
            Failure::new(format_args!(
                "the server that uses the data folder {} (process {}) is not ready; see its log",
                data_dir.display(),
                holder.pid
            ))
        }
        Err(error) => StartError::from(error).into(),
        Ok(_) => Failure::new("the data folder was in use by another process; try again"),
    })
}

async fn start(
    config: &Config,
    data_dir: &std::path::Path,
    missing: MissingKeys,
) -> Result<(Urls, Running), StartError> {
    let embedded = Embedded::prepare(
        data_dir,
        config.postgres_bin_dir.as_deref(),
        config.database_max_connections,
    )?;
    // Keys come before the database, so that a first start interrupted between the two leaves
    // nothing in use.
    runtime::keys(config, missing)?;
    let urls = embedded.urls();
    let running = embedded.start(output::remark).await?;
    Ok((urls, running))
}
