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
    #[arg(long, global = true, value_name = "FOLDER", help = Setting::DataDir.help())]
    data_dir: Option<String>,
    #[arg(long, global = true, value_name = "URL", help = Setting::DatabaseUrl.help())]
    database_url: Option<String>,
    #[arg(long, global = true, value_name = "FILE", help = Setting::KeysFile.help())]
    keys_file: Option<String>,
    #[arg(long, global = true, value_name = "FOLDER", help = Setting::PostgresBinDir.help())]
    postgres_bin_dir: Option<String>,
    #[arg(long, global = true, value_name = "FILTER", help = Setting::Log.help())]
    log: Option<String>,
    #[arg(long, global = true, value_name = "FORMAT", help = Setting::LogFormat.help())]
    log_format: Option<String>,
}

/// Flags of the server.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ServerFlags {
    #[arg(long, value_name = "ADDRESS:PORT", help = Setting::Listen.help())]
    listen: Option<String>,
    #[arg(long, value_name = "PATH", help = Setting::ListenUnix.help())]
    listen_unix: Option<String>,
    #[arg(long, value_name = "ADDRESS:PORT", help = Setting::MetricsListen.help())]
    metrics_listen: Option<String>,
    #[arg(long, value_name = "URL", help = Setting::PublicUrl.help())]
    public_url: Option<String>,
    #[arg(
        long = "trusted-proxies",
        value_name = "NETWORK",
        help = Setting::TrustedProxies.help_of_list()
    )]
    trusted_proxies: Vec<String>,
    #[arg(long = "allowed-hosts", value_name = "NAME", help = Setting::AllowedHosts.help_of_list())]
    allowed_hosts: Vec<String>,
    #[arg(long, value_name = "NUMBER", help = Setting::MaxConnections.help())]
    max_connections: Option<String>,
    #[arg(long, value_name = "NUMBER", help = Setting::MaxConnectionsPerAddress.help())]
    max_connections_per_address: Option<String>,
    #[arg(long, value_name = "NUMBER", help = Setting::ApiRateLimit.help())]
    api_rate_limit: Option<String>,
    #[arg(long, value_name = "PRODUCT,…", help = Setting::Surfaces.help())]
    surfaces: Option<String>,
    #[arg(long, value_name = "NUMBER", help = Setting::CachedTokens.help())]
    cached_tokens: Option<String>,
    #[arg(long, value_name = "NUMBER", help = Setting::UnknownTokenRate.help())]
    unknown_token_rate: Option<String>,
    #[arg(long, value_name = "TIME", help = Setting::StaleGrace.help())]
    stale_grace: Option<String>,
    #[arg(long, value_name = "TIME", help = Setting::SessionIdle.help())]
    session_idle: Option<String>,
    #[arg(long, value_name = "TIME", help = Setting::SessionAbsolute.help())]
    session_absolute: Option<String>,
    #[arg(long, value_name = "NUMBER", help = Setting::DatabaseMaxConnections.help())]
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
