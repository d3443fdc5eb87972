//! `POST /api/v1/workspaces/{ws}/members`

use authority::NewMember;
use axum::{Json, extract::State};
use domain::names::Slug;
use http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    errors::WriteErrors,
    schema::{MemberBody, WorkspaceRoleBody},
};
use crate::http::{
    AppState,
    caller::Caller,
    extract::{ApiJson, ApiPath},
    problem::ApiError,
};

/// A member to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMember, example = json!({
    "user": "grace@example.com", "role": "member", "grants": ["rivers:*"]
}))]
pub(crate) struct NewMemberBody {
    /// E-mail address or id of a user of the instance.
    user: String,
    /// The role.
    role: WorkspaceRoleBody,
    /// Patterns of the scopes that the member may put on tokens: `*`, `rivers:*` or a scope's name.
    /// What the role gives when null or absent.
    #[serde(default)]
    #[schema(max_items = 64)]
    grants: Option<Vec<String>>,
}

/// Add a member
///
/// Nobody gives more than they hold: neither a role that may do what they may not, nor grants beyond
/// their own. Needs the scope `members:write` of the audience `tessera`.
#[utoipa::path(
    post,
    path = "/api/v1/workspaces/{ws}/members",
    operation_id = "addMember",
    tag = "Members",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1")),
    request_body = NewMemberBody,
    responses(
        (status = 201, description = "The member was added", body = MemberBody,
            headers(("Location" = String, description = "The member's path"))),
        WriteErrors,
    ),
)]
pub(crate) async fn add_member(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
    ApiJson(body): ApiJson<NewMemberBody>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<MemberBody>), ApiError> {
    let new = NewMember { user: body.user, role: body.role.into(), grants: body.grants };
    let member = state.authority.workspaces().add_member(&context, &workspace, new).await?;
    let location = format!("/api/v1/workspaces/{workspace}/members/{}", member.user.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(member.into())))
}
