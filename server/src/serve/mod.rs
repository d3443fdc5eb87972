//! The server: start, readiness, drain, stop.
//!
//! 1. Errors that waiting cannot resolve are found first and exit with one line: an invalid value,
//!    a data folder in use, missing PostgreSQL programs, a port or socket in use.
//! 2. The server listens. [`gate`] answers everything but `/healthz` with 503 until the database is
//!    available.
//! 3. [`startup`] brings the database up: it starts the embedded database, or waits for the
//!    external one.
//! 4. A signal stops the server: requests in progress finish (within a time limit), then buffered
//!    data is written, then the embedded database stops. A second signal skips the waiting.

mod connections;
mod follower;
mod gate;
mod http1;
mod http2;
mod life;
mod managing;
mod places;
mod preface;
mod refusals;
mod signals;
mod startup;
mod streams;
mod unix;
mod unsent;

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use thiserror::Error;
use tokio::{net::TcpListener, time::timeout};

pub(crate) use self::signals::Signals;

use self::{
    connections::{Capacity, Listeners},
    follower::Follower,
    gate::Gate,
    managing::Managing,
    places::Limits,
    signals::Drain,
    startup::Database,
    unix::{UnixDoor, UnixError},
};
use crate::{
    config::{Config, ConfigError},
    data_folder::{self, Lock, MissingKeys},
    database::Urls,
    metrics,
    open_files::{self, Needs, Room},
    output,
    postgres::Embedded,
    router,
    runtime::{self, StartError},
    state::AppState,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long the database may take to confirm that this server leaves it.
const CLOSE: Duration = Duration::from_secs(5);

/// The reasons, other than a signal, why the server ended.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    /// The server could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The server cannot listen on this address.
    #[error("cannot listen on {address}: {}", bind_reason(flag, *address, cause))]
    Bind {
        /// The flag that chooses another address.
        flag: &'static str,
        address: SocketAddr,
        cause: io::Error,
    },
    /// The server cannot listen on the Unix socket.
    #[error(transparent)]
    BindUnix(#[from] UnixError),
    /// The signals cannot be caught, or another error of the system.
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

fn bind_reason(flag: &str, address: SocketAddr, cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            let mut other = address;
            other.set_port(address.port().checked_add(1).unwrap_or(3000));
            format!("another program uses this port; choose another port, such as {flag} {other}")
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have this address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "this user may not use this port; choose a port above 1023".to_owned()
        }
        _ => cause.to_string(),
    }
}

