//! The use of tokens, gathered in memory and written in batches: it never slows a verification.
//!
//! What is known of a token is written every two minutes at most, beginning with its first use after a rest:
//! so a token's use is seen at once, and one that is used all the time costs one row a minute: its own, and
//! its count of the hour, both every other minute. What was gathered since is lost when the process is killed; nothing decides on it.
//! A flush that fails is tried again with the next one.
//!
//! A use is noted beside the facts that decided it (`uses`); every two seconds a flush gathers them by
//! token (`recorder`) and writes what is due. Memory is bounded: of further tokens no use is noted.

mod recorder;
mod uses;

use std::collections::HashMap;

use domain::ids::TokenId;
use time::Duration;

use self::recorder::Gathered;
pub(crate) use self::{
    recorder::UsageRecorder,
    uses::{Counts, Noted, Use},
};
use crate::{
    Authority,
    store::{self, usage::LastUses},
};

/// How long counts are kept.
pub(crate) const KEPT: Duration = Duration::days(90);
/// Longest name of a program that is kept, in characters.
const AGENT_MAX: usize = 256;
/// Most bytes that those may have.
const AGENT_BYTES_MAX: usize = 4 * AGENT_MAX;

impl Authority {
    /// Writes all uses that were noted. What cannot be written is kept for the next time.
    pub async fn flush_usage(&self) {
        self.write_usage(true).await;
    }

    /// The same for tokens of which nothing was written in the last two minutes.
    pub(crate) async fn flush_due_usage(&self) {
        self.write_usage(false).await;
    }

    async fn write_usage(&self, all: bool) {
        let (usage, now) = (&self.inner.usage, self.inner.clock.elapsed());
        usage.gather(now, all).await;
        loop {
            let mut due = usage.take_due();
            if due.is_empty() {
                return;
            }
            let tokens: Vec<TokenId> = due.keys().copied().collect();
            if let Err(error) = self.write_some(&mut due).await {
                tracing::warn!(%error, "uses could not be written; they are kept for now");
                usage.put_back(due);
                return;
            }
            usage.written(tokens.into_iter(), now);
        }
    }

    /// Writes and takes out what was written, so that it is not counted twice.
    async fn write_some(
        &self,
        due: &mut HashMap<TokenId, Gathered>,
    ) -> Result<(), store::StoreError> {
        let mut connection = self.inner.pool.acquire().await?;
        // In one order everywhere: servers that write the same rows wait, and do not deadlock.
        let mut hours: Vec<_> = due
            .iter()
            .flat_map(|(token, uses)| {
                uses.hours.iter().map(|(hour, counts)| ((*token, *hour), *counts))
            })
            .collect();
        if !hours.is_empty() {
            hours.sort_unstable_by_key(|(key, _)| *key);
            store::usage::add(&mut connection, &hours).await?;
            for uses in due.values_mut() {
                uses.hours.clear();
            }
        }
        let last = last_uses(due);
        if !last.ids.is_empty() {
            store::usage::note_last(&mut connection, &last).await?;
        }
        Ok(())
    }
}

fn last_uses(due: &HashMap<TokenId, Gathered>) -> LastUses {
    let mut uses = LastUses::default();
    for (token, gathered) in due {
        let Some(last) = &gathered.last else { continue };
        uses.ids.push(token.0);
        uses.times.push(last.at);
        uses.addresses.push(last.address.map(|address| address.to_string()).unwrap_or_default());
        let agent = last.agent.as_deref().unwrap_or_default();
        // PostgreSQL's text has no NUL.
        let agent = agent.chars().filter(|character| *character != '\0').take(AGENT_MAX);
        uses.agents.push(agent.collect());
    }
    uses
}
