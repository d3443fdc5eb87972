//! The table of all settings.

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Setting {
    /// The address to listen on.
    Listen,
    /// The Unix socket to listen on as well.
    ListenUnix,
    /// The address of the metrics listener.
    MetricsListen,
    /// The data folder.
    DataDir,
    /// The database's URL.
    DatabaseUrl,
    /// The database's URL for the role that owns its tables.
    MigrationDatabaseUrl,
    /// The maximum number of connections to the database.
    DatabaseMaxConnections,
    /// The keys file.
    KeysFile,
    /// The origin of links and cookies.
    PublicUrl,
    /// Trusted proxies.
    TrustedProxies,
    /// Host names of this server in addition to that of `public_url`.
    AllowedHosts,
    /// The maximum number of concurrent connections.
    MaxConnections,
    /// The maximum number of concurrent connections from one address.
    MaxConnectionsPerAddress,
    /// API calls per minute.
    ApiRateLimit,
    /// The enabled surfaces.
    Surfaces,
    /// How long a session may be unused.
    SessionIdle,
    /// How long a session may last.
    SessionAbsolute,
    /// The number of tokens cached in memory.
    CachedTokens,
    /// The number of unknown tokens to look up per second.
    UnknownTokenRate,
    /// How long cached facts stay valid without the database.
    StaleGrace,
    /// The folder of PostgreSQL's programs.
    PostgresBinDir,
    /// The log filter.
    Log,
    /// The log format.
    LogFormat,
}

struct Row {
    name: &'static str,
    default: Option<&'static str>,
    about: &'static str,
    secret: bool,
}

const fn row(name: &'static str, default: Option<&'static str>, about: &'static str) -> Row {
    Row { name, default, about, secret: false }
}

const fn secret_row(name: &'static str, about: &'static str) -> Row {
    Row { name, default: None, about, secret: true }
}

impl Setting {
    /// Every setting, in the order in which settings are shown.
    pub(crate) const ALL: [Self; 23] = [
        Self::Listen,
        Self::ListenUnix,
        Self::MetricsListen,
        Self::PublicUrl,
        Self::AllowedHosts,
        Self::TrustedProxies,
        Self::MaxConnections,
        Self::MaxConnectionsPerAddress,
        Self::DataDir,
        Self::KeysFile,
        Self::DatabaseUrl,
        Self::MigrationDatabaseUrl,
        Self::DatabaseMaxConnections,
        Self::PostgresBinDir,
        Self::ApiRateLimit,
        Self::Surfaces,
        Self::CachedTokens,
        Self::UnknownTokenRate,
        Self::StaleGrace,
        Self::SessionIdle,
        Self::SessionAbsolute,
        Self::Log,
        Self::LogFormat,
    ];

