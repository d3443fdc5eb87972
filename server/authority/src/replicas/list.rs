//! Lists the servers of the instance.

use std::time::Duration;

use domain::replica::{InstanceView, Replica as ReplicaView};
use time::OffsetDateTime;

use crate::{
    OpContext, ServiceError,
    lease::LEASE,
    replicas::Replicas,
    store::{self, replicas::Shown},
};

impl Replicas<'_> {
    /// Returns the state of the instance: the build that answers, the database, and all servers.
    #[tracing::instrument(skip_all, fields(
        noun = "replicas", verb = "list",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn list(&self, ctx: &OpContext) -> Result<InstanceView, ServiceError> {
        ctx.manages_instance()?;
        let mut connection = self.inner.connection().await?;
        let database_version = store::database_version(&mut connection).await?;
        let rows = store::replicas::list(&mut connection).await?;
        let elapsed = self.inner.clock.elapsed();
        Ok(InstanceView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.inner.replica.started_at,
            now: ctx.now,
            database_version,
            replicas: rows.into_iter().map(|row| self.view(row, ctx.now, elapsed)).collect(),
        })
    }

    fn view(self, row: Shown, now: OffsetDateTime, elapsed: Duration) -> ReplicaView {
        let replica = &self.inner.replica;
        let own = row.other.id == replica.id;
        let live = if own {
            replica.lease.is_valid(elapsed)
        } else {
            // A command does not observe the other servers, and relies on what their clocks
            // reported.
            let silent = replica.known_silence(row.other, elapsed);
            silent.map_or_else(|| now - row.renewed_at < LEASE, |silent| silent < LEASE)
        };
        ReplicaView {
            id: row.other.id,
            name: row.name,
            version: row.version,
            started_at: row.started_at,
            renewed_at: row.renewed_at,
            applied: row.applied,
            behind: row.behind,
            own,
            live,
            revocations: row.revocations,
            revocation_p50_us: row.p50_us,
            revocation_p99_us: row.p99_us,
        }
    }
}
