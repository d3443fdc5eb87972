//! The audit log: one row per change, in the change's own transaction. If the row cannot be
//! written, the change does not happen.

use domain::{access::Permission, audit::AuditEvent, ids::WorkspaceId, names::Slug};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    ServiceError, access,
    authority::Inner,
    context::{Actor, OpContext},
    store::audit::{self as store, NewEvent},
};

/// Most rows of one reading.
const LIMIT_MAX: u16 = 200;

/// Reading the audit log.
#[derive(Clone, Copy)]
pub struct AuditLog<'a> {
    pub(crate) inner: &'a Inner,
}

impl AuditLog<'_> {
    /// The latest changes in a workspace, newest first; `limit` rows, 200 at most.
    pub async fn recent(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        limit: u16,
    ) -> Result<Vec<AuditEvent>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise(&mut connection, ctx, workspace, Permission::AuditRead).await?;
        let limit = i64::from(limit.clamp(1, LIMIT_MAX));
        Ok(store::recent(&mut connection, access.tenant(), limit).await?)
    }
}

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

/// Writes the audit row of a change.
pub(crate) async fn record(
    connection: &mut PgConnection,
    ctx: &OpContext,
    change: Change<'_>,
) -> Result<(), ServiceError> {
    let (actor_kind, actor_id, actor_name) = match &ctx.actor {
        Actor::Anonymous => ("anonymous", None, "nobody".to_owned()),
        Actor::Operator => ("operator", None, "command line".to_owned()),
        Actor::User(visitor) => ("user", Some(visitor.user.id.0), visitor.user.name.clone()),
        Actor::Token(facts) => (
            "token",
            Some(facts.token_id.0),
            format!("{} (token of {})", facts.name, facts.user.name),
        ),
    };
    store::insert(
        connection,
        NewEvent {
            at: ctx.now,
            workspace: change.workspace,
            actor_kind,
            actor_id,
            actor_name: &actor_name,
            action: change.action,
            subject_id: change.subject_id,
            subject_name: change.subject_name,
            surface: ctx.surface.as_str(),
            client_ip: ctx.client_ip.map(|address| address.to_string()),
            request_id: &ctx.request_id,
            before: change.before,
            after: change.after,
        },
    )
    .await?;
    Ok(())
}
