//! Stops the descendants of a stopped token, that is, the tokens that it created directly or
//! through others, if the caller or policy asks for it. If policy asks for it, an earlier end of a
//! token also limits the ends of its descendants. A rotation disables the descendants if the caller
//! asks for it, because a person who had the old secret may have created them. Other changes of a
//! token leave its descendants as they are.
//!
//! A token can create any number of others, so its own stop never waits for theirs. The stop of
//! the token is one short transaction, which also records a note that the descendants are to be
//! stopped. They follow in transactions of [`AT_ONCE`] tokens each, and the response waits for all
//! of them. If the server stops first, or the caller disconnects, another server continues from
//! the note.
//!
//! While the note exists, no descendant can change tokens (`access::not_being_stopped`), so
//! none escapes.

use std::time::Duration;

use domain::{
    audit_action::AuditAction,
    ids::{TokenId, UserId},
    token::Token,
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::time::timeout;
use uuid::Uuid;

use super::{change::snapshot, containment::record_of_stop, portions::By};
use crate::{
    OpContext, ServiceError,
    access::Access,
    audit::record_all,
    kernel::{Actor, Author, Change, Subject, Tenant},
    state::{Authority, Inner},
    store::{
        StoreError,
        descendants::{self, DescendantStop},
        invitations_open, policies, tokens as store,
    },
    transaction::Transaction,
};

pub(crate) use crate::store::descendants::How;

/// The maximum number of descendants that one transaction stops.
const AT_ONCE: usize = 500;
/// How long the background task works on one note before it turns to the next one.
const TURN: Duration = Duration::from_secs(5);

/// Notes that the descendants of a token that this transaction stops are to be stopped, if the
/// caller or policy asks for it. The commit waits for them. Policy reaches the tokens of all users;
/// a caller reaches only the tokens that they can manage anyway.
pub(crate) async fn follow(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    parent: TokenId,
    (how, wanted): (How, bool),
) -> Result<(), ServiceError> {
    let by_policy = policies::ends_children(transaction, access.tenant()).await?;
    let own = access.own.filter(|_| !by_policy);
    if by_policy || wanted {
        note(transaction, ctx, (access.tenant(), own), parent, how).await?;
    }
    Ok(())
}

/// Notes that the descendants of a token are to be stopped because the caller asks for it,
/// regardless of policy. With `own`, only descendants that act as that user are stopped. The commit
/// waits for them.
pub(crate) async fn note(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    reach: (Tenant, Option<UserId>),
    parent: TokenId,
    how: How,
) -> Result<(), ServiceError> {
    if let Some(stop) = stop_of(transaction, ctx, reach, parent, how).await? {
        descendants::insert(transaction, &stop, false).await?;
        transaction.stops_descendants(stop, |inner, stop| Box::pin(inner.stop_descendants(stop)));
    }
    Ok(())
}

/// Notes the stop of the descendants as [`follow`] does, for a parent that a rule of policy
/// stopped. No request waits for them: a background task stops them.
pub(crate) async fn follow_later(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    parent: TokenId,
    how: How,
) -> Result<(), ServiceError> {
    if !policies::ends_children(transaction, access.tenant()).await? {
        return Ok(());
    }
    if let Some(stop) = stop_of(transaction, ctx, (access.tenant(), None), parent, how).await? {
        descendants::insert(transaction, &stop, true).await?;
    }
    Ok(())
}

/// Notes the stop of the descendants of tokens that were disabled together. Only policy asks
/// for that.
pub(super) async fn follow_some(
    transaction: &mut Transaction<'_>,
    (tenant, by): (Tenant, &By),
    parents: &[Uuid],
    how: How,
) -> Result<(), ServiceError> {
    if !policies::ends_children(transaction, tenant).await? {
        return Ok(());
    }
    for parent in descendants::makers(transaction, parents).await? {
        let stop = DescendantStop {
            id: transaction.uuid(transaction.inner().clock.now()),
            tenant,
            token: TokenId(parent),
            how,
            own: None,
            by: by.user,
            by_policy: false,
            author: by.author.clone(),
        };
        descendants::insert(transaction, &stop, false).await?;
        transaction.stops_descendants(stop, |inner, stop| Box::pin(inner.stop_descendants(stop)));
    }
    Ok(())
}

async fn stop_of(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    (tenant, own): (Tenant, Option<UserId>),
    parent: TokenId,
    how: How,
) -> Result<Option<DescendantStop>, ServiceError> {
    if !descendants::exist(transaction, parent).await? {
        return Ok(None);
    }
    Ok(Some(DescendantStop {
        id: transaction.uuid(ctx.now),
        tenant,
        token: parent,
        how,
        own,
        by: ctx.user_id(),
        by_policy: matches!(ctx.actor, Actor::Anonymous),
        author: Author::of(ctx),
    }))
}

impl Authority {
    /// Stops the descendants of all noted tokens that no other server is working on.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached.
    #[tracing::instrument(skip_all, fields(noun = "background", verb = "stop_noted_descendants"))]
    pub async fn stop_noted_descendants(&self) -> Result<(), ServiceError> {
        loop {
            let mut transaction = self.inner.begin().await?;
            let stop = descendants::claim(&mut transaction).await?;
            transaction.commit().await?;
            let Some(stop) = stop else { return Ok(()) };
            if let Ok(outcome) = timeout(TURN, self.inner.stop_descendants(&stop)).await {
                outcome?;
            } else {
                // The tokens stopped so far stay stopped. The other notes have waited longer than
                // this one.
                let mut connection = self.inner.connection().await?;
                descendants::release(&mut connection, stop.id).await?;
            }
        }
    }
}

impl Inner {
    /// Stops all descendants of a token in portions. Returns when all replicas have applied
    /// the stops.
    ///
    /// # Errors
    /// `Unfinished` if some descendants are not stopped yet.
    pub(crate) async fn stop_descendants(&self, stop: &DescendantStop) -> Result<(), ServiceError> {
        self.stop_all(stop).await.map_err(|error| {
            error.log("stopping descendants");
            ServiceError::Unfinished
        })
    }

    async fn stop_all(&self, stop: &DescendantStop) -> Result<(), ServiceError> {
        let epoch = self.history.epoch();
        // Wait for changes that descendants began before they could see the note.
        let mut transaction = self.begin().await?;
        descendants::wait_for_changes(&mut transaction, stop.tenant).await?;
        transaction.rollback().await?;
        loop {
            let mut connection = self.connection().await?;
            let ids = descendants::all(&mut connection, stop.tenant, stop.token).await?;
            drop(connection);
            let mut stopped = 0;
            for some in ids.chunks(AT_ONCE) {
                stopped += self.stop_some(stop, some).await?;
            }
            // Repeat, because another caller may have enabled or extended some of them meanwhile.
            if stopped == 0 {
                break;
            }
        }
        let mut connection = self.connection().await?;
        descendants::finish(&mut connection, stop.id).await?;
        drop(connection);
        // Replicas apply revisions in order, so a replica that has the last one has all of them.
        self.already_so(&[]).await?;
        if self.history.epoch() != epoch {
            return Err(StoreError::away("the database's history changed during the change").into());
        }
        Ok(())
    }

    /// Stops those of the given tokens that still have to be stopped, in one transaction. Returns
    /// how many it stopped.
    async fn stop_some(&self, stop: &DescendantStop, ids: &[Uuid]) -> Result<usize, ServiceError> {
        let now = self.instant();
        let mut stop = stop.clone();
        if matches!(stop.how, How::EndBy(end) if end <= now) {
            stop.how = How::Expire;
        }
        let mut transaction = self.begin().await?;
        descendants::keep(&mut transaction, stop.id).await?;
        let locked = descendants::lock(&mut transaction, &stop, ids, now).await?;
        let ids: Vec<Uuid> = locked.keys().copied().collect();
        if !ids.is_empty() {
            let tokens = store::by_ids(&mut transaction, stop.tenant, &ids, now).await?;
            let record = |token: &Token| {
                let stoppers = locked.get(&token.id.0).copied().unwrap_or_default();
                (token.id, record_of_stop(&stop, token, stoppers, now))
            };
            let stopped: Vec<_> = tokens.iter().map(record).collect();
            descendants::stop(&mut transaction, &stop, &stopped, now).await?;
            for id in &ids {
                transaction.affects(Subject::Token(TokenId(*id)), action_of(stop.how));
            }
            self.record_stops(&mut transaction, &stop, &tokens, now).await?;
            let end = stop.how.ends_at().unwrap_or(now);
            invitations_open::end_of_tokens(&mut transaction, stop.tenant, &ids, end).await?;
        }
        transaction.commit_part().await?;
        Ok(ids.len())
    }

    async fn record_stops(
        &self,
        connection: &mut PgConnection,
        stop: &DescendantStop,
        tokens: &[Token],
        now: OffsetDateTime,
    ) -> Result<(), ServiceError> {
        let changes = tokens
            .iter()
            .map(|token| Change {
                workspace: Some(stop.tenant.id()),
                action: action_of(stop.how),
                subject_id: Some(token.id.0),
                subject_name: &token.name,
                before: Some(snapshot(token)),
                after: stopped(token, stop.how, now).as_ref().map(snapshot),
            })
            .collect();
        let by = (self.keys.as_ref(), &stop.author, now);
        record_all(connection, by, stop.tenant.id(), changes).await
    }
}

/// Returns the action that the audit row of a stopped token records.
const fn action_of(how: How) -> AuditAction {
    match how {
        How::Disable => AuditAction::TokenDisable,
        How::Expire => AuditAction::TokenExpire,
        How::EndBy(_) => AuditAction::TokenUpdate,
        How::Delete => AuditAction::TokenDelete,
    }
}

/// Returns a token in its state after the stop; `None` if it is deleted.
fn stopped(token: &Token, how: How, now: OffsetDateTime) -> Option<Token> {
    let end = match how {
        How::Delete => return None,
        How::Disable => return Some(Token { enabled: false, ..token.clone() }),
        How::Expire => now,
        How::EndBy(end) => end,
    };
    Some(Token {
        expires_at: Some(token.expires_at.map_or(end, |old| old.min(end))),
        not_before: token.not_before.filter(|start| *start < end),
        grace_until: token.grace_until.map(|old| old.min(end)).filter(|end| *end > now),
        ..token.clone()
    })
}
