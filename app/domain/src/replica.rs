//! The servers of an instance, for those who run it.

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Silent for longer, a server counts as gone. Only one that no other server has removed from the list by then is shown so.
const GONE: Duration = Duration::seconds(30);

/// A server of this instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The id of this run of it.
    pub id: Uuid,
    /// What its operator calls it.
    pub name: String,
    /// Which build runs.
    pub version: String,
    /// When it started, by its own clock.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// When it last renewed its lease, by its own clock.
    #[serde(with = "time::serde::rfc3339")]
    pub renewed_at: OffsetDateTime,
    /// The last revision that it has applied.
    pub applied: i64,
    /// Revisions that it has not applied yet.
    pub behind: i64,
    /// Whether it is the one that answers.
    pub own: bool,
    /// Whether it has a lease, as far as the one that answers knows.
    pub live: bool,
    /// Changes that narrow access that were made there since it started.
    pub revocations: i64,
    /// How long it took until no server answered by what was before, in microseconds: half of them took
    /// as long at most. `None` when there were none.
    pub revocation_p50_us: Option<i64>,
    /// 99 of 100 took as long at most.
    pub revocation_p99_us: Option<i64>,
}

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// It has a lease.
    Live,
    /// It has not renewed its lease in time: it refuses verifications unless `stale_grace` is set, or is
    /// stopping.
    Late,
    /// It has not been heard of for long.
    Gone,
}

impl ReplicaState {
    /// The state as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Late => "late",
            Self::Gone => "gone",
        }
    }
}

impl Replica {
    /// How it is at this moment.
    pub fn state(&self, now: OffsetDateTime) -> ReplicaState {
        if self.live {
            ReplicaState::Live
        } else if self.lease_age(now) < GONE {
            ReplicaState::Late
        } else {
            ReplicaState::Gone
        }
    }

    /// The time since its lease was renewed; clocks that differ do not make it negative.
    pub fn lease_age(&self, now: OffsetDateTime) -> Duration {
        (now - self.renewed_at).max(Duration::ZERO)
    }
}

/// An instance as it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceView {
    /// Which build answers.
    pub version: String,
    /// When it started.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// The moment of this answer.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    /// The version of the database, which answered.
    pub database_version: String,
    /// Its servers, the longest-running first.
    pub replicas: Vec<Replica>,
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn server_is_live_then_late_then_gone() {
        let now = datetime!(2026-01-02 12:00 UTC);
        let replica = |live, silent_s| Replica {
            id: Uuid::nil(),
            name: "a".into(),
            version: "1".into(),
            started_at: now,
            renewed_at: now - Duration::seconds(silent_s),
            applied: 1,
            behind: 0,
            own: false,
            live,
            revocations: 0,
            revocation_p50_us: None,
            revocation_p99_us: None,
        };
        assert_eq!(replica(true, 3_600).state(now), ReplicaState::Live, "its clock is wrong");
        assert_eq!(replica(false, 3).state(now), ReplicaState::Late);
        assert_eq!(replica(false, -3).state(now), ReplicaState::Late);
        assert_eq!(replica(false, 30).state(now), ReplicaState::Gone);
        assert_eq!(replica(false, -3).lease_age(now), Duration::ZERO);
    }
}
