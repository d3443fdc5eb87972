//! `GET /api/v1/workspaces/{ws}/members/{user}`

use axum::{extract::State, response::IntoResponse};
use domain::{ids::UserId, names::Slug};

use crate::{
    http::{
        caller::Caller,
        extract::ApiPath,
        rest::{errors::ReadErrors, schema::MemberBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// Show a member
///
/// Needs the scope `members:read` of the audience `tessera`.
#[utoipa::path(
    get,
    path = "/api/v1/workspaces/{ws}/members/{user}",
    operation_id = "showMember",
    tag = "Members",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"), ("user" = Uuid, Path, description = "The user's ID")),
    responses(
        (status = 200, description = "The member", body = MemberBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        ReadErrors,
    ),
)]
pub(crate) async fn show_member(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((workspace, user)): ApiPath<(Slug, UserId)>,
) -> Result<impl IntoResponse, ApiError> {
    let member = state.authority.workspaces().member(&context, &workspace, user).await?;
    Ok(Tagged { version: member.version, body: MemberBody::from(member) })
}
