//! Detects how a crash or a failover of this database could lose acknowledged changes.

use crate::{ServiceError, state::Authority, store::history};

/// A reason why a crash or a failover of the database could lose acknowledged changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// `fsync` is off.
    NeverOnDisk,
    /// `full_page_writes` is off.
    TornPages,
    /// `synchronous_commit` does not wait for the disk.
    AnswersBeforeDisk,
    /// `synchronous_commit` does not wait for the synchronous standbys.
    AnswersBeforeStandby,
    /// There are standbys, but none of them is synchronous.
    AsynchronousStandbys,
    /// A commit needs fewer standbys than there are: without the standby that is promoted, the old
    /// primary continues to commit.
    OldPrimaryGoesOn,
    /// The database does not say which server and timeline answers.
    UnknownServer,
}

impl Risk {
    /// Describes the consequences and the remedy.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::NeverOnDisk => {
                "fsync is off: a crash of the database's machine can destroy the database or lose acknowledged changes, including revocations; set it to on"
            }
            Self::TornPages => {
                "full_page_writes is off: a crash of the database's machine can leave half-written pages, unless the file system writes pages atomically; set it to on"
            }
            Self::AnswersBeforeDisk => {
                "synchronous_commit is off: a crash of the database loses acknowledged changes, including revocations; set it to on"
            }
            Self::AnswersBeforeStandby => {
                "synchronous_commit does not wait for the standbys in synchronous_standby_names: a failover loses acknowledged changes, including revocations; set it to on"
            }
            Self::AsynchronousStandbys => {
                "all standbys are asynchronous: a failover can lose acknowledged changes, including revocations, and an old primary that still runs must be fenced; set synchronous_standby_names, or see docs/high-availability.md"
            }
            Self::OldPrimaryGoesOn => {
                "synchronous_standby_names needs fewer standbys than it names: after a failover the old primary can continue to commit with a standby that still follows it, so it must be fenced; see docs/high-availability.md"
            }
            Self::UnknownServer => {
                "its server and timeline are unknown, so Tessera may not notice a failover: raise the epoch after each failover; see docs/high-availability.md"
            }
        }
    }
}

impl Authority {
    /// Returns the risks of a crash or a failover of the database.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is away.
    pub async fn failover_risks(&self) -> Result<Vec<Risk>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let mut risks = Vec::new();
        if let Some(found) = history::replication(&mut connection).await? {
            risks.extend((!found.fsync).then_some(Risk::NeverOnDisk));
            risks.extend((!found.full_page_writes).then_some(Risk::TornPages));
            risks.extend(risk(
                &found.synchronous_commit,
                !found.synchronous_standbys.trim().is_empty(),
                found.standbys > 0,
            ));
            risks.extend(
                goes_on_without_one(&found.synchronous_standbys, found.standbys)
                    .then_some(Risk::OldPrimaryGoesOn),
            );
        }
        if history::mark(&mut connection).await?.is_none() {
            risks.push(Risk::UnknownServer);
        }
        Ok(risks)
    }
}

fn risk(synchronous_commit: &str, names_standbys: bool, has_standbys: bool) -> Option<Risk> {
    match synchronous_commit {
        "off" => Some(Risk::AnswersBeforeDisk),
        "local" | "remote_write" if names_standbys => Some(Risk::AnswersBeforeStandby),
        _ if has_standbys && !names_standbys => Some(Risk::AsynchronousStandbys),
        _ => None,
    }
}

/// Returns whether commits need fewer standbys than this setting (`synchronous_standby_names`)
/// offers, so that one of them can be promoted while the others let the old primary continue. `*`
/// offers all that are connected.
fn goes_on_without_one(setting: &str, connected: i64) -> bool {
    let setting = setting.trim();
    if setting.is_empty() {
        return false;
    }
    let (needed, names) = match setting.split_once('(') {
        Some((method, names)) => {
            let number = method.split_whitespace().last().and_then(|number| number.parse().ok());
            (number.unwrap_or(1), names.trim_end().trim_end_matches(')'))
        }
        None => (1, setting),
    };
    let names: Vec<&str> = names.split(',').map(|name| name.trim().trim_matches('"')).collect();
    let count = i64::try_from(names.len()).unwrap_or(i64::MAX);
    let offered = if names.contains(&"*") { connected.max(count) } else { count };
    needed < offered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_that_lets_an_old_primary_continue_is_detected() {
        for (setting, connected, goes_on) in [
            ("", 2, false),
            ("a", 1, false),
            ("\"a\"", 2, false),
            ("*", 1, false),
            ("*", 2, true),
            ("a, b", 2, true),
            ("a,b", 1, true),
            ("FIRST 1 (a, b)", 2, true),
            ("FIRST 2 (a, b)", 2, false),
            ("ANY 1 (\"a\", b, c)", 3, true),
            ("ANY 2 (a, b, c)", 3, true),
            ("any 3 (a,b,c)", 3, false),
            ("2 (a, b)", 2, false),
            ("1 (a, b)", 2, true),
            ("ANY 2 (*)", 2, false),
            ("ANY 2 (*)", 3, true),
        ] {
            assert_eq!(goes_on_without_one(setting, connected), goes_on, "{setting} {connected}");
        }
    }

    #[test]
    fn settings_that_can_lose_an_acknowledged_change_are_reported() {
        for (commit, names, standbys, expected) in [
            ("on", false, false, None),
            ("on", true, true, None),
            ("remote_apply", true, false, None),
            ("on", false, true, Some(Risk::AsynchronousStandbys)),
            ("local", false, false, None),
            ("local", true, true, Some(Risk::AnswersBeforeStandby)),
            ("remote_write", true, true, Some(Risk::AnswersBeforeStandby)),
            ("off", true, true, Some(Risk::AnswersBeforeDisk)),
        ] {
            assert_eq!(risk(commit, names, standbys), expected, "{commit} {names} {standbys}");
        }
    }
}
