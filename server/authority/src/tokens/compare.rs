//! Compares scopes with the scopes that a caller may put on tokens.
//!
//! A token holds up to a thousand patterns, and so does a calling token. All comparisons of one
//! change share a budget of steps, and a change that needs more than [`STEPS_MAX`] is refused. A
//! comparison that takes longer than a millisecond runs on the worker threads.

use std::sync::Arc;

use domain::{grants::Grants, held::HeldScopes, scope_pattern::Steps};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    reach::{grantable, rights},
    widening::Shortfall,
};
use crate::{
    OpContext, ServiceError,
    access::Access,
    store::catalogues::{self, StoredCatalogue},
    work::{Kind, Pool},
};

/// A number of steps that takes less than a millisecond.
const SOON_STEPS: u32 = 50_000;
/// The maximum number of steps of one change, which take some milliseconds.
pub(crate) const STEPS_MAX: u32 = 1_000_000;

impl Pool {
    /// Compares scopes on behalf of a tenant: on the current thread if few steps suffice, otherwise
    /// on the worker threads.
    ///
    /// # Errors
    /// `Busy` if other work is ahead in the queue for too long.
    pub(crate) async fn compare<T: Send + 'static>(
        &self,
        tenant: Uuid,
        comparison: impl Fn(&mut Steps) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let mut steps = Steps::new(SOON_STEPS);
        let outcome = comparison(&mut steps);
        if steps.left() > 0 {
            return Ok(outcome);
        }
        let all = move |_: &_| comparison(&mut Steps::new(STEPS_MAX));
        self.run(Kind::Scopes, tenant, all).await
    }
}

/// The scopes that a caller may put on tokens, for comparison with those that a token holds.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) ctx: OpContext,
    pub(super) grants: Grants,
    pub(super) catalogues: Arc<[StoredCatalogue]>,
}

impl Reach {
    pub(super) async fn of(
        connection: &mut PgConnection,
        ctx: &OpContext,
        access: &Access,
    ) -> Result<Self, ServiceError> {
        let catalogues = catalogues::all(connection).await?.into();
        Ok(Self { ctx: ctx.clone(), grants: access.grants.clone(), catalogues })
    }

    /// Returns why the caller could not put these scopes on a token. Considers only scopes
    /// and audiences.
    pub(super) fn shortfall(&self, token: &HeldScopes, steps: &mut Steps) -> Option<Shortfall> {
        let rights = rights(&self.ctx, &self.grants, &self.catalogues, steps);
        let held = grantable(&self.ctx);
        let shortfall = if token
            .pairs()
            .any(|(audience, scope)| !rights.covers_within(audience, scope, steps))
        {
            Shortfall::Scopes
        } else {
            let held = held?;
            if token.pairs().any(|(audience, scope)| !held.covers_within(audience, scope, steps)) {
                Shortfall::HeldScopes
            } else if token.audiences().any(|audience| !held.is_meant_for(audience)) {
                return Some(Shortfall::Audiences);
            } else {
                return None;
            }
        };
        // If the steps ran out, a pattern that was not compared may cover the missing scope.
        Some(if steps.left() == 0 { Shortfall::TooLong } else { shortfall })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Returns the step budget with which a comparison of `taken` steps last ran, and whether that
    /// run was on a worker thread.
    async fn compare(taken: u32) -> (u32, bool) {
        let comparison = move |steps: &mut Steps| {
            let given = steps.left();
            let name: domain::catalogue::ScopeName = "a:b".parse().unwrap();
            while steps.left() > given.saturating_sub(taken) {
                name.covers_within(&name, steps);
            }
            (given, thread::current().name() == Some("work"))
        };
        Pool::default().compare(Uuid::nil(), comparison).await.unwrap()
    }

    #[tokio::test]
    async fn long_comparison_runs_on_worker_threads_and_is_bounded() {
        assert_eq!(compare(SOON_STEPS - 1).await, (SOON_STEPS, false));
        assert_eq!(compare(SOON_STEPS).await, (STEPS_MAX, true));
        assert_eq!(compare(u32::MAX).await, (STEPS_MAX, true));
    }
}