/// Runs until a signal stops the server. Every request thread gets a stack of this size.
pub(crate) async fn run(config: Config, stack: usize) -> Result<(), ServeError> {
    let mut signals = Signals::catch()?;
    let tell = |line: &str| {
        // Standard output is closed, but the server keeps running.
        let _ = output::line(line);
    };
    let (mut database, urls, lock, missing) = tokio::select! {
        prepared = prepare(&config, tell) => prepared?,
        _ = signals.recv() => return Ok(()),
    };
    let tcp = bind("--listen", config.listen)?;
    let address = tcp.local_addr()?;
    let unix = match &config.listen_unix {
        Some(path) => Some(UnixDoor::open(path).await?),
        None => None,
    };
    let metrics = match config.metrics_listen {
        Some(address) => Some(bind("--metrics-listen", address)?),
        None => None,
    };
    let config = Arc::new(config.bound(address));
    let keys = runtime::keys(&config, missing)?;
    let authority = runtime::authority(&config, &urls, &keys)?;
    startup::announce(&config, address, unix.as_ref().map(UnixDoor::path));

    let mut follower = Follower::new(config.replica_name(), VERSION)?;
    let managing = Managing::start(stack, runtime::stall())?;
    let gate = Gate::closed();
    let state = AppState::new(authority.clone(), Arc::clone(&config));
    let room = open_files::room(Needs {
        database: config.database_max_connections,
        unix: unix.is_some(),
        metrics: metrics.is_some(),
    });
    let watched = watch(metrics, &state, room, signals.drain())?;
    let router = gate.protect(router::router(state.clone()));
    let limits = Limits {
        all: config.max_connections.unwrap_or(usize::MAX).min(room.network),
        of_address: config.max_connections_per_address,
        proxies: config.trusted_proxies.as_slice().into(),
    };
    let capacity = Capacity { network: limits, local: room.local, reserve: room.reserve };
    let server = tokio::spawn(connections::serve(
        Listeners { tcp, unix },
        Some(state),
        router,
        Some(managing.clone()),
        capacity,
        signals.drain(),
    ));

    let brought = tokio::select! {
        brought = startup::bring_up(&mut database, &authority, &urls, &keys, &config) => Some(brought),
        _ = signals.recv() => None,
    };
    let outcome = match brought {
        Some(Ok(link)) => {
            gate.open();
            startup::welcome(link.as_ref(), &config);
            let background = managing.spawn(authority.clone().run_background());
            follower.begin(authority.clone());
            let ended = tokio::select! {
                signal = signals.recv() => {
                    tracing::info!(signal, "stopping");
                    Ok(())
                }
                // The database was not set up when the server started, so it accepted any keys.
                error = authority.other_keys() => Err(StartError::Service(error)),
            };
            background.abort();
            // The server has stopped answering from memory, so no other replica needs to wait for
            // it.
            follower.stop().await;
            if timeout(CLOSE, authority.leave_replicas()).await.is_err() {
                tracing::debug!("this replica's row stays until another replica removes it");
            }
            ended
        }
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    signals.begin_drain();
    let hurried = tokio::select! {
        () = async {
            let _ = (server.await, watched.await);
            // A database connection that lost its network may never close by itself.
            if timeout(CLOSE, authority.close()).await.is_err() {
                tracing::warn!("the database did not confirm that all connections were closed");
            }
        } => false,
        signal = signals.recv() => {
            tracing::warn!(signal, "stopping immediately");
            true
        }
    };
    database.stop(hurried).await;
    drop(lock);
    tracing::info!("stopped");
    Ok(outcome?)
}

/// Serves the metrics if they have a listener, even before the database is available.
fn watch(
    listener: Option<TcpListener>,
    state: &AppState,
    room: Room,
    drain: Drain,
) -> io::Result<impl Future<Output = ()> + use<>> {
    let serving = match listener {
        Some(tcp) => {
            let address = tcp.local_addr()?;
            metrics::warn_if_open(address);
            // Standard output is closed, but the server keeps running.
            let _ = output::line(&format!("Metrics on http://{address}/metrics"));
            let router = metrics::router(state.authority.clone(), Arc::clone(&state.traffic));
            let watchers = room.watchers;
            let network = Limits { all: watchers, of_address: watchers, proxies: Arc::default() };
            Some(tokio::spawn(connections::serve(
                Listeners { tcp, unix: None },
                None,
                router,
                None,
                Capacity { network, local: 0, reserve: room.reserve },
                drain,
            )))
        }
        None => None,
    };
    Ok(async move {
        if let Some(serving) = serving {
            let _ = serving.await;
        }
    })
}

/// Finds the errors that waiting cannot resolve. For the embedded database, it waits only for the
/// lock, and only while a command holds it.
async fn prepare(
    config: &Config,
    tell: impl Fn(&str),
) -> Result<(Database, Urls, Option<Lock>, MissingKeys), StartError> {
    if let Some(urls) = Urls::configured(config) {
        return Ok((Database::External, urls, None, MissingKeys::Propose));
    }
    let data_dir = data_folder::open(&config.data_dir)?;
    let lock = runtime::lock_for_server(&data_dir, tell).await?;
    let embedded = Embedded::prepare(
        &data_dir,
        config.postgres_bin_dir.as_deref(),
        config.database_max_connections,
    )?;
    let missing = runtime::missing_keys_of_embedded(&data_dir);
    let urls = embedded.urls();
    Ok((Database::Embedded(Box::new(embedded)), urls, Some(lock), missing))
}

/// Binds exactly this address. IPv6 wildcards accept IPv4 too if the system does so by default.
fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    let failed = |cause| ServeError::Bind { flag, address, cause };
    let listener = StdListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    TcpListener::from_std(listener).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_in_use_error_suggests_another_port() {
        let first = bind("--listen", "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let message = bind("--listen", address).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("cannot listen on {address}: another program")),
            "{message}"
        );
        assert!(message.contains("--listen 127.0.0.1:"), "{message}");
    }
}
