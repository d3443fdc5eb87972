//! Writes what follows from a verification besides the use itself: the first use of a secret that
//! replaced another, and the reuse of a replaced secret after its expiry.
//!
//! Neither happens in the usual case, which stays one query and waits for no lock: a server that
//! was cut off during a change must not hold it up.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use domain::{
    decision::{DecisionCode, Demand, Facts},
    ids::{SecretId, WorkspaceId},
    token::Standing,
};
use tokio::{
    sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{Verification, known::Known};
use crate::{
    Actor, OpContext, ServiceError,
    access::{self, Access},
    audit::{Change, record},
    invitations::close_fallen_of_token,
    replicas::Transaction,
    store::{
        self, StoreError, policies, secrets_change, stops, tokens,
        tokens_change::{self, StoppedBy},
    },
    tokens::{
        change::{changed, snapshot},
        children::{self, How},
        disabler,
    },
    verification::Subject,
};

/// Number of keys after which unused keys are dropped.
const FORGET_AT: usize = 1_024;
/// Concurrent writers. Others need connections, too.
const WRITERS: usize = 8;
/// Concurrent writers for the tokens of one workspace, so that no workspace takes all of them.
const OF_WORKSPACE: usize = 2;
/// How long a request waits for concurrent writers before it is refused.
const PATIENCE: Duration = Duration::from_secs(3);

/// Limits who writes the consequences of verifications: one writer for each secret, few for a
/// workspace, and a bounded number overall. Otherwise a crowd that presents a new secret would take
/// all connections, and no token could be revoked meanwhile. No request waits here for another
/// workspace that is slow.
#[derive(Debug)]
pub(crate) struct Follows {
    secrets: Keyed<SecretId, Mutex<()>>,
    workspaces: Keyed<WorkspaceId, Semaphore>,
    writers: Semaphore,
}

/// The right to write, held until it is dropped.
struct Writer<'a> {
    _of_workspace: OwnedSemaphorePermit,
    _of_all: SemaphorePermit<'a>,
}

impl Default for Follows {
    fn default() -> Self {
        Self {
            secrets: Keyed::default(),
            workspaces: Keyed::default(),
            writers: Semaphore::new(WRITERS),
        }
    }
}

impl Follows {
    async fn alone(&self, secret: SecretId) -> Result<OwnedMutexGuard<()>, ServiceError> {
        let secret = self.secrets.get(secret, Mutex::default);
        timeout(PATIENCE, secret.lock_owned()).await.map_err(|_| busy())
    }

    async fn writer(&self, workspace: WorkspaceId) -> Result<Writer<'_>, ServiceError> {
        let workspace = self.workspaces.get(workspace, || Semaphore::new(OF_WORKSPACE));
        let both = async {
            let of_workspace = workspace.acquire_owned().await.ok()?;
            let of_all = self.writers.acquire().await.ok()?;
            Some(Writer { _of_workspace: of_workspace, _of_all: of_all })
        };
        timeout(PATIENCE, both).await.ok().flatten().ok_or_else(busy)
    }
}

/// Values by key, each kept for as long as it is in use.
#[derive(Debug)]
struct Keyed<K, V>(std::sync::Mutex<HashMap<K, Weak<V>>>);

impl<K, V> Default for Keyed<K, V> {
    fn default() -> Self {
        Self(std::sync::Mutex::default())
    }
}

impl<K: Eq + Hash, V> Keyed<K, V> {
    fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = held.get(&key).and_then(Weak::upgrade) {
            return value;
        }
        if held.len() >= FORGET_AT {
            held.retain(|_, value| value.strong_count() > 0);
        }
        let value = Arc::new(make());
        held.insert(key, Arc::downgrade(&value));
        value
    }
}

fn busy() -> ServiceError {
    StoreError::away("timed out waiting for a concurrent write").into()
}

impl Verification<'_> {
    /// Records the first occurrence of this decision. Fails closed: a secret that is to expire with
    /// this use must have expired before the use is allowed.
    pub(super) async fn follow(
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
        let _alone = self.inner.follows.alone(known.secret.id).await?;
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
        self.end_grace(ctx, facts).await?;
        let _writer = self.inner.follows.writer(facts.surroundings.workspace_id).await?;
        let mut connection = self.inner.connection().await?;
        Ok(secrets_change::note_first_use(&mut connection, facts.secret.id, ctx.now).await?)
    }

    async fn end_grace(&self, ctx: &OpContext, facts: &Arc<Known>) -> Result<(), ServiceError> {
        let writer = self.inner.follows.writer(facts.surroundings.workspace_id).await?;
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
                changed(&mut transaction, &ctx, &access, "token.grace_end", &before).await?;
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
        let writer = self.inner.follows.writer(facts.surroundings.workspace_id).await?;
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
    let by = StoppedBy { user: None, standing: Standing::Policy, token: None };
    let stoppers = stops::stoppers(connection, tenant, id).await?;
    if let Some(by) = disabler(by, &token, stoppers)
        && policies::disables_on_reuse(connection, tenant).await?
    {
        tokens_change::set_enabled(connection, tenant, id, Some(by), ctx.now).await?;
        let token = changed(connection, ctx, access, "token.disable", &token).await?;
        // The policy disables them, not the caller who happened to present the secret.
        let nobody = OpContext { actor: Actor::Anonymous, ..ctx.clone() };
        children::follow_later(connection, &nobody, access, id, How::Disable).await?;
        close_fallen_of_token(connection, ctx, tenant, &token).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// Returns whether the caller has to wait.
    async fn waits<T>(turn: impl Future<Output = Result<T, ServiceError>>) -> bool {
        match timeout(Duration::from_millis(20), turn).await {
            Ok(outcome) => {
                outcome.unwrap();
                false
            }
            Err(_) => true,
        }
    }

    #[tokio::test]
    async fn workspace_has_two_writers_and_leaves_the_rest_to_others() {
        let follows = Follows::default();
        let workspace = |number| WorkspaceId(Uuid::from_u128(number));
        let mut held = Vec::new();
        for number in [1, 1, 2, 2, 3, 3] {
            held.push(follows.writer(workspace(number)).await.unwrap());
        }
        assert!(waits(follows.writer(workspace(1))).await);
        assert!(!waits(follows.writer(workspace(4))).await);
        held.remove(0);
        assert!(!waits(follows.writer(workspace(1))).await);
    }

    #[tokio::test]
    async fn secrets_wait_only_for_themselves() {
        let follows = Follows::default();
        let secret = |number| SecretId(Uuid::from_u128(number));
        let mut held = Vec::new();
        for number in 0..500 {
            held.push(follows.alone(secret(number)).await.unwrap());
        }
        assert!(waits(follows.alone(secret(7))).await);
        held.clear();
        assert!(!waits(follows.alone(secret(7))).await);
    }
}
