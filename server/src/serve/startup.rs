//! Brings the database up and prints messages on the way.

use std::{net::SocketAddr, path::Path, time::Duration};

use authority::{Authority, ServiceError, secret::SetupSecret};
use tokio::time::sleep;

use crate::{
    config::{Config, DatabaseUrl, Setting, values::is_loopback},
    data_folder::KeysFile,
    database::{Urls, describe},
    http::proxy_hint,
    output,
    postgres::{Embedded, Running},
    runtime::{self, StartError},
};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The server's database.
pub(super) enum Database {
    /// An external database.
    External,
    /// The embedded database, not started yet.
    Embedded(Box<Embedded>),
    /// The embedded database, running.
    Running(Running),
}

impl Database {
    /// Stops the database if it is embedded.
    pub(super) async fn stop(self, hurried: bool) {
        match self {
            Self::Running(running) if hurried => running.abandon().await,
            Self::Running(running) => running.stop().await,
            Self::External | Self::Embedded(_) => {}
        }
    }
}

/// Prints the addresses that the server listens on. Programs parse this output: `Listening on
/// <origin>` is a separate line, and so is `Listening on unix:<path>`.
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
            "passwords and tokens cross the network unencrypted: put an HTTPS reverse proxy in \
             front of Tessera and set public_url"
        );
    }
}

/// Starts the database or waits for it, brings it up to date, and creates a set-up link until an
/// organisation exists. Fails only if waiting cannot help.
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
        tracing::info!(version, "the embedded PostgreSQL is running");
    }
    let place = config
        .database_url
        .as_ref()
        .map_or_else(|| "the data folder".to_owned(), DatabaseUrl::place);
    let mut pause = FIRST_PAUSE;
    let mut warned = false;
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
            // Waiting does not correct a wrong password or an untrusted certificate.
            Err(StartError::Service(ServiceError::Unavailable(cause)))
                if cause.is_misconfigured() =>
            {
                return Err(StartError::Refused { place, cause });
            }
            Err(StartError::Service(error @ ServiceError::Unavailable(_))) => {
                tracing::error!(database = %place, cause = %describe(&error), "waiting for the database");
                if !warned {
                    let _ = output::line(&format!(
                        "Waiting for the database {place}: it cannot be reached; retrying until it \
                         can"
                    ));
                    warned = true;
                }
            }
            Err(error) => return Err(error),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Warns about data that a crash or a failover of the database could lose.
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

/// Prints the set-up link, if there is one, and the console's address. The link is printed but not
/// logged, because it makes its user the owner.
pub(super) fn welcome(link: Option<&SetupSecret>, config: &Config) {
    let origin = config.public_origin();
    if let Some(secret) = link {
        let _ = output::line("Open this link to set up Tessera (it works once, within 24 hours):");
        let _ = output::line(&format!("    {origin}/setup/{}", secret.expose()));
    }
    let _ = output::line(&format!("Ready: {origin}"));
    tracing::info!(listen = %config.listen, "ready");
}
