//! Whether this server can do its work, for load balancers that ask all the time.
//!
//! Anybody may ask, without a credential, and an answer takes queries. So one look answers everybody who asks meanwhile and
//! for a moment after: however many ask, one connection is in use for them.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

use crate::{Authority, ServiceError, authority::OTHER_KEYS, store::StoreError};

/// How long an answer holds.
const HOLDS: Duration = Duration::from_millis(250);

/// What was found out last.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, Result<(), Unready>)>>);

/// Why requests cannot be served, as can be told more than once.
#[derive(Clone, Debug)]
enum Unready {
    Away(String),
    Failed(String),
}

impl Unready {
    fn of(error: ServiceError) -> Self {
        let is_away = matches!(error, ServiceError::Unavailable(_) | ServiceError::Busy);
        let why = crate::error::chain(&error);
        if is_away { Self::Away(why) } else { Self::Failed(why) }
    }

    fn error(&self) -> ServiceError {
        match self {
            Self::Away(why) => StoreError::away(why).into(),
            Self::Failed(why) => ServiceError::internal(why.clone()),
        }
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
        let mut last = self.inner.readiness.0.lock().await;
        let outcome = match &*last {
            Some((at, outcome)) if at.elapsed() < HOLDS => outcome.clone(),
            _ => {
                let outcome = self.look().await.map_err(Unready::of);
                *last = Some((Instant::now(), outcome.clone()));
                outcome
            }
        };
        outcome.map_err(|why| why.error())
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
