//! The configuration: defaults < TOML file < environment < flags.
//!
//! A [`Setting`] is one row of the table in [`setting`]. Its key in the file, its variable
//! (`TESSERA_…`) and its flag follow from its name. Values are texts (or lists of texts) until
//! [`Config::load`] parses them with the parsers of [`values`], so that the same rules apply to
//! every source and every error names the source of the value. Unknown keys are errors: a mistyped
//! key must not silently leave a default in force.
//!
//! To add a setting, add a variant and a row in `setting.rs`, a parser in `values.rs` if its type
//! has none yet, and a field in [`Config`].

mod error;
mod layers;
mod report;
mod setting;
pub(crate) mod values;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use time::Duration;
use url::Url;

use crate::dialect::Dialect;

pub(crate) use self::{
    error::ConfigError,
    layers::{Inputs, Raw, Source},
    report::effective,
    setting::Setting,
    values::{DatabaseUrl, LogFormat},
};

use self::layers::Layers;

/// The data folder if none is configured and the server runs as root below a folder that the
/// database's user cannot traverse.
pub(crate) const SYSTEM_DATA_DIR: &str = "/var/lib/tessera";

/// The effective configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The address that the server listens on; after [`Config::bound`], the actual address.
    pub(crate) listen: SocketAddr,
    /// The Unix socket that the server also listens on; an absolute path.
    pub(crate) listen_unix: Option<PathBuf>,
    /// The address of the metrics listener.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// The folder of the embedded database and the keys; an absolute path.
    pub(crate) data_dir: PathBuf,
    /// The external database to use instead of the embedded one.
    pub(crate) database_url: Option<DatabaseUrl>,
    /// The URL of the same database for the role that owns its tables, for migrations.
    pub(crate) migration_database_url: Option<DatabaseUrl>,
    /// The maximum number of connections to the database.
    pub(crate) database_max_connections: u32,
    /// The keys file; an absolute path.
    pub(crate) keys_file: PathBuf,
    /// The origin of links and cookies, ending in `/`.
    pub(crate) public_url: Url,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Host names by which browsers may reach the server, in addition to that of the public URL; in
    /// lower case.
    pub(crate) allowed_hosts: Vec<String>,
    /// The maximum number of concurrent connections; `None` for as many as the limit of open files
    /// allows.
    pub(crate) max_connections: Option<usize>,
    /// The maximum number of concurrent connections from one address.
    pub(crate) max_connections_per_address: usize,
    /// The maximum number of tokens whose facts are cached in memory.
    pub(crate) cached_tokens: usize,
    /// Database lookups of unknown tokens per second for one address; 0 for no limit.
    pub(crate) unknown_token_rate: u32,
    /// How long cached facts may still be used after the lease has expired while the database is
    /// unavailable.
    pub(crate) stale_grace: Duration,
    /// A session expires after it has been unused for this long.
    pub(crate) session_idle: Duration,
    /// A session expires after this time, even if it is in use.
    pub(crate) session_absolute: Duration,
    /// Calls of the managing API per minute and caller; 0 for no limit.
    pub(crate) api_rate_limit: u32,
    /// The enabled surfaces, in addition to Tessera's own API.
    pub(crate) surfaces: Vec<Dialect>,
    /// The folder that contains `initdb` and `postgres`, if Tessera should not search for it.
    pub(crate) postgres_bin_dir: Option<PathBuf>,
    /// The log filter, such as `info` or `info,server=debug`.
    pub(crate) log: String,
    /// The log format.
    pub(crate) log_format: LogFormat,
    layers: Layers,
}

