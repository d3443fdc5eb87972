//! The audit log and the revisions.

use domain::{audit::AuditEvent, ids::WorkspaceId};
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::access::Tenant;

/// A row to write.
pub(crate) struct NewEvent<'a> {
    pub(crate) at: OffsetDateTime,
    pub(crate) workspace: Option<WorkspaceId>,
    pub(crate) actor_kind: &'a str,
    pub(crate) actor_id: Option<Uuid>,
    pub(crate) actor_name: &'a str,
    pub(crate) action: &'a str,
    pub(crate) subject_id: Option<Uuid>,
    pub(crate) subject_name: &'a str,
    pub(crate) surface: &'a str,
    pub(crate) client_ip: Option<String>,
    pub(crate) request_id: &'a str,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// Writes a row.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    event: NewEvent<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit_events (at, workspace_id, actor_kind, actor_id, actor_name, action, subject_id,
                                   subject_name, surface, client_ip, request_id, before, after)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        event.at,
        event.workspace.map(|id| id.0),
        event.actor_kind,
        event.actor_id,
        event.actor_name,
        event.action,
        event.subject_id,
        event.subject_name,
        event.surface,
        event.client_ip,
        event.request_id,
        event.before,
        event.after,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The latest rows of a workspace, newest first.
pub(crate) async fn recent(
    connection: &mut PgConnection,
    tenant: Tenant,
    limit: i64,
) -> Result<Vec<AuditEvent>, StoreError> {
    Ok(sqlx::query_as!(
        AuditEvent,
        "SELECT id, at, actor_name AS actor, action, subject_name AS subject, surface
           FROM audit_events WHERE workspace_id = $1 ORDER BY id DESC LIMIT $2",
        tenant.id().0,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

/// Notes that access became narrower.
pub(crate) async fn insert_revision(
    connection: &mut PgConnection,
    kind: &str,
    subject: Uuid,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO revisions (at, kind, subject_id) VALUES ($1, $2, $3)",
        now,
        kind,
        subject,
    )
    .execute(connection)
    .await?;
    Ok(())
}
