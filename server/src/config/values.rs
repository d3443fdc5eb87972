//! Parsers of single values. An error message starts with a verb, because the setting's name
//! precedes it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    os::unix::{ffi::OsStrExt as _, net::SocketAddr as UnixAddr},
    path::Path,
    str::FromStr,
};

use authority::store::{UrlError, check_url, is_password, shows_value};
use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};
use time::Duration;
use tracing_subscriber::EnvFilter;
use url::{Host, Url};

use crate::dialect::{Dialect, UnknownDialect};

/// Ten years. A longer time is a mistake.
const LONGEST_S: i64 = 10 * 366 * 86_400;
const MAX_CACHED: usize = 10_000_000;
const MAX_RATE: u32 = 1_000_000;
const MAX_CONNECTIONS: u32 = 1_000;

/// The log format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text on a terminal, otherwise JSON.
    Auto,
    /// One JSON object per line.
    Json,
    /// Text for people to read.
    Text,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err("must be auto, json or text"),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Text => "text",
        })
    }
}

/// The database's URL, which may contain a password.
#[derive(Clone)]
pub(crate) struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    /// Wraps a URL that Tessera built itself.
    pub(crate) fn own(url: String) -> Self {
        Self(SecretString::from(url))
    }

    /// Returns the whole URL, including its password.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Reports whether the URL contains a password.
    pub(crate) fn has_password(&self) -> bool {
        Url::parse(self.expose()).is_ok_and(|url| {
            url.password().is_some() || url.query_pairs().any(|(key, _)| is_password(&key))
        })
    }

    /// Returns the URL without secrets, for logs and people. It shows only parameter values that
    /// are known to be harmless, because `options` can contain anything.
    pub(crate) fn redacted(&self) -> String {
        let Ok(mut url) = Url::parse(self.expose()) else { return "***".to_owned() };
        if url.password().is_some() && url.set_password(Some("***")).is_err() {
            return "***".to_owned();
        }
        // Names that need percent-encoding may contain anything.
        if url.username().contains('%') && url.set_username("***").is_err() {
            return "***".to_owned();
        }
        if url.path().contains('%') {
            url.set_path("/***");
        }
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        if pairs.iter().any(|(key, _)| !shows_value(key)) {
            let mut query = url.query_pairs_mut();
            query.clear();
            for (key, value) in &pairs {
                // `options[name]` contains part of the option in its name.
                let name = key.split('[').next().unwrap_or_default();
                query.append_pair(name, if shows_value(key) { value } else { "***" });
            }
        }
        url.to_string()
    }

    /// Returns host, port and database name, for a message.
    pub(crate) fn place(&self) -> String {
        let Ok(url) = Url::parse(self.expose()) else { return "the database".to_owned() };
        let socket =
            url.query_pairs().find(|(key, _)| key == "host").map(|(_, host)| host.into_owned());
        let host = socket.or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default();
        let path = if url.path().contains('%') { "/***" } else { url.path() };
        format!("{host}:{}{path}", url.port().unwrap_or(5432))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DatabaseUrl({})", self.redacted())
    }
}

/// Parses `postgres://user:password@host:port/name`. The error does not quote the URL.
pub(crate) fn database_url(text: &str) -> Result<DatabaseUrl, UrlError> {
    check_url(text)?;
    Ok(DatabaseUrl(SecretString::from(text.to_owned())))
}

/// Parses `127.0.0.1:3000`, `[::1]:3000` or `localhost:3000`.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, &'static str> {
    let text = text.trim();
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    numeric
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| "must be an IP address and a port, such as 127.0.0.1:3000 or [::]:3000")
}

/// Checks that a socket can have this absolute path. The system limits its length (`sun_path`: 108
/// bytes on Linux, 104 elsewhere, including the NUL at the end).
pub(crate) fn socket_path(path: &Path) -> Result<(), String> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.contains(&0) {
        return Err("must not contain a NUL byte".to_owned());
    }
    if path.file_name().is_none() {
        return Err("must be the path of a file, such as /run/tessera/tessera.sock".to_owned());
    }
    UnixAddr::from_pathname(path).map(drop).map_err(|_| {
        format!(
            "must be shorter: {} has {} bytes, and a socket path has at most 107",
            path.display(),
            bytes.len()
        )
    })
}

/// Parses the number of database connections.
pub(crate) fn max_connections(text: &str) -> Result<u32, &'static str> {
    match text.trim().parse() {
        Ok(number) if (1..=MAX_CONNECTIONS).contains(&number) => Ok(number),
        _ => Err("must be a number from 1 to 1000"),
    }
}

/// Parses the number of cached tokens.
pub(crate) fn cached_tokens(text: &str) -> Result<usize, &'static str> {
    match text.trim().parse() {
        Ok(number) if (1..=MAX_CACHED).contains(&number) => Ok(number),
        _ => Err("must be a number from 1 to 10000000"),
    }
}

