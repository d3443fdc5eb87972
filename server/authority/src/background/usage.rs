//! Writes the uses of tokens that were recorded in memory.

use std::collections::HashMap;

use domain::ids::TokenId;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use crate::{
    kernel::{
        Counts,
        uses::{AGENT_MAX, LastUse},
    },
    state::Authority,
    store::{
        StoreError,
        usage::{self, LastUseRow},
    },
    usage::Gathered,
};

/// How long counts are kept.
pub(super) const KEPT: Duration = Duration::days(90);

impl Authority {
    /// Writes all recorded uses. Uses that cannot be written are kept for the next flush.
    pub async fn flush_usage(&self) {
        self.write_usage(true).await;
    }

    /// Writes the recorded uses of tokens of which nothing was written in the last two minutes.
    pub(crate) async fn flush_due_usage(&self) {
        self.write_usage(false).await;
    }

    #[tracing::instrument(skip_all, fields(noun = "background", verb = "write_usage"))]
    async fn write_usage(&self, all: bool) {
        let (recorder, now) = (&self.inner.usage, self.inner.clock.elapsed());
        recorder.gather(now, all).await;
        if self.inner.follower_first().await.is_err() {
            return;
        }
        let mut locked = HashMap::new();
        loop {
            let mut due = recorder.take_due();
            if due.is_empty() {
                break;
            }
            let tokens: Vec<TokenId> = due.keys().copied().collect();
            let written = self.write_some(&mut due).await;
            if let Err(error) = written {
                tracing::warn!(%error, "failed to write uses; keeping them for the next attempt");
                recorder.put_back(due);
                break;
            }
            locked.extend(due);
            recorder.written(tokens.into_iter(), now);
        }
        recorder.put_back(locked);
    }

    /// Writes uses and removes the written ones, so that they are not counted twice. The last uses
    /// of tokens that another transaction has locked are kept.
    async fn write_some(&self, due: &mut HashMap<TokenId, Gathered>) -> Result<(), StoreError> {
        let mut connection = self.inner.pool.acquire().await?;
        // In the same order everywhere, so that servers that write the same rows wait for each
        // other and do not deadlock.
        let mut hours: Vec<_> = due
            .iter()
            .flat_map(|(token, uses)| {
                uses.hours.iter().map(|(hour, counts)| ((*token, *hour), *counts))
            })
            .collect();
        if !hours.is_empty() {
            hours.sort_unstable_by_key(|(key, _)| *key);
            add_hours(&mut connection, &hours).await?;
            for uses in due.values_mut() {
                uses.hours.clear();
            }
        }
        let last = last_uses(due);
        let locked =
            if last.is_empty() { Vec::new() } else { note_last(&mut connection, &last).await? };
        due.retain(|token, _| locked.contains(token));
        Ok(())
    }
}

async fn add_hours(
    connection: &mut PgConnection,
    hours: &[((TokenId, OffsetDateTime), Counts)],
) -> Result<(), StoreError> {
    match usage::add(connection, hours).await {
        Err(error) if error.is_of_data() => {}
        done => return done,
    }
    for hour in hours {
        let written = usage::add(connection, std::slice::from_ref(hour)).await;
        refused(hour.0.0, written)?;
    }
    Ok(())
}

/// Returns the tokens that another transaction has locked, and whose last uses were therefore not
/// written.
async fn note_last(
    connection: &mut PgConnection,
    uses: &[LastUseRow],
) -> Result<Vec<TokenId>, StoreError> {
    match usage::note_last(connection, uses).await {
        Err(error) if error.is_of_data() => {}
        done => return done,
    }
    let mut locked = Vec::new();
    for used in uses {
        let written = usage::note_last(connection, std::slice::from_ref(used)).await;
        refused(TokenId(used.id), written.map(|tokens| locked.extend(tokens)))?;
    }
    Ok(locked)
}

/// Drops a row that the database refuses, because it would refuse it every time.
fn refused(token: TokenId, written: Result<(), StoreError>) -> Result<(), StoreError> {
    match written {
        Err(error) if error.is_of_data() => {
            tracing::warn!(%token, %error, "dropping a use that the database rejects");
            Ok(())
        }
        other => other,
    }
}

fn last_uses(due: &HashMap<TokenId, Gathered>) -> Vec<LastUseRow> {
    let used = due.iter().filter_map(|(token, gathered)| Some((token, gathered.last.as_ref()?)));
    let row = |(token, last): (&TokenId, &LastUse)| LastUseRow {
        id: token.0,
        at: last.at,
        address: last.address.map(|address| address.to_string()).unwrap_or_default(),
        // PostgreSQL's text has no NUL.
        agent: last
            .agent
            .as_deref()
            .unwrap_or_default()
            .chars()
            .filter(|character| *character != '\0')
            .take(AGENT_MAX)
            .collect(),
    };
    used.map(row).collect()
}
