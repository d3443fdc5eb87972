//! Writes the refusals that wait in memory.
//!
//! Each chain has its own transaction, which gives up after [`PATIENCE`]: while the chain of one
//! workspace is busy, the rows of the others are written, and no request waits for their chains.

use domain::audit_action::AuditAction;
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use crate::{
    ServiceError,
    audit::record,
    kernel::{Change, OpContext},
    refusals::{Chain, LEFT_OUT, Refusal, Waiting},
    state::Authority,
    store::callers::wait_for_locks,
};

/// The maximum time until a row is written.
const WRITE_EVERY: Duration = Duration::from_secs(2);
/// How long rows wait for the end of their chain before those of other chains have their turn.
const PATIENCE: &str = "200ms";
/// How long rows wait for the end of their chain during shutdown.
const LAST_PATIENCE: &str = "2s";

impl Authority {
    /// Notes a refusal for the audit log.
    pub fn note_refusal(&self, ctx: &OpContext, refusal: Refusal) {
        self.inner.refusals.note(ctx, refusal);
    }

    /// Writes the waiting refusals.
    pub async fn write_refusals(&self) -> Result<(), ServiceError> {
        self.write_waiting(false).await
    }

    /// Writes refusals until dropped.
    pub(crate) async fn run_refusals(&self) {
        let mut interval = tokio::time::interval(WRITE_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if let Err(error) = self.write_refusals().await {
                error.log("background");
            }
        }
    }

    /// Writes everything that waits, including the counts of left-out refusals.
    pub(crate) async fn close_refusals(&self) {
        if let Err(error) = self.write_waiting(true).await {
            error.log("close");
        }
    }

    #[tracing::instrument(skip_all, fields(noun = "background", verb = "write_refusals"))]
    async fn write_waiting(&self, closing: bool) -> Result<(), ServiceError> {
        let refusals = &self.inner.refusals;
        let before = refusals.take_busy();
        // Chains that were busy in the last run come last, so that the others don't wait again.
        let mut busy = before.clone();
        self.write_all_but(&mut busy, closing).await?;
        busy.retain(|chain| !before.contains(chain));
        self.write_all_but(&mut busy, closing).await?;
        if busy.is_empty() {
            return Ok(());
        }
        refusals.note_busy(busy);
        Err(ServiceError::Busy)
    }

    /// Writes the rows of all chains except those in `busy`, and adds chains that turn out to
    /// be busy.
    async fn write_all_but(
        &self,
        busy: &mut HashSet<Chain>,
        closing: bool,
    ) -> Result<(), ServiceError> {
        let refusals = &self.inner.refusals;
        loop {
            let rows = refusals.take(&self.inner.keys, self.now(), closing, busy);
            if rows.is_empty() {
                return Ok(());
            }
            let mut chains: BTreeMap<Chain, Vec<Waiting>> = BTreeMap::new();
            for row in rows {
                chains.entry(row.chain()).or_default().push(row);
            }
            let mut failed = None;
            for (chain, rows) in chains {
                if failed.is_none() {
                    match self.write_step(chain, &rows, closing).await {
                        Ok(()) => continue,
                        Err(error) if error.is_busy() => {
                            busy.insert(chain);
                        }
                        Err(error) => failed = Some(error),
                    }
                }
                refusals.put_back(rows);
            }
            failed.map_or(Ok(()), Err)?;
        }
    }

    /// Writes rows of one chain in a transaction.
    async fn write_step(
        &self,
        chain: Chain,
        rows: &[Waiting],
        closing: bool,
    ) -> Result<(), ServiceError> {
        let mut sorted: Vec<_> = rows.iter().collect();
        // The rows of a log are in the order of events.
        sorted.sort_by_key(|row| row.ctx.now);
        let mut transaction = self.inner.begin().await?;
        let patience = if closing { LAST_PATIENCE } else { PATIENCE };
        wait_for_locks(&mut transaction, patience).await?;
        for Waiting { ctx, refusal, .. } in sorted {
            let change = Change {
                workspace: chain,
                action: if refusal.detail.get(LEFT_OUT).is_some() {
                    AuditAction::AccessLeftOut
                } else {
                    refusal.kind.action()
                },
                subject_id: refusal.subject_id,
                subject_name: &refusal.subject,
                before: None,
                after: Some(refusal.detail.clone()),
            };
            record(&mut transaction, ctx, change).await?;
        }
        transaction.commit().await
    }
}