    #[expect(clippy::too_many_lines, reason = "a table")]
    const fn row(self) -> Row {
        match self {
            Self::Listen => row(
                "listen",
                Some("127.0.0.1:3000"),
                "address and port to listen on; with port 0, the system chooses a free port",
            ),
            Self::ListenUnix => row(
                "listen_unix",
                None,
                "Unix socket to listen on as well, for programs on this machine",
            ),
            Self::MetricsListen => row(
                "metrics_listen",
                None,
                "address and port of GET /metrics, for Prometheus, without authentication",
            ),
            Self::DataDir => {
                row("data_dir", Some("data"), "folder of the embedded database and the keys")
            }
            Self::DatabaseUrl => secret_row(
                "database_url",
                "PostgreSQL to use instead of the embedded one; pass a password in a variable or a file, not in a flag",
            ),
            Self::MigrationDatabaseUrl => secret_row(
                "migration_database_url",
                "the same database with the role that owns its tables, only for migrations",
            ),
            Self::DatabaseMaxConnections => row(
                "database_max_connections",
                Some("10"),
                "maximum number of database connections for requests; up to 6 more are opened for \
                 other purposes",
            ),
            Self::KeysFile => row(
                "keys_file",
                None,
                "file with the peppers and the sealing and audit keys; created once, with mode 0600 (default: keys.toml in the data folder)",
            ),
            Self::PublicUrl => row(
                "public_url",
                None,
                "origin that browsers use, such as https://tessera.example.com; links and cookies are created for it (default: http://ADDRESS:PORT)",
            ),
            Self::TrustedProxies => row(
                "trusted_proxies",
                Some(""),
                "networks of proxies whose X-Forwarded-For is trusted; set it if Tessera runs behind a proxy",
            ),
            Self::AllowedHosts => row(
                "allowed_hosts",
                Some(""),
                "host names by which browsers may reach the server, in addition to that of \
                 public_url",
            ),
            Self::MaxConnections => row(
                "max_connections",
                None,
                "maximum number of concurrent connections; beyond it, the longest idle one is closed (default: as many as open files allow, at most 10000)",
            ),
            Self::MaxConnectionsPerAddress => row(
                "max_connections_per_address",
                Some("1000"),
                "maximum number of concurrent connections from one address, or one IPv6 /64; does not \
                 apply to trusted_proxies",
            ),
            Self::ApiRateLimit => row(
                "api_rate_limit",
                Some("600"),
                "calls of the management API and form posts to the console, per minute and caller; 0 for \
                 no limit",
            ),
            Self::Surfaces => row(
                "surfaces",
                Some("devo,kriten,robust-intelligence"),
                "products whose APIs are served in addition to Tessera's own: devo, kriten and robust-intelligence, or none",
            ),
            Self::SessionIdle => row(
                "session_idle",
                Some("2h"),
                "how long a session may be unused before it expires",
            ),
            Self::SessionAbsolute => {
                row("session_absolute", Some("12h"), "how long a session lasts at most")
            }
            Self::CachedTokens => row(
                "cached_tokens",
                Some("100000"),
                "maximum number of tokens whose facts are cached in memory",
            ),
            Self::UnknownTokenRate => row(
                "unknown_token_rate",
                Some("100"),
                "unknown tokens to look up per second for one address, with bursts of ten times as \
                 many; the same for unknown sessions; 0 for no limit",
            ),
            Self::StaleGrace => row(
                "stale_grace",
                Some("0s"),
                "how much longer than its lease (2 s) the server verifies tokens from memory when \
                 the database is unavailable; revoked tokens may be accepted during this time",
            ),
            Self::PostgresBinDir => row(
                "postgres_bin_dir",
                None,
                "folder with initdb and postgres (default: found automatically)",
            ),
            Self::Log => row("log", Some("info"), "log filter, such as info or info,server=debug"),
            Self::LogFormat => row(
                "log_format",
                Some("auto"),
                "log format: auto (text on a terminal, otherwise JSON), text or json",
            ),
        }
    }

    /// Returns the key in the configuration file.
    pub(crate) const fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the name of the environment variable.
    pub(crate) fn variable(self) -> String {
        format!("TESSERA_{}", self.name().to_ascii_uppercase())
    }

    /// Returns the name of the flag.
    pub(crate) fn flag(self) -> String {
        format!("--{}", self.name().replace('_', "-"))
    }

    /// Returns the default value as text.
    pub(crate) const fn default_text(self) -> Option<&'static str> {
        self.row().default
    }

    /// Returns a short description.
    pub(crate) const fn about(self) -> &'static str {
        self.row().about
    }

    /// Returns the text in the help of the command line: the description and the default.
    pub(crate) fn help(self) -> String {
        let about = self.about();
        let mut help = about.replacen(" (default: ", " [default: ", 1);
        if help != about {
            help = format!("{}]", help.trim_end_matches(')'));
        } else if let Some(default) = self.default_text().filter(|default| !default.is_empty()) {
            help = format!("{about} [default: {default}]");
        }
        let first = help.chars().take(1).flat_map(char::to_uppercase).collect::<String>();
        first + help.get(1..).unwrap_or_default()
    }

    /// Returns the same text for a flag that may be given more than once.
    pub(crate) fn help_of_list(self) -> String {
        format!("{}; may be given more than once", self.help())
    }

    /// Reports whether the value must not be shown. Such a value may also be read from a separate
    /// file.
    pub(crate) const fn is_secret(self) -> bool {
        self.row().secret
    }

    /// Finds a setting by its key.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| setting.name() == name)
    }
}

/// Returns the text in `known` that is most similar to `text`.
pub(super) fn nearest(text: &str, known: impl IntoIterator<Item = String>) -> String {
    known
        .into_iter()
        .min_by_key(|candidate| strsim::damerau_levenshtein(text, candidate))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn setting_names_are_unique() {
        let names: BTreeSet<_> = Setting::ALL.into_iter().map(Setting::name).collect();
        assert_eq!(names.len(), Setting::ALL.len());
        assert_eq!(Setting::DatabaseUrl.variable(), "TESSERA_DATABASE_URL");
        assert_eq!(Setting::DatabaseUrl.flag(), "--database-url");
    }

    #[test]
    fn mistyped_key_gets_the_nearest_setting() {
        let known = || Setting::ALL.map(|setting| setting.name().to_owned());
        assert_eq!(nearest("lisen", known()), "listen");
        assert_eq!(nearest("databse_url", known()), "database_url");
        assert_eq!(nearest("", []), "");
    }
}
