//! Brings the database up, and what is printed on the way.

use std::{net::SocketAddr, path::Path, time::Duration};

use authority::{Authority, ServiceError, secret::SetupSecret};
use tokio::time::sleep;

use crate::{
    cli::output,
    config::{Config, DatabaseUrl, Setting, values::is_loopback},
    data_folder::KeysFile,
    http::proxy_hint,
    postgres::{Embedded, Running},
    runtime::{self, StartError, Urls, describe},
};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The database of this server.
pub(super) enum Database {
    /// Somebody else's.
    External,
    /// Its own, not started yet.
    Embedded(Box<Embedded>),
    /// Its own.
    Running(Running),
}

impl Database {
    /// Stops it if it is its own.
    pub(super) async fn stop(self, hurried: bool) {
        match self {
            Self::Running(running) if hurried => running.abandon().await,
            Self::Running(running) => running.stop().await,
            Self::External | Self::Embedded(_) => {}
        }
    }
}

/// Says where it listens. Also for programs: `Listening on <origin>` is a line of its own, and
/// so is `Listening on unix:<path>`.
pub(super) fn announce(config: &Config, address: SocketAddr, socket: Option<&Path>) {
    let _ = output::line(&format!("Tessera {}", env!("CARGO_PKG_VERSION")));
    let place = config.database_url.as_ref().map_or_else(
        || {
            let source = config.source(Setting::DataDir);
            format!("Data folder: {} ({source})", config.data_dir.display())
        },
        |url| format!("Database: {}", url.redacted()),
    );
    let _ = output::line(&place);
    let _ = output::line(&format!("Listening on http://{address}"));
    if let Some(path) = socket {
        let _ = output::line(&format!("Listening on unix:{}", path.display()));
    }
    if config.public_url.scheme() == "http" && !is_loopback(&config.public_url) {
        tracing::warn!(
            public_url = config.public_origin(),
            "passwords and tokens cross the network unprotected: put a proxy with HTTPS before Tessera and set public_url"
        );
    }
}

/// Starts or waits for the database, brings it up to date, and makes a set-up link while there is
/// no organisation. Fails only where waiting cannot help.
pub(super) async fn bring_up(
    database: &mut Database,
    authority: &Authority,
    urls: &Urls,
    keys: &KeysFile,
    config: &Config,
) -> Result<Option<SetupSecret>, StartError> {
    if let Database::Embedded(embedded) = database {
        let version = embedded.binaries().version;
        let tell = move |line: &str| {
            let _ = output::line(line);
        };
        *database = Database::Running(embedded.as_ref().clone().start(tell).await?);
        tracing::info!(version, "the embedded PostgreSQL runs");
    }
    let place = config
        .database_url
        .as_ref()
        .map_or_else(|| "the data folder".to_owned(), DatabaseUrl::place);
    let mut pause = FIRST_PAUSE;
    let mut told = false;
    loop {
        let attempt = async {
            runtime::settle(authority, urls, keys, config).await?;
            let operator = runtime::operator(authority);
            if config.trusted_proxies.is_empty() {
                for proxy in authority.sessions().untrusted_proxies(&operator).await? {
                    proxy_hint::warn(&proxy);
                }
            }
            Ok(authority.setup().issue_link(&operator).await?)
        };
        match attempt.await {
            Ok(link) => {
                warn_of_risks(authority).await;
                return Ok(link);
            }
            // A wrong password or an untrusted certificate stays what it is, however long one waits.
            Err(StartError::Service(ServiceError::Unavailable(cause)))
                if cause.is_misconfigured() =>
            {
                return Err(StartError::Refused { place, cause });
            }
            Err(StartError::Service(error @ ServiceError::Unavailable(_))) => {
                tracing::error!(database = %place, cause = %describe(&error), "waiting for the database");
                if !told {
                    let _ = output::line(&format!(
                        "Waiting for the database {place}: it cannot be reached; trying again until it can"
                    ));
                    told = true;
                }
            }
            Err(error) => return Err(error),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Warns of what a crash or a failover of the database could lose.
async fn warn_of_risks(authority: &Authority) {
    match authority.failover_risks().await {
        Ok(risks) => {
            for risk in risks {
                tracing::warn!("the database: {}", risk.describe());
            }
        }
        Err(error) => error.log("start"),
    }
}

/// Prints the set-up link, if any, and where to go. The link is printed and not logged: whoever has
/// it becomes the owner.
pub(super) fn welcome(link: Option<&SetupSecret>, config: &Config) {
    let origin = config.public_origin();
    if let Some(secret) = link {
        let _ = output::line("Open this link to set Tessera up (it works once, within 24 hours):");
        let _ = output::line(&format!("    {origin}/setup/{}", secret.expose()));
    }
    let _ = output::line(&format!("Ready: {origin}"));
    tracing::info!(listen = %config.listen, "ready");
}