/// Parses the number of client connections.
pub(crate) fn connections(text: &str) -> Result<usize, &'static str> {
    match text.trim().parse() {
        Ok(number) if (1..=MAX_CACHED).contains(&number) => Ok(number),
        _ => Err("must be a number from 1 to 10000000"),
    }
}

/// Parses a host name into lower case.
pub(crate) fn host_name(text: &str) -> Result<String, &'static str> {
    match url::Host::parse(text) {
        Ok(host) => Ok(host.to_string().to_ascii_lowercase()),
        Err(_) => Err("must be host names without scheme and port, such as tessera.example.com"),
    }
}

/// Parses the number of calls.
pub(crate) fn rate_limit(text: &str) -> Result<u32, &'static str> {
    match text.trim().parse() {
        Ok(number) if number <= MAX_RATE => Ok(number),
        _ => Err("must be a number from 0 to 1000000"),
    }
}

/// Parses an origin such as `https://tessera.example.com`. It has no path, because cookies and
/// links belong to the whole origin.
pub(crate) fn public_url(text: &str) -> Result<Url, &'static str> {
    let url =
        Url::parse(text.trim()).map_err(|_| "must be a URL such as https://tessera.example.com")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with https:// or http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or a password");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("must be an origin without a path, such as https://tessera.example.com");
    }
    Ok(url)
}

/// Reports whether a browser treats this origin as secure although it does not use HTTPS.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// Parses a network such as `10.0.0.0/8`, or a single address.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map(|network| network.trunc())
        .map_err(|_| format!("must be networks such as 10.0.0.0/8; {text:?} is not a network"))
}

/// Parses the name of a product, or `none`.
pub(crate) fn dialect(text: &str) -> Result<Option<Dialect>, String> {
    if text == "none" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|UnknownDialect| {
        format!(
            "must be one or more of devo, kriten and robust-intelligence, or none; {text:?} is \
             unknown"
        )
    })
}

/// Parses a duration as [`duration`] does, or 0.
pub(crate) fn duration_or_none(text: &str) -> Result<Duration, &'static str> {
    if matches!(text.trim(), "0" | "0s") { Ok(Duration::ZERO) } else { duration(text) }
}

/// Parses `90s`, `30m`, `12h`, `30d` or several of them, such as `1d12h`. The duration must be
/// longer than 0.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "must be a duration such as 30m, 12h or 30d";
    let mut seconds: i64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(FORM);
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = rest.split_at(digits);
        let number: i64 = number.parse().map_err(|_| FORM)?;
        let each = match unit.chars().next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            _ => return Err(FORM),
        };
        seconds =
            number.checked_mul(each).and_then(|part| seconds.checked_add(part)).ok_or(FORM)?;
        rest = &unit[1..];
    }
    if (1..=LONGEST_S).contains(&seconds) {
        Ok(Duration::seconds(seconds))
    } else {
        Err("must be longer than 0 and at most ten years")
    }
}

/// Formats a duration the way [`duration`] parses it.
pub(crate) fn duration_text(duration: Duration) -> String {
    let mut rest = duration.whole_seconds();
    let mut text = String::new();
    for (each, unit) in [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')] {
        if rest >= each {
            text.push_str(&(rest / each).to_string());
            text.push(unit);
            rest %= each;
        }
    }
    text
}