impl Config {
    /// Reads every source and parses every value.
    pub(crate) fn load(inputs: &Inputs) -> Result<Self, ConfigError> {
        let layers = Layers::gather(inputs)?;
        let data_dir = layers.path(Setting::DataDir)?;
        let listen = layers.parse(Setting::Listen, values::listen)?;
        let config = Self {
            listen,
            listen_unix: match layers.given(Setting::ListenUnix) {
                Some(_) => Some(socket_path(&layers)?),
                None => None,
            },
            metrics_listen: layers.parse_optional(Setting::MetricsListen, values::listen)?,
            database_url: layers.parse_optional(Setting::DatabaseUrl, values::database_url)?,
            migration_database_url: layers
                .parse_optional(Setting::MigrationDatabaseUrl, values::database_url)?,
            database_max_connections: layers
                .parse(Setting::DatabaseMaxConnections, values::max_connections)?,
            keys_file: match layers.given(Setting::KeysFile) {
                Some(_) => layers.path(Setting::KeysFile)?,
                None => data_dir.join("keys.toml"),
            },
            public_url: layers
                .parse_optional(Setting::PublicUrl, values::public_url)?
                .unwrap_or_else(|| default_public_url(listen)),
            trusted_proxies: layers.parse_list(Setting::TrustedProxies, values::network)?,
            allowed_hosts: layers.parse_list(Setting::AllowedHosts, values::host_name)?,
            max_connections: layers.parse_optional(Setting::MaxConnections, values::connections)?,
            max_connections_per_address: layers
                .parse(Setting::MaxConnectionsPerAddress, values::connections)?,
            api_rate_limit: layers.parse(Setting::ApiRateLimit, values::rate_limit)?,
            surfaces: {
                let named = layers.parse_list(Setting::Surfaces, values::dialect)?;
                named.into_iter().flatten().collect()
            },
            cached_tokens: layers.parse(Setting::CachedTokens, values::cached_tokens)?,
            unknown_token_rate: layers.parse(Setting::UnknownTokenRate, values::rate_limit)?,
            stale_grace: layers.parse(Setting::StaleGrace, values::duration_or_none)?,
            session_idle: layers.parse(Setting::SessionIdle, values::duration)?,
            session_absolute: layers.parse(Setting::SessionAbsolute, values::duration)?,
            postgres_bin_dir: match layers.given(Setting::PostgresBinDir) {
                Some(_) => Some(layers.path(Setting::PostgresBinDir)?),
                None => None,
            },
            log: layers.parse(Setting::Log, values::log_filter)?,
            log_format: layers.parse(Setting::LogFormat, str::parse::<LogFormat>)?,
            data_dir,
            layers,
        };
        if config.migration_database_url.is_some() && config.database_url.is_none() {
            return Err(config.layers.error(
                Setting::MigrationDatabaseUrl,
                "requires database_url as well: the embedded database has its own roles".to_owned(),
            ));
        }
        if config.session_idle > config.session_absolute {
            return Err(config.layers.error(
                Setting::SessionIdle,
                "must not be longer than session_absolute".to_owned(),
            ));
        }
        Ok(config)
    }

    /// Returns the configuration of a server that listens on this address. It replaces port 0 with
    /// the actual port, also in the public URL unless that was configured.
    #[must_use]
    pub(crate) fn bound(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        if self.layers.given(Setting::PublicUrl).is_none() {
            self.public_url = default_public_url(address);
        }
        self
    }

    /// Returns the origin of links and cookies, without a trailing slash.
    pub(crate) fn public_origin(&self) -> String {
        self.public_url.origin().ascii_serialization()
    }

    /// Returns this server's name among the replicas.
    pub(crate) fn replica_name(&self) -> String {
        let machine = rustix::system::uname();
        format!("{}, {}", machine.nodename().to_string_lossy(), self.listen)
    }

    /// Returns the source of a setting's value.
    pub(crate) fn source(&self, setting: Setting) -> Source {
        self.layers.source(setting)
    }

    /// Returns the path of the configuration file, if one was read.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.layers.file()
    }
}

fn socket_path(layers: &Layers) -> Result<PathBuf, ConfigError> {
    let path = layers.path(Setting::ListenUnix)?;
    values::socket_path(&path).map_err(|reason| layers.error(Setting::ListenUnix, reason))?;
    Ok(path)
}

/// Returns an address that a browser on this machine can open.
fn default_public_url(listen: SocketAddr) -> Url {
    let mut reachable = listen;
    if listen.ip().is_unspecified() {
        reachable.set_ip(match listen {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    #[expect(clippy::expect_used, reason = "an IP address and a port are always a URL")]
    Url::parse(&format!("http://{reachable}/")).expect("an address is a URL")
}

#[cfg(test)]
mod tests;
