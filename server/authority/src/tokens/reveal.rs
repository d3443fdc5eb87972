//! Show a recoverable token's secret again.

use domain::{
    access::Permission,
    audit_action::AuditAction,
    ids::{SecretId, TokenId, WorkspaceId},
    token::Token,
};

use super::{
    MintedToken, Tokens, change::locked_for_more, grace::refuse_superseded, reach::may_see_secret,
    widening::Grantor,
};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    audit::record,
    kernel::{Actor, Change},
    keys::{Sealed, Unsealable},
    secret::TokenSecret,
    state::Inner,
    store::secrets_change,
    transaction::Transaction,
};

impl Tokens<'_> {
    /// Returns the current secret of a recoverable token. Each call writes an audit row.
    ///
    /// # Errors
    /// `NotRecoverable` if the secret was not kept; `RevealNotAllowed` if policy now shows secrets
    /// only once, even if it allowed more when the token was created; `Forbidden` if the token may
    /// do more than the caller, or if the caller presents a secret of this token whose newer one
    /// was used; `BoundExceeded` if the calling token ends before this one, or has other bounds
    /// that this one lacks; `PreconditionFailed` if the token is not in the version `expected`.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "reveal",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn reveal(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
    ) -> Result<MintedToken, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access =
            access::authorise_token(&mut transaction, ctx, id, Permission::TokensReveal).await?;
        let token = locked_for_more(&mut transaction, ctx, &access, id, expected).await?;
        may_see_secret(&mut transaction, ctx, &access, &token).await?;
        if let Actor::Token(facts) = &ctx.actor
            && facts.token_id == id
        {
            let working = secrets_change::working(&mut transaction, id, ctx.now).await?;
            refuse_superseded(&working, facts.secret.id)?;
        }
        let (secret, sealed) = secrets_change::sealed(&mut transaction, id)
            .await?
            .ok_or(ServiceError::NotRecoverable)?;
        if !token.recoverable {
            // The secret was kept while policy still allowed that.
            return Err(ServiceError::RevealNotAllowed);
        }
        let secret = open(self.inner, (access.workspace.id, id, secret), &sealed)
            .map_err(ServiceError::internal)?;
        let change = Change {
            workspace: Some(access.workspace.id),
            action: AuditAction::TokenReveal,
            subject_id: Some(id.0),
            subject_name: &token.name,
            before: None,
            after: Some(serde_json::json!({ "hint": token.hint })),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(MintedToken { token, secret, children_pending: false })
    }
}

/// Returns whether the caller may see the secret of this token, provided that policy allows it to
/// be kept.
pub(super) async fn may_reveal(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    token: &Token,
) -> Result<bool, ServiceError> {
    let grantor = Grantor::of(transaction, ctx, access).await?;
    let may_hold = grantor.check_secret(transaction, token).await?.is_ok();
    Ok(may_hold && access.permissions.allows(Permission::TokensReveal))
}

/// The place of a sealed secret, which is bound to it: the secret cannot be unsealed for any
/// other place.
type Place = (WorkspaceId, TokenId, SecretId);

/// Seals the secret of a recoverable token.
pub(super) fn seal(
    inner: &Inner,
    (workspace, token, id): Place,
    secret: &TokenSecret,
) -> Result<Sealed, Unsealable> {
    let binding = [&workspace.0.as_bytes()[..], token.0.as_bytes(), id.0.as_bytes()];
    inner.keys.seal(inner.entropy.as_ref(), &binding, secret.expose().as_bytes())
}

fn open(
    inner: &Inner,
    (workspace, token, id): Place,
    sealed: &Sealed,
) -> Result<TokenSecret, Unsealable> {
    let binding = [&workspace.0.as_bytes()[..], token.0.as_bytes(), id.0.as_bytes()];
    let text = inner.keys.unseal(sealed, &binding)?;
    let text = std::str::from_utf8(&text).map_err(|_| Unsealable)?;
    Ok(TokenSecret::new(text.to_owned()))
}