/// Checks a log filter.
pub(crate) fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::builder()
        .parse(text)
        .map(|_| text.to_owned())
        .map_err(|_| "must be a filter such as info, or warn,server=debug".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn listen_accepts_addresses_and_localhost() {
        assert_eq!(listen("127.0.0.1:0").unwrap().port(), 0);
        assert_eq!(listen("localhost:80").unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(listen("[::1]:3000").unwrap().to_string(), "[::1]:3000");
        for bad in ["", "3000", ":3000", "example.com:80", "127.0.0.1", "127.0.0.1:65536"] {
            assert!(listen(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn socket_path_is_at_most_107_bytes() {
        let path = |bytes: usize| format!("/{}", "s".repeat(bytes - 1));
        assert_eq!(socket_path(Path::new("/run/tessera.sock")), Ok(()));
        assert_eq!(socket_path(Path::new(&path(100))), Ok(()));
        let refused = socket_path(Path::new(&path(108))).unwrap_err();
        assert!(refused.starts_with("must be shorter: /sss"), "{refused}");
        assert!(refused.contains("108 bytes"), "{refused}");
        for bad in ["/a\0b", "/", "/run/.."] {
            assert!(socket_path(Path::new(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn database_url_never_shows_its_password() {
        let url =
            database_url("postgres://u:geheim@h:5/d?password=geheim&sslmode=require").unwrap();
        for shown in [format!("{url:?}"), url.redacted(), url.place()] {
            assert!(!shown.contains("geheim"), "{shown}");
        }
        assert_eq!(url.place(), "h:5/d");
        assert_eq!(url.redacted(), "postgres://u:***@h:5/d?password=***&sslmode=require");
        let socket = database_url("postgres:///d?host=/run/postgresql").unwrap();
        assert_eq!(socket.place(), "/run/postgresql:5432/d");
        let options =
            database_url("postgres://u@h/d?options=-c%20a.b%3Dgeheim&options[c.geheim]=geheim")
                .unwrap();
        assert_eq!(options.redacted(), "postgres://u@h/d?options=***&options=***");
        assert!(url.has_password() && !options.has_password() && !socket.has_password());
        let encoded = database_url("postgres://u%20geheim@h/d%20geheim").unwrap();
        assert_eq!(
            (encoded.redacted(), encoded.place()),
            ("postgres://***@h/***".into(), "h:5432/***".into())
        );
        for hidden in [
            "postgres://u@h/d&password=geheim",
            "postgres://h/d;user=u;password=geheim",
            "postgres://u@h/d?application_name=x;password=geheim",
            "postgres://u@h/d%3Fpassword=geheim",
            "postgres://u%3Ageheim@h/d",
            "postgres://h/d?user=u%3Ageheim",
        ] {
            let error = database_url(hidden).unwrap_err().to_string();
            assert!(
                !error.contains("geheim") && error.contains("percent-encode"),
                "{hidden}: {error}"
            );
        }
        assert!(database_url("mysql://h/d").is_err());
        assert!(database_url("geheim").is_err());
    }

    #[test]
    fn public_url_is_an_origin() {
        assert_eq!(public_url("https://t.example").unwrap().as_str(), "https://t.example/");
        for bad in [
            "",
            "t.example",
            "ftp://t",
            "https://t/x",
            "https://t/?a",
            "https://u:p@t",
            "https://t/#f",
        ] {
            assert!(public_url(bad).is_err(), "{bad}");
        }
        assert!(is_loopback(&public_url("http://[::1]:3000").unwrap()));
        assert!(is_loopback(&public_url("http://localhost:3000").unwrap()));
        assert!(!is_loopback(&public_url("http://localhost.example").unwrap()));
    }

    #[test]
    fn network_accepts_single_addresses_and_drops_host_bits() {
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(network("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("::1").unwrap().to_string(), "::1/128");
        assert!(network("all").is_err());
    }

    #[test]
    fn duration_accepts_its_units_only() {
        assert_eq!(duration("1d12h"), Ok(Duration::hours(36)));
        assert_eq!(duration(" 90s "), Ok(Duration::seconds(90)));
        for bad in
            ["", "0s", "12", "h", "-1h", "1w", "1.5h", "99999999999999999999d", "3661d", "１h"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn max_connections_has_bounds() {
        assert_eq!(max_connections("1"), Ok(1));
        for bad in ["0", "1001", "-1", "ten", ""] {
            assert!(max_connections(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsers_never_panic(text in any::<String>()) {
            let _ = listen(&text);
            let _ = network(&text);
            let _ = (duration(&text), duration_or_none(&text), cached_tokens(&text));
            let _ = public_url(&text);
            let _ = socket_path(Path::new(&text));
            let _ = log_filter(&text);
            let _ = (max_connections(&text), rate_limit(&text));
            if let Ok(url) = database_url(&text) {
                let _ = (url.redacted(), url.place());
            }
        }

        #[test]
        fn duration_round_trips_through_its_text(seconds in 1..=LONGEST_S) {
            let length = Duration::seconds(seconds);
            prop_assert_eq!(duration(&duration_text(length)), Ok(length));
        }

        /// Passwords as people write them, without percent-encoding.
        #[test]
        fn password_never_appears_even_if_the_url_is_invalid(
            before in r"[a-z0-9:/?#@&=%+,;.\\\[\] \t\n-]{0,12}", after in r"[a-z0-9:/?#@&=%+,;.\\\[\] \t\n-]{0,12}",
            query in r"(\?sslmode=disable|\?host=%2Frun|\?options=x|)",
        ) {
            for url in [
                format!("postgres://u:{before}Geheim{after}@127.0.0.1:1/d{query}"),
                format!("postgres://u:{before}Geheim{after}@/d?host=/run"),
                format!("postgres:u:{before}Geheim{after}@127.0.0.1/d{query}"),
                format!("postgres:/u:{before}Geheim{after}@127.0.0.1/d{query}"),
            ] {
                let shown = match database_url(&url) {
                    Err(error) => format!("{error} {error:?}"),
                    Ok(url) => format!("{} {} {url:?}", url.redacted(), url.place()),
                };
                prop_assert!(!shown.to_lowercase().contains("geheim"), "{url:?}: {shown}");
            }
        }

        #[test]
        fn any_password_is_redacted(password in "[a-zA-Z0-9!$&'()*+,;=%~ -]{8,40}") {
            let mut url = Url::parse("postgres://user@host/db").unwrap();
            url.set_password(Some(&password)).unwrap();
            let url = database_url(url.as_str()).unwrap();
            prop_assert_eq!(url.redacted(), "postgres://user:***@host/db");
        }
    }
}
