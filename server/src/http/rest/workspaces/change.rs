//! `PATCH /api/v1/workspaces/{ws}`

use axum::{extract::State, response::IntoResponse};
use domain::names::Slug;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath, IfMatch, IfMatchHeader},
        rest::{errors::ChangeErrors, schema::WorkspaceOverviewBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// The workspace's new name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Rivers"}))]
pub(crate) struct WorkspaceChange {
    /// Its display name: 1 to 100 characters on one line.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
}

/// Rename a workspace
///
/// Its slug stays the same, because links and programs refer to it. Needs the scope
/// `workspaces:write` of the audience `tessera`.
#[utoipa::path(
    patch,
    path = "/api/v1/workspaces/{ws}",
    operation_id = "changeWorkspace",
    tag = "Workspaces",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"), IfMatchHeader),
    request_body = WorkspaceChange,
    responses(
        (status = 200, description = "The workspace", body = WorkspaceOverviewBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn change_workspace(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
    IfMatch(expected): IfMatch,
    ApiJson(body): ApiJson<WorkspaceChange>,
) -> Result<impl IntoResponse, ApiError> {
    let workspaces = state.authority.workspaces();
    let overview = workspaces.rename(&context, &workspace, &body.name, expected).await?;
    Ok(Tagged { version: overview.workspace.version, body: WorkspaceOverviewBody::from(overview) })
}
