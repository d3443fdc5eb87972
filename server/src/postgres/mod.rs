//! The embedded PostgreSQL: a private server in the data folder that starts and stops with Tessera.
//!
//! - [`binaries`]: finds `initdb` and `postgres` of the version that created the data folder.
//! - [`account`]: chooses the user that runs PostgreSQL, which refuses to run as root.
//! - [`folder`]: the paths of its files and its socket.
//! - [`cluster`]: creates the database once.
//! - [`pidfile`]: reads `postmaster.pid`, also of a postmaster that outlived its Tessera process.
//! - [`process`]: one run of `postgres`: start, readiness, stop.
//! - [`supervisor`]: restarts it if it dies while Tessera serves.
//!
//! Invariants:
//! - It listens only on a Unix socket, in a folder that only its own account can enter.
//! - It writes durably: `fsync`, `full_page_writes`, `synchronous_commit` and checksums are on.
//! - A process must hold the lock of the data folder to start or stop it.

mod account;
mod binaries;
mod cluster;
mod error;
mod folder;
mod pidfile;
mod process;
mod supervisor;

use std::{path::Path, sync::Arc, time::Duration};

use authority::store;
use tokio::time::sleep;

use crate::{
    config::DatabaseUrl,
    database::{Urls, describe},
};

pub(crate) use self::{
    account::obstacle, binaries::Binaries, error::PostgresError, supervisor::Running,
};

use self::{account::Account, cluster::Progress, folder::Folder, process::Process};

/// The database, and the superuser that created it. Only the preparation of roles connects as the
/// superuser, which has the database's name so that `psql -h <run folder> -U tessera` just works.
const DATABASE: &str = "tessera";
const SUPERUSER: &str = "tessera";
/// The role that owns the tables and runs migrations.
const OWNER: &str = "tessera_owner";
/// The role that serves requests. It can only read and write rows.
const SERVING: &str = "tessera_server";
/// Connections in addition to the pool: commands, and an administrator with psql.
const SPARE_CONNECTIONS: u32 = 30;
/// How long processes of an earlier PostgreSQL may take to exit.
const LEFTOVERS: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// How often to check a file while waiting.
const POLL: Duration = Duration::from_millis(20);

/// The embedded database before it is started.
#[derive(Clone, Debug)]
pub(crate) struct Embedded {
    binaries: Binaries,
    account: Account,
    folder: Folder,
    max_connections: u32,
}

impl Embedded {
    /// Checks the data folder and the machine without starting anything. `data_dir` must not
    /// contain symbolic links.
    pub(crate) fn prepare(
        data_dir: &Path,
        bin_dir: Option<&Path>,
        pool_connections: u32,
    ) -> Result<Self, PostgresError> {
        let account = Account::choose()?;
        account.check_way(data_dir)?;
        let folder = Folder::at(data_dir, &account);
        if !folder.is_made() {
            account.check_name()?;
        }
        let binaries = Binaries::find(bin_dir, folder.version()?)?;
        Ok(Self {
            binaries,
            account,
            folder,
            max_connections: pool_connections + SPARE_CONNECTIONS,
        })
    }

    /// Reports whether this data folder already contains a database.
    pub(crate) fn exists(data_dir: &Path) -> bool {
        folder::cluster_dir(data_dir).join("PG_VERSION").exists()
    }

    /// Returns the programs that will run.
    pub(crate) fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Returns the URLs of the running database.
    pub(crate) fn urls(&self) -> Urls {
        urls(&self.folder.socket)
    }

    /// Creates the database if it does not exist, stops a postmaster that outlived its Tessera
    /// process, and starts the database. Calls `tell` with a message for people when a step takes
    /// long.
    pub(crate) async fn start(
        self,
        tell: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Running, PostgresError> {
        let progress: Progress = Arc::new(tell);
        self.folder.make(&self.account)?;
        if !self.folder.is_made() {
            cluster::make(&self.binaries, &self.account, &self.folder, &progress).await?;
        }
        pidfile::stop_orphan(&self.folder, &progress).await?;
        self.folder.repair(&self.account)?;
        cluster::write_access_rules(&self.folder.cluster, &self.account)?;
        let process = self.start_process(&progress).await?;
        self.prepare_roles().await?;
        Ok(Running::watch(self, process))
    }

    /// Creates the roles that serve and migrate, neither of which is a superuser.
    async fn prepare_roles(&self) -> Result<(), PostgresError> {
        let superuser = url(&self.folder.socket, SUPERUSER);
        store::prepare_roles(&superuser, OWNER, SERVING)
            .await
            .map_err(|error| PostgresError::Roles(describe(&error)))
    }

    /// Starts the process. Processes of a postmaster that was killed a moment ago may still hold
    /// its shared memory, so this waits until they notice and exit.
    async fn start_process(&self, progress: &Progress) -> Result<Process, PostgresError> {
        for _ in 0..(LEFTOVERS.as_millis() / PAUSE.as_millis()) {
            match Process::start(self, progress).await {
                Err(PostgresError::Ended { said, .. }) if said.contains("shared memory block") => {
                    tracing::info!("waiting for processes of an earlier PostgreSQL to exit");
                    sleep(PAUSE).await;
                }
                started => return started,
            }
        }
        Process::start(self, progress).await
    }
}

/// Returns the URLs of the database that another process runs in this data folder, once it is
/// ready.
pub(crate) async fn running_urls(
    data_dir: &Path,
    patience: Duration,
) -> Result<Urls, PostgresError> {
    let cluster = folder::cluster_dir(data_dir);
    for _ in 0..(patience.as_millis() / POLL.as_millis()) {
        if let Some(found) = pidfile::read(&cluster)?
            && found.is_of(&cluster)
            && found.is_ready()
            && found.accepts()
        {
            return Ok(urls(&found.socket));
        }
        sleep(POLL).await;
    }
    Err(PostgresError::NotReady(data_dir.to_owned()))
}

fn urls(socket: &Path) -> Urls {
    Urls {
        serving: DatabaseUrl::own(url(socket, SERVING)),
        owner: Some(DatabaseUrl::own(url(socket, OWNER))),
    }
}

/// The socket needs no TLS and no password, because the folder around it is protected (see
/// [`process`]).
fn url(socket: &Path, role: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("host", &socket.to_string_lossy());
    query.append_pair("sslmode", "disable");
    format!("postgres://{role}@localhost:5432/{DATABASE}?{}", query.finish())
}
