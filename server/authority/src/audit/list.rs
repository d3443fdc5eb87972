//! Reads the log page by page.

use domain::{access::Permission, names::Slug, problem::FieldError};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{AuditLog, reads_instance};
use crate::{
    OpContext, ServiceError, access,
    kernel::{AuditRecord, cursor},
    store::{
        audit::{self as store, Filter},
        pattern,
    },
};

/// The number of rows per page of an export, which is the maximum of a page.
pub const EXPORT_PAGE: u16 = 1_000;
/// The maximum length of a filter's text, in characters.
const FILTER_MAX: usize = 256;

/// The part of the log to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditScope {
    /// The log of a workspace.
    Workspace(Slug),
    /// The whole log: all workspaces, and the rows that belong to none.
    Instance,
}

/// A filter for rows. Absent values don't restrict.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// An action such as `token.create`, or a common prefix of several, such as `token`.
    pub action: Option<String>,
    /// An actor's id, or a part of its name.
    pub actor: Option<String>,
    /// A subject's id, or a part of its name.
    pub subject: Option<String>,
    /// Only rows at or after this moment.
    pub since: Option<OffsetDateTime>,
    /// Only rows before this moment.
    pub until: Option<OffsetDateTime>,
    /// The size of the page, 1 to [`EXPORT_PAGE`].
    pub limit: u16,
    /// The start of the page: `next` of the previous page.
    pub cursor: Option<String>,
}

/// A page of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditPage {
    /// The rows, newest first.
    pub items: Vec<AuditRecord>,
    /// The `cursor` of the next page; absent on the last one.
    pub next: Option<String>,
}

impl AuditLog<'_> {
    /// Returns a page of the log, newest first.
    ///
    /// # Errors
    /// `Invalid` with the fields `action`, `actor`, `subject`, `limit`, `cursor`.
    #[tracing::instrument(skip_all, fields(
        noun = "audit", verb = "list",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn list(
        &self,
        ctx: &OpContext,
        scope: &AuditScope,
        query: &AuditQuery,
    ) -> Result<AuditPage, ServiceError> {
        let mut transaction = self.inner.begin().await?;
        let tenant = match scope {
            AuditScope::Workspace(slug) => {
                let permission = Permission::AuditRead;
                let access = access::authorise(&mut transaction, ctx, slug, permission).await?;
                Some(access.tenant())
            }
            AuditScope::Instance => {
                reads_instance(ctx)?;
                None
            }
        };
        let filter = query.filter()?;
        let (items, more) = store::list(&mut transaction, tenant, &filter, query.limit).await?;
        let next = items.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(AuditPage { items, next })
    }
}

impl AuditQuery {
    fn filter(&self) -> Result<Filter, ServiceError> {
        let mut errors = Vec::new();
        if self.limit == 0 || self.limit > EXPORT_PAGE {
            errors.push(FieldError::new("limit", format!("must be 1 to {EXPORT_PAGE}")));
        }
        for (field, text) in
            [("action", &self.action), ("actor", &self.actor), ("subject", &self.subject)]
        {
            let text = text.as_deref().unwrap_or_default();
            if text.contains('\0') || text.chars().count() > FILTER_MAX {
                let message =
                    format!("must have at most {FILTER_MAX} characters and must not contain NUL");
                errors.push(FieldError::new(field, message));
            }
        }
        let before = cursor::position(self.cursor.as_deref()).unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        if !errors.is_empty() {
            return Err(ServiceError::Invalid(errors));
        }
        let (actor_id, actor_name) = id_or_pattern(self.actor.as_deref());
        let (subject_id, subject_name) = id_or_pattern(self.subject.as_deref());
        Ok(Filter {
            action: self.action.clone().filter(|action| !action.is_empty()),
            actor_id,
            actor_name,
            subject_id,
            subject_name,
            since: self.since,
            until: self.until,
            before,
        })
    }
}

fn id_or_pattern(text: Option<&str>) -> (Option<Uuid>, Option<String>) {
    let text = text.unwrap_or_default();
    match Uuid::try_parse(text.trim()) {
        Ok(id) => (Some(id), None),
        Err(_) => (None, pattern(text)),
    }
}
