//! Whether this server can serve requests, for load balancers that poll constantly.
//!
//! No credential is needed, and a check takes queries. So one check answers all requests that
//! arrive meanwhile and for a moment after. It continues when its client disconnects: however many
//! clients poll, they use a single connection.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    ServiceError,
    kernel::chain,
    state::{Authority, OTHER_KEYS},
    store::StoreError,
};

/// How long a result is valid.
const HOLDS: Duration = Duration::from_millis(250);
/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The last result, and whether a check is in progress.
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

/// Why requests cannot be served, in a form that can be reported more than once.
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

/// Marks that a check is in progress, until dropped.
struct Looking<'a>(&'a Readiness);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.is_looking.store(false, Ordering::Release);
    }
}

impl Authority {
    /// Checks whether requests can be served: the database answers, has this build's schema, and
    /// was set up with these keys.
    ///
    /// # Errors
    ///
    /// `Unavailable` without the database, or with other keys, in which case the server exits.
    /// `Internal` when migrations are pending.
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
        // A check that panics leaves no result.
        let looked = timeout(PATIENCE * 2, last.changed()).await;
        let outcome = last.borrow().as_ref().map(|last| last.outcome.clone());
        match (looked, outcome) {
            (Ok(Ok(())), Some(outcome)) => Ok(outcome?),
            _ => Err(StoreError::away("timed out waiting for the database").into()),
        }
    }

    async fn look_once(self) {
        let readiness = &self.inner.readiness;
        let looking = Looking(readiness);
        let outcome = timeout(PATIENCE, self.look()).await;
        let outcome = outcome
            .unwrap_or_else(|_| Err(StoreError::away("timed out waiting for the database").into()));
        let outcome = outcome.map_err(|error| Unready::of(&error));
        // First, so that later requests begin another check, and earlier ones get this result.
        drop(looking);
        readiness.last.send_replace(Some(Last { at: Instant::now(), outcome }));
    }

    #[tracing::instrument(skip_all, fields(noun = "background", verb = "check_readiness"))]
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
