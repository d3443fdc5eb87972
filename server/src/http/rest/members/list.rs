//! `GET /api/v1/workspaces/{ws}/members`

use axum::{Json, extract::State};
use domain::names::Slug;

use crate::{
    http::{
        caller::Caller,
        extract::ApiPath,
        rest::{errors::ReadErrors, schema::MemberListBody},
    },
    problem::ApiError,
    state::AppState,
};

/// List the members of a workspace
///
/// Sorted by name, including disabled users. Needs the scope `members:read` of the
/// audience `tessera`.
#[utoipa::path(
    get,
    path = "/api/v1/workspaces/{ws}/members",
    operation_id = "listMembers",
    tag = "Members",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1")),
    responses((status = 200, description = "The members", body = MemberListBody), ReadErrors),
)]
pub(crate) async fn list_members(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
) -> Result<Json<MemberListBody>, ApiError> {
    let members = state.authority.workspaces().members(&context, &workspace).await?;
    let items = members.into_iter().map(Into::into).collect();
    Ok(Json(MemberListBody { items, next: None }))
}
