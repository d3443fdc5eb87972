//! How often somebody may guess: failures per account and per address, in windows of 15 minutes.
//!
//! Counted for accounts that do not exist, too, so that being stopped tells nobody that one does.

use sqlx::PgConnection;
use time::Duration;

use crate::{OpContext, ServiceError, authority::Inner, store::throttles};

const WINDOW: Duration = Duration::minutes(15);
/// Failures of one account, from anywhere.
const PER_ACCOUNT: i32 = 10;
/// Failures of one address, with any account: an office behind one address may err a little more.
const PER_ADDRESS: i32 = 50;

/// The counters that a sign-in touches.
pub(super) struct Throttle {
    counters: Vec<([u8; 32], i32)>,
}

impl Throttle {
    pub(super) fn new(inner: &Inner, ctx: &OpContext, email: &str) -> Self {
        let mut counters = vec![(
            inner.keys.blind("sign-in account", &[email.trim().to_lowercase().as_bytes()]),
            PER_ACCOUNT,
        )];
        if let Some(address) = ctx.client_ip {
            let address = address.to_canonical().to_string();
            counters
                .push((inner.keys.blind("sign-in address", &[address.as_bytes()]), PER_ADDRESS));
        }
        Self { counters }
    }

    /// Refuses when any counter is full.
    pub(super) async fn check(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
    ) -> Result<(), ServiceError> {
        for (key, limit) in &self.counters {
            if let Some((failures, ends_at)) = throttles::failures(connection, key, ctx.now).await?
                && failures >= *limit
            {
                let wait = (ends_at - ctx.now).whole_seconds().max(1);
                return Err(ServiceError::TooManyAttempts(wait.unsigned_abs()));
            }
        }
        Ok(())
    }

    /// Counts a failure.
    pub(super) async fn failed(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
    ) -> Result<(), ServiceError> {
        for (key, _) in &self.counters {
            throttles::count_failure(connection, key, ctx.now, ctx.now + WINDOW).await?;
        }
        Ok(())
    }

    /// The account's owner is here: its failures are forgotten. The address keeps its own, or
    /// whoever has one account could guess at the others for ever.
    pub(super) async fn succeeded(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), ServiceError> {
        if let Some((key, _)) = self.counters.first() {
            throttles::clear(connection, key).await?;
        }
        Ok(())
    }
}
