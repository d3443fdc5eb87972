//! `GET /api/v1/workspaces/{ws}/audit` and `GET /api/v1/audit`

use authority::{AuditQuery, AuditScope, EXPORT_PAGE, OpContext};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    names::Slug,
    problem::FieldError,
    token_query::{LIMIT_DEFAULT, LIMIT_MAX},
};
use http::HeaderMap;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    http::{
        again::Again,
        caller::Caller,
        extract::{ApiPath, ApiQuery, moment},
        rest::{errors::QueryErrors, export, schema::AuditPageBody},
    },
    problem::ApiError,
    state::AppState,
};

/// Which rows of the log to return.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// Only this action, or all actions that begin with it: `token.create`, `token`.
    #[param(value_type = Option<String>, example = "token")]
    action: Option<String>,
    /// Only changes by this actor: the ID of a user or a token, or a part of the name.
    #[param(value_type = Option<String>)]
    actor: Option<String>,
    /// Only changes to this subject: its ID, or a part of its name.
    #[param(value_type = Option<String>)]
    subject: Option<String>,
    /// Not before this time: an RFC 3339 timestamp, or a date (its beginning, UTC).
    #[param(value_type = Option<String>, example = "2026-08-18")]
    since: Option<String>,
    /// Before this time; same format as `since`.
    #[param(value_type = Option<String>, example = "2026-08-19T12:00:00Z")]
    until: Option<String>,
    /// Rows per page, 1 to 200; 25 if absent. Files contain all rows.
    #[param(minimum = 1, maximum = 200, example = 25)]
    limit: Option<u16>,
    /// Where the page begins: `next` of the previous page.
    cursor: Option<String>,
    /// Returns a file of all rows instead of a page: `csv` or `jsonl`. The header `Accept` with
    /// `text/csv` or `application/jsonl` does the same.
    #[param(value_type = Option<String>)]
    format: Option<String>,
}

/// Read the log of a workspace
///
/// Every change, newest first: who made it, what changed, from which address and through which
/// surface. Returns pages of JSON, or one file of CSV or JSON lines with all rows. Needs the scope
/// `audit:read` of the audience `tessera`.
#[utoipa::path(
    get,
    path = "/api/v1/workspaces/{ws}/audit",
    operation_id = "listWorkspaceAudit",
    tag = "Audit",
    params(
        ("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"),
        LogQuery,
    ),
    responses(
        (status = 200, description = "A page of the log, or the log as a file", content(
            (AuditPageBody = "application/json"),
            (String = "text/csv"),
            (String = "application/jsonl"),
        )),
        QueryErrors,
    ),
)]
pub(crate) async fn list_workspace_audit(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
    again: Again,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<LogQuery>,
) -> Result<Response, ApiError> {
    answer(state, context, AuditScope::Workspace(workspace), again, &headers, query).await
}

/// Read the log of the instance
///
/// Like the log of a workspace, but covers all workspaces and changes outside of any workspace.
/// For owners, administrators and auditors of the instance; a token reads only the log of its
/// own workspace.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    operation_id = "listAudit",
    tag = "Audit",
    params(LogQuery),
    responses(
        (status = 200, description = "A page of the log, or the log as a file", content(
            (AuditPageBody = "application/json"),
            (String = "text/csv"),
            (String = "application/jsonl"),
        )),
        QueryErrors,
    ),
)]
pub(crate) async fn list_audit(
    State(state): State<AppState>,
    Caller(context): Caller,
    again: Again,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<LogQuery>,
) -> Result<Response, ApiError> {
    answer(state, context, AuditScope::Instance, again, &headers, query).await
}

async fn answer(
    state: AppState,
    context: OpContext,
    scope: AuditScope,
    again: Again,
    headers: &HeaderMap,
    query: LogQuery,
) -> Result<Response, ApiError> {
    let format = export::format(headers, query.format.as_deref())?;
    let mut query = query.parse()?;
    let Some(format) = format else {
        let page = state.authority.audit().list(&context, &scope, &query).await?;
        return Ok(Json(AuditPageBody::from(page)).into_response());
    };
    query.limit = EXPORT_PAGE;
    // Read the first page before the response begins: a caller who may not read the log gets an
    // error, not a truncated file.
    let first = state.authority.audit().list(&context, &scope, &query).await?;
    let transfer = state.authority.transfer();
    let lines = transfer.write_audit(&context, format, first.items).await?;
    let beginning = format.audit_heading() + &lines;
    let name = match &scope {
        AuditScope::Workspace(slug) => format!("audit-{slug}"),
        AuditScope::Instance => "audit".to_owned(),
    };
    Ok(export::file(format, &name, beginning, first.next, move |cursor| {
        let (state, context, scope) = (state.clone(), context.clone(), scope.clone());
        let again = again.clone();
        let query = AuditQuery { cursor: Some(cursor), ..query.clone() };
        async move {
            let context = again.renew(&state, &context).await?;
            let authority = &state.authority;
            let page = authority.audit().list(&context, &scope, &query).await?;
            let lines = authority.transfer().write_audit(&context, format, page.items).await?;
            Ok((lines, page.next))
        }
    }))
}

impl LogQuery {
    fn parse(self) -> Result<AuditQuery, ApiError> {
        let mut errors = Vec::new();
        let since = moment("since", self.since.as_deref(), &mut errors);
        let until = moment("until", self.until.as_deref(), &mut errors);
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if limit == 0 || limit > LIMIT_MAX {
            errors.push(FieldError::new("limit", format!("must be 1 to {LIMIT_MAX}")));
        }
        if !errors.is_empty() {
            return Err(ApiError::invalid(errors));
        }
        let (action, actor, subject, cursor) = (self.action, self.actor, self.subject, self.cursor);
        Ok(AuditQuery { action, actor, subject, since, until, limit, cursor })
    }
}
