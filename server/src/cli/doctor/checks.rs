//! The checks.

use std::{fs, os::unix::fs::MetadataExt as _, time::Duration};

use authority::{AmbiguousGrant, Authority, Doubt, UnreadScope};

use super::{Finding, people};
use crate::{
    config::{
        Config, Setting,
        values::{DatabaseUrl, is_loopback},
    },
    data_folder::MissingKeys,
    database::{Urls, describe},
    http::proxy_hint,
    postgres::{self, Embedded},
    runtime,
};

/// With a larger clock difference, tokens become valid and expire at other times than people
/// expect.
const SKEW_WARN_S: i64 = 5;
const SKEW_FAIL_S: i64 = 60;
const LOOK: Duration = Duration::from_millis(200);

/// Runs all checks that apply to this configuration.
pub(super) async fn all(config: &Config) -> Vec<Finding> {
    let mut findings = vec![public_url(config)];
    findings.extend(secret_files(config));
    if config.database_url.is_none() {
        findings.push(data_folder(config));
        findings.push(binaries(config));
    }
    findings.push(keys(config));
    match urls(config).await {
        Ok(urls) => findings.extend(database(config, &urls).await),
        Err(finding) => findings.push(finding),
    }
    findings
}

fn public_url(config: &Config) -> Finding {
    const CHECK: &str = "public URL";
    let origin = config.public_origin();
    if config.public_url.scheme() == "https" {
        return Finding::ok(CHECK, origin);
    }
    if !is_loopback(&config.public_url) {
        return Finding::warn(
            CHECK,
            format!(
                "{origin} does not use HTTPS: passwords and tokens cross the network unencrypted; \
                 put an HTTPS reverse proxy in front of Tessera"
            ),
        );
    }
    if !config.listen.ip().is_loopback() {
        return Finding::warn(
            CHECK,
            format!(
                "{origin} works only on this machine, but {} accepts connections from other \
                 machines; set public_url",
                config.listen
            ),
        );
    }
    Finding::ok(CHECK, format!("{origin} (this machine only)"))
}

/// Checks for files that contain secrets and that other users can read.
fn secret_files(config: &Config) -> Option<Finding> {
    let file = config.file()?;
    let holds_password =
        matches!(config.source(Setting::DatabaseUrl), crate::config::Source::File(_))
            && config.database_url.as_ref().is_some_and(DatabaseUrl::has_password);
    let mode = fs::metadata(file).ok()?.mode();
    (holds_password && mode & 0o077 != 0).then(|| {
        Finding::warn(
            "configuration",
            format!(
                "{} contains the database's password, and other users can read it; set its mode to \
                 600",
                file.display()
            ),
        )
    })
}

fn data_folder(config: &Config) -> Finding {
    const CHECK: &str = "data folder";
    let shown = config.data_dir.display();
    match fs::metadata(&config.data_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::warn(CHECK, format!("{shown} does not exist yet; the first start creates it"))
        }
        Err(error) => Finding::fail(CHECK, format!("{shown}: {error}")),
        Ok(found) if !found.is_dir() => Finding::fail(CHECK, format!("{shown} is not a folder")),
        Ok(found) if found.mode() & 0o002 != 0 => {
            Finding::fail(CHECK, format!("other users can write to {shown}; set its mode to 711"))
        }
        Ok(found) if found.mode() & 0o020 != 0 => Finding::warn(
            CHECK,
            format!("{shown} is writable by its group {}; set its mode to 711", found.gid()),
        ),
        Ok(_) => Finding::ok(CHECK, shown.to_string()),
    }
}

fn binaries(config: &Config) -> Finding {
    const CHECK: &str = "PostgreSQL";
    let data_dir = config.data_dir.canonicalize().unwrap_or_else(|_| config.data_dir.clone());
    let prepared = Embedded::prepare(
        &data_dir,
        config.postgres_bin_dir.as_deref(),
        config.database_max_connections,
    );
    match prepared {
        Ok(embedded) => {
            let found = embedded.binaries();
            Finding::ok(CHECK, format!("{} in {}", found.version, found.folder.display()))
        }
        Err(error) => Finding::fail(CHECK, error.to_string()),
    }
}

