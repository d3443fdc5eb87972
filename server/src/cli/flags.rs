//! Flags that set the configuration. See [`crate::config`] for the meaning of each.

use std::{env, path::PathBuf};

use clap::Args;

use crate::{
    config::{Config, ConfigError, Inputs, Raw, Setting},
    postgres,
};

/// Flags of every command that works on an instance.
#[derive(Args, Clone, Debug)]
#[command(
    next_help_heading = "Configuration (also settable with TESSERA_… variables or a TOML file)"
)]
pub(super) struct Flags {
    /// The configuration file [default: tessera.toml in the data folder]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the embedded database and the keys [default: data]
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// A PostgreSQL database to use instead of the embedded one; pass a password in a variable
    /// instead
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// The keys file [default: keys.toml in the data folder]
    #[arg(long, global = true, value_name = "FILE")]
    keys_file: Option<String>,
    /// The folder with PostgreSQL's programs [default: found automatically]
    #[arg(long, global = true, value_name = "FOLDER")]
    postgres_bin_dir: Option<String>,
    /// The log filter, such as info or warn,server=debug
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// The log format: auto, text or json
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
}

/// Flags of the server.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ServerFlags {
    /// The address to listen on [default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// A Unix socket to listen on as well, for programs on this machine
    #[arg(long, value_name = "PATH")]
    listen_unix: Option<String>,
    /// The address of GET /metrics, for Prometheus, without authentication [default: none]
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<String>,
    #[arg(
        long,
        value_name = "URL",
        help = "The origin that browsers use, such as https://tessera.example.com [default: http://ADDRESS:PORT]"
    )]
    public_url: Option<String>,
    /// A network of proxies whose X-Forwarded-For is trusted; may be given more than once
    #[arg(long = "trusted-proxies", value_name = "NETWORK")]
    trusted_proxies: Vec<String>,
    /// A host name by which browsers may reach the server, in addition to that of --public-url; may
    /// be given more than once
    #[arg(long = "allowed-hosts", value_name = "NAME")]
    allowed_hosts: Vec<String>,
    /// Concurrent connections [default: as many as open files allow, at most 10000]
    #[arg(long, value_name = "NUMBER")]
    max_connections: Option<String>,
    /// Concurrent connections from one address that is not a trusted proxy [default: 1000]
    #[arg(long, value_name = "NUMBER")]
    max_connections_per_address: Option<String>,
    /// Calls of the managing API and posts to the console per minute and caller; 0 for no limit
    /// [default: 600]
    #[arg(long, value_name = "NUMBER")]
    api_rate_limit: Option<String>,
    /// APIs of other products to serve in addition to Tessera's own: devo, kriten and
    /// robust-intelligence, or none [default: all]
    #[arg(long, value_name = "PRODUCT,…")]
    surfaces: Option<String>,
    /// The maximum number of tokens whose facts are cached in memory [default: 100000]
    #[arg(long, value_name = "NUMBER")]
    cached_tokens: Option<String>,
    /// Unknown tokens to look up per second for one address, with bursts of ten times as many; the
    /// same for unknown sessions; 0 for no limit [default: 100]
    #[arg(long, value_name = "NUMBER")]
    unknown_token_rate: Option<String>,
    /// How much longer than its lease (2 s) the server verifies tokens from memory when the
    /// database is unavailable; revoked tokens may be accepted during this time [default: 0s]
    #[arg(long, value_name = "TIME")]
    stale_grace: Option<String>,
    /// How long a session may be unused before it expires [default: 2h]
    #[arg(long, value_name = "TIME")]
    session_idle: Option<String>,
    /// How long a session lasts at most [default: 12h]
    #[arg(long, value_name = "TIME")]
    session_absolute: Option<String>,
    /// The maximum number of database connections for requests; up to 6 more are opened for other
    /// purposes [default: 10]
    #[arg(long, value_name = "NUMBER")]
    database_max_connections: Option<String>,
}

impl Flags {
    /// Returns the configuration with these flags.
    pub(super) fn load(&self, server: &ServerFlags) -> Result<Config, ConfigError> {
        let ones = [
            (Setting::DataDir, &self.data_dir),
            (Setting::DatabaseUrl, &self.database_url),
            (Setting::KeysFile, &self.keys_file),
            (Setting::PostgresBinDir, &self.postgres_bin_dir),
            (Setting::Log, &self.log),
            (Setting::LogFormat, &self.log_format),
            (Setting::Listen, &server.listen),
            (Setting::ListenUnix, &server.listen_unix),
            (Setting::MetricsListen, &server.metrics_listen),
            (Setting::PublicUrl, &server.public_url),
            (Setting::MaxConnections, &server.max_connections),
            (Setting::MaxConnectionsPerAddress, &server.max_connections_per_address),
            (Setting::ApiRateLimit, &server.api_rate_limit),
            (Setting::Surfaces, &server.surfaces),
            (Setting::CachedTokens, &server.cached_tokens),
            (Setting::UnknownTokenRate, &server.unknown_token_rate),
            (Setting::StaleGrace, &server.stale_grace),
            (Setting::SessionIdle, &server.session_idle),
            (Setting::SessionAbsolute, &server.session_absolute),
            (Setting::DatabaseMaxConnections, &server.database_max_connections),
        ];
        let mut flags: Vec<(Setting, Raw)> = ones
            .into_iter()
            .filter_map(|(setting, value)| Some((setting, Raw::One(value.clone()?))))
            .collect();
        if !server.allowed_hosts.is_empty() {
            flags.push((Setting::AllowedHosts, Raw::Many(server.allowed_hosts.clone())));
        }
        if !server.trusted_proxies.is_empty() {
            flags.push((Setting::TrustedProxies, Raw::Many(server.trusted_proxies.clone())));
        }
        Config::load(&Inputs {
            config_flag: self.config.clone(),
            flags,
            environment: env::vars_os().collect(),
            folder: env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            obstacle: postgres::obstacle,
        })
    }

    /// Reports whether the operator has configured the log of this command, which otherwise
    /// contains only errors.
    pub(super) fn log_is_given(&self) -> bool {
        self.log.is_some()
    }
}
