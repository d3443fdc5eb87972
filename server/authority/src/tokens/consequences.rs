//! Writes what follows from a verification besides the use itself: the first use of a secret that
//! replaced another, and the reuse of a replaced secret after its expiry.
//!
//! Neither happens in the usual case, which stays one query and waits for no lock: a server that
//! was cut off during a change must not hold it up.

use std::sync::Arc;

use crate::kernel::Facts;
use crate::{
    Actor, OpContext, ServiceError,
    access::{self, Access},
    audit::record,
    fallen_invitations::close_fallen_of_token,
    kernel::{Change, Known, Subject},
    store::{
        self, policies, secrets_change, stops, tokens,
        tokens_change::{self, StoppedBy},
    },
    tokens::{
        Tokens,
        change::{changed, snapshot},
        children::{self, How},
        disabler,
    },
    transaction::Transaction,
};
use domain::{
    audit_action::AuditAction,
    decision::{DecisionCode, Demand},
    token::Standing,
};

impl Tokens<'_> {
    /// Records the first occurrence of this decision. Fails closed: a secret that is to expire with
    /// this use must have expired before the use is allowed.
    pub(crate) async fn follow_up(
        &self,
        ctx: &OpContext,
        facts: &Arc<Known>,
        demand: &Demand,
        code: DecisionCode,
    ) -> Result<(), ServiceError> {
        // Boxed because both are rare and large, and would be part of the future of every
        // verification.
        match code {
            DecisionCode::Valid if facts.secret.awaited => {
                Box::pin(self.once(facts, self.first_use(ctx, facts))).await
            }
            // Only for this code: a gateway of another workspace neither learns nor causes
            // anything.
            DecisionCode::Expired if facts.is_reuse(ctx.now) && !facts.secret.reused => {
                Box::pin(self.once(facts, self.reuse(ctx, facts, demand))).await
            }
            _ => Ok(()),
        }
    }

    async fn once(
        &self,
        known: &Known,
        write: impl Future<Output = Result<(), ServiceError>>,
    ) -> Result<(), ServiceError> {
        let _alone = self.inner.writers.alone(known.secret.id).await?;
        if !known.is_followed() {
            write.await?;
            known.set_followed();
            self.inner.cache.forget(&[Subject::Token(known.token_id)]);
        }
        Ok(())
    }

    /// Records the first use of a new secret once the secret that it replaces has expired on every
    /// server. Until then each further use, on whichever server, is a first use, too, and waits for
    /// that.
    async fn first_use(&self, ctx: &OpContext, facts: &Arc<Known>) -> Result<(), ServiceError> {
        self.end_grace_by_use(ctx, facts).await?;
        let _writer = self.inner.writers.writer(facts.surroundings.workspace_id).await?;
        let mut connection = self.inner.connection().await?;
        Ok(secrets_change::note_first_use(&mut connection, facts.secret.id, ctx.now).await?)
    }

    async fn end_grace_by_use(
        &self,
        ctx: &OpContext,
        facts: &Arc<Known>,
    ) -> Result<(), ServiceError> {
        let writer = self.inner.writers.writer(facts.surroundings.workspace_id).await?;
        let mut transaction = self.inner.begin().await?;
        store::wait_briefly(&mut transaction).await?;
        let Some(access) = access::of_facts(&mut transaction, facts).await? else {
            return Ok(());
        };
        let (tenant, id) = (access.tenant(), facts.token_id);
        if !tokens_change::lock(&mut transaction, tenant, id).await? {
            return Ok(());
        }
        let secret = facts.secret.id;
        match secrets_change::ends_on_first_use(&mut transaction, secret, ctx.now).await? {
            None => return Ok(()),
            Some(false) => transaction.already_so(Subject::Token(id)),
            Some(true) => {
                let before = tokens::by_id(&mut transaction, tenant, id, ctx.now)
                    .await?
                    .ok_or(ServiceError::NotFound("token"))?;
                secrets_change::end_older(&mut transaction, id, ctx.now).await?;
                tokens_change::touch(&mut transaction, tenant, id, ctx.now).await?;
                // Only the token's own bearer caused this, by using the new secret.
                let actor = match &ctx.actor {
                    Actor::Anonymous => Actor::Token(Arc::clone(facts)),
                    known => known.clone(),
                };
                let ctx = OpContext { actor, ..ctx.clone() };
                changed(&mut transaction, &ctx, &access, AuditAction::TokenGraceEnd, &before)
                    .await?;
            }
        }
        // The commit waits for the other servers and needs no connection for that.
        drop(writer);
        transaction.commit().await
    }

    async fn reuse(
        &self,
        ctx: &OpContext,
        facts: &Facts,
        demand: &Demand,
    ) -> Result<(), ServiceError> {
        let writer = self.inner.writers.writer(facts.surroundings.workspace_id).await?;
        let mut transaction = self.inner.begin().await?;
        store::wait_briefly(&mut transaction).await?;
        let Some(access) = access::of_facts(&mut transaction, facts).await? else {
            return Ok(());
        };
        let noted = tokens_change::lock(&mut transaction, access.tenant(), facts.token_id).await?
            && secrets_change::note_reuse(&mut transaction, facts.secret.id, ctx.now).await?;
        if noted {
            record_reuse(&mut transaction, ctx, &access, facts, demand).await?;
            drop(writer);
            transaction.commit().await?;
            self.inner.stops.notify_one();
            tracing::warn!(
                token = %facts.token_id, workspace = %facts.surroundings.workspace, request_id = ctx.request_id,
                "a replaced secret was presented after it expired",
            );
        }
        Ok(())
    }
}

/// Records a reuse on the token and disables the token if the policy says so. Its children follow
/// in the background if the policy extends to them.
async fn record_reuse(
    connection: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    facts: &Facts,
    demand: &Demand,
) -> Result<(), ServiceError> {
    let (tenant, id) = (access.tenant(), facts.token_id);
    tokens_change::note_reuse(connection, tenant, id, ctx.now).await?;
    connection.affects(Subject::Token(id), AuditAction::TokenReuse);
    let token = tokens::by_id(connection, tenant, id, ctx.now)
        .await?
        .ok_or(ServiceError::NotFound("token"))?;
    let mut after = snapshot(&token);
    after["presented_from"] = demand.ip.map(|address| address.to_string()).into();
    let change = Change {
        workspace: Some(access.workspace.id),
        action: AuditAction::TokenReuse,
        subject_id: Some(id.0),
        subject_name: &token.name,
        before: None,
        after: Some(after),
    };
    record(connection, ctx, change).await?;
    let by = StoppedBy { user: None, standing: Standing::Policy, token: None };
    let stoppers = stops::stoppers(connection, tenant, id).await?;
    if let Some(by) = disabler(by, &token, stoppers)
        && policies::disables_on_reuse(connection, tenant).await?
    {
        tokens_change::set_enabled(connection, tenant, id, Some(by), ctx.now).await?;
        let token = changed(connection, ctx, access, AuditAction::TokenDisable, &token).await?;
        // The policy disables them, not the caller who happened to present the secret.
        let nobody = OpContext { actor: Actor::Anonymous, ..ctx.clone() };
        children::follow_later(connection, &nobody, access, id, How::Disable).await?;
        close_fallen_of_token(connection, ctx, tenant, &token).await?;
    }
    Ok(())
}
