//! Brings the database up, and what is printed on the way.

use std::{net::SocketAddr, time::Duration};

use authority::{Authority, ServiceError};
use tokio::time::sleep;

use crate::{
    cli::output::Output,
    config::{Config, DatabaseUrl, values::is_loopback},
    data_folder::KeysFile,
    postgres::{Embedded, Running},
    runtime::{self, StartError, describe},
};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The database of this server.
pub(super) enum Database {
    /// Somebody else's.
    External(DatabaseUrl),
    /// Its own, not started yet.
    Embedded(Box<Embedded>),
    /// Its own.
    Running(Running),
}

impl Database {
    /// The URL that reaches it, once it runs.
    pub(super) fn url(&self) -> String {
        match self {
            Self::External(url) => url.expose().to_owned(),
            Self::Embedded(embedded) => embedded.url(),
            Self::Running(_) => String::new(),
        }
    }

    /// Stops it if it is its own.
    pub(super) async fn stop(self, hurried: bool) {
        match self {
            Self::Running(running) if hurried => running.abandon().await,
            Self::Running(running) => running.stop().await,
            Self::External(_) | Self::Embedded(_) => {}
        }
    }
}

/// Says where it listens. Also for programs: `Listening on <origin>` is a line of its own.
pub(super) fn announce(config: &Config, address: SocketAddr, output: &Output) {
    let _ = output.line(&format!("Tessera {}", env!("CARGO_PKG_VERSION")));
    match &config.database_url {
        Some(url) => {
            let _ = output.line(&format!("Database: {}", url.redacted()));
        }
        None => {
            let source = config.source(crate::config::Setting::DataDir);
            let _ = output.line(&format!("Data folder: {} ({source})", config.data_dir.display()));
        }
    }
    let _ = output.line(&format!("Listening on http://{address}"));
    if config.public_url.scheme() == "http" && !is_loopback(&config.public_url) {
        tracing::warn!(
            public_url = config.public_origin(),
            "passwords and tokens cross the network unprotected: put a proxy with HTTPS before Tessera and set public_url"
        );
    }
}

/// Starts or waits for the database and brings it up to date. Fails only where waiting cannot help.
pub(super) async fn bring_up(
    database: &mut Database,
    authority: &Authority,
    keys: &KeysFile,
    config: &Config,
    output: &Output,
) -> Result<(), StartError> {
    if let Database::Embedded(embedded) = database {
        let printer = output.clone();
        let version = embedded.binaries().version;
        let tell = move |line: &str| {
            let _ = printer.line(line);
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
        match runtime::settle(authority, keys, config).await {
            Ok(()) => return Ok(()),
            Err(StartError::Service(error @ ServiceError::Unavailable(_))) => {
                tracing::error!(database = %place, cause = %describe(&error), "waiting for the database");
                if !told {
                    let _ = output.line(&format!(
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

/// Prints the set-up link while there is no organisation, and where to go. The link is printed and
/// not logged: whoever has it becomes the owner.
pub(super) async fn welcome(authority: &Authority, config: &Config, output: &Output) {
    let origin = config.public_origin();
    let context = runtime::operator(authority);
    match authority.setup().issue_link(&context).await {
        Ok(Some(secret)) => {
            let _ =
                output.line("Open this link to set Tessera up (it works once, within 24 hours):");
            let _ = output.line(&format!("    {origin}/setup/{}", secret.expose()));
        }
        Ok(None) => {}
        Err(error) => error.log(&context.request_id),
    }
    let _ = output.line(&format!("Ready: {origin}"));
    tracing::info!(listen = %config.listen, "ready");
}
