//! Whether this server can do its work, for load balancers that ask all the time.
//!
//! Anybody may ask, without a credential, and an answer takes queries. So one look answers everybody who asks meanwhile
//! and for a moment after. It goes on when whoever asked hangs up: however many ask, one connection is in use for them.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{Authority, ServiceError, authority::OTHER_KEYS, error::chain, store::StoreError};

/// How long an answer holds.
const HOLDS: Duration = Duration::from_millis(250);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was found out last, and whether somebody looks again.
#[derive(Default)]
pub(crate) struct Readiness {
    last: watch::Sender<Option<Last>>,
    is_looking: AtomicBool,
}

#[derive(Clone, Debug)]
struct Last {
    at: Instant,
    outcome: Result<(), Unready>,
}

/// Why requests cannot be served, as can be told more than once.
#[derive(Clone, Debug)]
enum Unready {
    Away(String),
    Failed(String),
}

impl Unready {
    fn of(error: &ServiceError) -> Self {
        match error {
            ServiceError::Unavailable(cause) => Self::Away(chain(cause)),
            ServiceError::Internal(cause) => Self::Failed(chain(cause.as_ref())),
            other => Self::Away(chain(other)),
        }
    }
}

impl From<Unready> for ServiceError {
    fn from(why: Unready) -> Self {
        match why {
            Unready::Away(why) => StoreError::away(&why).into(),
            Unready::Failed(why) => Self::internal(why),
        }
    }
}

/// Somebody looks while this exists.
struct Looking<'a>(&'a Readiness);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.is_looking.store(false, Ordering::Release);
    }
}

impl Authority {
    /// Checks whether requests can be served: the database answers, has this build's schema, and was set up with these
    /// keys.
    ///
    /// # Errors
    /// `Unavailable` without the database, or with other keys: the server ends then. `Internal` when migrations are
    /// pending.
    pub async fn ready(&self) -> Result<(), ServiceError> {
        let readiness = &self.inner.readiness;
        let mut last = readiness.last.subscribe();
        if let Some(last) = &*last.borrow_and_update()
            && last.at.elapsed() < HOLDS
        {
            return Ok(last.outcome.clone()?);
        }
        if !readiness.is_looking.swap(true, Ordering::AcqRel) {
            tokio::spawn(self.clone().look_once());
        }
        // A look that panics leaves nothing behind.
        let looked = timeout(PATIENCE * 2, last.changed()).await;
        let outcome = last.borrow().as_ref().map(|last| last.outcome.clone());
        match (looked, outcome) {
            (Ok(Ok(())), Some(outcome)) => Ok(outcome?),
            _ => Err(StoreError::away("no answer in time").into()),
        }
    }

    async fn look_once(self) {
        let readiness = &self.inner.readiness;
        let looking = Looking(readiness);
        let outcome = timeout(PATIENCE, self.look()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(StoreError::away("no answer in time").into()));
        let outcome = outcome.map_err(|error| Unready::of(&error));
        // First: who asks from here on begins another look, and who asked before hears of this one.
        drop(looking);
        readiness.last.send_replace(Some(Last { at: Instant::now(), outcome }));
    }

    async fn look(&self) -> Result<(), ServiceError> {
        match self.pending_migrations().await? {
            0 => self.check_keys().await.map_err(|error| match error {
                ServiceError::Internal(_) => StoreError::away(OTHER_KEYS).into(),
                other => other,
            }),
            pending => Err(ServiceError::internal(format!("{pending} migrations are pending"))),
        }
    }
}
