//! `GET /api/v1/workspaces`

use axum::{Json, extract::State};

use crate::{
    http::{
        caller::Caller,
        rest::{errors::SelfErrors, schema::WorkspaceListBody},
    },
    problem::ApiError,
    state::AppState,
};

/// List workspaces
///
/// Workspaces that the caller can see. A token sees its own if it has the scope `workspaces:read`
/// or one that concerns tokens.
#[utoipa::path(
    get,
    path = "/api/v1/workspaces",
    operation_id = "listWorkspaces",
    tag = "Workspaces",
    responses((status = 200, description = "The workspaces", body = WorkspaceListBody), SelfErrors),
)]
pub(crate) async fn list_workspaces(
    State(state): State<AppState>,
    Caller(context): Caller,
) -> Result<Json<WorkspaceListBody>, ApiError> {
    let cards = state.authority.workspaces().list(&context).await?;
    let items = cards.into_iter().map(Into::into).collect();
    Ok(Json(WorkspaceListBody { items, next: None }))
}
