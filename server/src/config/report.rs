//! The effective values and their sources, which `tessera config check` prints.

use serde::Serialize;

use super::{Config, Setting, values::duration_text};

/// The effective value of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Effective {
    /// The setting's key.
    pub(crate) setting: &'static str,
    /// The value without anything secret, or `None` if the setting has no value.
    pub(crate) value: Option<String>,
    /// The source of the value.
    pub(crate) source: String,
    /// A short description of the setting.
    pub(crate) about: &'static str,
}

/// Returns every setting of this configuration.
pub(crate) fn effective(config: &Config) -> Vec<Effective> {
    Setting::ALL
        .into_iter()
        .map(|setting| Effective {
            setting: setting.name(),
            value: value(config, setting),
            source: config.source(setting).to_string(),
            about: setting.about(),
        })
        .collect()
}

fn value(config: &Config, setting: Setting) -> Option<String> {
    Some(match setting {
        Setting::Listen => config.listen.to_string(),
        Setting::ListenUnix => config.listen_unix.as_ref()?.display().to_string(),
        Setting::MetricsListen => config.metrics_listen?.to_string(),
        Setting::DataDir => config.data_dir.display().to_string(),
        Setting::DatabaseUrl => config.database_url.as_ref()?.redacted(),
        Setting::MigrationDatabaseUrl => config.migration_database_url.as_ref()?.redacted(),
        Setting::DatabaseMaxConnections => config.database_max_connections.to_string(),
        Setting::KeysFile => config.keys_file.display().to_string(),
        Setting::PublicUrl => config.public_origin(),
        Setting::TrustedProxies => {
            config.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        Setting::Surfaces if config.surfaces.is_empty() => "none".to_owned(),
        Setting::Surfaces => {
            config.surfaces.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        Setting::AllowedHosts => config.allowed_hosts.join(", "),
        Setting::MaxConnections => config.max_connections?.to_string(),
        Setting::MaxConnectionsPerAddress => config.max_connections_per_address.to_string(),
        Setting::ApiRateLimit => config.api_rate_limit.to_string(),
        Setting::CachedTokens => config.cached_tokens.to_string(),
        Setting::UnknownTokenRate => config.unknown_token_rate.to_string(),
        Setting::StaleGrace if config.stale_grace.is_zero() => "0s".to_owned(),
        Setting::StaleGrace => duration_text(config.stale_grace),
        Setting::SessionIdle => duration_text(config.session_idle),
        Setting::SessionAbsolute => duration_text(config.session_absolute),
        Setting::PostgresBinDir => config.postgres_bin_dir.as_ref()?.display().to_string(),
        Setting::Log => config.log.clone(),
        Setting::LogFormat => config.log_format.to_string(),
    })
    .filter(|text| !text.is_empty())
}
