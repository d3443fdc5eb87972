//! Connections to the database: the accepted database URLs, and the settings of every connection.
//!
//! Invariants:
//! - Tessera sets the isolation level, time zone, string syntax, timeouts and search path of every
//!   connection itself, whatever the defaults of the role or the database are.
//! - Every transaction sets them again, so that nothing a pooler does to a connection affects it.
//! - A URL that requests something Tessera would ignore is refused, with the reason.

use std::{env, path::Path, str::FromStr as _, time::Duration};

use log::LevelFilter;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
use thiserror::Error;
use url::{Host, Url};

use super::database_url::{check_shown, check_text, is_password, quoted};

/// How long a request waits for a connection before it returns 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// Statements that take at least this long are logged. Statements take milliseconds, and a
/// verification waits for at most two seconds: the log shows a slow database before verifications
/// fail.
pub const SLOW: Duration = Duration::from_secs(1);

/// The settings of a connection, applied with `SET`.
///
/// The timeouts are backstops: requests have shorter limits of their own. A server that hangs in
/// the middle of a change must not hold its locks, because they would block every revocation.
const SETTINGS: &[(&str, &str)] = &[
    ("TimeZone", "'UTC'"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "'60s'"),
    ("lock_timeout", "'10s'"),
    ("idle_in_transaction_session_timeout", "'5s'"),
    // Statements are long but read few rows: compiling one takes longer than running it.
    ("jit", "off"),
    // Only this schema is searched. Temporary tables come last, so that they shadow nothing.
    ("search_path", "public, pg_temp"),
];

/// Begins a transaction with the settings of [`SETTINGS`], in one round trip.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
    SET LOCAL TimeZone = 'UTC'; \
    SET LOCAL standard_conforming_strings = on; \
    SET LOCAL statement_timeout = '60s'; \
    SET LOCAL lock_timeout = '10s'; \
    SET LOCAL idle_in_transaction_session_timeout = '5s'; \
    SET LOCAL jit = off; \
    SET LOCAL search_path = public, pg_temp";

/// Disables the timeouts of a connection that only newer versions have: `transaction_timeout`
/// (PostgreSQL 17) and `idle_session_timeout` (PostgreSQL 14).
const WITHOUT_TIMEOUTS: &str = "SELECT set_config(name, '0', false) \
    FROM unnest(ARRAY['transaction_timeout', 'idle_session_timeout']) AS name \
    WHERE current_setting(name, true) IS NOT NULL";

/// Parameters of libpq that are accepted and ignored.
const WITHOUT_EFFECT: &[&str] = &[
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "gssencmode",
    "client_encoding",
    "fallback_application_name",
];

/// Parameters that are passed to the driver.
const KNOWN: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
    "options",
    "statement-cache-capacity",
];

/// The usual paths of the system's trusted CA certificates.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/opt/homebrew/etc/ca-certificates/cert.pem",
];

/// The reason why a database URL cannot be used. No message quotes a secret.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UrlError {
    /// The text is not a PostgreSQL URL.
    #[error("must be a URL such as postgres://user:password@host:5432/tessera")]
    Form,
    /// Part of the URL is not percent-encoded, probably the password.
    #[error(
        "has a #, a ; or a line break, an @ after the host, a : in the user name, or a parameter in the name of the database: percent-encode the user name and the password (@ as %40, / as %2F, ? as %3F, # as %23), and write ? before the first parameter and & before the others"
    )]
    Unescaped,
    /// A parameter occurs twice.
    #[error("has the parameter {0} more than once: keep one of them")]
    Repeated(String),
    /// The URL names several hosts.
    #[error(
        "names several hosts, which Tessera does not support: name one address that leads to the primary, such as that of HAProxy or PgBouncer"
    )]
    SeveralHosts,
    /// A parameter has no effect or no meaning here.
    #[error("has the parameter {0}, which Tessera does not support: {1}")]
    Unsupported(String, &'static str),
    /// A parameter has an invalid value.
    #[error("has an invalid value for {0}: {1}")]
    Value(&'static str, &'static str),
    /// A file that the URL names cannot be used.
    #[error("names {path} as {parameter}, which {why}")]
    File {
        /// The parameter.
        parameter: &'static str,
        /// The file.
        path: String,
        /// What is wrong with the file.
        why: String,
    },
}

