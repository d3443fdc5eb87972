//! The running instance.

use domain::replica::{InstanceView, Replica, ReplicaState};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// The running instance.
#[derive(Serialize, ToSchema)]
#[schema(as = Instance)]
pub(crate) struct InstanceBody {
    /// The version of the responding server.
    #[schema(example = "0.2.0")]
    version: String,
    /// When it started.
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    /// The public origin, which links and cookies use.
    #[schema(example = "https://tessera.example.com")]
    public_url: String,
    /// The version of PostgreSQL.
    #[schema(example = "15.7")]
    database_version: String,
    /// Its servers, longest-running first.
    replicas: Vec<ReplicaBody>,
}

/// A server of the instance.
#[derive(Serialize, ToSchema)]
#[schema(as = Replica)]
struct ReplicaBody {
    /// The ID of this run of the server.
    id: Uuid,
    /// The name that its operator gave it.
    #[schema(example = "tessera-1")]
    name: String,
    /// The version that it runs.
    #[schema(example = "0.2.0")]
    version: String,
    /// Whether it has a lease (`live`), has not renewed it in time (`late`), or has not reported
    /// for a long time (`gone`).
    state: StateBody,
    /// Whether it is the responding server.
    own: bool,
    /// When it started, by its own clock.
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    /// When it last renewed its lease, by its own clock.
    #[serde(with = "time::serde::rfc3339")]
    renewed_at: OffsetDateTime,
    /// The last revision that it has applied.
    applied: i64,
    /// The number of revisions that it has not applied yet.
    behind: i64,
    /// The number of changes that it has made since it started and that narrow access.
    revocations: i64,
    /// The median time in microseconds from such a change until no server used the old state any
    /// more. Null if there were no such changes.
    revocation_p50_us: Option<i64>,
    /// The 99th percentile of the same time, in microseconds.
    revocation_p99_us: Option<i64>,
}

/// The state of a server.
#[derive(Serialize, ToSchema)]
#[schema(as = ReplicaState)]
#[serde(rename_all = "snake_case")]
enum StateBody {
    Live,
    Late,
    Gone,
}

impl InstanceBody {
    /// Returns the response body. The caller passes the public URL, because only the HTTP layer
    /// has it.
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