fn keys(config: &Config) -> Finding {
    const CHECK: &str = "keys";
    let shown = config.keys_file.display();
    let first = config.database_url.is_none() && !Embedded::exists(&config.data_dir);
    if first && !config.keys_file.exists() {
        return Finding::warn(
            CHECK,
            format!("{shown} does not exist yet; the first start creates it"),
        );
    }
    match runtime::keys(config, MissingKeys::Refuse) {
        Ok(keys) if keys.is_exposed() => {
            Finding::fail(CHECK, format!("other users can read {shown}; set its mode to 600"))
        }
        Ok(_) => Finding::ok(CHECK, shown.to_string()),
        Err(error) => Finding::fail(CHECK, error.to_string()),
    }
}

async fn urls(config: &Config) -> Result<Urls, Finding> {
    const CHECK: &str = "database";
    if let Some(urls) = Urls::configured(config) {
        return Ok(urls);
    }
    if !Embedded::exists(&config.data_dir) {
        return Err(Finding::warn(CHECK, "not created yet; the first start creates it"));
    }
    postgres::running_urls(&config.data_dir, LOOK)
        .await
        .map_err(|_| Finding::warn(CHECK, "not running; tessera serve starts it"))
}

async fn database(config: &Config, urls: &Urls) -> Vec<Finding> {
    let reached = match runtime::keys(config, MissingKeys::Propose)
        .and_then(|keys| runtime::authority(config, urls, &keys))
    {
        Ok(authority) => authority,
        Err(error) => return vec![Finding::fail("database", error.to_string())],
    };
    let findings = ask(&reached, config).await;
    reached.close().await;
    findings
}

async fn ask(authority: &Authority, config: &Config) -> Vec<Finding> {
    let pending = match authority.pending_migrations().await {
        Ok(pending) => pending,
        Err(error) => return vec![Finding::fail("database", describe(&error))],
    };
    let mut findings = vec![match authority.check_database().await {
        Ok(()) => Finding::ok("database", "answers"),
        Err(error) => Finding::fail("database", describe(&error)),
    }];
    findings.push(match pending {
        0 => Finding::ok("migrations", "up to date"),
        pending => Finding::warn(
            "migrations",
            format!("{pending} pending; run tessera migrate, or start the server"),
        ),
    });
    if pending == 0 {
        findings.push(match authority.check_keys().await {
            Ok(()) => Finding::ok("keys in use", "match this database"),
            Err(error) => Finding::fail("keys in use", describe(&error)),
        });
        findings.extend(proxies(authority, config).await);
        findings.extend(unread_scopes(authority).await);
        findings.extend(ambiguous_grants(authority).await);
        findings.extend(people::passwords(authority).await);
        findings.extend(people::addresses(authority).await);
        findings.extend(people::exposed_tokens(authority).await);
    }
    findings.extend(failover(authority).await);
    let here = runtime::operator(authority).now;
    findings.push(match authority.database_time().await {
        Ok(there) => clock((there - here).whole_seconds()),
        Err(error) => Finding::fail("clock", describe(&error)),
    });
    findings
}

/// Checks for untrusted proxies through which people sign in.
async fn proxies(authority: &Authority, config: &Config) -> Option<Finding> {
    const CHECK: &str = "proxies";
    if !config.trusted_proxies.is_empty() {
        return None;
    }
    let operator = runtime::operator(authority);
    match authority.sessions().untrusted_proxies(&operator).await {
        Ok(proxies) if proxies.is_empty() => None,
        Ok(proxies) => Some(Finding::warn(CHECK, proxy_hint::advice(&proxies))),
        Err(error) => Some(Finding::fail(CHECK, describe(&error))),
    }
}

