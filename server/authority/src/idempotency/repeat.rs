//! Responses that hold a token's secret.
//!
//! Repeating such a response shows the secret again. The caller must still be entitled to the
//! secret, and every repetition leaves an audit row. If the policy shows secrets only once, only a
//! response that was lost a moment ago is repeated.

use domain::{
    access::Permission,
    audit_action::AuditAction,
    ids::{SecretId, TokenId},
    policy::Reveal,
    token::Token,
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Idempotency, KeptReply, LOST_REPLY, Purpose, authorise};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    audit::record,
    kernel::{Actor, Change},
    store::{policies, secrets_change, tokens},
    tokens::{may_see_secret, refuse_superseded},
    transaction::Transaction,
};

impl Idempotency<'_> {
    /// Checks that the caller may get a stored response again.
    pub(super) async fn may_repeat(
        self,
        ctx: &OpContext,
        purpose: Purpose<'_>,
        reply: &KeptReply,
        began: OffsetDateTime,
    ) -> Result<(), ServiceError> {
        if !holds_secret(purpose, reply) {
            return Ok(());
        }
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access = authorise(&mut transaction, ctx, purpose).await?;
        let policy = policies::levels(&mut transaction, access.tenant()).await?.in_force();
        if policy.reveal == Reveal::Once && began + LOST_REPLY <= ctx.now {
            return Err(ServiceError::RevealNotAllowed);
        }
        // Servers of version 0.1 don't record whose secret a response holds. Here it is the
        // caller's own.
        let own = ctx.own_token().filter(|_| matches!(purpose, Purpose::Own));
        let token = match reply.secret_of.or(own) {
            Some(id) => Some(still_held(&mut transaction, ctx, purpose, (&access, id)).await?),
            None => None,
        };
        note(&mut transaction, ctx, &access, token.as_ref()).await?;
        transaction.commit().await
    }

    /// Records that the replaced secret retrieves the response of the rotation that replaced it.
    /// Returns whether it may: no newer secret was used meanwhile.
    pub(super) async fn note_lost_rotation(
        self,
        ctx: &OpContext,
        reply: &KeptReply,
        presented: SecretId,
    ) -> Result<bool, ServiceError> {
        if !holds_secret(Purpose::Own, reply) {
            return Ok(true);
        }
        let mut transaction = self.inner.begin().await?;
        let (access, facts) = access::authorise_self(&mut transaction, ctx).await?;
        let id = facts.token_id;
        // The audit row comes first: writing it may wait for a lock, and a newer secret may be used
        // meanwhile.
        let token = find(&mut transaction, ctx, &access, id).await?;
        note(&mut transaction, ctx, &access, Some(&token)).await?;
        if secrets_change::newer_was_used(&mut transaction, id, presented).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }
}

/// Returns whether a response holds a secret. Servers of version 0.1 did not record whose.
fn holds_secret(purpose: Purpose<'_>, reply: &KeptReply) -> bool {
    let made = (200..300).contains(&reply.status) && !matches!(purpose, Purpose::Import(_));
    made || reply.secret_of.is_some()
}

/// Returns the token whose secret the caller would get, if the caller is still entitled to it.
async fn still_held(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    purpose: Purpose<'_>,
    (access, id): (&Access, TokenId),
) -> Result<Token, ServiceError> {
    let token = if matches!(purpose, Purpose::Own) {
        find(transaction, ctx, access, id).await?
    } else {
        let access = access::authorise_token(transaction, ctx, id, Permission::TokensWrite).await?;
        let token = find(transaction, ctx, &access, id).await?;
        may_see_secret(transaction, ctx, &access, &token).await?;
        token
    };
    if let Actor::Token(facts) = &ctx.actor
        && facts.token_id == id
    {
        let working = secrets_change::working(transaction, id, ctx.now).await?;
        refuse_superseded(&working, facts.secret.id)?;
    }
    Ok(token)
}

async fn find(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    id: TokenId,
) -> Result<Token, ServiceError> {
    tokens::by_id(connection, access.tenant(), id, ctx.now)
        .await?
        .ok_or(ServiceError::NotFound("token"))
}

async fn note(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    token: Option<&Token>,
) -> Result<(), ServiceError> {
    let change = Change {
        workspace: Some(access.workspace.id),
        action: AuditAction::TokenReveal,
        subject_id: token.map(|token| token.id.0),
        subject_name: token.map_or("", |token| token.name.as_str()),
        before: None,
        after: Some(serde_json::json!({
            "hint": token.map(|token| &token.hint), "repeated_reply": true,
        })),
    };
    record(connection, ctx, change).await
}
