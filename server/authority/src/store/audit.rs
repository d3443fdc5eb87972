//! Reads the audit log. [`super::audit_chain`] writes it.

use domain::audit::AuditEvent;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, page};
use crate::kernel::{AuditRecord, Tenant};

/// Returns the latest rows of a workspace, newest first.
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

/// The filters of [`list`]. A field that is `None` does not restrict the rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// A whole action, or its leading parts up to a dot.
    pub(crate) action: Option<String>,
    pub(crate) actor_id: Option<Uuid>,
    /// A pattern for the actor's name.
    pub(crate) actor_name: Option<String>,
    pub(crate) subject_id: Option<Uuid>,
    /// A pattern for the subject's name.
    pub(crate) subject_name: Option<String>,
    pub(crate) since: Option<OffsetDateTime>,
    pub(crate) until: Option<OffsetDateTime>,
    /// Only rows with a smaller id.
    pub(crate) before: Option<i64>,
}

/// Returns rows of a workspace, newest first, and whether more rows follow.
///
/// Without a tenant, returns rows of the whole instance. The caller must have checked that the
/// actor may read them.
pub(crate) async fn list(
    connection: &mut PgConnection,
    tenant: Option<Tenant>,
    filter: &Filter,
    limit: u16,
) -> Result<(Vec<AuditRecord>, bool), StoreError> {
    // A generic plan, which ignores the values of the filters, reads far too many rows.
    sqlx::query!("SET LOCAL plan_cache_mode = force_custom_plan").execute(&mut *connection).await?;
    let size = |row: &AuditRecord| {
        500 + [&row.before, &row.after].into_iter().flatten().map(page::size).sum::<usize>()
    };
    let rows = sqlx::query_as!(
        AuditRecord,
        r#"SELECT e.id, e.at, w.slug AS "workspace?", e.actor_kind, e.actor_id, e.actor_name, e.action,
                  e.subject_id, e.subject_name, e.surface, e.client_ip, e.request_id, e.before, e.after
             FROM audit_events e LEFT JOIN workspaces w ON w.id = e.workspace_id
            WHERE ($1::uuid IS NULL OR e.workspace_id = $1)
              AND ($2::text IS NULL OR e.action = $2 OR starts_with(e.action, $2 || '.'))
              AND ($3::uuid IS NULL OR e.actor_id = $3)
              AND ($4::text IS NULL OR e.actor_name ILIKE $4)
              AND ($5::uuid IS NULL OR e.subject_id = $5)
              AND ($6::text IS NULL OR e.subject_name ILIKE $6)
              AND ($7::timestamptz IS NULL OR e.at >= $7)
              AND ($8::timestamptz IS NULL OR e.at < $8)
              AND ($9::bigint IS NULL OR e.id < $9)
            ORDER BY e.id DESC LIMIT $10"#,
        tenant.map(|tenant| tenant.id().0),
        filter.action,
        filter.actor_id,
        filter.actor_name,
        filter.subject_id,
        filter.subject_name,
        filter.since,
        filter.until,
        filter.before,
        // The extra row shows whether there is a next page.
        i64::from(limit) + 1,
    )
    .fetch(connection);
    Ok(page::read(rows, usize::from(limit), size).await?)
}