/// Reports scopes of tokens of version 0.1 that could not be read as scopes of one audience, one
/// per line.
async fn unread_scopes(authority: &Authority) -> Vec<Finding> {
    const CHECK: &str = "scopes";
    let found = match authority.tokens().unread_scopes(&runtime::operator(authority)).await {
        Ok(found) => found,
        Err(error) => return vec![Finding::fail(CHECK, describe(&error))],
    };
    if found.is_empty() {
        return vec![Finding::ok(CHECK, "each belongs to one audience")];
    }
    let line = |unread: UnreadScope| {
        let why = match unread.doubt {
            Doubt::Ambiguous => {
                "both tessera and another of the token's audiences declare this scope, so it has \
                 no effect for tessera"
            }
            Doubt::Undeclared => {
                "none of the token's audiences declares this scope, so it has no effect"
            }
        };
        Finding::warn(
            CHECK,
            format!(
                "{} of token {} ({}) in {}: {why}; if it should have one, create another token; to \
                 resolve this warning, change the scopes of this token",
                unread.scope, unread.name, unread.token, unread.workspace
            ),
        )
    };
    found.into_iter().map(line).collect()
}

/// Reports grants of members that match scopes of `tessera` and of another audience, one per line.
async fn ambiguous_grants(authority: &Authority) -> Vec<Finding> {
    const CHECK: &str = "grants";
    match authority.workspaces().ambiguous_grants(&runtime::operator(authority)).await {
        Ok(found) if found.is_empty() => {
            vec![Finding::ok(CHECK, "none matches scopes of both tessera and another audience")]
        }
        Ok(found) => {
            let line = |grant: AmbiguousGrant| {
                let AmbiguousGrant { workspace, user, pattern, audience } = grant;
                let detail = format!(
                    "{pattern} of {user} in {workspace} matches scopes of both tessera and \
                     {audience}: replace it with tessera/{pattern}, {audience}/{pattern} or both"
                );
                Finding::warn(CHECK, detail)
            };
            found.into_iter().map(line).collect()
        }
        Err(error) => vec![Finding::fail(CHECK, describe(&error))],
    }
}

async fn failover(authority: &Authority) -> Vec<Finding> {
    const CHECK: &str = "failover";
    match authority.failover_risks().await {
        Ok(risks) if risks.is_empty() => {
            vec![Finding::ok(
                CHECK,
                "settings and connected standbys show no risk of losing acknowledged changes",
            )]
        }
        Ok(risks) => risks.into_iter().map(|risk| Finding::warn(CHECK, risk.describe())).collect(),
        Err(error) => vec![Finding::fail(CHECK, describe(&error))],
    }
}

fn clock(ahead_s: i64) -> Finding {
    const CHECK: &str = "clock";
    let detail = format!(
        "the database's clock is {} s {}",
        ahead_s.abs(),
        if ahead_s < 0 { "behind" } else { "ahead" }
    );
    match ahead_s.abs() {
        0..SKEW_WARN_S => Finding::ok(CHECK, "agrees with the database's clock"),
        SKEW_WARN_S..SKEW_FAIL_S => {
            Finding::warn(CHECK, format!("{detail}; synchronise both clocks with NTP"))
        }
        _ => Finding::fail(CHECK, format!("{detail}; synchronise both clocks with NTP")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Verdict, *};

    #[test]
    fn clock_verdict_depends_on_the_absolute_difference() {
        for (ahead, verdict) in [
            (0, Verdict::Ok),
            (-4, Verdict::Ok),
            (5, Verdict::Warn),
            (-59, Verdict::Warn),
            (60, Verdict::Fail),
            (-3600, Verdict::Fail),
        ] {
            assert_eq!(clock(ahead).verdict, verdict, "{ahead}");
        }
    }
}
