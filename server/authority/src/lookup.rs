//! Looks up the facts of a presented text: in memory while there is a lease, otherwise in the
//! database.

use std::{sync::Arc, time::Duration};

use domain::decision::DecisionCode;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::{
    ServiceError,
    facts::{
        Presenter,
        cache::{self, Key},
        load,
    },
    kernel::{Facts, Known},
    state::Inner,
    store::StoreError,
};

/// The result of a lookup.
#[derive(Clone, Debug)]
pub(crate) enum Lookup {
    /// The facts of a token.
    Facts(Looked),
    /// The text is not a token, or the token was not found: the code of the answer.
    Nothing(DecisionCode),
}

/// Facts, and how current they are.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    pub(crate) known: Arc<Known>,
    /// How long this server has had no lease, if the facts come from memory regardless.
    pub(crate) stale: Option<Duration>,
}

impl Inner {
    /// Returns the facts of a presented text. The inner `Err` is the code to respond with if there
    /// are none.
    ///
    /// # Errors
    ///
    /// `TooManyUnknown` if the text is not in memory and too many earlier texts were unknown.
    pub(crate) async fn look_up(
        &self,
        presented: &str,
        from: Presenter,
    ) -> Result<Lookup, ServiceError> {
        let otherwise = code_of_unknown(presented);
        if otherwise == DecisionCode::Malformed && !self.may_be_imported(presented) {
            return Ok(Lookup::Nothing(otherwise));
        }
        let (cache, key) = (&self.cache, key(presented));
        if !self.has_lease() {
            if !self.is_followed() {
                return self.look_up_without_lease(presented, from, &key, otherwise).await;
            }
            // Waiting for the next attempt would slow down every response for as long as the
            // database is away.
            if self.replica.is_failing()
                && let Some(stale) = self.stale(&key)
            {
                return Ok(Lookup::Facts(stale));
            }
            if let Err(error) = self.lease().await {
                return self.stale(&key).map(Lookup::Facts).ok_or(error);
            }
        }
        if let Some(known) = cache.get(&key) {
            self.counters.cache_hit();
            return Ok(Lookup::Facts(known.into()));
        }
        self.counters.cache_miss();
        self.follower_first().await?;
        let now = self.clock.elapsed();
        // Without this timeout, if many requests wait for one token, each would start its own
        // lookup after the previous one gave up.
        let found = timeout(load::PATIENCE, cache.find(&key, now)).await;
        let found = found.map_err(|_| StoreError::away("timed out waiting for the database"))?;
        Ok(match found {
            cache::Found::Known(known) => Lookup::Facts(known.into()),
            cache::Found::Nothing => {
                // Counted like a token that the verifier may not see: the two cases must not be
                // distinguishable.
                if from.is_of_verifiers() {
                    self.count_guess(presented, from)?;
                }
                Lookup::Nothing(otherwise)
            }
            cache::Found::Vacant(vacancy) => {
                if let Some(facts) = self.load(presented, from, true).await? {
                    Lookup::Facts(vacancy.fill(facts).into())
                } else {
                    vacancy.nothing(now);
                    Lookup::Nothing(otherwise)
                }
            }
        })
    }

    /// Returns the answer for a token that the caller may not see: the same as for a text that is
    /// not a token, and counted in the same way. A difference would show callers which secrets
    /// other workspaces have imported.
    ///
    /// # Errors
    ///
    /// `TooManyUnknown`.
    pub(crate) fn as_unknown(
        &self,
        presented: &str,
        from: Presenter,
    ) -> Result<DecisionCode, ServiceError> {
        self.count_guess(presented, from)?;
        Ok(code_of_unknown(presented))
    }

    /// Counts a text that may be a guess. Texts with the form and checksum of Tessera's own tokens
    /// cannot be guessed.
    fn count_guess(&self, presented: &str, from: Presenter) -> Result<(), ServiceError> {
        if domain::token_text::check(presented).is_err() {
            let _not_given_back = self.unknown.take(from, false, self.clock.elapsed())?;
        }
        Ok(())
    }

    /// Queries the database and caches nothing, in a process that has no task to renew its lease.
    async fn look_up_without_lease(
        &self,
        presented: &str,
        from: Presenter,
        key: &Key,
        otherwise: DecisionCode,
    ) -> Result<Lookup, ServiceError> {
        match self.load(presented, from, false).await {
            Ok(Some(facts)) => Ok(Lookup::Facts(Arc::new(Known::new(facts)).into())),
            Ok(None) => Ok(Lookup::Nothing(otherwise)),
            Err(error @ ServiceError::Unavailable(_)) => {
                self.stale(key).map(Lookup::Facts).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the facts in memory without a lease, if the operator allows that for a while.
    fn stale(&self, key: &Key) -> Option<Looked> {
        let over = self.replica.lease.over_for(self.clock.elapsed());
        let stale = over.filter(|over| *over < self.settings.stale_grace);
        stale.and_then(|_| self.cache.get(key)).map(|known| Looked { known, stale })
    }

    /// Returns whether the facts of a presented text are in memory.
    pub(crate) fn remembers(&self, presented: &str) -> bool {
        self.cache.get(&key(presented)).is_some()
    }

    /// Returns the facts as the database has them now, if the token exists.
    pub(crate) async fn in_database(
        &self,
        presented: &str,
        from: Presenter,
    ) -> Result<Option<Arc<Known>>, ServiceError> {
        let has_form = domain::token_text::check(presented).is_ok();
        if !has_form && !self.may_be_imported(presented) {
            return Ok(None);
        }
        // A text whose facts are in memory is not a guess.
        let is_known = self.remembers(presented);
        let from = if is_known { Presenter::OPERATOR } else { from };
        Ok(self.load(presented, from, false).await?.map(|facts| Arc::new(Known::new(facts))))
    }

    /// Queries the database, unless too many texts of this presenter were unknown.
    async fn load(
        &self,
        presented: &str,
        from: Presenter,
        has_lease: bool,
    ) -> Result<Option<Facts>, ServiceError> {
        let (unknown, clock) = (&self.unknown, &self.clock);
        let has_form = domain::token_text::check(presented).is_ok();
        let taken = unknown.take(from, has_form, clock.elapsed())?;
        let digests = self.keys.digests(presented);
        let found = self.loader.facts(digests, has_lease).await;
        if !matches!(found, Ok(None)) {
            unknown.give_back(from, taken, clock.elapsed());
        }
        found
    }
}

impl From<Arc<Known>> for Looked {
    fn from(known: Arc<Known>) -> Self {
        Self { known, stale: None }
    }
}

/// Returns the code for a text that was not found. A text that another system may have issued is
/// looked up, but if it is not found, it is not a token.
fn code_of_unknown(presented: &str) -> DecisionCode {
    if domain::token_text::check(presented).is_ok() {
        DecisionCode::NotFound
    } else {
        DecisionCode::Malformed
    }
}

pub(crate) fn key(presented: &str) -> Key {
    Sha256::digest(presented).into()
}
