//! What a verification leaves behind, beside the use itself: the first use of a secret that replaced
//! another, and the presentation of a replaced one after its end. Neither happens on the usual way, which
//! stays one query and waits for no lock: a server that was cut off amid a change must not hold it up.

use std::{sync::Arc, time::Duration};

use domain::{
    decision::{DecisionCode, Demand, Facts},
    ids::SecretId,
    token::Standing,
};
use tokio::{
    sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{Verification, known::Known};
use crate::{
    Actor, OpContext, ServiceError,
    access::{self, Access},
    audit::{Change, record},
    replicas::Transaction,
    store::{
        StoreError, policies, secrets_change, tokens,
        tokens_change::{self, StoppedBy},
    },
    tokens::{
        Children,
        change::{changed, snapshot},
    },
    verification::Subject,
};

/// Secrets that are written about at one moment wait for one another only when they share a part.
const SHARDS: usize = 64;
/// Secrets that are written about at a time: others need connections, too.
const WRITERS: usize = 4;
/// How long somebody waits for another to write before it is refused.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who writes what verifications leave behind: one for each secret, and few for all. A crowd that presents a
/// new secret would take all connections, and nobody could revoke anything meanwhile.
#[derive(Debug)]
pub(crate) struct Follows {
    shards: [Mutex<()>; SHARDS],
    writers: Semaphore,
}

impl Default for Follows {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), writers: Semaphore::new(WRITERS) }
    }
}

impl Follows {
    async fn alone(&self, secret: SecretId) -> Result<MutexGuard<'_, ()>, ServiceError> {
        // The end of an id is its random part.
        let place = usize::from(secret.0.as_bytes()[15]) % SHARDS;
        let shard = timeout(PATIENCE, self.shards[place].lock()).await;
        shard.map_err(|_| busy())
    }

    async fn writer(&self) -> Result<SemaphorePermit<'_>, ServiceError> {
        match timeout(PATIENCE, self.writers.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy()),
        }
    }
}

fn busy() -> ServiceError {
    StoreError::away("others were not done with writing in time").into()
}

impl Verification<'_> {
    /// Notes what this decision is the first one of. Fails closed: a secret that was to end with this
    /// use must have ended before the use is allowed.
    pub(super) async fn follow(
        &self,
        ctx: &OpContext,
        facts: &Arc<Known>,
        demand: &Demand,
        code: DecisionCode,
    ) -> Result<(), ServiceError> {
        match code {
            DecisionCode::Valid if facts.secret.awaited => {
                self.once(facts, self.first_use(ctx, facts)).await
            }
            // Only this code: a gateway of another workspace learns and causes nothing.
            DecisionCode::Expired if facts.is_reuse(ctx.now) && !facts.secret.reused => {
                self.once(facts, self.reuse(ctx, facts, demand)).await
            }
            _ => Ok(()),
        }
    }

    async fn once(
        &self,
        known: &Known,
        write: impl Future<Output = Result<(), ServiceError>>,
    ) -> Result<(), ServiceError> {
        let _alone = self.inner.follows.alone(known.secret.id).await?;
        if !known.is_followed() {
            write.await?;
            known.set_followed();
            self.inner.cache.forget(&[Subject::Token(known.token_id)]);
        }
        Ok(())
    }

    /// The use is noted when what it ends has ended everywhere. Until then each further one, at whichever
    /// server, is a first one, too, and waits for that.
    async fn first_use(&self, ctx: &OpContext, facts: &Arc<Known>) -> Result<(), ServiceError> {
        self.end_grace(ctx, facts).await?;
        let _writer = self.inner.follows.writer().await?;
        let mut connection = self.inner.connection().await?;
        Ok(secrets_change::note_first_use(&mut connection, facts.secret.id, ctx.now).await?)
    }

    async fn end_grace(&self, ctx: &OpContext, facts: &Arc<Known>) -> Result<(), ServiceError> {
        let writer = self.inner.follows.writer().await?;
        let mut transaction = self.inner.begin().await?;
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
                // Nobody asked for it but the token's own bearer, by using the new secret.
                let actor = match &ctx.actor {
                    Actor::Anonymous => Actor::Token(Arc::clone(facts)),
                    known => known.clone(),
                };
                let ctx = OpContext { actor, ..ctx.clone() };
                changed(&mut transaction, &ctx, &access, "token.grace_end", &before).await?;
            }
        }
        // The commit waits for the other servers, and needs no connection for that.
        drop(writer);
        transaction.commit().await
    }

    async fn reuse(
        &self,
        ctx: &OpContext,
        facts: &Facts,
        demand: &Demand,
    ) -> Result<(), ServiceError> {
        let writer = self.inner.follows.writer().await?;
        let mut transaction = self.inner.begin().await?;
        let Some(access) = access::of_facts(&mut transaction, facts).await? else {
            return Ok(());
        };
        let noted = tokens_change::lock(&mut transaction, access.tenant(), facts.token_id).await?
            && secrets_change::note_reuse(&mut transaction, facts.secret.id, ctx.now).await?;
        if noted {
            record_reuse(&mut transaction, ctx, &access, facts, demand).await?;
            drop(writer);
            transaction.commit().await?;
            tracing::warn!(
                token = %facts.token_id, workspace = %facts.surroundings.workspace, request_id = ctx.request_id,
                "a replaced secret was presented after its end",
            );
        }
        Ok(())
    }
}

/// Notes a reuse on the token and, when policy wants so, disables it.
async fn record_reuse(
    connection: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    facts: &Facts,
    demand: &Demand,
) -> Result<(), ServiceError> {
    let (tenant, id) = (access.tenant(), facts.token_id);
    let children = Children::of(connection, access, id, false).await?;
    tokens_change::note_reuse(connection, tenant, id, ctx.now).await?;
    connection.narrows(Subject::Token(id));
    let token = tokens::by_id(connection, tenant, id, ctx.now)
        .await?
        .ok_or(ServiceError::NotFound("token"))?;
    let mut after = snapshot(&token);
    after["presented_from"] = demand.ip.map(|address| address.to_string()).into();
    let change = Change {
        workspace: Some(access.workspace.id),
        action: "token.reuse",
        subject_id: Some(id.0),
        subject_name: &token.name,
        before: None,
        after: Some(after),
    };
    record(connection, ctx, change).await?;
    if token.enabled && policies::disables_on_reuse(connection, tenant).await? {
        let by = StoppedBy { user: None, standing: Standing::Policy };
        tokens_change::set_enabled(connection, tenant, id, Some(by), ctx.now).await?;
        changed(connection, ctx, access, "token.disable", &token).await?;
        // Policy stops them, not the one who happened to present the secret.
        let nobody = OpContext { actor: Actor::Anonymous, ..ctx.clone() };
        children.disable(connection, &nobody).await?;
    }
    Ok(())
}
