//! Comparing scopes with those that a caller may put on tokens.
//!
//! A token holds up to a thousand patterns, and so does a token that asks. All comparisons of one change share their
//! steps: beyond [`STEPS_MAX`] it is refused. What takes longer than a millisecond runs on the threads for such work.

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

/// So many steps take less than a millisecond.
const SOON_STEPS: u32 = 50_000;
/// Most steps of one change: some milliseconds.
pub(crate) const STEPS_MAX: u32 = 1_000_000;

impl Pool {
    /// Compares scopes on behalf of a tenant: here if few steps suffice, otherwise on the threads for such work.
    ///
    /// # Errors
    /// `Busy` when others are before it for too long.
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

/// What a caller may put on tokens, to be compared with what a token holds.
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

    /// Reports why the caller could not put these scopes on a token, as far as scopes are concerned.
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
        // What was not found by then may be there.
        Some(if steps.left() == 0 { Shortfall::TooLong } else { shortfall })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Says how many steps a comparison had that takes so many, and whether it ran apart at last.
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
    async fn comparison_that_takes_long_runs_on_other_threads_and_is_bounded() {
        assert_eq!(compare(SOON_STEPS - 1).await, (SOON_STEPS, false));
        assert_eq!(compare(SOON_STEPS).await, (STEPS_MAX, true));
        assert_eq!(compare(u32::MAX).await, (STEPS_MAX, true));
    }
}