/// Checks a database URL without connecting and without reading files.
///
/// # Errors
///
/// The reason why the URL cannot be used, without quoting the URL.
pub fn check_url(text: &str) -> Result<(), UrlError> {
    read(text).map(drop)
}

/// Opens a pool for this URL. It connects on first use, so the database may still be down.
///
/// # Errors
///
/// The reason why the URL, or a file that it names, cannot be used.
pub fn connect(url: &str, max_connections: u32) -> Result<PgPool, UrlError> {
    let options = options(url)?;
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| Box::pin(configure(connection)))
        .connect_lazy_with(options))
}

/// Opens one connection with Tessera's settings.
pub(crate) async fn open(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    configure(&mut connection).await?;
    Ok(connection)
}

/// Opens a connection for verifications. PostgreSQL cancels a query that takes longer than a
/// verification waits: it would only load the database, and no caller would read the result.
pub(crate) async fn open_for_verifications(
    options: &PgConnectOptions,
) -> Result<PgConnection, sqlx::Error> {
    let mut connection = open(options).await?;
    sqlx::raw_sql("SET statement_timeout = '2s'").execute(&mut connection).await?;
    Ok(connection)
}

/// Opens a connection for changes of the schema. They may take as long as they need but wait only
/// briefly for a lock, because all other sessions that need the table queue behind them.
pub(crate) async fn open_for_migrations(
    options: &PgConnectOptions,
) -> Result<PgConnection, sqlx::Error> {
    let mut connection = open(options).await?;
    sqlx::raw_sql(
        "SET statement_timeout = 0; SET lock_timeout = '1s'; SET idle_in_transaction_session_timeout = 0",
    )
    .execute(&mut connection)
    .await?;
    Ok(connection)
}

