//! What runs.

use domain::replica::{InstanceView, Replica, ReplicaState};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// The instance as it runs.
#[derive(Serialize, ToSchema)]
#[schema(as = Instance)]
pub(crate) struct InstanceBody {
    /// Which build answers.
    #[schema(example = "0.2.0")]
    version: String,
    /// When it started.
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    /// The origin that links and cookies are made for.
    #[schema(example = "https://tessera.example.com")]
    public_url: String,
    /// The version of PostgreSQL.
    #[schema(example = "15.7")]
    database_version: String,
    /// Its servers, the longest-running first.
    replicas: Vec<ReplicaBody>,
}

/// A server of the instance.
#[derive(Serialize, ToSchema)]
#[schema(as = Replica)]
struct ReplicaBody {
    /// The id of this run of it.
    id: Uuid,
    /// What its operator calls it.
    #[schema(example = "tessera-1")]
    name: String,
    /// Which build it runs.
    #[schema(example = "0.2.0")]
    version: String,
    /// Whether it has a lease (`live`), has not renewed it in time (`late`), or was not heard of for long
    /// (`gone`).
    state: StateBody,
    /// Whether it is the one that answers.
    own: bool,
    /// When it started, by its own clock.
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    /// When it last renewed its lease, by its own clock.
    #[serde(with = "time::serde::rfc3339")]
    renewed_at: OffsetDateTime,
    /// The last revision that it has applied.
    applied: i64,
    /// Revisions that it has not applied yet.
    behind: i64,
    /// Changes that narrow access that were made there since it started.
    revocations: i64,
    /// Microseconds until no server answered by what was before: half of them took as long at most. Null
    /// when there were none.
    revocation_p50_us: Option<i64>,
    /// Microseconds that 99 of 100 took at most.
    revocation_p99_us: Option<i64>,
}

/// How a server is.
#[derive(Serialize, ToSchema)]
#[schema(as = ReplicaState)]
#[serde(rename_all = "snake_case")]
enum StateBody {
    Live,
    Late,
    Gone,
}

impl InstanceBody {
    /// What is sent; the public URL is the door's to know.
    pub(in crate::http::rest) fn new(view: InstanceView, public_url: String) -> Self {
        let now = view.now;
        Self {
            version: view.version,
            started_at: view.started_at,
            public_url,
            database_version: view.database_version,
            replicas: view.replicas.into_iter().map(|one| ReplicaBody::new(one, now)).collect(),
        }
    }
}

impl ReplicaBody {
    fn new(replica: Replica, now: OffsetDateTime) -> Self {
        Self {
            state: match replica.state(now) {
                ReplicaState::Live => StateBody::Live,
                ReplicaState::Late => StateBody::Late,
                ReplicaState::Gone => StateBody::Gone,
            },
            id: replica.id,
            name: replica.name,
            version: replica.version,
            own: replica.own,
            started_at: replica.started_at,
            renewed_at: replica.renewed_at,
            applied: replica.applied,
            behind: replica.behind,
            revocations: replica.revocations,
            revocation_p50_us: replica.revocation_p50_us,
            revocation_p99_us: replica.revocation_p99_us,
        }
    }
}
