//! The servers of an instance, as its operators see them.

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// A server without a renewal for this long is shown as gone, unless another server has removed it
/// from the list already.
const GONE: Duration = Duration::seconds(30);

/// A server of this instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The id of this run of the server.
    pub id: Uuid,
    /// The name that the operator gave the server.
    pub name: String,
    /// The version of the server's build.
    pub version: String,
    /// When the server started, by its own clock.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// When the server last renewed its lease, by its own clock.
    #[serde(with = "time::serde::rfc3339")]
    pub renewed_at: OffsetDateTime,
    /// The last revision that the server has applied.
    pub applied: i64,
    /// The number of revisions that the server has not applied yet.
    pub behind: i64,
    /// Whether this is the server that sent the response.
    pub own: bool,
    /// Whether the server has a lease, as far as the responding server has recorded.
    pub live: bool,
    /// The number of changes made on this server since it started that narrow access.
    pub revocations: i64,
    /// The median time, in microseconds, from such a change until no server used the old state any
    /// more. `None` if there were no such changes.
    pub revocation_p50_us: Option<i64>,
    /// The 99th percentile of that time, in microseconds.
    pub revocation_p99_us: Option<i64>,
}

/// The state of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// The server has a lease.
    Live,
    /// The server has not renewed its lease in time: it refuses verifications unless `stale_grace`
    /// is set, or it is stopping.
    Late,
    /// The server has not renewed its lease for a long time.
    Gone,
}

impl ReplicaState {
    /// Returns the state as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Late => "late",
            Self::Gone => "gone",
        }
    }
}

impl Replica {
    /// Returns the server's state at this time.
    pub fn state(&self, now: OffsetDateTime) -> ReplicaState {
        if self.live {
            ReplicaState::Live
        } else if self.lease_age(now) < GONE {
            ReplicaState::Late
        } else {
            ReplicaState::Gone
        }
    }

    /// Returns the time since the server's lease was renewed. It is never negative, even
    /// if clocks differ.
    pub fn lease_age(&self, now: OffsetDateTime) -> Duration {
        (now - self.renewed_at).max(Duration::ZERO)
    }
}

/// A running instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceView {
    /// The version of the responding server's build.
    pub version: String,
    /// When the responding server started.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// When the response was created.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    /// The version that the database reports.
    pub database_version: String,
    /// The servers, the longest-running first.
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
