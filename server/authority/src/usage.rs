//! Last use of tokens, gathered in memory and written in batches: it never slows a verification.
//!
//! A row is written once a minute at most. What was gathered since the last flush is lost when the
//! process is killed; nothing decides on it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use domain::ids::TokenId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Authority, store};

/// Uses since the last flush, the latest of each token.
#[derive(Debug, Default)]
pub(crate) struct UsageRecorder {
    uses: Mutex<HashMap<TokenId, (OffsetDateTime, Option<IpAddr>)>>,
}

impl UsageRecorder {
    /// Notes a use.
    pub(crate) fn record(&self, token: TokenId, at: OffsetDateTime, address: Option<IpAddr>) {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).insert(token, (at, address));
    }

    fn take(&self) -> HashMap<TokenId, (OffsetDateTime, Option<IpAddr>)> {
        std::mem::take(&mut self.uses.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Authority {
    /// Writes the uses gathered since the last time. A failure is logged and loses them.
    pub async fn flush_usage(&self) {
        let uses = self.inner.usage.take();
        if uses.is_empty() {
            return;
        }
        let mut ids: Vec<Uuid> = Vec::with_capacity(uses.len());
        let mut times = Vec::with_capacity(uses.len());
        let mut addresses = Vec::with_capacity(uses.len());
        for (token, (at, address)) in uses {
            ids.push(token.0);
            times.push(at);
            addresses.push(address.map(|address| address.to_string()).unwrap_or_default());
        }
        let outcome = match self.inner.pool.acquire().await {
            Ok(mut connection) => {
                store::tokens::note_use(&mut connection, &ids, &times, &addresses).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, tokens = ids.len(), "last uses could not be written");
        }
    }
}
