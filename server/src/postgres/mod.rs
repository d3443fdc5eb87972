//! The embedded PostgreSQL: a private server in the data folder that lives and dies with Tessera.
//!
//! - [`binaries`]: finds `initdb` and `postgres`, of the version that the data folder was made by.
//! - [`account`]: PostgreSQL refuses to run as root; as whom it runs then.
//! - [`folder`]: where its files and its socket are.
//! - [`cluster`]: makes the database, once.
//! - [`pidfile`]: what `postmaster.pid` tells, also of a postmaster that outlived its Tessera.
//! - [`process`]: one run of `postgres`: start, readiness, end.
//! - [`supervisor`]: starts it again when it dies while Tessera serves.
//!
//! Invariants:
//! - It listens on a Unix socket only, in a folder that nobody but its own account can enter.
//! - It writes durably: `fsync`, `full_page_writes` and `synchronous_commit` are on, checksums too.
//! - Whoever starts or stops it holds the lock of the data folder.

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
    runtime::{self, Urls},
};

pub(crate) use self::{
    account::obstacle, binaries::Binaries, error::PostgresError, supervisor::Running,
};

use self::{account::Account, cluster::Progress, folder::Folder, process::Process};

/// The database, and the superuser that made it. Nothing but the preparation of roles uses that one; it
/// has the database's name, so that `psql -h <run folder> -U tessera` just works.
const DATABASE: &str = "tessera";
const SUPERUSER: &str = "tessera";
/// The role that owns the tables and makes migrations.
const OWNER: &str = "tessera_owner";
/// The role that serves: it reads and writes rows and nothing else.
const SERVING: &str = "tessera_server";
/// Connections beside the pool's: commands, and an administrator with psql.
const SPARE_CONNECTIONS: u32 = 30;
/// How long processes that an earlier PostgreSQL left behind may take to end.
const LEFTOVERS: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// How often a file is looked at while waiting.
const POLL: Duration = Duration::from_millis(20);

/// Everything that is known before the database is started.
#[derive(Clone, Debug)]
pub(crate) struct Embedded {
    binaries: Binaries,
    account: Account,
    folder: Folder,
    max_connections: u32,
}

impl Embedded {
    /// Looks at the data folder and the machine; nothing is started. `data_dir` has no links in it.
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

    /// Whether this data folder has a database already.
    pub(crate) fn exists(data_dir: &Path) -> bool {
        folder::cluster_dir(data_dir).join("PG_VERSION").exists()
    }

    /// The programs that it will run.
    pub(crate) fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The URLs that reach it once it runs.
    pub(crate) fn urls(&self) -> Urls {
        urls(&self.folder.socket)
    }

    /// Makes the database if there is none, stops one that outlived its Tessera, and starts it.
    /// `tell` is called with a line for a person when something takes long.
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

    /// Makes the roles that serve and migrate, neither of which is a superuser.
    async fn prepare_roles(&self) -> Result<(), PostgresError> {
        let superuser = url(&self.folder.socket, SUPERUSER);
        store::prepare_roles(&superuser, OWNER, SERVING)
            .await
            .map_err(|error| PostgresError::Roles(runtime::describe(&error)))
    }

    /// Processes of a postmaster that was killed a moment ago may still hold its memory: they notice
    /// and end by themselves.
    async fn start_process(&self, progress: &Progress) -> Result<Process, PostgresError> {
        for _ in 0..(LEFTOVERS.as_millis() / PAUSE.as_millis()) {
            match Process::start(self, progress).await {
                Err(PostgresError::Ended { said, .. }) if said.contains("shared memory block") => {
                    tracing::info!("waiting for processes of an earlier PostgreSQL to end");
                    sleep(PAUSE).await;
                }
                started => return started,
            }
        }
        Process::start(self, progress).await
    }
}

/// The URL of the database that another process runs in this data folder, once that is ready.
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

/// No TLS and no password on this socket: the folder around it is the lock (see [`process`]).
fn url(socket: &Path, role: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("host", &socket.to_string_lossy());
    query.append_pair("sslmode", "disable");
    format!("postgres://{role}@localhost:5432/{DATABASE}?{}", query.finish())
}
