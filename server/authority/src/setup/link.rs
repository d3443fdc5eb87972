//! The one-time link: 256 random bits, valid for 24 hours and for one use.

use serde_json::json;
use subtle::ConstantTimeEq as _;
use time::Duration;

use super::Setup;
use crate::{
    OpContext, ServiceError,
    refusals::{Refusal, RefusalKind},
    secret::SetupSecret,
    store::instance,
};

const LIFETIME: Duration = Duration::hours(24);
/// The name of a link in the log of refusals.
pub(super) const SUBJECT: &str = "set-up link";

impl Setup<'_> {
    /// Issues a new link, which replaces an older one. Returns `None` when the instance is set up.
    #[tracing::instrument(skip_all, fields(
        noun = "setup", verb = "issue_link",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn issue_link(&self, ctx: &OpContext) -> Result<Option<SetupSecret>, ServiceError> {
        ctx.is_operator()?;
        let mut transaction = self.inner.begin().await?;
        if instance::exists(&mut transaction).await? {
            return Ok(None);
        }
        let secret = SetupSecret::generate(self.inner.entropy.as_ref());
        instance::replace_setup_link(&mut transaction, &secret.digest(), ctx.now + LIFETIME)
            .await?;
        transaction.commit().await?;
        Ok(Some(secret))
    }

    /// Checks that this link works. A link that does not work leaves a row in the audit log.
    ///
    /// # Errors
    ///
    /// `NotFound` when it is wrong, expired or replaced, or the instance is set up.
    #[tracing::instrument(skip_all, fields(
        noun = "setup", verb = "check_link",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn check_link(
        &self,
        ctx: &OpContext,
        secret: &SetupSecret,
    ) -> Result<(), ServiceError> {
        let mut connection = self.inner.connection().await?;
        let checked = check(&mut connection, ctx, secret).await;
        checked.inspect_err(|error| {
            if matches!(error, ServiceError::NotFound(_)) {
                let kind = RefusalKind::Credential;
                let refusal =
                    Refusal { kind, subject: SUBJECT.into(), subject_id: None, detail: json!({}) };
                self.inner.refusals.note(ctx, refusal);
            }
        })
    }
}

pub(super) async fn check(
    connection: &mut sqlx::PgConnection,
    ctx: &OpContext,
    secret: &SetupSecret,
) -> Result<(), ServiceError> {
    let stored = instance::setup_link(connection, ctx.now).await?;
    let fits = stored.is_some_and(|stored| bool::from(stored.ct_eq(&secret.digest()[..])));
    if fits && !instance::exists(connection).await? {
        Ok(())
    } else {
        Err(ServiceError::NotFound("set-up link"))
    }
}
