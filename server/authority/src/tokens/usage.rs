//! Report how often a token was presented.

use domain::{
    access::Permission,
    ids::TokenId,
    usage::{HOURS_MAX, TokenUsage, hour_of},
};
use time::Duration;

use super::Tokens;
use crate::{OpContext, ServiceError, access, store::usage as store};

impl Tokens<'_> {
    /// Returns a token's last use and its counts of the last `hours` hours, including the current
    /// one. Hours without use have a count of zero. Uses of the last seconds may be missing.
    ///
    /// # Errors
    /// `Invalid` with the field `hours` if it is not 1 to 720.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "usage",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn usage(
        &self,
        ctx: &OpContext,
        id: TokenId,
        hours: u16,
    ) -> Result<TokenUsage, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise_token(&mut connection, ctx, id, Permission::TokensRead).await?;
        if hours == 0 || hours > HOURS_MAX {
            return Err(ServiceError::invalid("hours", format!("must be 1 to {HOURS_MAX}")));
        }
        let from = hour_of(ctx.now) - Duration::hours(i64::from(hours) - 1);
        let mut usage = TokenUsage::none(id, from, hours);
        for (hour, counts) in store::since(&mut connection, access.tenant(), id, from).await? {
            usage.add(hour, counts.allowed, counts.refused);
        }
        usage.last = store::last(&mut connection, access.tenant(), id).await?;
        Ok(usage)
    }
}
