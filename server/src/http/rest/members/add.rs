//! `POST /api/v1/workspaces/{ws}/members`

use authority::{Added, NewMember};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use domain::names::Slug;
use http::{StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath},
        rest::{
            errors::WriteErrors,
            schema::{InvitationBody, MemberBody, WorkspaceRoleBody},
        },
    },
    problem::ApiError,
    state::AppState,
};

/// A member to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMember, example = json!({
    "user": "grace@example.com", "role": "member", "grants": ["rivers:*"]
}))]
pub(crate) struct NewMemberBody {
    /// The person's e-mail address. Administrators of the instance may also name a user by ID, or a
    /// service account.
    user: String,
    /// The role.
    role: WorkspaceRoleBody,
    /// Patterns of the scopes that the member may put on tokens: `*`, `rivers:*` or a scope's name.
    /// Null or absent means the role's default grants.
    #[serde(default)]
    #[schema(max_items = 64)]
    grants: Option<Vec<String>>,
}

/// Add a member, or invite one
///
/// An administrator of the instance who is signed in adds a user directly (201). All other callers
/// invite a person by e-mail (202): the person accepts, or the invitation expires after seven days.
/// The response does not reveal whether a user of the instance has the address. Inviting an address
/// again replaces the invitation. A workspace has at most 100 open invitations. A person sends at
/// most 50 an hour; all tokens of a workspace together have the same limit.
///
/// Callers cannot give more than they hold: neither a role with more rights than their own, nor
/// grants beyond their own. Needs the scope `members:write` of the audience `tessera`.
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
        (status = 202, description = "The person is invited", body = InvitationBody),
        WriteErrors,
    ),
)]
pub(crate) async fn add_member(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
    ApiJson(body): ApiJson<NewMemberBody>,
) -> Result<Response, ApiError> {
    let new = NewMember { user: body.user, role: body.role.into(), grants: body.grants };
    Ok(match state.authority.workspaces().add_member(&context, &workspace, new).await? {
        Added::Member(member) => {
            let location = format!("/api/v1/workspaces/{workspace}/members/{}", member.user.id);
            let body = Json(MemberBody::from(member));
            (StatusCode::CREATED, [(header::LOCATION, location)], body).into_response()
        }
        Added::Invited(invitation) => {
            (StatusCode::ACCEPTED, Json(InvitationBody::from(invitation))).into_response()
        }
    })
}
