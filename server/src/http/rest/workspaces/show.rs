//! `GET /api/v1/workspaces/{ws}`

use axum::{extract::State, response::IntoResponse};
use domain::names::Slug;

use crate::{
    http::{
        caller::Caller,
        extract::ApiPath,
        rest::{errors::ReadErrors, schema::WorkspaceOverviewBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// Show a workspace
///
/// With the policy in force for its tokens.
#[utoipa::path(
    get,
    path = "/api/v1/workspaces/{ws}",
    operation_id = "showWorkspace",
    tag = "Workspaces",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1")),
    responses(
        (status = 200, description = "The workspace", body = WorkspaceOverviewBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        ReadErrors,
    ),
)]
pub(crate) async fn show_workspace(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
) -> Result<impl IntoResponse, ApiError> {
    let overview = state.authority.workspaces().show(&context, &workspace).await?;
    Ok(Tagged { version: overview.workspace.version, body: WorkspaceOverviewBody::from(overview) })
}
