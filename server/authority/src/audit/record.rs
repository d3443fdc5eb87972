//! Writing a row.
//!
//! The end of a workspace's chain is locked after everything else of that workspace, and held until the transaction
//! ends. Locks that tenants share come after it, and the end of the instance's chain after those (`locks.rs`). An
//! operation that changes several things locks them all before its first row.

use domain::ids::WorkspaceId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::chain::{Event, Head, INSTANCE, START};
use crate::{
    ServiceError,
    authority::has_these_keys,
    context::{Actor, OpContext},
    keys::Keys,
    store::{
        StoreError,
        audit_chain::{self as store, LockedHead},
    },
};

/// A change, as the audit row tells it.
pub(crate) struct Change<'a> {
    pub(crate) workspace: Option<WorkspaceId>,
    pub(crate) action: &'a str,
    pub(crate) subject_id: Option<Uuid>,
    pub(crate) subject_name: &'a str,
    /// What was, without secrets.
    pub(crate) before: Option<Value>,
    /// What is, without secrets.
    pub(crate) after: Option<Value>,
}

/// The author of a change and the way in, as audit rows name them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Author {
    kind: String,
    id: Option<Uuid>,
    name: String,
    surface: String,
    client_ip: Option<String>,
    request_id: String,
}

impl Author {
    /// The author of what is done in this context.
    pub(crate) fn of(ctx: &OpContext) -> Self {
        let (kind, id, name) = match &ctx.actor {
            Actor::Anonymous => ("anonymous", None, "nobody".to_owned()),
            Actor::Operator => ("operator", None, "command line".to_owned()),
            Actor::User(visitor) | Actor::Restricted(visitor) => {
                ("user", Some(visitor.user.id.0), visitor.user.name.clone())
            }
            Actor::Token(facts) => (
                "token",
                Some(facts.token_id.0),
                format!("{} (token of {})", facts.name, facts.surroundings.user.name),
            ),
        };
        Self {
            kind: kind.to_owned(),
            id,
            name,
            surface: ctx.surface.as_str().to_owned(),
            client_ip: ctx.client_ip.map(|address| address.to_string()),
            request_id: ctx.request_id.clone(),
        }
    }

    fn event(&self, id: i64, at: OffsetDateTime, change: Change<'_>) -> Event {
        Event {
            id,
            at,
            workspace: change.workspace.map(|workspace| workspace.0),
            actor_kind: self.kind.clone(),
            actor_id: self.id,
            actor_name: self.name.clone(),
            action: change.action.to_owned(),
            subject_id: change.subject_id,
            subject_name: change.subject_name.to_owned(),
            surface: self.surface.clone(),
            client_ip: self.client_ip.clone(),
            request_id: self.request_id.clone(),
            before: change.before,
            after: change.after,
        }
    }
}

/// Locks the end of a workspace's chain, for a change that goes on to take locks that tenants share: it does not wait
/// for the chain with those.
pub(crate) async fn hold_end(
    connection: &mut PgConnection,
    ctx: &OpContext,
    workspace: WorkspaceId,
) -> Result<(), ServiceError> {
    lock_end(connection, &ctx.keys, workspace.0).await.map(drop)
}

/// Writes the audit row of a change. Nothing comes after it but checks under locks that tenants share.
pub(crate) async fn record(
    connection: &mut PgConnection,
    ctx: &OpContext,
    change: Change<'_>,
) -> Result<(), ServiceError> {
    record_by(connection, (&ctx.keys, &Author::of(ctx), ctx.now), change).await
}

/// Writes the audit row of a change that an author began earlier.
pub(crate) async fn record_by(
    connection: &mut PgConnection,
    (keys, author, now): (&Keys, &Author, OffsetDateTime),
    change: Change<'_>,
) -> Result<(), ServiceError> {
    let chain = change.workspace.map_or(INSTANCE, |workspace| workspace.0);
    let (head, id) = lock_end(connection, keys, chain).await?;
    let event = author.event(id, now, change);
    let (link, head) = event.after(keys, &head).ok_or_else(missing_key)?;
    Ok(store::append(connection, &event, &link, &head).await?)
}

/// Writes the audit rows of many changes in one workspace, in their order.
pub(crate) async fn record_all(
    connection: &mut PgConnection,
    (keys, author, now): (&Keys, &Author, OffsetDateTime),
    workspace: WorkspaceId,
    changes: Vec<Change<'_>>,
) -> Result<(), ServiceError> {
    let Some(more) = changes.len().checked_sub(1) else { return Ok(()) };
    let (mut head, first) = lock_end(connection, keys, workspace.0).await?;
    let mut ids = store::next_ids(connection, more).await?;
    ids.insert(0, first);
    let mut rows = Vec::with_capacity(changes.len());
    for (change, id) in changes.into_iter().zip(ids) {
        let event = author.event(id, now, change);
        let (link, end) = event.after(keys, &head).ok_or_else(missing_key)?;
        head = end;
        rows.push((event, link));
    }
    Ok(store::append_all(connection, &rows, &head).await?)
}

/// Locks the end of a chain, which begins when there is none. Answers what the next row comes after,
/// and that row's id: within a chain, ids grow with places.
///
/// An end that somebody changed is no reason to refuse changes, for then nobody could revoke what has
/// leaked. But it must not be healed by the next row either: that row leaves a place free, which is
/// missed by every later look at the chain.
///
/// A server with other keys than the database's takes every end for changed. It is refused: its row would break the
/// chain. Before the instance is set up, nobody's keys count yet ([`super::adopt::adopt_anew`]).
async fn lock_end(
    connection: &mut PgConnection,
    keys: &Keys,
    chain: Uuid,
) -> Result<(Head, i64), ServiceError> {
    let locked = match store::lock_head(connection, chain).await? {
        Some(locked) => locked,
        None => begin(connection, keys, chain).await?,
    };
    let last = locked.last_seq.unwrap_or_default();
    let mut head = locked.head;
    if head.is_whole(keys) != Some(true) || last > head.seq {
        match has_these_keys(connection, keys).await? {
            Some(true) => {}
            Some(false) => return Err(other_keys()),
            None => return Ok((head, locked.next_id)),
        }
        tracing::error!(%chain, "the end of this chain of the audit log was changed");
        head.seq = head.seq.max(last) + 1;
    }
    Ok((head, locked.next_id))
}

/// Begins a chain, and locks its end.
async fn begin(
    connection: &mut PgConnection,
    keys: &Keys,
    chain: Uuid,
) -> Result<LockedHead, ServiceError> {
    if has_these_keys(connection, keys).await? == Some(false) {
        return Err(other_keys());
    }
    let last = store::last_seq(connection, chain).await?;
    let start = match last {
        None => Head::start(keys, chain),
        Some(last) => Head::sealed(keys, chain, last + 1, START.to_vec()),
    };
    let made = store::insert_head(connection, &start.ok_or_else(missing_key)?).await?;
    if made && last.is_some() {
        tracing::error!(%chain, "the end of this chain of the audit log was removed");
    }
    let locked = store::lock_head(connection, chain).await?;
    locked.ok_or_else(|| ServiceError::internal("the end of an audit chain vanished"))
}

fn other_keys() -> ServiceError {
    StoreError::away("the keys are not those of this database").into()
}

fn missing_key() -> ServiceError {
    ServiceError::internal("the newest audit key is missing")
}
