//! Shared steps of all token changes. A change first locks the token's row in the version that the
//! caller expects. Its audit row holds the token before and after the change.

use domain::{audit_action::AuditAction, ids::TokenId, token::Token};
use sqlx::PgConnection;

use super::lifting::foresee;
use crate::{
    OpContext, ServiceError,
    access::Access,
    audit::record,
    kernel::{Change, Subject},
    store::{callers::wait_for_locks, tokens as store, tokens_change},
    transaction::Transaction,
};

/// How long a change that stops a token waits for locks. It is longer than for other changes
/// because the token itself may keep its row and the end of its workspace's log busy with changes
/// of its own, and the lock queue is fair.
const PATIENCE: &str = "30s";

/// Locks a token until the transaction ends, for a change that doesn't widen it. Returns the token
/// if the caller reaches it and it is in the expected version. Of several changes that expect the
/// same version, only one succeeds.
pub(super) async fn locked(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    id: TokenId,
    expected: Option<i64>,
) -> Result<Token, ServiceError> {
    lock(transaction, ctx, access, (id, expected), false).await
}

/// Locks a token as [`locked`] does, for a change that stops it.
pub(super) async fn locked_to_stop(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    id: TokenId,
    expected: Option<i64>,
) -> Result<Token, ServiceError> {
    wait_for_locks(transaction, PATIENCE).await?;
    lock(transaction, ctx, access, (id, expected), false).await
}

/// Locks a token as [`locked`] does, for a change that gives it a new secret.
pub(super) async fn locked_to_rotate(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    id: TokenId,
    expected: Option<i64>,
) -> Result<Token, ServiceError> {
    transaction.rests_on_rules();
    foresee(transaction, ctx, access, id).await?;
    lock(transaction, ctx, access, (id, expected), false).await
}

/// Locks a token as [`locked`] does, for a change that may widen it, or show its secret to the
/// caller, as far as policy allows.
pub(super) async fn locked_for_more(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    id: TokenId,
    expected: Option<i64>,
) -> Result<Token, ServiceError> {
    transaction.rests_on_rules();
    foresee(transaction, ctx, access, id).await?;
    lock(transaction, ctx, access, (id, expected), true).await
}

async fn lock(
    connection: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    (id, expected): (TokenId, Option<i64>),
    gives_more: bool,
) -> Result<Token, ServiceError> {
    if !tokens_change::lock(connection, access.tenant(), id).await? {
        return Err(ServiceError::NotFound("token"));
    }
    connection.changes_token(id, gives_more).await?;
    let token = read(connection, ctx, access, id).await?;
    // The owner may have changed since the caller was authorised. A bulk change was not authorised
    // for this token at all.
    if access.own.is_some_and(|own| own != token.user.id) {
        return Err(ServiceError::NotFound("token"));
    }
    match expected {
        Some(version) if version != token.version => Err(ServiceError::PreconditionFailed),
        _ => Ok(token),
    }
}

/// Records a change of a token: notes its effect for the replicas and writes the audit row. Returns
/// the token in its new state.
pub(crate) async fn changed(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    action: AuditAction,
    before: &Token,
) -> Result<Token, ServiceError> {
    let token = read(transaction, ctx, access, before.id).await?;
    note(transaction, ctx, access, action, (before, Some(&token))).await?;
    Ok(token)
}

/// Records as [`changed`] does that a token was deleted.
pub(super) async fn deleted(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    before: &Token,
) -> Result<(), ServiceError> {
    note(transaction, ctx, access, AuditAction::TokenDelete, (before, None)).await
}

async fn note(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    action: AuditAction,
    (before, after): (&Token, Option<&Token>),
) -> Result<(), ServiceError> {
    transaction.affects(Subject::Token(before.id), action);
    let change = Change {
        workspace: Some(access.workspace.id),
        action,
        subject_id: Some(before.id.0),
        subject_name: &after.unwrap_or(before).name,
        before: Some(snapshot(before)),
        after: after.map(snapshot),
    };
    record(transaction, ctx, change).await
}

async fn read(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    id: TokenId,
) -> Result<Token, ServiceError> {
    store::by_id(connection, access.tenant(), id, ctx.now)
        .await?
        .ok_or(ServiceError::NotFound("token"))
}

/// Returns a token as an audit row stores it. Rows of version 0.1 have no `grants`: the database
/// derives them for rows that 0.1 servers write while this version runs.
pub(crate) fn snapshot(token: &Token) -> serde_json::Value {
    serde_json::json!({
        "name": token.name,
        "description": token.description,
        "user": token.user.email,
        "grants": token.grants,
        "audiences": token.audiences,
        "scopes": token.scopes,
        "enabled": token.enabled,
        "not_before": token.not_before.map(|moment| moment.to_string()),
        "expires_at": token.expires_at.map(|moment| moment.to_string()),
        "ip_allow": token.ip_allow,
        "rate_limit": token.rate_limit,
        "recoverable": token.recoverable,
        "tags": token.tags,
        "hint": token.hint,
        "grace_until": token.grace_until.map(|moment| moment.to_string()),
    })
}
