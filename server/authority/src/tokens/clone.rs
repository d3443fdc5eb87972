//! Create a token like another one.

use domain::{
    access::Permission,
    expiry::ExpiryChoice,
    ids::TokenId,
    rotation::{Before, renewed_end},
    token::Token,
};
use sqlx::PgConnection;
use time::format_description::well_known::Rfc3339;

use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    store::{policies, secrets_change, tokens as store},
    tokens::{
        MintedToken, TokenDraft, Tokens,
        containment::{copy_bounds, end_is_fixed, may_lift, may_unbind},
    },
};

impl Tokens<'_> {
    /// Creates a token with the values of another one and a name of its own. The copy gets the
    /// lifetime that the original had when its current secret was created, within policy. Other
    /// values that policy or the caller's own scopes no longer allow are refused as in
    /// [`Self::create`]. If a member copies their own token, the copy keeps the end and the bounds
    /// that an administrator set.
    ///
    /// # Errors
    /// As [`Self::create`]; `Forbidden` for a member whose token an administrator stopped, and for
    /// a calling token that may not undo a stop; `PreconditionFailed` if the original is not in the
    /// version `expected`.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "clone_of",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn clone_of(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
        name: String,
    ) -> Result<MintedToken, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access =
            access::authorise_token(&mut transaction, ctx, id, Permission::TokensWrite).await?;
        let origin = store::by_id(&mut transaction, access.tenant(), id, ctx.now)
            .await?
            .ok_or(ServiceError::NotFound("token"))?;
        if expected.is_some_and(|version| version != origin.version) {
            return Err(ServiceError::PreconditionFailed);
        }
        may_lift(&mut transaction, ctx, &access, &origin).await?;
        may_unbind(&mut transaction, ctx, &access, (&origin, &origin)).await?;
        let mut draft = draft_of(&mut transaction, ctx, &access, origin.clone(), name).await?;
        if access.own.is_some()
            && end_is_fixed(&origin)
            && let Some(end) = origin.expires_at
        {
            draft.expiry = Ok(ExpiryChoice::At(end));
        }
        let mut minted = self.mint(&mut transaction, ctx, &access, &draft, Some(id)).await?;
        copy_bounds(&mut transaction, &access, &origin, &mut minted.token).await?;
        transaction.makes(minted.token.id);
        transaction.commit().await?;
        self.inner.cache.made();
        Ok(minted)
    }
}

async fn draft_of(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    origin: Token,
    name: String,
) -> Result<TokenDraft, ServiceError> {
    let policy = policies::levels(connection, access.tenant()).await?.in_force();
    let working = secrets_change::working(connection, origin.id, ctx.now).await?;
    let made_at = working.iter().find(|secret| secret.current).map(|secret| secret.created_at);
    let before = Before {
        made_at: made_at.unwrap_or(origin.created_at),
        used: false,
        older_works: false,
        ends_at: origin.expires_at,
    };
    let expiry = renewed_end(ExpiryChoice::Default, &before, &policy, ctx.now)
        .map(|end| end.map_or(ExpiryChoice::Never, ExpiryChoice::At));
    let not_before = origin.not_before.filter(|start| *start > ctx.now);
    let grants = origin.grants.iter().map(|(audience, scopes)| {
        (audience.to_string(), scopes.iter().map(ToString::to_string).collect())
    });
    Ok(TokenDraft {
        name,
        description: origin.description.into(),
        user: Some(origin.user.id.to_string()),
        grants: Some(grants.collect()),
        expiry,
        not_before: not_before.and_then(|start| start.format(&Rfc3339).ok()),
        ip_allow: origin.ip_allow.iter().map(ToString::to_string).collect(),
        rate_limit: Ok(origin.rate_limit),
        recoverable: origin.recoverable.into(),
        tags: origin.tags.into(),
        // The caller didn't choose this end, so it is shortened instead of refused.
        cut_end: true,
        ..TokenDraft::default()
    })
}