/// Applies the settings that Tessera relies on to a new connection.
pub(crate) async fn configure(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // `SET` rather than connection options, which poolers refuse.
    let own = [("default_transaction_isolation", "'read committed'")];
    let sql: Vec<String> =
        own.iter().chain(SETTINGS).map(|(name, value)| format!("SET {name} = {value}")).collect();
    let sql = format!("{}; {WITHOUT_TIMEOUTS}", sql.join("; "));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// Parses a URL into the driver's options and checks the files that it names.
pub(crate) fn options(text: &str) -> Result<PgConnectOptions, UrlError> {
    let url = read(text)?;
    let mut options = PgConnectOptions::from_str(url.as_str()).map_err(|_| UrlError::Form)?;
    // The driver would take the brackets of an IPv6 address as part of a host name.
    if let Some(Host::Ipv6(address)) = text_host(text)
        && !url.query_pairs().any(|(key, _)| matches!(&*key, "host" | "hostaddr"))
    {
        options = options.host(&address.to_string());
    }
    for (key, value) in url.query_pairs() {
        match &*key {
            "sslrootcert" => {
                let path = if value == "system" { system_roots()? } else { value.into_owned() };
                check_certificates("sslrootcert", &path)?;
                options = options.ssl_root_cert(path);
            }
            "sslcert" => check_certificates("sslcert", &value)?,
            "sslkey" => check_file("sslkey", &value).map(drop)?,
            _ => {}
        }
    }
    if url.query_pairs().any(|(key, value)| key == "sslrootcert" && value == "system") {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    // Poolers refuse startup parameters that they don't support. Nothing here needs this one.
    let options = options.application_name("tessera").extra_float_digits(None);
    // The log has the statement's text, which contains no values: those are sent separately.
    Ok(options.log_slow_statements(LevelFilter::Warn, SLOW))
}

fn text_host(text: &str) -> Option<Host<String>> {
    // The url crate parses addresses only for special schemes: `http` is one, `postgres` is not.
    let (_, rest) = text.split_once("://")?;
    Url::parse(&format!("http://{rest}")).ok()?.host().map(|host| host.to_owned())
}

/// Parses a URL and refuses parameters that would have no effect. The result has only the
/// parameters of [`KNOWN`] and `options[…]`.
fn read(text: &str) -> Result<Url, UrlError> {
    check_text(text)?;
    let parsed = Url::parse(text);
    if parsed.is_err() && names_several_hosts(text) {
        return Err(UrlError::SeveralHosts);
    }
    let mut url = parsed.map_err(|_| UrlError::Form)?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(UrlError::Form);
    }
    if url.host_str().is_some_and(|host| host.contains(',') || host.contains("%2C")) {
        return Err(UrlError::SeveralHosts);
    }
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let system_roots = pairs.iter().any(|(key, value)| key == "sslrootcert" && value == "system");
    let has_password = pairs.iter().any(|(key, _)| is_password(key));
    let mut kept = Vec::new();
    let mut seen = Vec::new();
    for (key, value) in pairs {
        let key = match key.as_str() {
            "ssl-mode" => "sslmode".to_owned(),
            "ssl-root-cert" | "ssl-ca" => "sslrootcert".to_owned(),
            "ssl-cert" => "sslcert".to_owned(),
            "ssl-key" => "sslkey".to_owned(),
            _ => key,
        };
        if seen.contains(&key) {
            let is_known = KNOWN.contains(&key.as_str());
            return Err(UrlError::Repeated(if is_known { key } else { quoted(&key, true) }));
        }
        check_shown(&key, &value)?;
        check_parameter(&key, &value, system_roots, has_password)?;
        seen.push(key.clone());
        if KNOWN.contains(&key.as_str()) || is_option(&key) {
            kept.push((key, value));
        }
    }
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    Ok(url)
}

fn names_several_hosts(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    authority.rsplit('@').next().is_some_and(|hosts| hosts.contains(','))
}

fn is_option(key: &str) -> bool {
    key.starts_with("options[") && key.ends_with(']')
}

fn check_parameter(
    key: &str,
    value: &str,
    system_roots: bool,
    has_password: bool,
) -> Result<(), UrlError> {
    let unsupported = |why| Err(UrlError::Unsupported(key.to_owned(), why));
    match key {
        "host" | "hostaddr" | "port" if value.contains(',') => Err(UrlError::SeveralHosts),
        "hostaddr" if value.parse::<std::net::IpAddr>().is_err() => {
            Err(UrlError::Value("hostaddr", "it must be an IP address"))
        }
        "port" if value.parse::<u16>().is_err() => {
            Err(UrlError::Value("port", "it must be a number from 1 to 65535"))
        }
        "sslmode" if system_roots && value != "verify-full" => {
            Err(UrlError::Value("sslmode", "it must be verify-full with sslrootcert=system"))
        }
        "sslmode" => match value {
            "disable" | "prefer" | "require" | "verify-ca" | "verify-full" => Ok(()),
            "allow" => Err(UrlError::Value("sslmode", "allow would never encrypt; use prefer")),
            _ => Err(UrlError::Value(
                "sslmode",
                "it must be disable, prefer, require, verify-ca or verify-full",
            )),
        },
        "channel_binding" if value == "require" => {
            unsupported("channel binding cannot be required; use sslmode=verify-full")
        }
        "channel_binding" => Ok(()),
        "gssencmode" if value == "require" => {
            unsupported("encryption by GSSAPI cannot be required; use sslmode=verify-full")
        }
        "target_session_attrs" if matches!(value, "any" | "read-write" | "primary") => Ok(()),
        "target_session_attrs" => unsupported("Tessera always needs the primary"),
        "sslpassword" => unsupported("decrypt the client's key and name it with sslkey"),
        "service" => unsupported("write host, port and database into the URL"),
        "passfile" => unsupported("set the environment variable PGPASSFILE"),
        _ if WITHOUT_EFFECT.contains(&key) || KNOWN.contains(&key) || is_option(key) => Ok(()),
        _ => {
            Err(UrlError::Unsupported(quoted(key, has_password), "remove it, or correct its name"))
        }
    }
}

fn system_roots() -> Result<String, UrlError> {
    let named = env::var("SSL_CERT_FILE").ok().filter(|path| Path::new(path).is_file());
    named
        .or_else(|| {
            SYSTEM_ROOTS.iter().find(|path| Path::new(path).is_file()).map(ToString::to_string)
        })
        .ok_or(UrlError::Value(
            "sslrootcert",
            "this system has no file of trusted certificate authorities; install ca-certificates or name a file",
        ))
}

fn check_certificates(parameter: &'static str, path: &str) -> Result<(), UrlError> {
    let text = check_file(parameter, path)?;
    if String::from_utf8_lossy(&text).contains("-----BEGIN CERTIFICATE-----") {
        return Ok(());
    }
    let why = "contains no PEM certificate".to_owned();
    Err(UrlError::File { parameter, path: path.to_owned(), why })
}

fn check_file(parameter: &'static str, path: &str) -> Result<Vec<u8>, UrlError> {
    std::fs::read(path).map_err(|error| UrlError::File {
        parameter,
        path: path.to_owned(),
        why: format!("cannot be read: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> String {
        check_url(text).unwrap_err().to_string()
    }

    #[test]
    fn usual_urls_are_accepted() {
        for (text, host, port) in [
            ("postgres://u:p@db.example.com/tessera", "db.example.com", 5432),
            ("postgresql://u@10.0.0.1:6432/d?sslmode=verify-full", "10.0.0.1", 6432),
            ("postgres://u@[::1]:5433/d", "::1", 5433),
            ("postgres://u@[2001:db8::7]/d?sslmode=require", "2001:db8::7", 5432),
            ("postgres://u@ignored/d?host=db&port=7", "db", 7),
            ("postgres://u@h/d?connect_timeout=10&target_session_attrs=read-write", "h", 5432),
        ] {
            let options = options(text).unwrap();
            assert_eq!((options.get_host(), options.get_port()), (host, port), "{text}");
        }
    }

    #[test]
    fn several_hosts_are_refused_with_an_alternative() {
        for text in [
            "postgres://u:p@a,b/d",
            "postgres://u:p@a:5432,b:5432/d",
            "postgres:///d?host=a,b",
            "postgres://u@a/d?port=1,2",
        ] {
            assert!(refusal(text).contains("HAProxy"), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn ineffective_parameters_are_refused_without_quoting_their_value() {
        for (text, reason) in [
            ("postgres://h/d?sslmode=required", "sslmode"),
            ("postgres://h/d?sslmode=allow", "prefer"),
            ("postgres://h/d?channel_binding=require", "channel_binding"),
            ("postgres://h/d?gssencmode=require", "gssencmode"),
            ("postgres://h/d?sslpassword=geheim", "sslkey"),
            ("postgres://h/d?passwrod=geheim", "passwrod"),
            ("postgres://h/d?target_session_attrs=standby", "primary"),
            ("postgres://h/d?sslrootcert=system&sslmode=require", "verify-full"),
            ("postgres://h/d?hostaddr=geheim", "IP address"),
            ("mysql://h/d", "postgres://"),
        ] {
            let said = refusal(text);
            assert!(said.contains(reason) && !said.contains("geheim"), "{text}: {said}");
        }
    }

    #[test]
    fn contradictory_parameters_are_refused() {
        for (text, name) in [
            ("postgres://h/d?sslmode=verify-full&sslmode=disable", "sslmode"),
            ("postgres://h/d?sslmode=verify-full&ssl-mode=disable", "sslmode"),
            ("postgres://h/d?host=a&host=b", "host"),
            ("postgres://h/d?password=geheim&password=geheim", "password"),
            ("postgres://h/d?options[geheim]=1&options[geheim]=2", "***"),
        ] {
            let said = refusal(text);
            assert!(said.contains(&format!("parameter {name} more than once")), "{text}: {said}");
            assert!(!said.contains("geheim"), "{said}");
        }
        assert_eq!(check_url("postgres://h/d?options[a_b]=1&options[a_c]=2"), Ok(()));
    }

    #[test]
    fn certificate_files_are_checked_before_the_first_connection() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("ca.pem");
        let url = format!("postgres://h/d?sslmode=verify-full&sslrootcert={}", file.display());
        assert!(options(&url).unwrap_err().to_string().contains("cannot be read"));
        std::fs::write(&file, "no certificate").unwrap();
        assert!(options(&url).unwrap_err().to_string().contains("PEM"));
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert!(options(&url).is_ok());
    }

    #[test]
    fn transaction_sets_everything_that_a_connection_sets() {
        for (name, value) in SETTINGS {
            assert!(BEGIN.contains(&format!("SET LOCAL {name} = {value}")), "{name}");
        }
    }

    proptest! {
        #[test]
        fn checking_any_text_never_panics(text in "\\PC{0,80}") {
            let _ = check_url(&text);
            let _ = check_url(&format!("postgres://{text}"));
        }
    }
}
