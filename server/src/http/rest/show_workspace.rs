//! `GET /api/v1/workspaces/{ws}`

use axum::{Json, extract::State};
use domain::names::Slug;

use super::{errors::ReadErrors, schema::WorkspaceOverviewBody};
use crate::http::{AppState, caller::Caller, extract::ApiPath, problem::ApiError};

/// Show a workspace
///
/// With the policy in force for its tokens.
#[utoipa::path(
    get,
    path = "/api/v1/workspaces/{ws}",
    operation_id = "showWorkspace",
    tag = "Workspaces",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1")),
    responses((status = 200, description = "The workspace", body = WorkspaceOverviewBody), ReadErrors),
)]
pub(crate) async fn show_workspace(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
) -> Result<Json<WorkspaceOverviewBody>, ApiError> {
    let overview = state.authority.workspaces().show(&context, &workspace).await?;
    Ok(Json(overview.into()))
}
